//! Why there is no courier. What befalls a message is no error but an [`Outcome`](crate::Outcome).

use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// A setting of a route that cannot be used. The text says what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// A route for nobody.
    #[error("a route needs at least one domain; \"*\" means all")]
    NoDomains(Range<usize>),
    /// A route to nowhere.
    #[error("a route needs at least one host")]
    NoHosts(Range<usize>),
    /// Another value than 1 or more.
    #[error("{key} must be at least 1")]
    AtLeastOne {
        /// Which setting.
        key: &'static str,
        /// Where it stands.
        span: Range<usize>,
    },
    /// `ca` beside a TLS mode that asks no authority.
    #[error("ca is for tls = \"verify\" only: the other modes trust whoever answers")]
    UnusedCa(Range<usize>),
    /// `implicit_tls` beside a TLS mode that can do without TLS.
    #[error("implicit_tls needs tls = \"require\" or \"verify\"")]
    ImplicitTls(Range<usize>),
    /// The file of `ca` cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
        /// Where it is named.
        span: Range<usize>,
    },
    /// The file of `ca` is no list of certificates.
    #[error("{} holds no CA certificate that can be used: {why}", path.display())]
    CaContent {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// Where it is named.
        span: Range<usize>,
    },
    /// `tls = "verify"` without `ca`, on a system that has no authorities.
    #[error("the system's certificate authorities cannot be read ({0}): name a file with ca")]
    SystemAuthorities(String),
    /// The TLS library refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl DeliveryError {
    /// Where in the configuration file the mistake stands; `None` when no value is at fault.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::NoDomains(span)
            | Self::NoHosts(span)
            | Self::AtLeastOne { span, .. }
            | Self::UnusedCa(span)
            | Self::ImplicitTls(span)
            | Self::CaFile { span, .. }
            | Self::CaContent { span, .. } => Some(span.clone()),
            Self::SystemAuthorities(_) | Self::Tls(_) => None,
        }
    }
}
