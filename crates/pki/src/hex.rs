//! Hexadecimal, as fingerprints and key identifiers are written.

use std::fmt::Write as _;

/// Two lower-case digits an octet.
pub(crate) fn lower(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
