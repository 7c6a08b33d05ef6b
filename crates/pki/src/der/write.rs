//! The few elements that are written here: OCSP requests and LDAP searches.

use crate::der::tag;

/// One element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut octets = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => octets.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|octet| **octet == 0).count();
            octets.push(0x80 | (length.len() - zeros) as u8);
            octets.extend(length.iter().skip(zeros));
        }
    }
    octets.extend_from_slice(content);
    octets
}

/// An INTEGER that is small and not negative.
pub(crate) fn integer(value: u8) -> Vec<u8> {
    match value {
        0..0x80 => element(tag::INTEGER, &[value]),
        _ => element(tag::INTEGER, &[0, value]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::Reader;

    #[test]
    fn what_is_written_can_be_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let octets = element(tag::OCTET_STRING, &vec![7; length]);
            let mut reader = Reader::new(&octets);
            assert_eq!(reader.take(tag::OCTET_STRING, "it").unwrap().value.len(), length);
            reader.finish("it").unwrap();
        }
        assert_eq!(integer(200), [2, 2, 0, 200]);
    }
}
