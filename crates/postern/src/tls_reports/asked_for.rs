//! What a domain publishes below `_smtp._tls`: where it wants reports (RFC 8460 section 3).

use std::fmt;

use pki::HttpUrl;
use protocol::Mailbox;

/// More places than anybody needs.
const MAX_DESTINATIONS: usize = 4;

/// Where a report goes.
#[derive(Debug, Clone)]
pub(super) enum Destination {
    /// `mailto:`
    Mail(Mailbox),
    /// `https:`
    Post(HttpUrl),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mail(to) => write!(f, "mailto:{to}"),
            Self::Post(url) => url.fmt(f),
        }
    }
}

/// Those of the domain's one record: with several, or none, it wants no reports. What is not understood is passed over.
pub(super) fn destinations(records: &[String]) -> Vec<Destination> {
    let mut of_version = records.iter().filter_map(|record| {
        let (version, rest) = record.split_once(';').unwrap_or((record, ""));
        (version.trim_end() == "v=TLSRPTv1").then_some(rest)
    });
    let (Some(fields), None) = (of_version.next(), of_version.next()) else { return Vec::new() };
    let of_rua = |field: &'_ str| -> Option<String> {
        let (name, value) = field.split_once('=')?;
        (name.trim() == "rua").then(|| value.to_owned())
    };
    let all = fields.split(';').filter_map(of_rua).collect::<Vec<_>>().join(",");
    all.split(',').filter_map(|uri| destination(uri.trim())).take(MAX_DESTINATIONS).collect()
}

fn destination(uri: &str) -> Option<Destination> {
    let (scheme, rest) = uri.split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "mailto" => {
            // RFC 6068: header fields behind `?` are a stranger's wishes.
            let address = decoded(rest.split('?').next().unwrap_or_default())?;
            Mailbox::parse(&address).ok().filter(Mailbox::is_ascii).map(Destination::Mail)
        }
        // "," and ";" are encoded there, and stay so.
        "https" => uri.parse().ok().map(Destination::Post),
        _ => None,
    }
}

/// RFC 3986 section 2.1.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes().iter().copied();
    while let Some(octet) = rest.next() {
        let digit = |octet: Option<u8>| char::from(octet?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        octets.push(match octet {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_what_they_ask_for() {
        for (records, expected) in [
            (&["v=TLSRPTv1; rua=mailto:reports@example.com"][..], "mailto:reports@example.com"),
            (&["v=TLSRPTv1;rua=https://reporting.example.com/v1/tlsrpt"], "https://reporting.example.com/v1/tlsrpt"),
            (
                &["v=TLSRPTv1; rua=mailto:a@example.com , https://b.example.com/x%2Cy;"],
                "mailto:a@example.com https://b.example.com/x%2Cy",
            ),
            (&["v=TLSRPTv1; ext=1; rua=MAILTO:a%2Bb@example.com?subject=x"], "mailto:a+b@example.com"),
            (&["other", "v=TLSRPTv1 ; rua=mailto:a@example.com"], "mailto:a@example.com"),
            // Two records are none.
            (&["v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"], ""),
            (&["v=TLSRPTv2; rua=mailto:a@example.com"], ""),
            (&["rua=mailto:a@example.com; v=TLSRPTv1"], ""),
            (&["v=TLSRPTv1"], ""),
            (&["v=TLSRPTv1; rua=http://example.com/,ftp://example.com,mailto:,mailto:a%0d%0ab@c,mailto:%zz@c"], ""),
            (
                &["v=TLSRPTv1; rua=mailto:a@c,mailto:a@c,mailto:a@c,mailto:a@c,mailto:a@c"],
                "mailto:a@c mailto:a@c mailto:a@c mailto:a@c",
            ),
            (&[], ""),
        ] {
            let records: Vec<String> = records.iter().map(|&record| record.to_owned()).collect();
            let found: Vec<String> = destinations(&records).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{records:?}");
        }
    }
}
