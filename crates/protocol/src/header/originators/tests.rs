use proptest::prelude::*;

use super::*;

fn from(value: &str) -> Result<Originators, OriginatorError> {
    Originators::of_author(value)
}

fn texts(mailboxes: &[Mailbox]) -> Vec<String> {
    mailboxes.iter().map(ToString::to_string).collect()
}

/// Authors, and what is mentioned beside them.
#[test]
fn fields_that_are_plain() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("alice@example.mil", &["alice@example.mil"], &[]),
        ("<alice@example.mil>", &["alice@example.mil"], &[]),
        ("Alice Adams <alice@example.mil>", &["alice@example.mil"], &[]),
        ("\"Adams, Alice (J6)\" <alice@example.mil>", &["alice@example.mil"], &[]),
        ("Alice Q. Adams <alice@example.mil>", &["alice@example.mil"], &[]),
        ("Alice\r\n\tAdams\r\n <alice@example.mil>", &["alice@example.mil"], &[]),
        ("alice@example.mil (Alice Adams)", &["alice@example.mil"], &[]),
        ("(of the staff) Alice <alice@example.mil> (she)", &["alice@example.mil"], &[]),
        ("\"Al \\\"the\\\" ice\" <alice@example.mil>", &["alice@example.mil"], &[]),
        ("\"alice\"@example.mil", &["alice@example.mil"], &[]),
        ("jörg@bücher.example", &["jörg@bücher.example"], &[]),
        ("Jörg Müller <joerg@example.mil>", &["joerg@example.mil"], &[]),
        ("=?utf-8?Q?M=C3=BCller=2C_J=C3=B6rg?= <joerg@example.mil>", &["joerg@example.mil"], &[]),
        ("=?ISO-2022-JP?B?GyRCO3NFRBsoQg==?= <y@example.mil>", &["y@example.mil"], &[]),
        ("alice@[192.0.2.1]", &["alice@[192.0.2.1]"], &[]),
        ("Staff: alice@example.mil;", &["alice@example.mil"], &[]),
        ("\"alice@example.mil\" <alice@example.mil>", &["alice@example.mil"], &[]),
        ("\"'alice@example.mil'\" <alice@example.mil>", &["alice@example.mil"], &[]),
        ("\"ceo@example.mil\" <alice@example.mil>", &["alice@example.mil"], &["ceo@example.mil"]),
        ("alice@example.mil (ceo@example.mil)", &["alice@example.mil"], &["ceo@example.mil"]),
        ("\"c\\eo\\@example.mil\" <alice@example.mil>", &["alice@example.mil"], &["ceo@example.mil"]),
        ("\"ceo\u{ff20}example.mil\" <alice@example.mil>", &["alice@example.mil"], &["ceo@example.mil"]),
        ("=?utf-8?q?ceo=40example=2Emil?= <alice@example.mil>", &["alice@example.mil"], &["ceo@example.mil"]),
        ("\"=?utf-8?B?Y2VvQGV4YW1wbGUubWls?=\" <alice@example.mil>", &["alice@example.mil"], &["ceo@example.mil"]),
        (
            "=?utf-8?q?ceo=40exa?=\r\n =?utf-8*en?Q?mple.mil=3e?= <alice@example.mil>",
            &["alice@example.mil"],
            &["ceo@example.mil"],
        ),
        ("\"a ceo@example.mil\"@example.com", &["\"a ceo@example.mil\"@example.com"], &["ceo@example.mil"]),
        ("\"meet @ noon, root@localhost\" <alice@example.mil>", &["alice@example.mil"], &[]),
    ];
    for (value, authors, mentions) in cases {
        let found = from(value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
        assert_eq!(texts(&found.authors), *authors, "{value:?}");
        let mut beside = found.mentions.clone();
        beside.retain(|mention| !authors.contains(&mention.as_str()));
        let ends = |wanted: &&str| beside.iter().any(|mention| mention == wanted);
        assert!(mentions.iter().all(ends), "{value:?}: {beside:?}");
        assert_eq!(mentions.is_empty(), beside.is_empty(), "{value:?}: {beside:?}");
    }
}

