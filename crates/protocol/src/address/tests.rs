use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

#[test]
fn mailboxes_that_are() {
    let long_local = "l".repeat(64) + "@example.org";
    let long_label = format!("a@{}.org", "d".repeat(63));
    // Text, local part, and what Display makes of it.
    let cases = [
        ("alice@example.org", "alice", "alice@example.org"),
        ("Alice.B+tag@Example.ORG", "Alice.B+tag", "Alice.B+tag@Example.ORG"),
        ("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~", "!#$%&'*+-/=?^_`{|}~@example.org"),
        ("alice@localhost", "alice", "alice@localhost"),
        ("alice@3com.example", "alice", "alice@3com.example"),
        ("alice@xn--bcher-kva.example", "alice", "alice@xn--bcher-kva.example"),
        ("alice@[192.0.2.1]", "alice", "alice@[192.0.2.1]"),
        ("alice@[IPv6:2001:db8::1]", "alice", "alice@[IPv6:2001:db8::1]"),
        ("alice@[ipv6:::ffff:192.0.2.1]", "alice", "alice@[ipv6:::ffff:192.0.2.1]"),
        // Quoting that is not needed goes, quoting that is stays.
        ("\"alice\"@example.org", "alice", "alice@example.org"),
        ("\"al\\ice\"@example.org", "alice", "alice@example.org"),
        ("\"a b\"@example.org", "a b", "\"a b\"@example.org"),
        ("\"a@b\"@example.org", "a@b", "\"a@b\"@example.org"),
        ("\"a>b\"@example.org", "a>b", "\"a>b\"@example.org"),
        ("\"a\\\"b\\\\c\"@example.org", "a\"b\\c", "\"a\\\"b\\\\c\"@example.org"),
        ("\".a\"@example.org", ".a", "\".a\"@example.org"),
        ("\"\"@example.org", "", "\"\"@example.org"),
        // RFC 6531
        ("jörg@bücher.example", "jörg", "jörg@bücher.example"),
        ("\"jörg müller\"@example.org", "jörg müller", "\"jörg müller\"@example.org"),
        (&long_local, &long_local[..64], &long_local),
        (&long_label, "a", &long_label),
    ];
    for (text, local_part, display) in cases {
        let mailbox = Mailbox::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(mailbox.local_part(), local_part, "{text}");
        assert_eq!(mailbox.to_string(), display, "{text}");
        assert_eq!(mailbox.is_ascii(), text.is_ascii(), "{text}");
    }
}

#[test]
fn mailboxes_that_are_not() {
    use AddressError::Malformed;
    let too_long = |what| AddressError::TooLong(what);
    let cases = [
        ("", Malformed("no local part")),
        ("@example.org", Malformed("no local part")),
        ("alice", Malformed("no @ after the local part")),
        ("alice@", Malformed("the domain has an empty label")),
        ("alice@example.org.", Malformed("the domain has an empty label")),
        ("alice@.example.org", Malformed("the domain has an empty label")),
        ("alice@exa..mple", Malformed("the domain has an empty label")),
        ("alice@-example.org", Malformed("a label of the domain begins or ends with a hyphen")),
        ("alice@example-.org", Malformed("a label of the domain begins or ends with a hyphen")),
        ("alice@exa_mple.org", Malformed("the domain has a character that is not allowed")),
        ("alice@exam ple.org", Malformed("the domain has a character that is not allowed")),
        ("alice@example.org>", Malformed("the domain has a character that is not allowed")),
        ("alice@bob@example.org", Malformed("the domain has a character that is not allowed")),
        (".alice@example.org", Malformed("a dot at the border of the local part, or two together")),
        ("alice.@example.org", Malformed("a dot at the border of the local part, or two together")),
        ("al..ice@example.org", Malformed("a dot at the border of the local part, or two together")),
        ("al ice@example.org", Malformed("no @ after the local part")),
        ("a\"b@example.org", Malformed("no @ after the local part")),
        ("\"ab\"c@example.org", Malformed("no @ after the local part")),
        ("\"ab@example.org", Malformed("the quoted local part has no end")),
        ("\"ab\\", Malformed("a backslash before nothing that can be quoted")),
        ("\"a\\\u{e9}\"@example.org", Malformed("a backslash before nothing that can be quoted")),
        ("\"a\r\nb\"@example.org", Malformed("a control character in the local part")),
        ("\"a\tb\"@example.org", Malformed("a control character in the local part")),
        ("\"a\0b\"@example.org", Malformed("a control character in the local part")),
        ("\"a\u{85}b\"@example.org", Malformed("a control character in the local part")),
        ("a\0b@example.org", Malformed("no @ after the local part")),
        ("a@[192.0.2.1", Malformed("the address literal has no ]")),
        ("a@[192.0.2.256]", Malformed("the address literal is no IPv4 or IPv6 address")),
        ("a@[192.0.2.01]", Malformed("the address literal is no IPv4 or IPv6 address")),
        ("a@[2001:db8::1]", Malformed("the address literal is no IPv4 or IPv6 address")),
        ("a@[IPv6:2001:db8::g]", Malformed("the address literal is no IPv4 or IPv6 address")),
        ("a@[IPv6:fe80::1%eth0]", Malformed("the address literal is no IPv4 or IPv6 address")),
        ("a@[tag:content]", Malformed("the address literal is no IPv4 or IPv6 address")),
        ("a@[]", Malformed("the address literal is no IPv4 or IPv6 address")),
    ];
    for (text, error) in cases {
        assert_eq!(Mailbox::parse(text), Err(error), "{text:?}");
    }
    assert_eq!(Mailbox::parse(&("l".repeat(65) + "@example.org")), Err(too_long(TooLong::LocalPart)));
    assert_eq!(Mailbox::parse(&format!("a@{}", ["d"; 127].join("."))), Err(too_long(TooLong::Path)));
    assert_eq!(Domain::parse(&["d"; 129].join(".")), Err(too_long(TooLong::Domain)));
    assert!(Domain::parse(&["d"; 128].join(".")).is_ok());
    assert!(Domain::parse(&"d".repeat(64)).is_err());
    // Quotes and backslashes count, for they are on the wire.
    assert!(Mailbox::parse(&format!("\"{}\"@a", "l".repeat(62))).is_ok());
    assert_eq!(Mailbox::parse(&format!("\"{}\"@a", "l".repeat(63))), Err(too_long(TooLong::LocalPart)));
}

