//! Where a directory server is: `ldap://` or `ldaps://`, a host, a port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// A server of `servers`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerUrl {
    ldaps: bool,
    host: String,
    port: u16,
}

/// Not a server's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no directory server: {why}; write \"ldaps://ldap1.example.org\" or \"ldap://192.0.2.1:3389\"")]
pub struct ServerUrlError {
    text: String,
    why: &'static str,
}

impl ServerUrl {
    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 389 or 636 when left out (RFC 4516 section 2).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// TLS from the first octet.
    pub fn is_ldaps(&self) -> bool {
        self.ldaps
    }

    /// Whether what is sent there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| ServerUrlError { text: text.to_owned(), why };
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let ldaps = match scheme.to_ascii_lowercase().as_str() {
            "ldap" => false,
            "ldaps" => true,
            _ => return Err(wrong("the scheme is ldap or ldaps")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("nothing follows the host and port (the base has a key of its own)"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(|| wrong("\"]\" is missing"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(wrong("an IPv6 address stands in the brackets"));
                }
                (host, port.strip_prefix(':').or((port.is_empty()).then_some("")))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
                None => (rest, Some("")),
            },
        };
        let port = match port.ok_or_else(|| wrong("the port is a number"))? {
            "" if ldaps => 636,
            "" => 389,
            port => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("the port is a number"))?,
        };
        let named = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'));
        if !named {
            return Err(wrong("the host is a name or an address"));
        }
        Ok(Self { ldaps, host: host.to_ascii_lowercase(), port })
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
        let scheme = if self.ldaps { "ldaps" } else { "ldap" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for (text, written) in [
            ("ldap://ldap1.example.mil", "ldap://ldap1.example.mil:389"),
            ("LDAPS://Ldap1.example.mil/", "ldaps://ldap1.example.mil:636"),
            ("ldap://192.0.2.1:3389", "ldap://192.0.2.1:3389"),
            ("ldaps://[2001:db8::1]", "ldaps://[2001:db8::1]:636"),
            ("ldaps://[::1]:1636", "ldaps://[::1]:1636"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), written);
        }
        for text in [
            "",
            "ldap1.example.mil",
            "http://x",
            "ldap://",
            "ldap://:389",
            "ldap://x:0",
            "ldap://x:",
            "ldap://x:99999",
            "ldap://[::1",
            "ldap://[x]",
            "ldap://[::1]389",
            "ldap://x/dc=example",
            "ldap://user@x",
            "ldap://a b",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
        assert!("ldap://localhost".parse::<ServerUrl>().unwrap().is_loopback());
        assert!("ldap://127.9.9.9".parse::<ServerUrl>().unwrap().is_loopback());
        assert!(!"ldap://localhost.example.org".parse::<ServerUrl>().unwrap().is_loopback());
    }
}
