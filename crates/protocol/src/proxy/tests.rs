use proptest::prelude::*;

use super::*;

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, payload].concat()
}

fn v4(addresses: [u8; 12]) -> Vec<u8> {
    v2(0x21, 0x11, &addresses)
}

const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 25, 0xdc, 0x04, 0, 25];

fn source(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn headers() {
    let with_tlv = v2(0x21, 0x11, &[V4.as_slice(), &[0x04, 0, 3, 0, 0, 0]].concat());
    let v6 = [[0x20, 0x01, 0x0d, 0xb8].as_slice(), &[0; 11], &[1], &[0; 16], &[0xdc, 0x04, 0, 25]].concat();
    let cases: Vec<(Vec<u8>, Option<SocketAddr>)> = vec![
        (b"PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\r\n".to_vec(), source("192.0.2.1:56324")),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 25\r\n".to_vec(), source("[2001:db8::1]:56324")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ff:f::1 ff:f::2 65535 65535\r\n".to_vec(), None),
        (v4(V4), source("192.0.2.1:56324")),
        (with_tlv, source("192.0.2.1:56324")),
        (v2(0x21, 0x21, &v6), source("[2001:db8::1]:56324")),
        (v2(0x20, 0x00, b""), None),
        // What a LOCAL header holds beside is nobody's business.
        (v2(0x20, 0x11, &V4), None),
        (v2(0x20, 0x11, b"xx"), None),
        (v2(0x20, 0xff, b"xx"), None),
        (v2(0x21, 0x00, b"xxxx"), None),
        (v2(0x21, 0x31, &[0; 216]), None),
    ];
    for (header, source) in cases {
        let shown = header.escape_ascii().to_string();
        let consumed = header.len();
        let followed = [header.as_slice(), b"EHLO client\r\n"].concat();
        assert_eq!(parse(&followed), Ok(Parsed::Complete { consumed, source }), "{shown}");
        for end in 0..consumed {
            assert_eq!(parse(&header[..end]), Ok(Parsed::Incomplete), "{shown} cut at {end}");
        }
    }
}

#[test]
fn what_is_no_header() {
    let cases: Vec<(Vec<u8>, ProxyError)> = vec![
        (b"EHLO client\r\n".to_vec(), ProxyError::NotProxy),
        (b"E".to_vec(), ProxyError::NotProxy),
        (b"proxy TCP4 ".to_vec(), ProxyError::NotProxy),
        (b"PROXYTCP4".to_vec(), ProxyError::NotProxy),
        (b"\x16\x03\x01".to_vec(), ProxyError::NotProxy),
        (b"\r\n\r\nQUIT".to_vec(), ProxyError::NotProxy),
        (b"PROXY TCP4 192.0.2.1 192.0.2.25 56324 25\n".to_vec(), ProxyError::Malformed),
        (b"PROXY TCP4 192.0.2.256 192.0.2.25 56324 25\r\n".to_vec(), ProxyError::Malformed),
        (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n".to_vec(), ProxyError::Malformed),
        (b"PROXY TCP4 192.0.2.1 192.0.2.25 65536 25\r\n".to_vec(), ProxyError::Malformed),
        (b"PROXY TCP4 192.0.2.1 192.0.2.25 1\r\n".to_vec(), ProxyError::Malformed),
        (b"PROXY UDP4 192.0.2.1 192.0.2.25 1 2\r\n".to_vec(), ProxyError::Malformed),
        (b"PROXY \r\n".to_vec(), ProxyError::Malformed),
        (b"PROXY UNKNOWN \r x\r\n".to_vec(), ProxyError::Malformed),
        ([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 107]].concat(), ProxyError::TooLong),
        ([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 107], b"\r\n"].concat(), ProxyError::TooLong),
        (v2(0x11, 0x11, &V4), ProxyError::Malformed),
        (v2(0x22, 0x11, &V4), ProxyError::Malformed),
        (v2(0x21, 0x41, &V4), ProxyError::Malformed),
        (v2(0x21, 0x11, &V4[..11]), ProxyError::Malformed),
        (v2(0x21, 0x21, &V4), ProxyError::Malformed),
        ([V2, &[0x21, 0x11, 0xff, 0xff]].concat(), ProxyError::TooLong),
    ];
    for (octets, error) in cases {
        assert_eq!(parse(&octets), Err(error), "{}", octets.escape_ascii());
    }
}

proptest! {
    #[test]
    fn never_panics(octets: Vec<u8>, version: bool) {
        let begun = [if version { V1 } else { V2 }, &octets].concat();
        for input in [octets, begun] {
            if let Ok(Parsed::Complete { consumed, .. }) = parse(&input) {
                prop_assert!(consumed <= input.len() && consumed <= MAX_HEADER);
                prop_assert_eq!(parse(&input[..consumed]), parse(&input));
            }
        }
    }
}