#[test]
fn fields_that_somebody_could_read_otherwise() {
    use OriginatorError::{NoAuthor, NoSender, Unclear};
    let unclear = |why| Unclear("From", why);
    let cases = [
        ("", unclear("is empty")),
        (" \t", unclear("is empty")),
        ("()", unclear("is empty")),
        ("alice", unclear("has a name without an address")),
        ("root (Cron Daemon)", unclear("has a name without an address")),
        ("\"alice@example.mil\"", unclear("has a name without an address")),
        ("<>", unclear("has a malformed address")),
        ("<alice>", unclear("has a malformed address")),
        ("@example.mil", unclear("has a malformed address")),
        ("alice@", unclear("has a malformed address")),
        ("alice@example.mil.", unclear("has a malformed address")),
        ("al..ice@example.mil", unclear("has a malformed address")),
        ("< alice@example.mil>", unclear("has a malformed address")),
        ("<alice@example.mil >", unclear("has a malformed address")),
        ("<alice(x)@example.mil>", unclear("has a malformed address")),
        ("<alice@example.mil", unclear("has a malformed address")),
        ("<<alice@example.mil>>", unclear("has a malformed address")),
        ("<@relay.example:alice@example.mil>", unclear("has a source route")),
        ("alice @example.mil", unclear("has a malformed address")),
        ("alice@ example.mil", unclear("has a malformed address")),
        ("alice(x)@example.mil", unclear("has a malformed address")),
        ("a b@example.mil", unclear("has several words before an @: a display name goes in quotes")),
        ("ceo@example.mil <alice@example.mil>", unclear("has something after an address that is no comma")),
        ("<ceo@example.mil> <alice@example.mil>", unclear("has something after an address that is no comma")),
        ("alice@example.mil ceo@example.mil", unclear("has something after an address that is no comma")),
        ("alice@example.mil; ceo@example.mil", unclear("has something after an address that is no comma")),
        ("alice@example.mil>", unclear("has something after an address that is no comma")),
        ("alice@bob@example.mil", unclear("has something after an address that is no comma")),
        ("alice@example.mil,", unclear("has an empty place in its list")),
        (",alice@example.mil", unclear("has an empty place in its list")),
        ("alice@example.mil,,bob@example.mil", unclear("has an empty place in its list")),
        ("A [x] <alice@example.mil>", unclear("has a character that must be in quotes")),
        ("\"Alice <alice@example.mil>", unclear("has a quoted string without end")),
        ("\"Alice\\", unclear("has a quoted string without end")),
        ("Alice (x <alice@example.mil>", unclear("has a comment without end, within another, or with a backslash")),
        ("(a(b)c) alice@example.mil", unclear("has a comment without end, within another, or with a backslash")),
        ("(\\)) alice@example.mil", unclear("has a comment without end, within another, or with a backslash")),
        ("Staff: alice@example.mil", unclear("has a group without end")),
        ("Staff: A: alice@example.mil;;", unclear("has a group within a group")),
        (": alice@example.mil;", unclear("has a character that must be in quotes")),
        ("Staff: alice@example.mil,;", unclear("has an empty place in its list")),
        ("Staff:;", NoAuthor),
        ("Undisclosed: (nobody) ;", NoAuthor),
        ("alice@example.mil, bob@example.mil", NoSender),
        ("Staff: alice@example.mil, bob@example.mil;", NoSender),
        ("alice@example.mil\r\n \r\n", unclear("has a folded line of nothing but white space")),
        ("alice@example.mil\r\n, bob@example.mil", unclear("has a line that is not folded")),
        ("alice@example.mil\0", unclear("has a control character")),
        ("\"Alice\x07\" <alice@example.mil>", unclear("has a control character")),
        ("Al\u{85}ice <alice@example.mil>", unclear("has a control character")),
        ("Al\u{2028}ice <alice@example.mil>", unclear("has a control character")),
        ("alice@example.mil\rx", unclear("has a control character")),
        ("=?utf-8?q?ceo=00?= <alice@example.mil>", unclear("has an encoded word with a control character")),
        ("=?utf-8?q?a=0A?= <alice@example.mil>", unclear("has an encoded word with a control character")),
        ("=?utf-8?B?!!!!?= <alice@example.mil>", unclear("has an encoded word that cannot be decoded")),
        ("=?utf-8?q?x=40y.z?=a@b.c", unclear("has an encoded word in an address")),
        ("=?utf-8?q?x=40y.z?=A <a@b.c>", unclear("has an encoded word that runs into other text")),
        ("A=?utf-8?q?x=40y.z?= <a@b.c>", unclear("has an encoded word that runs into other text")),
        ("=?utf-7?q?ceo+AEA-x?= <a@example.mil>", unclear("has an encoded word in a charset that is not for mail")),
    ];
    for (value, error) in cases {
        assert_eq!(from(value), Err(error), "{value:?}");
    }
    let long = format!("\"{}\" <alice@example.mil>", "x".repeat(1000));
    assert_eq!(from(&long), Err(unclear("has a line over 998 octets")));
    assert_eq!(Originators::parse(&[b"From: \xfc <alice@example.mil>"], &[]), Err(unclear("is not UTF-8")));
    assert_eq!(
        Originators::parse(&[b"From : alice@example.mil"], &[]),
        Err(unclear("has white space before its colon"))
    );
}

