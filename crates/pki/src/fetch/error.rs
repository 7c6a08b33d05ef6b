//! Why something could not be fetched.

use std::time::Duration;

/// Why something could not be fetched; says no more about the peer than an administrator needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection.
    #[error("can't connect to {host}: {why}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system or the resolver said.
        why: String,
    },
    /// No TLS on the connection.
    #[error("no TLS with {host}: {why}")]
    Tls {
        /// Host and port.
        host: String,
        /// What rustls said.
        why: String,
    },
    /// Neither done nor failed in time.
    #[error("not done within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// More octets than allowed.
    #[error("larger than {0} octets")]
    TooLarge(u64),
    /// The peer broke the protocol, or off.
    #[error("{0}")]
    Protocol(String),
    /// An answer, and not the one that was asked for.
    #[error("the server says {0}")]
    Refused(String),
    /// A redirect that is not followed.
    #[error("a redirect to {to} is not followed: {why}")]
    Redirect {
        /// Where to.
        to: String,
        /// What forbids it.
        why: &'static str,
    },
    /// A certificate names a host that nobody allowed.
    #[error("{host} is not among fetch.allowed_hosts")]
    NotAllowed {
        /// The host.
        host: String,
    },
    /// A file can't be read, or what was fetched can't be written.
    #[error("{0}")]
    Io(String),
}

impl FetchError {
    pub(crate) fn io(error: &std::io::Error) -> Self {
        Self::Io(error.to_string())
    }

    pub(crate) fn protocol(error: impl std::fmt::Display) -> Self {
        Self::Protocol(error.to_string())
    }
}
