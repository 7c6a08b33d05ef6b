//! Writes DER (X.690), bottom-up: each function returns one finished element, and an absent element is an empty `Vec`.
//!
//! The certificates here must be able to look like anything (three organisational units, two common names, version 1),
//! which certificate libraries rightly refuse. Reading DER is the business of `pki`.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// An object identifier, as its arcs.
pub type Oid = &'static [u64];

/// One element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        // X.690 section 8.1.3.5: the long form; a usize has at most eight octets.
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
    der
}

/// `SEQUENCE` of finished elements.
pub fn sequence(parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    element(0x30, &concatenated(parts))
}

/// `SET` of finished elements, sorted as X.690 section 11.6 wants it.
pub fn set(parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort();
    element(0x31, &concatenated(parts))
}

/// `[number] EXPLICIT`, around finished elements.
pub fn explicit(number: u8, parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    element(0xa0 | number, &concatenated(parts))
}

/// `INTEGER`, from the octets of a number that is not negative, most significant first.
pub fn unsigned(number: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    match digits.first() {
        Some(first) if *first < 0x80 => element(0x02, &digits),
        _ => element(0x02, &concatenated([vec![0], digits])),
    }
}

/// `OBJECT IDENTIFIER`.
pub fn oid(arcs: &[u64]) -> Vec<u8> {
    let (first, rest) = match arcs {
        [first, second, rest @ ..] => (first * 40 + second, rest),
        _ => (0, arcs),
    };
    let mut content = base128(first);
    content.extend(rest.iter().copied().flat_map(base128));
    element(0x06, &content)
}

/// `BOOLEAN`.
pub fn boolean(value: bool) -> Vec<u8> {
    element(0x01, &[if value { 0xff } else { 0 }])
}

/// `NULL`.
pub fn null() -> Vec<u8> {
    element(0x05, &[])
}

/// `OCTET STRING`.
pub fn octets(content: &[u8]) -> Vec<u8> {
    element(0x04, content)
}

/// `BIT STRING` of whole octets.
pub fn bits(content: &[u8]) -> Vec<u8> {
    element(0x03, &concatenated([vec![0], content.to_vec()]))
}

/// `BIT STRING` as a list of named bits (X.680 section 22.7): trailing zero bits are left out.
pub fn named_bits(numbers: &[u8]) -> Vec<u8> {
    let Some(last) = numbers.iter().max() else { return element(0x03, &[0]) };
    let octets: Vec<u8> = (0..=last / 8)
        .map(|octet| numbers.iter().filter(|bit| *bit / 8 == octet).fold(0, |byte, bit| byte | 0x80 >> (bit % 8)))
        .collect();
    element(0x03, &concatenated([vec![7 - last % 8], octets]))
}

/// `UTF8String`.
pub fn utf8(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

/// `PrintableString`; the caller answers for its alphabet.
pub fn printable(text: &str) -> Vec<u8> {
    element(0x13, text.as_bytes())
}

/// `Time` as RFC 5280 section 4.1.2.5 wants it: UTCTime through the year 2049, GeneralizedTime after it.
pub fn time(at: SystemTime) -> Vec<u8> {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(TimeZone::UTC);
    if (1950..2050).contains(&at.year()) {
        element(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        element(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}

fn concatenated(parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    parts.into_iter().flatten().collect()
}

/// X.690 section 8.19.2: seven bits an octet, the high bit set on all but the last.
fn base128(mut arc: u64) -> Vec<u8> {
    let mut octets = vec![(arc & 0x7f) as u8];
    while arc >= 0x80 {
        arc >>= 7;
        octets.push((arc & 0x7f) as u8 | 0x80);
    }
    octets.reverse();
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(element(0x04, &[]), [0x04, 0]);
        assert_eq!(element(0x04, &[7; 127])[..3], [0x04, 127, 7]);
        assert_eq!(element(0x04, &[7; 128])[..4], [0x04, 0x81, 128, 7]);
        assert_eq!(element(0x04, &[7; 256])[..5], [0x04, 0x82, 1, 0, 7]);
    }

    #[test]
    fn integers_are_minimal_and_never_negative() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn identifiers_by_arc() {
        assert_eq!(oid(&[2, 5, 4, 3]), [6, 3, 0x55, 4, 3]);
        assert_eq!(oid(&[1, 2, 840, 113549]), [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        assert_eq!(oid(&[2, 999]), [6, 2, 0x88, 0x37]);
    }

    #[test]
    fn named_bits_drop_trailing_zeros() {
        assert_eq!(named_bits(&[0]), [3, 2, 7, 0x80]);
        assert_eq!(named_bits(&[5, 6]), [3, 2, 1, 0x06]);
        assert_eq!(named_bits(&[0, 8]), [3, 3, 7, 0x80, 0x80]);
        assert_eq!(named_bits(&[]), [3, 1, 0]);
    }

    #[test]
    fn times_change_form_in_2050() {
        let at = |text: &str| time(text.parse::<Timestamp>().unwrap().try_into().unwrap());
        assert_eq!(at("2049-12-31T23:59:59Z"), element(0x17, b"491231235959Z"));
        assert_eq!(at("2050-01-01T00:00:00Z"), element(0x18, b"20500101000000Z"));
    }
}