#[test]
fn equality() {
    // Left, right, equal, the same to an administrator.
    let cases = [
        ("alice@example.org", "alice@EXAMPLE.org", true, true),
        ("alice@example.org", "Alice@example.org", false, true),
        ("\"alice\"@example.org", "alice@example.org", true, true),
        ("alice@example.org", "alice@example.com", false, false),
        ("alice@example.org", "bob@example.org", false, false),
        ("alice@BÜCHER.example", "alice@bücher.example", true, true),
        ("JÖRG@example.org", "jörg@example.org", false, true),
        ("alice@[IPv6:2001:DB8::1]", "alice@[ipv6:2001:db8::1]", true, true),
    ];
    for (left, right, equal, same) in cases {
        let (left, right) = (mailbox(left), mailbox(right));
        assert_eq!(left == right, equal, "{left} {right}");
        assert_eq!(left.same_as(&right), same, "{left} {right}");
        assert_eq!(HashSet::from([left, right]).len(), if equal { 1 } else { 2 });
    }
}

#[test]
fn reverse_paths() {
    // Text, and what Display makes of it.
    let good = [
        ("<>", "<>"),
        ("<a@example.org>", "<a@example.org>"),
        ("<\"a>b\"@example.org>", "<\"a>b\"@example.org>"),
        ("<\"a\\\">b\"@example.org>", "<\"a\\\">b\"@example.org>"),
        ("<@one.example:a@example.org>", "<a@example.org>"),
        ("<@one.example,@two.example:a@example.org>", "<a@example.org>"),
        ("<@[IPv6:2001:db8::1],@two.example:a@example.org>", "<a@example.org>"),
    ];
    for (text, display) in good {
        assert_eq!(ReversePath::parse(text).map(|path| path.to_string()).as_deref(), Ok(display), "{text}");
    }
    let bad = [
        "",
        "<",
        ">",
        "a@example.org",
        "<a@example.org",
        "<a@example.org>x",
        "<a@example.org> ",
        " <a@example.org>",
        "< a@example.org>",
        "<a@example.org >",
        "<<a@example.org>>",
        "<a>",
        "<\"a@example.org>",
        "<@one.example>",
        "<@one.example:>",
        "<@:a@example.org>",
        "<one.example:a@example.org>",
        "<@one.example,two.example:a@example.org>",
        "<@one.example,a@example.org>",
        "<postmaster>",
    ];
    for text in bad {
        assert!(ReversePath::parse(text).is_err(), "{text}");
    }
    let long_route = format!("<{}:a@example.org>", vec!["@d.example"; 30].join(","));
    assert_eq!(ReversePath::parse(&long_route), Err(AddressError::TooLong(TooLong::Path)));
}

#[test]
fn forward_paths() {
    let here = Domain::parse("mail.example.org").unwrap();
    for text in ["<postmaster>", "<Postmaster>", "<POSTMASTER>"] {
        let path = ForwardPath::parse(text).unwrap();
        assert_eq!(path, ForwardPath::Postmaster);
        assert_eq!(path.to_string(), "<Postmaster>");
        assert_eq!(path.into_mailbox(&here), mailbox("postmaster@mail.example.org"));
    }
    let path = ForwardPath::parse("<@one.example:postmaster@example.net>").unwrap();
    assert_eq!(path.into_mailbox(&here), mailbox("postmaster@example.net"));
    assert!(ForwardPath::parse("<>").is_err());
    assert!(ForwardPath::parse("<bob>").is_err());
}

#[test]
fn a_setting_is_parsed() {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let from = |text: &'static str| -> Result<Mailbox, Error> {
        let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
        serde::Deserialize::deserialize(deserializer)
    };
    assert_eq!(from("alice@example.org"), Ok(mailbox("alice@example.org")));
    assert_eq!(from("alice").unwrap_err().to_string(), "malformed address: no @ after the local part");
}

proptest! {
    #[test]
    fn parsers_never_panic(text in "\\PC{0,40}|[<>@\"\\\\.,:\\[\\]a ]{0,12}") {
        let _ = Mailbox::parse(&text);
        let _ = ReversePath::parse(&text);
        let _ = ForwardPath::parse(&text);
    }

    #[test]
    fn display_parses_to_the_same(text in "(\"([ -!#-\\[\\]-~ü]|\\\\[ -~]){0,20}\"|[a-z.ü]{1,20})@([a-z0-9]{1,9}\\.)?[a-z]{2,9}") {
        if let Ok(mailbox) = Mailbox::parse(&text) {
            prop_assert_eq!(Mailbox::parse(&mailbox.to_string()), Ok(mailbox.clone()));
            let path = ReversePath::Mailbox(mailbox.clone());
            prop_assert_eq!(ReversePath::parse(&path.to_string()), Ok(path));
            prop_assert!(mailbox.to_string().len() <= text.len());
        }
    }
}
