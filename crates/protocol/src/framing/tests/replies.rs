use proptest::prelude::*;

use crate::framing::{ReplyError, ReplyParser};
use crate::reply::{EnhancedCode, Reply};

fn read(octets: &[u8], piece: usize) -> Result<Vec<Reply>, ReplyError> {
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    for piece in octets.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = parser.extend(rest);
            assert!(taken > 0, "there is room after every None");
            rest = &rest[taken..];
            while let Some(reply) = parser.next_reply()? {
                replies.push(reply);
            }
        }
    }
    Ok(replies)
}

#[test]
fn transcripts() {
    // What the server said, and the replies as the log has them.
    let cases: [(&str, &[&str]); 13] = [
        ("220 mx.example.org ESMTP\r\n", &["220 mx.example.org ESMTP"]),
        ("250-mx.example.org\r\n250-SIZE 1000\r\n250 DSN\r\n", &["250 mx.example.org / SIZE 1000 / DSN"]),
        ("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n", &["250 2.1.0 Ok", "250 2.1.5 Ok", "354 go"]),
        ("550-5.7.1 not\r\n550 5.7.1 you\r\n", &["550 5.7.1 not / you"]),
        ("550-5.7.1 not\r\n550 you\r\n", &["550 5.7.1 not / you"]),
        ("550-5.7.1 a\r\n550 5.7.2 b\r\n", &["550 5.7.1 a / 5.7.2 b"]),
        ("250\r\n", &["250"]),
        ("250 \r\n", &["250"]),
        ("250-\r\n250\r\n", &["250"]),
        ("250 2.0.0\r\n", &["250 2.0.0"]),
        // The class is not the code's: this is text.
        ("250 5.0.0 odd\r\n", &["250 5.0.0 odd"]),
        ("250 lf\n250 alone\n", &["250 lf", "250 alone"]),
        ("451 a\u{1b}[31m\u{e9}\r\r\n", &["451 a?[31m\u{e9}?"]),
    ];
    for (text, expected) in cases {
        for piece in [1, 3, 1000] {
            let replies: Vec<String> =
                read(text.as_bytes(), piece).unwrap().into_iter().map(|reply| reply.to_string()).collect();
            assert_eq!(replies, expected, "{text:?} by {piece}");
        }
    }
    let replies = read(b"250 5.0.0 odd\r\n550 5.1.1 who\r\n", 100).unwrap();
    assert_eq!(replies[0].enhanced(), None);
    assert_eq!(replies[1].enhanced(), Some(EnhancedCode(5, 1, 1)));
}

#[test]
fn what_is_no_reply() {
    let cases: [(&[u8], ReplyError); 12] = [
        (b"\r\n", ReplyError::Malformed),
        (b"25\r\n", ReplyError::Malformed),
        (b"ok\r\n", ReplyError::Malformed),
        (b"2500 ok\r\n", ReplyError::Malformed),
        (b"250+ok\r\n", ReplyError::Malformed),
        (b"150 ok\r\n", ReplyError::Malformed),
        (b"600 ok\r\n", ReplyError::Malformed),
        (b" 250 ok\r\n", ReplyError::Malformed),
        (b"\x16\x03\x01\n", ReplyError::Malformed),
        (b"250-a\r\n550 b\r\n", ReplyError::CodesDiffer),
        (&[b'2'; 2048], ReplyError::LineTooLong),
        (&[[b'2'; 2048].as_slice(), b"\r\n"].concat(), ReplyError::LineTooLong),
    ];
    for (octets, error) in cases {
        assert_eq!(read(octets, octets.len()), Err(error), "{:?}", String::from_utf8_lossy(octets));
        assert_eq!(read(octets, 1), Err(error), "{:?} octet by octet", String::from_utf8_lossy(octets));
    }
    assert!(read(["250-x\r\n".repeat(127), "250 x\r\n".to_owned()].concat().as_bytes(), 100).is_ok());
    assert_eq!(read("250-x\r\n".repeat(129).as_bytes(), 100), Err(ReplyError::TooManyLines));
}

#[test]
fn emptiness() {
    let mut parser = ReplyParser::new();
    assert!(parser.is_empty());
    parser.extend(b"220 ready\r\n250 injected\r\n");
    assert!(parser.next_reply().unwrap().is_some());
    assert!(!parser.is_empty(), "this was sent before the handshake");

    let mut parser = ReplyParser::new();
    parser.extend(b"250-first\r\n");
    assert_eq!(parser.next_reply(), Ok(None));
    assert!(!parser.is_empty());
}

proptest! {
    #[test]
    fn never_panics(octets: Vec<u8>, text in "(250[- ][ -~\r\n]{0,20}\r\n){0,4}", piece in 1..20_usize) {
        let _ = read(&octets, piece);
        prop_assert_eq!(read(text.as_bytes(), piece), read(text.as_bytes(), text.len().max(1)));
    }

    #[test]
    fn written_replies_are_read(
        code in 200..600_u16,
        enhanced in proptest::option::of((0..1000_u16, 0..1000_u16)),
        lines in proptest::collection::vec("[a-z][a-z ]{0,40}", 1..20),
    ) {
        let class = u8::try_from(code / 100).unwrap();
        let enhanced = enhanced.filter(|_| class != 3).map(|(subject, detail)| EnhancedCode(class, subject, detail));
        let mut lines = lines.into_iter();
        let first = Reply::new(code, enhanced, lines.next().unwrap());
        let reply = lines.fold(first, Reply::with_line);
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        prop_assert_eq!(read(&wire, 7), Ok(vec![reply]));
    }
}
