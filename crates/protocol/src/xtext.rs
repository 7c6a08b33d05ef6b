//! xtext, the armour of parameter values: RFC 3461 section 4.

/// Whether `text` is xtext. The empty text is.
#[must_use]
pub fn is_xtext(text: &str) -> bool {
    decode(text).is_some()
}

/// The octets `text` stands for, or `None` when it is not xtext.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => octets.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => octets.push(byte),
            _ => return None,
        }
    }
    Some(octets)
}

/// `hexchar` knows upper case only; the next hop may insist on it.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `octets` as xtext.
#[must_use]
pub fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            b'+' | b'=' => escape(octet, &mut text),
            b'!'..=b'~' => text.push(char::from(octet)),
            _ => escape(octet, &mut text),
        }
    }
    text
}

fn escape(octet: u8, text: &mut String) {
    text.push('+');
    for nibble in [octet >> 4, octet & 0xf] {
        text.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn table() {
        let cases: [(&str, Option<&[u8]>); 9] = [
            ("", Some(b"")),
            ("abc", Some(b"abc")),
            ("a+2Bb", Some(b"a+b")),
            ("a+3Db", Some(b"a=b")),
            ("a+2bb", None),
            ("a=b", None),
            ("a b", None),
            ("a+2", None),
            ("a+zz", None),
        ];
        for (text, expected) in cases {
            assert_eq!(super::decode(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(octets: Vec<u8>) {
            prop_assert_eq!(super::decode(&super::encode(&octets)), Some(octets));
        }

        #[test]
        fn never_panics(text: String) {
            let _ = super::decode(&text);
        }
    }
}
