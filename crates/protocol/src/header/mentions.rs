//! What looks like an address anywhere in a field, to whichever reader: one that takes quotes off first, one that decodes
//! encoded words (RFC 2047) first, one that does neither. No reader can see an author whose `@` is not found here.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::address::is_atext;

/// Padding is often left out, and the last octet's spare bits are not always zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// All that looks like `local-part@domain.domain`, in every reading.
pub(super) fn mentions(text: &str) -> Result<Vec<String>, &'static str> {
    let mut found = Vec::new();
    collect(text, &mut found);
    let unquoted = unquoted(text);
    collect(&unquoted, &mut found);
    // Encoded words may stand between quotes, though RFC 2047 section 5 says not.
    if unquoted.contains("=?") {
        collect(&decoded(&unquoted)?, &mut found);
    }
    Ok(found)
}

fn collect(text: &str, found: &mut Vec<String>) {
    for (at, sign) in text.char_indices().filter(|(_, c)| is_at(*c)) {
        let (before, after) =
            (text.get(..at).unwrap_or_default(), text.get(at + sign.len_utf8()..).unwrap_or_default());
        let local_part = before.rfind(|c| !is_of_local_part(c)).map_or(before, |end| {
            let width = before.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            before.get(end + width..).unwrap_or_default()
        });
        // Outlook puts an address that is its own display name between apostrophes.
        let local_part = local_part.trim_start_matches(['\'', '`', '.']);
        let domain = after.find(|c| !is_of_domain(c)).map_or(after, |end| after.get(..end).unwrap_or_default());
        let domain = domain.trim_end_matches(['.', '-']);
        // Without a dot it is no address of the world outside.
        if !local_part.is_empty() && domain.trim_start_matches('.').contains('.') {
            found.push(format!("{local_part}@{domain}"));
        }
    }
}

/// The `@` of full width, and the small one, look like it, and compatibility folding makes them one.
fn is_at(c: char) -> bool {
    matches!(c, '@' | '\u{ff20}' | '\u{fe6b}')
}

fn is_of_local_part(c: char) -> bool {
    c == '.' || (is_atext(c) && !is_at(c) && c != char::REPLACEMENT_CHARACTER)
}

fn is_of_domain(c: char) -> bool {
    matches!(c, '.' | '-' | '_') || c.is_alphanumeric()
}

fn unquoted(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '"' | '\\')).collect()
}

/// With every encoded word decoded. White space between two goes: RFC 2047 section 6.2.
fn decoded(text: &str) -> Result<String, &'static str> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from_word) = rest.split_at(at);
        match encoded_word(from_word)? {
            Some((octets, tail)) => {
                // RFC 2047 section 5 (1): with anything else right beside it, it is a word of its own to some readers.
                let glued = before.chars().next_back().is_some_and(is_atext)
                    || (tail.chars().next().is_some_and(is_atext) && !tail.starts_with("=?"));
                if glued {
                    return Err("has an encoded word that runs into other text");
                }
                if !(after_word && before.trim_matches([' ', '\t']).is_empty()) {
                    out.extend_from_slice(before.as_bytes());
                }
                out.extend_from_slice(&octets);
                (rest, after_word) = (tail, true);
            }
            None => {
                let (plain, tail) = from_word.split_at_checked(2).unwrap_or((from_word, ""));
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(plain.as_bytes());
                (rest, after_word) = (tail, false);
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    // Escape and the shifts are of ISO-2022; the others end lines or texts, or make addresses invisible.
    if out.iter().any(|octet| octet.is_ascii_control() && !matches!(octet, b'\t' | 0x0e | 0x0f | 0x1b)) {
        return Err("has an encoded word with a control character");
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// `=?charset?encoding?text?=`, decoded, and what follows it; `None` when there is none after all.
fn encoded_word(text: &str) -> Result<Option<(Vec<u8>, &str)>, &'static str> {
    let mut parts = text.get(2..).unwrap_or_default().splitn(3, '?');
    let (Some(charset), Some(encoding), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let Some((content, tail)) = rest.split_once("?=") else { return Ok(None) };
    if charset.is_empty() || charset.contains([' ', '\t']) || content.contains('?') {
        return Ok(None);
    }
    let octets = match encoding {
        "B" | "b" => BASE64.decode(content).map_err(|_| "has an encoded word that cannot be decoded")?,
        "Q" | "q" => quoted_printable(content.as_bytes()),
        _ => return Ok(None),
    };
    // Their @ is not the octet of ASCII.
    let charset = charset.to_ascii_lowercase();
    if [
        "utf-7",
        "utf7",
        "unicode-1-1-utf-7",
        "utf-16",
        "utf16",
        "utf-32",
        "utf32",
        "ucs-",
        "iso-10646",
        "hz-gb",
        "cp037",
        "ibm037",
        "ebcdic",
    ]
    .iter()
    .any(|name| charset.starts_with(name))
    {
        return Err("has an encoded word in a charset that is not for mail");
    }
    Ok(Some((octets, tail)))
}

/// The Q encoding, RFC 2047 section 4.2; what is no escape stands for itself.
fn quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((&octet, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let hex = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (rest, _) = match (octet, hex) {
            (b'=', Some(octet)) => (tail.get(2..).unwrap_or_default(), out.push(octet)),
            (b'_', _) => (tail, out.push(b' ')),
            _ => (tail, out.push(octet)),
        };
    }
    out
}
