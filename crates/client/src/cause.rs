//! Why a server did not do what it was asked for.

use std::fmt;
use std::net::IpAddr;

use protocol::{EnhancedCode, Reply};
use tokio::net::TcpStream;

use crate::host::Host;
use crate::tls_failure::TlsFailure;

/// Why a recipient was not served, or a connection not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Who was asked; `None` when it did not come to that.
    pub host: Option<Host>,
    /// What happened.
    pub what: What,
    /// It did not come to anything with this host: whatever else is wanted of it would fare the same.
    pub unreachable: bool,
    /// What was wrong about TLS, where that is what it was.
    pub tls: Option<TlsFailure>,
    /// Between whom, where there was a connection; for reports about TLS.
    pub ends: Option<Box<Ends>>,
}

/// The addresses of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// This side's.
    pub local: IpAddr,
    /// The server's.
    pub peer: IpAddr,
}

impl Ends {
    /// Of a connection; `None` when it is closed already.
    pub(crate) fn of(stream: &TcpStream) -> Option<Box<Self>> {
        let (local, peer) = (stream.local_addr().ok()?.ip(), stream.peer_addr().ok()?.ip());
        Some(Box::new(Self { local, peer }))
    }
}

/// Who said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The next hop.
    Reply {
        /// The command it answered: `RCPT TO`, `end of DATA`.
        command: &'static str,
        /// Its words.
        reply: Reply,
    },
    /// This side, or the network.
    Local {
        /// RFC 3463.
        status: EnhancedCode,
        /// For logs and notices; one line.
        text: String,
    },
}

impl Cause {
    /// Something that happened on this side, or on the way.
    #[must_use]
    pub fn local(host: Option<&Host>, status: EnhancedCode, text: impl Into<String>) -> Self {
        Self {
            host: host.cloned(),
            what: What::Local { status, text: text.into() },
            unreachable: false,
            tls: None,
            ends: None,
        }
    }

    /// A next hop that cannot be trusted with the message: RFC 3463 section 3.8, security features not supported and
    /// cryptographic failure.
    #[must_use]
    pub fn tls(host: Option<&Host>, failure: TlsFailure, text: impl Into<String>) -> Self {
        let status = match failure {
            TlsFailure::StarttlsNotSupported | TlsFailure::DaneRequired => EnhancedCode(4, 7, 4),
            _ => EnhancedCode(4, 7, 5),
        };
        Self { tls: Some(failure), ..Self::local(host, status, text) }
    }

    /// The next hop's answer to a command.
    #[must_use]
    pub fn reply_to(command: &'static str, host: &Host, reply: Reply) -> Self {
        Self {
            host: Some(host.clone()),
            what: What::Reply { command, reply },
            unreachable: false,
            tls: None,
            ends: None,
        }
    }

    /// The status code for notices (RFC 3464 section 2.3.4): the next hop's own, or the general one of its class.
    #[must_use]
    pub fn status(&self) -> EnhancedCode {
        match &self.what {
            What::Local { status, .. } => *status,
            What::Reply { reply, .. } => match reply.enhanced() {
                // RFC 2034 section 4: an enhanced code of another class than the reply's is not to be believed.
                Some(code) if u16::from(code.0) == reply.code() / 100 => code,
                _ if reply.is_permanent() => EnhancedCode(5, 0, 0),
                _ => EnhancedCode(4, 0, 0),
            },
        }
    }

    /// Whether the same would come of another attempt.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match &self.what {
            What::Local { status, .. } => status.0 == 5,
            What::Reply { reply, .. } => reply.is_permanent() && !self.unreachable,
        }
    }

    /// The next hop's words, if it had any.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match &self.what {
            What::Reply { reply, .. } => Some(reply),
            What::Local { .. } => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}: ")?;
        }
        match &self.what {
            What::Reply { command, reply } => write!(f, "{reply} (in reply to {command})"),
            What::Local { text, .. } => f.write_str(text),
        }
    }
}
