use super::*;
use crate::ldap::message::Ended;

/// What a search came to: result code, entries, whether the base is a written one.
#[test]
fn only_what_a_server_is_sure_of_is_an_answer() {
    let entry = |dn: &str| FoundEntry { dn: dn.to_owned(), attributes: Vec::new() };
    let kind = |outcome: Result<FoundEntries, String>| match outcome {
        Ok(FoundEntries::Nobody) => "nobody",
        Ok(FoundEntries::One(_)) => "one",
        Ok(FoundEntries::Several) => "several",
        Err(_) => "unavailable",
    };
    for (code, seen, fixed, expected) in [
        (0, 0, true, "nobody"),
        (0, 1, true, "one"),
        (0, 2, true, "several"),
        (0, 90, true, "several"),
        // sizeLimitExceeded: one came back and there are more; with none back nothing is known.
        (4, 0, true, "unavailable"),
        (4, 1, true, "several"),
        (4, 2, true, "several"),
        // Two are two, even where the server then ran out of time.
        (3, 2, true, "several"),
        (3, 1, true, "unavailable"),
        (3, 0, true, "unavailable"),
        (11, 1, true, "unavailable"),
        // No such base: a mistake when it is written, and nobody's when the client's domain made it.
        (32, 0, true, "unavailable"),
        (32, 0, false, "nobody"),
        (34, 0, true, "unavailable"),
        (34, 0, false, "nobody"),
        // Referrals are not followed, and what may not be read is not "nobody".
        (10, 0, true, "unavailable"),
        (50, 0, true, "unavailable"),
        (50, 0, false, "unavailable"),
        (1, 0, true, "unavailable"),
        (53, 0, true, "unavailable"),
        (80, 0, true, "unavailable"),
        (i32::MAX, 0, true, "unavailable"),
    ] {
        let ended = Ended { code, text: String::new(), controls: Vec::new(), cookie: None };
        let entries = (0..seen.min(TWO)).map(|number| entry(&number.to_string())).collect();
        assert_eq!(kind(found(Answer { entries, seen, ended }, fixed)), expected, "{code} {seen} {fixed}");
    }
}

#[test]
fn addresses_of_attributes() {
    for (value, expected) in [
        ("alice@example.test", Some("alice@example.test")),
        ("SMTP:alice@example.test", Some("alice@example.test")),
        ("smtp:a.doe@example.test", Some("a.doe@example.test")),
        ("x500:/o=Test/cn=alice", None),
        ("SIP:alice@example.test", None),
        ("\"a:b\"@example.test", Some("\"a:b\"@example.test")),
    ] {
        assert_eq!(address(value), expected, "{value}");
    }
}
