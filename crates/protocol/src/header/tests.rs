use proptest::prelude::*;

use super::*;

fn settings() -> HeaderSettings {
    HeaderSettings { authserv_id: "mail.example.mil".to_owned(), max_size: 10_000, ..HeaderSettings::default() }
}

/// The whole message with its header section filtered, and the section.
fn filter_with(settings: HeaderSettings, message: &[u8], piece: usize) -> (Vec<u8>, HeaderSection) {
    let mut open = Some(HeaderFilter::new(settings));
    let mut section = HeaderSection::default();
    let mut body = Vec::new();
    for piece in message.chunks(piece) {
        match open.take().map(|filter| filter.push(piece).unwrap()) {
            Some(Header::Open(filter)) => open = Some(filter),
            Some(Header::Closed(whole, rest)) => {
                section = whole;
                body.extend_from_slice(rest);
            }
            None => body.extend_from_slice(piece),
        }
    }
    if let Some(filter) = open {
        section = filter.finish();
    }
    ([section.as_bytes(), &body].concat(), section)
}

fn filter(message: &str) -> (String, HeaderSummary) {
    let (out, section) = filter_with(settings(), message.as_bytes(), 1000);
    for piece in [1, 2, 7] {
        assert_eq!(filter_with(settings(), message.as_bytes(), piece), (out.clone(), section.clone()), "{message:?}");
    }
    (String::from_utf8(out).unwrap(), section.summary().clone())
}

#[test]
fn messages_that_pass_unchanged() {
    let cases = [
        "",
        "\r\n",
        "\r\nbody\r\n",
        "From: a@example.org\r\n\r\nbody\r\n",
        "From: a@example.org\r\n\r\nbody without end",
        "From: a@example.org\r\n",
        "Subject: folded\r\n over\r\n\tthree lines\r\n\r\n",
        "Subject: folded\r\n \r\n over an empty-looking line\r\n\r\n",
        "Subject : obsolete\r\n\r\nbody",
        "X:\r\n\r\n",
        "From: a\r\n\r\nAuthentication-Results: mail.example.mil; auth=pass\r\n",
        "Authentication-Results: other.example; auth=pass\r\n\r\n",
        "Authentication-Results: mail.example.mil.evil.example; auth=pass\r\n\r\n",
        "Authentication-Results: xmail.example.mil; auth=pass\r\n\r\n",
        "X-Authentication-Results: mail.example.mil; auth=pass\r\n\r\n",
        "ARC-Authentication-Results: i=1; mail.example.mil; auth=pass\r\n\r\n",
        "Subject: Authentication-Results: mail.example.mil; none\r\n\r\n",
        "Subject: x\r\n Authentication-Results: mail.example.mil; none\r\n\r\n",
    ];
    for message in cases {
        let (out, summary) = filter(message);
        assert_eq!((out.as_str(), summary.removed), (message, 0));
    }
}

#[test]
fn fields_of_our_own_go() {
    let settings = HeaderSettings { own_field: Some("Ours"), ..settings() };
    let (out, section) =
        filter_with(settings, b"Ours: a\r\n b\r\nOurs-Too: c\r\nFrom: d\r\noURS : e\r\n\r\nOurs: body", 3);
    assert_eq!(String::from_utf8(out).unwrap(), "Ours-Too: c\r\nFrom: d\r\n\r\nOurs: body");
    assert_eq!(section.summary().removed, 2);
    assert_eq!(filter("Ours: a\r\n\r\n").0, "Ours: a\r\n\r\n");
}

#[test]
fn forged_results_go() {
    let cases = [
        "Authentication-Results: mail.example.mil; auth=pass\r\n",
        "authentication-RESULTS: Mail.Example.MIL; auth=pass\r\n",
        "Authentication-Results:mail.example.mil;none\r\n",
        "Authentication-Results : mail.example.mil; none\r\n",
        "Authentication-Results:\r\n mail.example.mil;\r\n auth=pass\r\n",
        "Authentication-Results: mail.example.mil 1; none\r\n",
        "Authentication-Results: mail.example.mil\r\n\t1; none\r\n",
        "Authentication-Results: mail.example.mil/1; none\r\n",
        "Authentication-Results: mail.example.mil(1); none\r\n",
        "Authentication-Results: mail.example.mil\r\n",
        "Authentication-Results: mail.example.mil.; none\r\n",
        "Authentication-Results: \"mail.example.mil\"; none\r\n",
        "Authentication-Results: \"mail.\\example.mil\" 1; none\r\n",
        "Authentication-Results: \" mail.example.mil\"; none\r\n",
        "Authentication-Results: (comment) mail.example.mil; none\r\n",
        "Authentication-Results: (com (nested) \\) ment)(two)\r\n (three) mail.example.mil; none\r\n",
        // The name cannot be made out, so somebody may take it for ours.
        "Authentication-Results: (mail.example.mil; none\r\n",
        "Authentication-Results: \"mail.example.mil; none\r\n",
        "Authentication-Results: ; none\r\n",
        "Authentication-Results: \r\n",
        "Authentication-Results:\r\n",
    ];
    for field in cases {
        let (out, summary) = filter(&format!("From: a\r\n{field}To: b\r\n\r\nbody"));
        assert_eq!((out.as_str(), summary.removed), ("From: a\r\nTo: b\r\n\r\nbody", 1), "{field:?}");
        // At the message's end as well.
        let (out, summary) = filter(&format!("From: a\r\n{}", field.trim_end()));
        assert_eq!((out.as_str(), summary.removed), ("From: a\r\n", 1), "{field:?}");
    }
}

