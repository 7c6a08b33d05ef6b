//! PROXY headers: what is complete stays so whatever follows, and what is incomplete is bounded.

use postern_protocol::proxy::{MAX_HEADER, Parsed, parse};

pub(crate) fn run(octets: &[u8]) {
    match parse(octets) {
        Ok(Parsed::Complete { consumed, source }) => {
            assert!(consumed <= octets.len() && consumed <= MAX_HEADER);
            assert_eq!(parse(&octets[..consumed]), Ok(Parsed::Complete { consumed, source }));
            assert_eq!(parse(&octets[..consumed - 1]), Ok(Parsed::Incomplete));
        }
        Ok(Parsed::Incomplete) => assert!(octets.len() < MAX_HEADER),
        Err(error) => assert_eq!(parse(&[octets, b"\r\n"].concat()), Err(error)),
    }
}
