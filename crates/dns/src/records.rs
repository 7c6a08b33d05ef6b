//! Records, as far as mail asks for them.

use hickory_resolver::proto::rr::{Name, RData};
use std::fmt;
use std::net::IpAddr;

/// A mail exchange of a domain (RFC 5321 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// The lower the better.
    pub preference: u16,
    /// The host's name; `None` where the record says that the domain takes no mail (RFC 7505).
    pub host: Option<String>,
}

/// What a server's certificate has to be (RFC 6698 section 2.1); the numbers as they were published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// 2: an authority, 3: the server itself; 0 and 1 are not for SMTP (RFC 7672 section 3.1.3).
    pub usage: u8,
    /// 0: the certificate, 1: its public key.
    pub selector: u8,
    /// 0: as it is, 1: SHA-256, 2: SHA-512.
    pub matching: u8,
    /// The certificate, the key, or the hash of it.
    pub data: Vec<u8>,
}

impl fmt::Display for Tlsa {
    /// RFC 6698 section 2.2.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// In lower case, without a dot at the end.
pub(crate) fn text(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').map_or_else(|| text.clone(), str::to_owned)
}

pub(crate) fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

pub(crate) fn exchange(data: &RData) -> Option<Exchange> {
    let RData::MX(exchange) = data else { return None };
    let host = Some(text(&exchange.exchange)).filter(|host| !host.is_empty());
    Some(Exchange { preference: exchange.preference, host })
}

/// The strings of a TXT record are one text (RFC 7208 section 3.3, RFC 8461 section 3.1).
pub(crate) fn joined(data: &RData) -> Option<String> {
    let RData::TXT(texts) = data else { return None };
    Some(String::from_utf8_lossy(&texts.txt_data.concat()).into_owned())
}

pub(crate) fn tlsa(data: &RData) -> Option<Tlsa> {
    let RData::TLSA(tlsa) = data else { return None };
    Some(Tlsa {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        data: tlsa.cert_data.clone(),
    })
}

pub(crate) fn pointer(data: &RData) -> Option<String> {
    let RData::PTR(name) = data else { return None };
    Some(text(&name.0))
}