#[test]
fn what_is_no_header_gets_an_empty_line_first() {
    let cases = [
        ("just text\r\n", "\r\njust text\r\n"),
        ("just text", "\r\njust text"),
        (" text: indented\r\n", "\r\n text: indented\r\n"),
        ("From: a\r\ntext\r\nTo: b\r\n", "From: a\r\n\r\ntext\r\nTo: b\r\n"),
        (": no name\r\n", "\r\n: no name\r\n"),
        ("two words: x\r\n", "\r\ntwo words: x\r\n"),
        ("J\u{f6}rg: x\r\n", "\r\nJ\u{f6}rg: x\r\n"),
        (".\r\n", "\r\n.\r\n"),
        // A line end is missing only at the very end.
        ("From: a", "From: a\r\n"),
        ("From: a\r\n b", "From: a\r\n b\r\n"),
    ];
    for (message, expected) in cases {
        assert_eq!(filter(message).0, expected, "{message:?}");
    }
}

#[test]
fn the_summary() {
    let message = "Received: from a\r\n by b\r\nRECEIVED: x\r\nFrom: a\r\nfrom : b\r\nMessage-Id: <1@x>\r\nDATE: now\r\n\
        X-Received: y\r\n\r\nReceived: body\r\nFrom: body\r\n";
    let expected = HeaderSummary { received: 2, from: 2, date: true, message_id: true, ..HeaderSummary::default() };
    assert_eq!(filter(message).1, expected);
    assert!(filter("dkim-signature: v=1\r\n\r\n").1.signed);
    for (message, control) in [
        ("X: a\0b\r\n\r\n", true),
        ("X: a\x0bb\r\n\r\n", true),
        ("X: a\r\n \x0cb\r\n\r\n", true),
        ("X: a\x1eb\r\n\r\n", true),
        ("X: \ta\x1b$B\r\n\r\na\0b", false),
    ] {
        assert_eq!(filter(message).1.control, control, "{message:?}");
    }
    assert_eq!(filter("\r\nDate: body\r\n").1, HeaderSummary::default());
}

#[test]
fn missing_fields_are_added_before_the_body() {
    let date = "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n";
    let id = "Message-ID: <1@mail.example.mil>\r\n";
    let cases = [
        ("From: a\r\n\r\nbody", format!("From: a\r\n{date}{id}\r\nbody")),
        ("From: a\r\nDate: x\r\n\r\nbody", format!("From: a\r\nDate: x\r\n{id}\r\nbody")),
        ("Message-id: x\r\n\r\nbody", format!("Message-id: x\r\n{date}\r\nbody")),
        ("From: a", format!("From: a\r\n{date}{id}")),
        ("", format!("{date}{id}")),
        ("\r\nDate: body", format!("{date}{id}\r\nDate: body")),
        ("text\r\n", format!("{date}{id}\r\ntext\r\n")),
    ];
    let settings = HeaderSettings {
        date: Some("Fri, 21 Nov 1997 09:55:06 -0600".to_owned()),
        message_id: Some("<1@mail.example.mil>".to_owned()),
        ..settings()
    };
    for (message, expected) in cases {
        for piece in [1, 1000] {
            let (out, section) = filter_with(settings.clone(), message.as_bytes(), piece);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(section.summary().date, message.starts_with("From: a\r\nDate"), "as it came, not as it goes");
        }
    }
}

#[test]
fn the_header_section_is_bounded_and_the_body_is_not() {
    let limit = HeaderSettings { max_size: 100, ..settings() };
    for piece in [1, 10, 1000] {
        let mut filter = Ok(HeaderFilter::new(limit.clone()));
        for octets in [b'x'; 101].chunks(piece) {
            filter = match filter.unwrap().push(octets) {
                Ok(Header::Open(filter)) => Ok(filter),
                Ok(Header::Closed(..)) => panic!("no line has ended"),
                Err(error) => Err(error),
            };
        }
        assert_eq!(filter.err(), Some(HeaderTooLong(100)), "by {piece}");

        let message = [b"X: y\r\n\r\n".as_slice(), &[b'b'; 1000]].concat();
        assert_eq!(filter_with(limit.clone(), &message, piece).0, message);
    }
}