#[test]
fn from_and_sender_together() {
    use OriginatorError::{NoFrom, NoSender, SenderNotOne, Several, TooManyAuthors, Unclear};
    type Found = Result<(usize, bool), OriginatorError>;
    let cases: &[(&[&str], &[&str], Found)] = &[
        (&[], &[], Err(NoFrom)),
        (&[], &["Sender: a@x.mil"], Err(NoFrom)),
        (&["From: a@x.mil", "From: a@x.mil"], &[], Err(Several("From"))),
        (&["From: a@x.mil"], &["Sender: a@x.mil", "sender: a@x.mil"], Err(Several("Sender"))),
        (&["From: a@x.mil\r\n"], &["Sender: b@x.mil\r\n"], Ok((1, true))),
        (&["FROM:a@x.mil, b@x.mil"], &["Sender: b@x.mil"], Ok((2, true))),
        (&["From: G: a@x.mil, b@x.mil;, c@x.mil"], &["Sender: c@x.mil"], Ok((3, true))),
        (&["From: a@x.mil, b@x.mil"], &[], Err(NoSender)),
        (&["From: a@x.mil"], &["Sender: a@x.mil, b@x.mil"], Err(SenderNotOne)),
        (&["From: a@x.mil"], &["Sender: G: a@x.mil;"], Err(SenderNotOne)),
        (&["From: a@x.mil"], &["Sender: G:;"], Err(SenderNotOne)),
        (&["From: a@x.mil"], &["Sender: a"], Err(Unclear("Sender", "has a name without an address"))),
        (&["From: a@x.mil"], &["Sender : a@x.mil"], Err(Unclear("Sender", "has white space before its colon"))),
    ];
    let octets = |fields: &[&'static str]| fields.iter().map(|field| field.as_bytes()).collect::<Vec<_>>();
    for (from, sender, expected) in cases {
        let found = Originators::parse(&octets(from), &octets(sender));
        assert_eq!(found.map(|found| (found.authors.len(), found.sender.is_some())), *expected, "{from:?} {sender:?}");
    }
    let many = vec!["a@x.mil"; 101].join(",\r\n ");
    assert_eq!(from(&many), Err(TooManyAuthors));
}

/// What mail-parser, which reads whatever it can, takes for the authors.
fn other_reader(value: &str) -> Vec<(Option<String>, String)> {
    let message = format!("From: {value}\r\n\r\n");
    let Some(message) = mail_parser::MessageParser::default().parse(message.as_bytes()) else { return Vec::new() };
    let Some(from) = message.from() else { return Vec::new() };
    let read = |address: &mail_parser::Addr<'_>| {
        (address.name().map(str::to_owned), address.address().unwrap_or_default().to_owned())
    };
    from.iter().map(read).collect()
}

fn has(addresses: &[String], wanted: &str) -> bool {
    addresses.iter().any(|address| address.eq_ignore_ascii_case(wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever another reader makes of a field that was taken: the same authors, and no name that hides an address.
    #[test]
    fn another_reader_sees_the_same(
        value in "((A|\"A, B\"|\"c@d\\.e\"|'c@d\\.e'|=\\?utf-8\\?q\\?(x=40y\\.z|_=3Cx=40y\\.z=3E|A=2C)\\?=|\\((c|c@d\\.e)\\)|G:|<|>|,|;| |\\\\|\"|\\(|\\)|\r\n |a@b\\.c|<a@b\\.c>|\"q r\"@b\\.c|@|:){1}){1,9}"
    ) {
        if let Ok(found) = from(&value) {
            let known: Vec<String> = texts(&found.authors).into_iter().chain(found.mentions).collect();
            for (name, address) in other_reader(&value) {
                // It drops a local part that is quoted.
                prop_assert!(has(&known, &address) || address.starts_with("@b.c"), "{address:?} of {value:?}, {known:?}");
                for at in name.iter().flat_map(|name| name.split(|c: char| c.is_whitespace() || "<>'\",()".contains(c))) {
                    // It puts no space between quoted words.
                    let seen = known.iter().any(|known| at.to_ascii_lowercase().contains(&known.to_ascii_lowercase()));
                    prop_assert!(!at.contains("@d.e") && !at.contains("@y.z") || seen, "{at:?} of {value:?}");
                }
            }
        }
    }

    #[test]
    fn plain_addresses_are_always_taken(local in "[a-z][a-z.+_-]{0,8}[a-z]", domain in "[a-z]{1,9}(\\.[a-z]{2,9}){0,2}", name in "[A-Za-z .]{0,12}") {
        let address = format!("{local}@{domain}");
        if let Ok(mailbox) = Mailbox::parse(&address) {
            for value in [address.clone(), format!("<{address}>"), format!("{name}<{address}>"), format!("\"{name}\" <{address}>"), format!("{address} ({name})")] {
                let found = from(&value);
                prop_assert_eq!(found.map(|found| found.authors), Ok(vec![mailbox.clone()]), "{}", value);
            }
        }
    }

    #[test]
    fn no_octets_are_too_odd(from in prop::collection::vec(any::<u8>(), 0..60), text in "[<>@\"\\\\.,:;()=?a b\r\n\\[\\]]{0,30}") {
        let _ = Originators::parse(&[&from], &[]);
        let _ = Originators::of_author(&text);
    }
}
