//! A client as a session meets it: its address, and the names that DNS confirms. Plain data, gathered elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// RFC 1035 section 2.3.4, octets.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A host's name in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// A name as it stands in DNS; `None` for what no host is called. Underscores are no error there (RFC 2181 section 11).
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
        };
        (name.len() <= MAX_NAME && name.split('.').all(is_label)).then(|| Self(name.to_ascii_lowercase()))
    }

    /// Lower case, without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it lies below `domain`, at whatever depth.
    pub(crate) fn is_below(&self, domain: &Self) -> bool {
        self.0.strip_suffix(&domain.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a host's name: write mail.example.mil"))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a client's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// Nothing depends on it.
    NotAsked,
    /// Names that the address has in reverse DNS, each of which has this address; at least one.
    Confirmed(Vec<HostName>),
    /// There is none, or nobody could tell; the text is for logs and explanations.
    Unconfirmed(String),
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// An IPv4 client of a dual-stack socket is an IPv4 client here.
    pub address: IpAddr,
    /// Its names.
    pub naming: Naming,
}

impl Client {
    /// A client whose name was not asked for.
    pub fn unnamed(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), naming: Naming::NotAsked }
    }

    /// Confirmed names; none is as good as any failure to find one.
    pub fn names(&self) -> &[HostName] {
        match &self.naming {
            Naming::Confirmed(names) => names,
            Naming::NotAsked | Naming::Unconfirmed(_) => &[],
        }
    }

    /// As what it is counted.
    pub fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked for"),
            Self::Unconfirmed(why) => f.write_str(why),
            Self::Confirmed(names) => {
                let names: Vec<&str> = names.iter().map(HostName::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address, in which one machine may take any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The network of a client's address.
    pub fn of(client: IpAddr) -> Self {
        match client.to_canonical() {
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64))),
            v4 => Self(v4),
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        let longest = ["a".repeat(63).as_str(); 3].join(".") + "." + &"a".repeat(61);
        for (text, parsed) in [
            ("mail.example.mil", Some("mail.example.mil")),
            ("MAIL.Example.mil.", Some("mail.example.mil")),
            ("_spf.a-b.example.mil", Some("_spf.a-b.example.mil")),
            (longest.as_str(), Some(longest.as_str())),
            (&format!("{longest}a"), None),
            ("", None),
            (".", None),
            ("a..b", None),
            (".example.mil", None),
            ("-a.example", None),
            ("a-.example", None),
            ("a b.example", None),
            ("a\r\nb.example", None),
            ("ä.example", None),
            (&"a".repeat(64), None),
        ] {
            assert_eq!(HostName::parse(text).as_ref().map(HostName::as_str), parsed, "{text:?}");
        }
    }

    #[test]
    fn ipv6_clients_count_by_their_64() {
        for (client, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(ClientNetwork::of(client.parse().unwrap()).to_string(), network);
        }
    }
}
