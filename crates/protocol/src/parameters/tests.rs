use proptest::prelude::*;

use super::*;

#[test]
fn notify() {
    let all = Notify { success: true, failure: true, delay: true };
    let good = [
        ("NEVER", Notify::NEVER, "NEVER"),
        ("never", Notify::NEVER, "NEVER"),
        ("SUCCESS,FAILURE,DELAY", all, "SUCCESS,FAILURE,DELAY"),
        ("delay,Failure,success", all, "SUCCESS,FAILURE,DELAY"),
        ("FAILURE", Notify { failure: true, ..Notify::NEVER }, "FAILURE"),
        ("DELAY,DELAY", Notify { delay: true, ..Notify::NEVER }, "DELAY"),
    ];
    for (text, notify, display) in good {
        assert_eq!(text.parse(), Ok(notify), "{text}");
        assert_eq!(notify.to_string(), display);
    }
    for text in ["", "ALWAYS", "NEVER,FAILURE", "FAILURE,", "FAILURE, DELAY"] {
        assert_eq!(text.parse::<Notify>(), Err(BadValue("NOTIFY")), "{text}");
    }
}

#[test]
fn envelope_ids() {
    let longest = "i".repeat(100);
    let good = [("QQ314159", "QQ314159"), ("a+2Bb+3Dc+20d", "a+b=c d"), (&longest, &longest)];
    for (text, decoded) in good {
        let id: EnvelopeId = text.parse().unwrap();
        assert_eq!((id.as_str(), id.decoded().as_str()), (text, decoded));
    }
    let too_long = "i".repeat(101);
    for text in ["", "a=b", "a+b", "a b", "ä", "a+0Ab", "a+0D+0Ab", "a+7F", &too_long] {
        assert_eq!(text.parse::<EnvelopeId>(), Err(BadValue("ENVID")), "{text}");
    }
}

#[test]
fn original_recipients() {
    // Text, type, decoded address.
    let good = [
        ("rfc822;bob@example.org", "rfc822", "bob@example.org"),
        ("RFC822;a+2Bb@example.org", "RFC822", "a+b@example.org"),
        ("x400;/C=x/S=y".replace('=', "+3D").leak(), "x400", "/C=x/S=y"),
        ("utf-8;jörg@example.org", "utf-8", "jörg@example.org"),
        ("UTF-8;j\\x{F6}rg\\x{2B}tag@example.org", "UTF-8", "jörg+tag@example.org"),
        // What the armour hides is not let out raw.
        ("rfc822;a+0D+0Ab@example.org", "rfc822", "a??b@example.org"),
        ("rfc822;a+FFb@example.org", "rfc822", "a?b@example.org"),
    ];
    for (text, address_type, decoded) in good {
        let original: OriginalRecipient = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(original.as_str(), text);
        assert_eq!(original.address_type(), address_type, "{text}");
        assert_eq!(original.decoded_address(), decoded, "{text}");
    }
    let too_long = format!("rfc822;{}", "b".repeat(500));
    let bad = [
        "",
        "rfc822",
        ";bob@example.org",
        "rfc822;",
        "rfc822;a=b@example.org",
        "rfc822;a+b@example.org",
        "rfc 822;bob",
        "rfc822;jörg@example.org",
        "utf-8;a+2Bb",
        "utf-8;\\x{}",
        "utf-8;\\x{D800}",
        "utf-8;\\x{110000}",
        "utf-8;\\x41",
        "utf-8;\\x{41",
        "utf-8;a=b",
        &too_long,
    ];
    for text in bad {
        assert_eq!(text.parse::<OriginalRecipient>(), Err(BadValue("ORCPT")), "{text}");
    }
}

#[test]
fn original_recipient_of_a_mailbox() {
    let cases = [
        ("a+b=c@example.org", "rfc822;a+2Bb+3Dc@example.org"),
        ("\"a b\"@example.org", "rfc822;\"a+20b\"@example.org"),
        ("jörg+x@example.org", "utf-8;jörg\\x{2B}x@example.org"),
        ("\"j \\\\ö\"@example.org", "utf-8;\"j\\x{20}\\x{5C}\\x{5C}ö\"@example.org"),
    ];
    for (mailbox, expected) in cases {
        let mailbox = Mailbox::parse(mailbox).unwrap();
        let original = OriginalRecipient::of(&mailbox);
        assert_eq!(original.as_str(), expected);
        assert_eq!(original.as_str().parse(), Ok(original.clone()));
        assert_eq!(original.decoded_address(), mailbox.to_string());
    }
}

#[test]
fn submitters() {
    assert_eq!("<>".parse(), Ok(Submitter::Unknown));
    let mailbox = Mailbox::parse("e=mc2@example.com").unwrap();
    assert_eq!("e+3Dmc2@example.com".parse(), Ok(Submitter::Mailbox(mailbox.clone())));
    assert_eq!(Submitter::Mailbox(mailbox).to_string(), "e+3Dmc2@example.com");
    for text in ["", "e=mc2@example.com", "<a@example.com>", "a", "a+00b@example.com", "a+FF@example.com"] {
        assert_eq!(text.parse::<Submitter>(), Err(BadValue("AUTH")), "{text}");
    }
}

proptest! {
    #[test]
    fn values_never_panic_and_display_as_they_were(text in "\\PC{0,30}|(rfc822|utf-8);[a+=\\\\x{}0-9Fü@]{0,20}") {
        let _ = text.parse::<Body>();
        let _ = text.parse::<Return>();
        let _ = text.parse::<Notify>();
        let _ = text.parse::<Submitter>();
        if let Ok(id) = text.parse::<EnvelopeId>() {
            prop_assert_eq!(id.to_string(), text.clone());
            let _ = id.decoded();
        }
        if let Ok(original) = text.parse::<OriginalRecipient>() {
            prop_assert!(!original.decoded_address().contains(char::is_control));
            prop_assert_eq!(original.to_string(), text);
        }
    }
}
