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
    #[error("a route needs at least one host, or a maildir")]
    NoHosts(Range<usize>),
    /// Mail goes to the one or stays in the other.
    #[error("a route has hosts or maildir, not both")]
    HostsAndMaildir(Range<usize>),
    /// A setting about hosts beside `maildir`.
    #[error("{key} is about hosts, and this route has a maildir: leave it out")]
    NotForMaildir {
        /// Which setting.
        key: &'static str,
        /// Where the Maildir stands.
        span: Range<usize>,
    },
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
    /// `ca` or `trust` beside a TLS mode that asks no authority.
    #[error("{key} is for tls = \"verify\" and \"mta-sts\": the other modes ask no authority")]
    UnusedCa {
        /// Which of the two.
        key: &'static str,
        /// Where it stands.
        span: Range<usize>,
    },
    /// Both say who vouches for the next hop.
    #[error("a route has ca or trust, not both: each says who vouches for the next hop")]
    CaAndTrust(Range<usize>),
    /// `trust` names none; whoever reads the whole configuration says so better.
    #[error("there is no such [trust.NAME]")]
    NoTrust(Range<usize>),
    /// MTA-STS without a resolver: [`Means`](crate::Means) lack it.
    #[error("tls = \"mta-sts\" needs the DNS")]
    NoResolver(Range<usize>),
    /// DANE without anybody who tells what is signed.
    #[error(
        "tls = \"dane\" needs answers whose signatures are checked: write [dns] dnssec = \"validate\", or \"trust\""
    )]
    DaneWithoutDnssec(Range<usize>),
    /// `client_certificate` beside `tls = "none"`.
    #[error("client_certificate needs TLS: leave it out, or write another tls than \"none\"")]
    UnusedCertificate(Range<usize>),
    /// `client_certificate` cannot be used.
    #[error("{error}; certificate and key name two PEM files that belong together")]
    ClientCertificate {
        /// Why not.
        error: client::SetupError,
        /// Where it is named.
        span: Range<usize>,
    },
    /// Of one family there can be one.
    #[error("source has at most one IPv4 and one IPv6 address: each connection comes from that of its family")]
    TwoSources(Range<usize>),
    /// A domain's mail exchanges speak SMTP.
    #[error("hosts = [\"mx\"] is for protocol = \"smtp\": name the hosts that speak LMTP")]
    LmtpMx(Range<usize>),
    /// `implicit_tls` beside a TLS mode that can do without TLS.
    #[error("implicit_tls needs tls = \"require\" or \"verify\"")]
    ImplicitTls(Range<usize>),
    /// `auth` that cannot be used, or must not.
    #[error("auth: {why}")]
    Auth {
        /// Why not.
        why: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// A `[dkim.NAME]` that cannot sign.
    #[error("{why}")]
    DkimKey {
        /// Why not.
        why: String,
        /// Where it stands.
        span: Range<usize>,
    },
    /// The file of `ca` names no authority.
    #[error("{error}")]
    Ca {
        /// Why not.
        error: String,
        /// Where it is named.
        span: Range<usize>,
    },
    /// There is nobody who could vouch for a next hop.
    #[error("{0}; name a file with ca")]
    Authorities(#[from] pki::Error),
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
            | Self::HostsAndMaildir(span)
            | Self::NotForMaildir { span, .. }
            | Self::LmtpPort { span, .. }
            | Self::AtLeastOne { span, .. }
            | Self::UnusedCa { span, .. }
            | Self::CaAndTrust(span)
            | Self::NoTrust(span)
            | Self::UnusedCertificate(span)
            | Self::DaneWithoutDnssec(span)
            | Self::NoResolver(span)
            | Self::ClientCertificate { span, .. }
            | Self::TwoSources(span)
            | Self::LmtpMx(span)
            | Self::ImplicitTls(span)
            | Self::Auth { span, .. }
            | Self::DkimKey { span, .. }
            | Self::Ca { span, .. } => Some(span.clone()),
            Self::Authorities(_) | Self::Setup(_) => None,
        }
    }
}
