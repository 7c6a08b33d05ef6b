//! `[dns]` as the administrator writes it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_spanned::Spanned;

/// `[dns]`: whom to ask, and whom to believe.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Asked in this order; the system's when empty.
    pub servers: Vec<Server>,
    /// For one name, all its aliases together; for all that is asked about one client.
    pub timeout: Timeout,
    /// Answers that are remembered.
    pub cache_entries: CacheEntries,
    /// Who finds out whether answers are signed.
    pub dnssec: Spanned<Dnssec>,
    /// For `dnssec = "validate"`: a file of DNSKEY records that are trusted; the root's when left out.
    pub trust_anchor: Option<Spanned<PathBuf>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Timeout(Duration::from_secs(5)),
            cache_entries: CacheEntries(10_000),
            dnssec: Spanned::new(0..0, Dnssec::Off),
            trust_anchor: None,
        }
    }
}

/// Who finds out whether answers are signed (RFC 4033).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum Dnssec {
    /// Nobody: no answer is.
    #[default]
    Off,
    /// The servers: their AD bit is believed. They have to be on this machine, for anybody on the way can set it.
    Trust,
    /// Whoever asks here.
    Validate,
}

impl TryFrom<String> for Dnssec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "off" => Ok(Self::Off),
            "trust" => Ok(Self::Trust),
            "validate" => Ok(Self::Validate),
            _ => Err(format!("{text:?} is none of these: \"off\", \"trust\", \"validate\"")),
        }
    }
}

/// A DNS server's address; port 53 unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Server(pub SocketAddr);

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const DNS: u16 = 53;
        let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS));
        alone
            .or_else(|_| text.parse())
            .map(Self)
            .map_err(|_| format!("{text:?} is no address: write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353"))
    }
}

/// 100 ms to 60 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Timeout(pub Duration);

impl TryFrom<String> for Timeout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = humantime::parse_duration(&text).map_err(|_| format!("{text:?} is not a time: write 5s"))?;
        match (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time) {
            true => Ok(Self(time)),
            false => Err(format!("{text:?}: write 100ms to 60s")),
        }
    }
}

/// 1 to 1000000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct CacheEntries(pub u32);

impl TryFrom<u32> for CacheEntries {
    type Error = String;

    fn try_from(entries: u32) -> Result<Self, String> {
        if (1..=1_000_000).contains(&entries) {
            Ok(Self(entries))
        } else {
            Err(format!("{entries}: write 1 to 1000000"))
        }
    }
}

/// The settings contradict each other, or what they name cannot be used. The text says what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An answer that comes over a network is anybody's.
    #[error(
        "dnssec = \"trust\" believes what the DNS server says of signatures, and the server {server} is not on this machine: \
         run one that validates here (unbound, with servers = [\"127.0.0.1\"]), or write dnssec = \"validate\""
    )]
    NotLoopback {
        /// The first that is not.
        server: IpAddr,
        /// Where `dnssec` stands.
        span: Range<usize>,
    },
    /// It would not be looked at.
    #[error("trust_anchor is for dnssec = \"validate\" only")]
    UnusedTrustAnchor(Range<usize>),
    /// The file cannot be read, or holds something else.
    #[error("{} holds no trusted keys: {why}; write DNSKEY records as in a zone file", path.display())]
    TrustAnchor {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// Where it is named.
        span: Range<usize>,
    },
    /// Nothing of the settings.
    #[error("names cannot be looked up: {0}")]
    Library(String),
}

impl SetupError {
    /// Where in the configuration file the mistake stands; `None` when no value is at fault.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::NotLoopback { span, .. } | Self::UnusedTrustAnchor(span) | Self::TrustAnchor { span, .. } => {
                Some(span.clone())
            }
            Self::Library(_) => None,
        }
    }
}