#[test]
fn an_author_takes_the_place_of_those_who_are_named() {
    let alice = Mailbox::parse("alice@example.mil").unwrap();
    let from = "From: <alice@example.mil>\r\n";
    let id = "Message-ID: <1@mail.example.mil>\r\n";
    let settings = HeaderSettings { message_id: Some("<1@mail.example.mil>".to_owned()), ..settings() };
    let cases = [
        ("From: b@x\r\nTo: c\r\n\r\nbody", format!("X-Original-From: b@x\r\nTo: c\r\n{from}{id}\r\nbody")),
        (
            "Sender: b\r\nTo: c\r\nFrom: b\r\n d\r\n",
            format!("X-Original-Sender: b\r\nTo: c\r\nX-Original-From: b\r\n d\r\n{from}{id}"),
        ),
        ("From: b\r\nFROM: c\r\n\r\n", format!("X-Original-From: b\r\nX-Original-FROM: c\r\n{from}{id}\r\n")),
        ("Subject: x\r\ntext", format!("Subject: x\r\n{from}{id}\r\ntext")),
        ("\r\nFrom: body", format!("{from}{id}\r\nFrom: body")),
        ("", format!("{from}{id}")),
        ("Authentication-Results: mail.example.mil; none\r\nFrom: b\r\n", format!("X-Original-From: b\r\n{from}{id}")),
        (
            "From: b\r\nAuthentication-Results: mail.example.mil; none\r\nSender: c\r\n\r\n",
            format!("X-Original-From: b\r\nX-Original-Sender: c\r\n{from}{id}\r\n"),
        ),
    ];
    for (message, expected) in cases {
        let (whole, section) = filter_with(settings.clone(), message.as_bytes(), 3);
        let body = &whole[section.as_bytes().len()..];
        let written = [section.with_author(&alice), body.to_vec()].concat();
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        let (_, again) = filter_with(settings.clone(), &written, 1000);
        assert_eq!(again.originators().unwrap().authors, std::slice::from_ref(&alice));
    }
}

/// What is kept of a header is read as the header was.
#[test]
fn kept_fields_name_the_same_authors() {
    for (header, kept) in [
        ("From: a@b.example\r\nSubject: x\r\n\r\nFrom: body@b.example\r\n", "From: a@b.example\r\n"),
        ("Sender: c@d.example\r\nX: y\r\nFrom : a@b.example", "From : a@b.example\r\nSender: c@d.example\r\n"),
        ("From: A\r\n\t<a@b.example>\r\nFROM: x\r\n", "From: A\r\n\t<a@b.example>\r\nFROM: x\r\n"),
        ("From: J\u{f6}rg <a@b.example>\r\nX: \0\r\nDKIM-Signature: v=1\r\n", "From: J\u{f6}rg <a@b.example>\r\n"),
        ("Subject: x\r\n", ""),
        ("", ""),
    ] {
        let section = HeaderSection::read(header.as_bytes()).unwrap();
        let fields = section.originator_fields(kept.len()).unwrap();
        assert_eq!(fields.fields, kept);
        let again = HeaderSection::from(&fields);
        assert_eq!(again.originators(), section.originators(), "{header}");
        let flags = |section: &HeaderSection| (section.summary().control, section.summary().signed);
        assert_eq!(flags(&again), flags(&section), "{header}");
        if !kept.is_empty() {
            assert_eq!(section.originator_fields(kept.len() - 3), None, "{header}");
        }
    }
    assert_eq!(HeaderSection::read(b"From: \xff <a@b.example>\r\n").unwrap().originator_fields(1000), None);
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        message in "((Date|From|A|Authentication-Results):? ?(mail.example.mil|[ab();\"\\\\]{0,6})(\r\n ?)?){0,6}(\r\n)?[ab:\r\n]{0,10}",
        piece in 1..30_usize,
    ) {
        prop_assert_eq!(
            filter_with(settings(), message.as_bytes(), piece),
            filter_with(settings(), message.as_bytes(), 10_000)
        );
    }

    #[test]
    fn whatever_is_kept_is_read_as_it_was(lines in proptest::collection::vec(
        "(From|Sender|Subject|From )(:)[ \t]?[a-c@<>\"(), =?;:\u{f6}\0-]{0,12}(\r\n [a-b@<>]{0,4})?", 0..5,
    )) {
        let section = HeaderSection::read(format!("{}\r\n", lines.join("\r\n")).as_bytes()).unwrap();
        let again = HeaderSection::from(&section.originator_fields(usize::MAX).unwrap());
        prop_assert_eq!(again.originators(), section.originators());
    }

    #[test]
    fn never_panics_and_adds_a_line_end_at_most(message: Vec<u8>) {
        let (out, _) = filter_with(settings(), &message, 1000);
        prop_assert!(out.len() <= message.len() + 2);
    }
}
