//! Where a submission server is: `smtps://` or `smtp://`, a host, a port.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::host::Host;

/// RFC 8314 section 3.3, RFC 6409 section 3.1: where AUTH is offered.
const SUBMISSIONS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;

/// A server of `servers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerUrl {
    implicit_tls: bool,
    host: Host,
}

/// Not a server's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no SMTP server: {why}; write \"smtps://mx1.example.org\" or \"smtp://192.0.2.1:587\"")]
pub struct ServerUrlError {
    text: String,
    why: &'static str,
}

impl ServerUrl {
    /// Name or address, and port: 465 or 587 when left out.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// TLS from the first octet: `smtps://`.
    #[must_use]
    pub fn implicit_tls(&self) -> bool {
        self.implicit_tls
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| ServerUrlError { text: text.to_owned(), why };
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let implicit_tls = match scheme.to_ascii_lowercase().as_str() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(wrong("the scheme is smtp or smtps")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(wrong("user names and passwords are the clients' own"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("nothing follows the host and port"));
        }
        let port = if implicit_tls { SUBMISSIONS_PORT } else { SUBMISSION_PORT };
        let host = Host::parse(rest, port).ok_or_else(|| wrong("a name or an address follows, and perhaps a port"))?;
        Ok(Self { implicit_tls, host })
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.implicit_tls { "smtps" } else { "smtp" }, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for (text, written) in [
            ("smtps://mx1.example.org", "smtps://mx1.example.org:465"),
            ("SMTP://mx2.example.org/", "smtp://mx2.example.org:587"),
            ("smtp://192.0.2.1:25", "smtp://192.0.2.1:25"),
            ("smtps://[2001:db8::1]", "smtps://[2001:db8::1]:465"),
            ("smtp://[::1]:2525", "smtp://[::1]:2525"),
            ("smtp://mx", "smtp://mx:587"),
        ] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), written);
        }
        for (text, why) in [
            ("", "no scheme"),
            ("mx1.example.org:587", "no scheme"),
            ("https://mx1.example.org", "the scheme is"),
            ("smtp://", "a name or an address"),
            ("smtp://:587", "a name or an address"),
            ("smtp://mx:0", "a name or an address"),
            ("smtp://mx:", "a name or an address"),
            ("smtp://mx:99999", "a name or an address"),
            ("smtp://::1", "a name or an address"),
            ("smtp://a b", "a name or an address"),
            ("smtp://mx/x", "nothing follows"),
            ("smtp://user:secret@mx", "the clients' own"),
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("smtps://mx1.example.org"), "{text}: {error}");
        }
    }

    #[test]
    fn loopback() {
        let is = |text: &str| text.parse::<ServerUrl>().unwrap().host().is_loopback();
        assert!(is("smtp://localhost") && is("smtp://127.9.9.9") && is("smtp://[::1]"));
        assert!(!is("smtp://localhost.example.org") && !is("smtp://192.0.2.1"));
    }
}
