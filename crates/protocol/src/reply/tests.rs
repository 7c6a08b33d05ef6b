use proptest::prelude::*;

use super::*;

fn wire(reply: &Reply) -> String {
    let mut out = Vec::new();
    reply.write_to(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn transcripts() {
    let denied = EnhancedCode(5, 7, 1);
    let cases = [
        (Reply::new(250, None, "OK"), "250 OK\r\n", "250 OK"),
        (Reply::new(550, Some(denied), "not you"), "550 5.7.1 not you\r\n", "550 5.7.1 not you"),
        (Reply::new(354, None, ""), "354 \r\n", "354"),
        (
            Reply::new(550, Some(denied), "not you").with_line("nor your friend"),
            "550-5.7.1 not you\r\n550 5.7.1 nor your friend\r\n",
            "550 5.7.1 not you / nor your friend",
        ),
        // Nobody gets a line of his own in.
        (Reply::new(250, None, "a\r\n250 b"), "250 a??250 b\r\n", "250 a??250 b"),
        (Reply::new(250, None, "a\u{1b}[2J\0\u{85}b"), "250 a?[2J??b\r\n", "250 a?[2J??b"),
        (Reply::new(250, None, "jörg"), "250 j?rg\r\n", "250 jörg"),
        (Reply::new(20, None, "low"), "200 low\r\n", "200 low"),
        (Reply::new(1000, None, "high"), "599 high\r\n", "599 high"),
    ];
    for (reply, sent, logged) in cases {
        assert_eq!(wire(&reply), sent);
        assert_eq!(reply.to_string(), logged);
    }
    let mut utf8 = bytes::BytesMut::new();
    Reply::new(250, None, "jörg").write_utf8_to(&mut utf8);
    assert_eq!(utf8, "250 jörg\r\n");
}

#[test]
fn long_text_is_cut_between_characters() {
    let reply = Reply::new(550, Some(EnhancedCode(5, 999, 999)), "ü".repeat(400));
    let mut out = Vec::new();
    reply.write_utf8_to(&mut out);
    let line = String::from_utf8(out).unwrap();
    assert!((510..=512).contains(&line.len()), "{}", line.len());
    assert!(line.ends_with("ü\r\n"));
}

#[test]
fn classes() {
    // Code, positive, intermediate, transient, permanent.
    let cases = [
        (220, true, false, false, false),
        (354, false, true, false, false),
        (451, false, false, true, false),
        (550, false, false, false, true),
    ];
    for (code, positive, intermediate, transient, permanent) in cases {
        let reply = Reply::new(code, None, "");
        assert_eq!(reply.is_positive(), positive, "{code}");
        assert_eq!(reply.is_intermediate(), intermediate, "{code}");
        assert_eq!(reply.is_transient(), transient, "{code}");
        assert_eq!(reply.is_permanent(), permanent, "{code}");
    }
}

#[test]
fn enhanced_codes() {
    let cases = [
        ("2.0.0", Some(EnhancedCode(2, 0, 0))),
        ("5.999.1", Some(EnhancedCode(5, 999, 1))),
        ("3.0.0", None),
        ("5.0", None),
        ("5.0.0.0", None),
        ("5..0", None),
        ("5.1000.0", None),
        ("5.+1.0", None),
        ("258.0.0", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(EnhancedCode::parse(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn one_line_each_whatever_the_text(code: u16, lines in proptest::collection::vec(any::<String>(), 1..5)) {
        let mut texts = lines.clone().into_iter();
        let mut reply = Reply::new(code, Some(EnhancedCode(5, 7, 1)), texts.next().unwrap_or_default());
        for text in texts {
            reply = reply.with_line(text);
        }
        let sent = wire(&reply);
        prop_assert!(sent.is_ascii());
        prop_assert!(sent.ends_with("\r\n"));
        prop_assert_eq!(sent.matches('\n').count(), lines.len());
        prop_assert_eq!(sent.matches('\r').count(), lines.len());
        prop_assert!(sent.lines().all(|line| line.len() + 2 <= 512));
    }
}
