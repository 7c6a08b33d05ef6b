//! `TLS-Required: No`: the sender would rather have the message delivered than protected (RFC 8689 section 5).

use crate::source::MessageSource;

/// Octets of the header section that are looked at; a field behind them does not count.
const MAX_HEADER: usize = 256 * 1024;

/// Whether the header says so. A message that cannot be read says nothing.
pub(crate) async fn is_waived(source: &mut impl MessageSource) -> bool {
    source.rewind();
    let mut header = Vec::new();
    while header.len() < MAX_HEADER {
        let Ok(Some(octets)) = source.next().await else { break };
        header.extend_from_slice(&octets);
        if header.starts_with(b"\r\n") || header.windows(4).any(|octets| octets == b"\r\n\r\n") {
            break;
        }
    }
    says_no(&header)
}

/// The RFC has one such field, with this value and no other; several that differ are not its.
fn says_no(header: &[u8]) -> bool {
    let lines = header.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let fields = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        let (name, value) = text.split_once(':')?;
        name.trim_end().eq_ignore_ascii_case("TLS-Required").then(|| value.trim().eq_ignore_ascii_case("No"))
    });
    let mut fields = fields.peekable();
    fields.peek().is_some() && fields.all(|no| no)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_and_one_value() {
        for (header, expected) in [
            ("TLS-Required: No\r\n\r\n", true),
            ("Subject: x\r\ntls-required:no \r\n\r\n", true),
            ("TLS-Required: Yes\r\n\r\n", false),
            ("TLS-Required: No\r\nTLS-Required: Yes\r\n\r\n", false),
            ("Subject: x\r\n\r\nTLS-Required: No\r\n", false),
            ("Subject: x\r\n TLS-Required: No\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(says_no(header.as_bytes()), expected, "{header:?}");
        }
    }
}
