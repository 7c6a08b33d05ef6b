//! Why there is no courier. What befalls a message is no error but an [`Outcome`](crate::Outcome).

use std::ops::Range;

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
    /// LMTP where SMTP belongs: RFC 2033 section 5.
    #[error("{host}: LMTP is not spoken on port 25; write the port, such as {}:24", host.address())]
    LmtpPort {
        /// Which host.
        host: client::Host,
        /// Where it stands.
        span: Range<usize>,
    },
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
    /// The file of `ca` names no authority.
    #[error("{error}")]
    Ca {
        /// Why not.
        error: client::SetupError,
        /// Where it is named.
        span: Range<usize>,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Setup(#[from] client::SetupError),
}

impl DeliveryError {
    /// Where in the configuration file the mistake stands; `None` when no value is at fault.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::NoDomains(span)
            | Self::NoHosts(span)
            | Self::LmtpPort { span, .. }
            | Self::AtLeastOne { span, .. }
            | Self::UnusedCa(span)
            | Self::ImplicitTls(span)
            | Self::Ca { span, .. } => Some(span.clone()),
            Self::Setup(_) => None,
        }
    }
}
