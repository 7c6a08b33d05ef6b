//! How an administrator writes which clients are meant: addresses, networks, ranges, host names.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;

use crate::client::{Client, HostName};

/// An address, a network in CIDR notation, or a range: all addresses of one family from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Clients by address, or by a name that DNS confirms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ClientPattern {
    /// `192.0.2.7`, `10.0.0.0/8`, `10.0.0.1-10.0.0.20`
    Addresses(AddressRange),
    /// `mail.example.mil`: this host.
    Host(HostName),
    /// `.example.mil`: all hosts below it, and not itself.
    Below(HostName),
}

/// Not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is {wanted}{mend}")]
pub struct PatternError {
    given: String,
    wanted: &'static str,
    mend: String,
}

const NO_ADDRESSES: &str = "neither an address nor a network nor a range: \
                            write 192.0.2.7, 10.0.0.0/8, 10.0.0.1-10.0.0.20 or 2001:db8::/32";
const NO_CLIENTS: &str = "neither an address nor a network, a range or a host name: write 192.0.2.7, 10.0.0.0/8, \
                          10.0.0.1-10.0.0.20, 2001:db8::/32, mail.example.mil or .example.mil";

impl FromStr for AddressRange {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let refuse = |mend: String| PatternError { given: text.to_owned(), wanted: NO_ADDRESSES, mend };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::between(address, address));
        }
        if let Some((first, last)) = text.split_once('-') {
            return range(first, last).map_err(refuse);
        }
        let network = text.parse().map(canonical).map_err(|_| refuse(String::new()))?;
        // 10.1.2.3/8 is a typing error more often than a wish.
        if network.trunc() != network {
            return Err(refuse(format!(" (host bits are set: did you mean {}?)", network.trunc())));
        }
        Ok(Self::between(network.network(), network.broadcast()))
    }
}

fn range(first: &str, last: &str) -> Result<AddressRange, String> {
    let Ok(from) = first.parse::<IpAddr>() else { return Err(String::new()) };
    let Ok(to) = last.parse::<IpAddr>() else {
        // 10.0.0.1-20, as some appliances write it.
        let whole = first.rsplit_once(['.', ':']).map(|(front, _)| format!("{front}{}{last}", separator(from)));
        let whole = whole.filter(|whole| whole.parse::<IpAddr>().is_ok());
        return Err(whole.map(|whole| format!(" (did you mean {first}-{whole}?)")).unwrap_or_default());
    };
    let range = AddressRange::between(from, to);
    if range.first.is_ipv4() != range.last.is_ipv4() {
        return Err(" (a range is of one family)".to_owned());
    }
    if range.first > range.last {
        return Err(format!(" (the smaller address comes first: did you mean {last}-{first}?)"));
    }
    Ok(range)
}

fn separator(address: IpAddr) -> char {
    if address.is_ipv4() { '.' } else { ':' }
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8, as its clients count as IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    let v4 =
        mapped.addr().to_ipv4_mapped().zip(prefix).and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

impl AddressRange {
    fn between(first: IpAddr, last: IpAddr) -> Self {
        Self { first: first.to_canonical(), last: last.to_canonical() }
    }

    /// Every address there is, family by family.
    pub(crate) const ALL: [Self; 2] = [
        Self { first: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), last: IpAddr::V4(std::net::Ipv4Addr::BROADCAST) },
        Self {
            first: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
            last: IpAddr::V6(std::net::Ipv6Addr::new(0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff)),
        },
    ];

    /// IPv4 clients of a dual-stack socket (`::ffff:192.0.2.7`) count as IPv4.
    pub fn holds(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        // The order of `IpAddr` puts every IPv4 address before every IPv6 address.
        self.first <= client && client <= self.last
    }

    /// Whether they have an address in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether `others` together hold all of its addresses.
    pub(crate) fn is_covered_by(&self, others: impl IntoIterator<Item = Self>) -> bool {
        let mut others: Vec<Self> = others.into_iter().filter(|other| other.meets(self)).collect();
        others.sort_by_key(|other| other.first);
        let end = number(self.last);
        let mut next = number(self.first);
        for other in others {
            if number(other.first) > next {
                return false;
            }
            if number(other.last) >= end {
                return true;
            }
            next = next.max(number(other.last).saturating_add(1));
        }
        false
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        let bits = if self.first.is_ipv4() { 32 } else { 128 };
        let differ = 128 - (number(self.first) ^ number(self.last)).leading_zeros();
        let network = u8::try_from(differ).ok().and_then(|differ| IpNet::new(self.first, bits - differ).ok());
        match network.filter(|network| (network.network(), network.broadcast()) == (self.first, self.last)) {
            Some(network) => write!(f, "{network}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl TryFrom<String> for AddressRange {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl FromStr for ClientPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (below, name) = match text.strip_prefix('.') {
            Some(domain) => (true, domain),
            None => (false, text),
        };
        // Without a letter at its end it is an address with a typing error; with one label only it is no full name.
        let last = name.rsplit('.').next().unwrap_or_default();
        let full = (below || name.contains('.')) && last.bytes().any(|octet| octet.is_ascii_alphabetic());
        if let Some(host) = full.then(|| HostName::parse(name)).flatten() {
            return Ok(if below { Self::Below(host) } else { Self::Host(host) });
        }
        let addresses = text.parse::<AddressRange>();
        addresses.map(Self::Addresses).map_err(|error| PatternError { wanted: NO_CLIENTS, ..error })
    }
}

impl TryFrom<String> for ClientPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl ClientPattern {
    /// Whether this client is meant.
    pub fn holds(&self, client: &Client) -> bool {
        match self {
            Self::Addresses(range) => range.holds(client.address),
            Self::Host(host) => client.names().contains(host),
            Self::Below(domain) => client.names().iter().any(|name| name.is_below(domain)),
        }
    }

    /// Its addresses, unless it names hosts.
    pub(crate) fn addresses(&self) -> Option<&AddressRange> {
        match self {
            Self::Addresses(range) => Some(range),
            Self::Host(_) | Self::Below(_) => None,
        }
    }

    /// Whether every client that `other` means by its name is meant by this name.
    pub(crate) fn covers_names_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host(host), Self::Host(other)) => host == other,
            (Self::Below(domain), Self::Host(other)) => other.is_below(domain),
            (Self::Below(domain), Self::Below(other)) => other == domain || other.is_below(domain),
            _ => false,
        }
    }
}

impl fmt::Display for ClientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(range) => write!(f, "{range}"),
            Self::Host(host) => write!(f, "{host}"),
            Self::Below(domain) => write!(f, ".{domain}"),
        }
    }
}

#[cfg(test)]
mod tests;
