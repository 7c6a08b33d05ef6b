//! Whether a certificate names the host that was asked for: RFC 9525 section 6.

use std::net::IpAddr;

use pki::{Certificate, GeneralName};
use rustls::pki_types::ServerName;

/// Names count in `subjectAltName` only: no certificate of a public CA has had a host's name elsewhere for years, and RFC
/// 9525 section 6.3 forbids to look there.
pub(crate) fn names(certificate: &Certificate, host: &ServerName<'_>) -> bool {
    let is_meant = |name: &GeneralName| match (name, host) {
        (GeneralName::Dns(pattern), ServerName::DnsName(host)) => matches(pattern, host.as_ref()),
        (GeneralName::Ip(octets), ServerName::IpAddress(address)) => match IpAddr::from(*address) {
            IpAddr::V4(address) => address.octets() == **octets,
            IpAddr::V6(address) => address.octets() == **octets,
        },
        _ => false,
    };
    certificate.subject_alt_names().iter().any(is_meant)
}

/// Section 6.3: letters of either case; `*` stands for one whole label, the leftmost, and has two more to its right.
fn matches(pattern: &[u8], host: &str) -> bool {
    let Ok(pattern) = std::str::from_utf8(pattern) else { return false };
    let host = host.strip_suffix('.').unwrap_or(host);
    match pattern.strip_prefix("*.") {
        Some(rest) => {
            let tail = host.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, tail)| tail);
            rest.contains('.') && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(rest))
        }
        None => !pattern.is_empty() && pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_patterns() {
        let table = [
            ("mx.example.org", "mx.example.org", true),
            ("MX.example.org", "mx.EXAMPLE.org", true),
            ("mx.example.org", "mx.example.org.", true),
            ("mx.example.org", "mx2.example.org", false),
            ("*.example.org", "mx.example.org", true),
            ("*.example.org", "a.mx.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("m*.example.org", "mx.example.org", false),
            ("*.org", "example.org", false),
            ("*", "example.org", false),
            ("", "", false),
            ("mx.example.org\0.evil.example", "mx.example.org", false),
        ];
        for (pattern, host, expected) in table {
            assert_eq!(matches(pattern.as_bytes(), host), expected, "{pattern} {host}");
        }
    }
}
