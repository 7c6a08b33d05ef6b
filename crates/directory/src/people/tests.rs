use proptest::prelude::*;

use super::*;
use crate::record::read;
use crate::tokens::Query;

fn people(text: &str, filters: &[&str]) -> People {
    let mut wants = Wants::default();
    for filter in filters {
        wants.of(&Template::parse(filter, Query::SmtpAuth).unwrap());
    }
    People::new(read(text, &wants.times).unwrap(), &wants).unwrap()
}

fn name(found: Found) -> String {
    match found {
        Found::Nobody => "nobody".to_owned(),
        Found::Several => "several".to_owned(),
        Found::One(record) => record.user_id.clone(),
    }
}

const FILE: &str = r#"
[[person]]
user_id = "alice"
certificate = { edipi = "1234567890" }
attributes = { caccn = "DOE.JANE.A.1234567890", role = ["clerk", "Officer"] }

[[person]]
user_id = "bob"
certificate = [{ cn = "Bob", issuer_cn = "CA 1" }, { sha256 = "AA:AA:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }]
attributes = { role = "clerk" }

[[person]]
user_id = "carol"
certificate = { cn = "Carol", issuer_cn = "CA 1" }

[[person]]
user_id = "carol2"
certificate = [{ cn = "Carol", issuer_cn = "CA 1" }, { "sn:hex" = "00:0F:A1", issuer_cn = "CA 1" }]
"#;

#[test]
fn certificates_match_by_any_table_and_by_all_of_its_fields() {
    let people = people(FILE, &[]);
    for (tokens, expected) in [
        (vec![(Token::Edipi, "1234567890")], "alice"),
        (vec![(Token::Edipi, "1234567891")], "nobody"),
        (vec![(Token::CommonName, "Bob"), (Token::IssuerCommonName, "CA 1")], "bob"),
        (vec![(Token::CommonName, "BOB"), (Token::IssuerCommonName, "ca  1")], "bob"),
        (vec![(Token::CommonName, "Bob"), (Token::IssuerCommonName, "CA 2")], "nobody"),
        (vec![(Token::CommonName, "Bob")], "nobody"),
        (vec![(Token::IssuerCommonName, "CA 1")], "nobody"),
        (vec![(Token::Sha256, &"a".repeat(64))], "bob"),
        // Two tables of one person are one person.
        (vec![(Token::Sha256, &"a".repeat(64)), (Token::CommonName, "Bob"), (Token::IssuerCommonName, "CA 1")], "bob"),
        (vec![(Token::Sha256, &"a".repeat(64)), (Token::Edipi, "1234567890")], "several"),
        (vec![(Token::CommonName, "Carol"), (Token::IssuerCommonName, "CA 1")], "several"),
        (vec![(Token::SerialHex, "0fa1"), (Token::IssuerCommonName, "CA 1")], "carol2"),
        (vec![], "nobody"),
    ] {
        let mut all = Tokens::new();
        for (token, value) in &tokens {
            all.set(*token, *value);
        }
        assert_eq!(name(people.by_certificate(&all).0), expected, "{tokens:?}");
    }
}

#[test]
fn the_log_is_told_what_was_asked() {
    let mut tokens = Tokens::new();
    tokens.set(Token::Edipi, "12345");
    tokens.set(Token::Sha256, "b".repeat(64));
    tokens.set_unusable(Token::CommonName, "two values");
    let (found, why) = people(FILE, &[]).by_certificate(&tokens);
    assert_eq!(name(found), "nobody");
    assert!(why.contains("{edipi} can't be used: an EDIPI has ten digits"), "{why}");
    assert!(why.contains("{cn} can't be used: two values"), "{why}");
    assert!(why.contains("sha256 = \"bbbb"), "{why}");
    assert!(why.contains("{sn:hex} has no value"), "{why}");
}

#[test]
fn an_index_finds_what_a_scan_finds() {
    let login = |text: &str| {
        let tokens = Tokens::login("alice", "2026-11-24T08:00:00Z".parse().unwrap());
        Template::parse(text, Query::SmtpAuth).unwrap().resolve(&tokens).unwrap()
    };
    for (filter, expected, scan) in [
        ("(uid={u})", "alice", false),
        ("(UID=ALICE)", "alice", false),
        ("(uid~=alice)", "alice", false),
        ("(uid=nobody)", "nobody", false),
        ("(uid=\\ff)", "nobody", false),
        ("(|(uid={u})(caccn=DOE.JANE.A.1234567890))", "alice", false),
        ("(|(uid=alice)(uid=bob))", "several", false),
        ("(&(uid=alice)(role=officer))", "alice", false),
        ("(&(role=clerk)(!(uid=alice)))", "bob", false),
        ("(|(uid=zoe)(role=off*))", "alice", true),
        ("(role=*)", "several", true),
        ("(!(uid=alice))", "several", true),
    ] {
        let people_by_index = people(FILE, &[filter]);
        assert_eq!(name(people_by_index.search(&login(filter))), expected, "{filter}");
        assert_eq!(people_by_index.scans(&login(filter)), scan, "{filter}");
        let no_index = people(FILE, &[]);
        assert!(no_index.scans(&login(filter)));
        assert_eq!(name(no_index.search(&login(filter))), expected, "{filter}");
    }
}

#[test]
fn the_dummy_costs_what_most_hashes_cost() {
    let cheap = crate::password::tests::cheap_hash("x");
    let usual = cheap.replace("m=8", "m=16");
    let person = |user: &str, hash: &str| format!("[[person]]\nuser_id = {user:?}\npassword = {hash:?}\n");
    let file = person("a", &cheap) + &person("b", &usual) + &person("c", &usual);
    let people = people(&file, &[]);
    assert_eq!(people.dummy().cost(), HeldCost::Argon2(crate::password::Hash::parse(&usual).unwrap().cost()));
    assert!(people.notes().iter().any(|note| note.contains("different parameters")), "{:?}", people.notes());
}

#[test]
fn notes_name_what_looks_wrong() {
    let notes = people(FILE, &["(&(mail={a})(!(cacnc=*)))"]).notes().join("\n");
    assert!(notes.contains("\"cacnc\""), "{notes}");
    assert!(!notes.contains("mail"), "{notes}");
    assert!(notes.contains("\"carol\" and \"carol2\" have the same certificate"), "{notes}");
}

/// Filters over few attributes and values, so that many of them match somebody.
fn filters() -> impl Strategy<Value = Filter> {
    let attribute = || prop_oneof![Just("uid"), Just("ROLE"), Just("caccn"), Just("none")].prop_map(str::to_owned);
    let value = || prop_oneof![Just("alice"), Just("Bob"), Just("clerk"), Just(" officer "), Just("x")];
    let octets = move || value().prop_map(|value| value.as_bytes().to_vec());
    let item = prop_oneof![
        (attribute(), octets()).prop_map(|(attribute, value)| Filter::Equal(attribute, value)),
        (attribute(), octets()).prop_map(|(attribute, value)| Filter::Approximate(attribute, value)),
        attribute().prop_map(Filter::Present),
        (attribute(), octets()).prop_map(|(attribute, value)| Filter::GreaterOrEqual(attribute, value)),
    ];
    item.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn no_index_hides_a_match(filter in filters()) {
        let by_index = people(FILE, &["(&(uid=x)(role=x)(caccn=x)(none=x))"]);
        let by_scan = people(FILE, &[]);
        prop_assert_eq!(name(by_index.search(&filter)), name(by_scan.search(&filter)), "{}", filter);
    }
}
