//! The settings of `[fetch]`, as they stand in the file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::settings::span::Span;

/// `[fetch]`: what holds for everything that is fetched over the network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchSettings {
    /// The hosts that certificates may send us to, by AIA or distribution points. Empty: certificates send us nowhere.
    #[serde(default)]
    pub allowed_hosts: Vec<HostPattern>,
    /// PEM files with the roots for https and ldaps; empty: the system's.
    #[serde(default)]
    pub ca: Vec<PathBuf>,
    /// To get a connection, TLS included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Span,
    /// To get the whole of a list.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// The longest that a client waits for what its judgement lacks.
    #[serde(default = "max_wait")]
    pub max_wait: Span,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            ca: Vec::new(),
            connect_timeout: connect_timeout(),
            timeout: timeout(),
            max_wait: max_wait(),
        }
    }
}

fn connect_timeout() -> Span {
    Span(Duration::from_secs(5))
}

fn timeout() -> Span {
    Span(Duration::from_secs(300))
}

fn max_wait() -> Span {
    Span(Duration::from_secs(8))
}

/// A host by name or address, every host below a domain (`.example.mil`), or every host (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// Is this host meant?
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        match self.0.strip_prefix('.') {
            _ if self.0 == "*" => true,
            Some(_) => host.len() > self.0.len() && host.ends_with(&self.0),
            None => host == self.0,
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if text == "*" || (!text.is_empty() && text != "." && text.bytes().all(allowed)) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!("`{text}` is no host; write ocsp.example.mil, .example.mil for all below it, or *"))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_by_name_and_by_domain() {
        let rows = [
            ("ocsp.example.mil", "OCSP.example.mil.", true),
            ("ocsp.example.mil", "ocsp.example.mil.evil.example", false),
            (".example.mil", "a.b.example.mil", true),
            (".example.mil", "example.mil", false),
            (".example.mil", "notexample.mil", false),
            ("[::1]", "[::1]", true),
            ("*", "anything", true),
        ];
        for (pattern, host, expected) in rows {
            assert_eq!(HostPattern::try_from(pattern.to_owned()).unwrap().matches(host), expected, "{pattern} {host}");
        }
        for bad in ["", ".", "http://host", "a b"] {
            assert!(HostPattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
