//! A server by name or address, and port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::ServerName;
use serde::Deserialize;

/// A server: name or address, and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Host {
    name: ServerName<'static>,
    port: u16,
}

/// RFC 5321 section 4.5.4.2.
pub const SMTP_PORT: u16 = 25;

impl Host {
    /// What its certificate must name, where that is verified.
    #[must_use]
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// The name or address, without brackets.
    #[must_use]
    pub fn address(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// The address, where it is no name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.name {
            ServerName::IpAddress(address) => Some(IpAddr::from(*address)),
            _ => None,
        }
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.to_str();
        match name.contains(':') {
            true => write!(f, "[{name}]:{}", self.port),
            false => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Host {
    /// Reads `name`, `name:port`, `[address]:port` …, with this port where none is written; `None` when it is none of them.
    #[must_use]
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (name, port)
            }
            // An IPv6 address without brackets has colons that are not the port's.
            None if text.matches(':').count() > 1 => return None,
            None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
        };
        let port = port.map_or(Some(default_port), |port| port.parse().ok()).filter(|port| *port > 0)?;
        Some(Self { name: ServerName::try_from(name).ok()?.to_owned(), port })
    }

    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.name {
            ServerName::DnsName(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
            ServerName::IpAddress(address) => IpAddr::from(*address).is_loopback(),
            _ => false,
        }
    }
}

impl FromStr for Host {
    type Err = String;

    /// A next hop: port 25 where none is written.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, SMTP_PORT).ok_or_else(|| {
            format!("\"{text}\" is not a host such as \"mx.example.org:25\", \"192.0.2.1\" or \"[2001:db8::1]:25\"")
        })
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let good = [
            ("mx.example.org:25", "mx.example.org:25"),
            ("localhost:2525", "localhost:2525"),
            ("192.0.2.1", "192.0.2.1:25"),
            ("192.0.2.1:26", "192.0.2.1:26"),
            ("[::1]", "[::1]:25"),
            ("[2001:db8::1]:2525", "[2001:db8::1]:2525"),
        ];
        for (text, expected) in good {
            assert_eq!(text.parse::<Host>().map(|host| host.to_string()), Ok(expected.to_owned()));
        }
        for text in
            ["", ":25", "mx.example.org:", "mx.example.org:0", "mx.example.org:70000", "::1", "[::1", "[::1]25", "a b"]
        {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
