use super::*;

const HASH: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

fn times() -> BTreeSet<String> {
    BTreeSet::from(["cacemergency".to_owned()])
}

fn problems(text: &str) -> Vec<String> {
    let bad = read(text, &times()).unwrap_err();
    bad.problems.iter().map(|p| format!("{}:{}: {}: {}", p.line, p.column, p.key, p.text)).collect()
}

#[test]
fn a_whole_person() {
    let text = format!(
        r#"
        [[person]]
        user_id = "alice"
        addresses = ["alice@example.mil", "\"a b\"@example.mil"]
        send_as = ["support@example.mil", "@lists.example.mil", "@.below.example"]
        certificate = {{ edipi = "1234567890", "sn:hex" = "0F:A1" }}
        password = "{HASH}"
        disabled = true
        attributes = {{ caccn = "DOE.JANE.A.1234567890", cacemergency = "20261201000000Z", role = ["a", "B"] }}

        [[person]]
        user_id = "bob"
        [[person.certificate]]
        upn = "bob@example.mil"
        [[person.certificate]]
        sha1 = "00112233445566778899AABBCCDDEEFF00112233"
        [person.attributes]
        Room = "9"
        "#
    );
    let records = read(&text, &times()).unwrap();
    let [alice, bob] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(alice.user_id, "alice");
    assert_eq!(alice.addresses, ["alice@example.mil", "\"a b\"@example.mil"]);
    assert_eq!(alice.send_as, ["support@example.mil", "@lists.example.mil", "@.below.example"]);
    assert_eq!(
        alice.certificates,
        [vec![(Token::Edipi, "1234567890".to_owned()), (Token::SerialHex, "fa1".to_owned())]]
    );
    assert!(alice.password().is_some() && alice.disabled);
    assert_eq!(alice.entry.values("UID"), ["alice"]);
    assert_eq!(alice.entry.values("mail"), ["alice@example.mil", "\"a b\"@example.mil"]);
    assert_eq!(alice.entry.values("role"), ["a", "b"]);
    assert_eq!(bob.certificates.len(), 2);
    assert!(bob.password().is_none() && !bob.disabled && bob.addresses.is_empty());
    assert!(!bob.entry.has("mail"));
    assert_eq!(bob.entry.values("room"), ["9"]);
    assert!(read("", &times()).unwrap().is_empty());
}

#[test]
fn each_fault_has_its_place_and_its_mend() {
    for (text, expected) in [
        ("[person]\n", "1:1: person: each person is written [[person]], in double brackets"),
        ("x = 1\n", "1:1: x: unknown key: a people file holds [[person]] tables and nothing else"),
        ("[[person]]\n", "1:1: person.user_id: missing: every person has one"),
        ("[[person]]\nuser_id = 5\n", "2:11: person.user_id: a string is wanted, not integer"),
        ("[[person]]\nuser_id = \" \"\n", "2:11: person.user_id: it is empty"),
        ("[[person]]\nuser_id = \"a \"\n", "2:11: person.user_id: at most 256 octets, and no spaces around them"),
        ("[[person]]\nuser_id = \"a\\nb\"\n", "2:11: person.user_id: it holds a control character"),
        (
            "[[person]]\nuser_id = \"a\"\npasswd = \"x\"\n",
            "3:1: person.passwd: unknown key; a person has user_id, addresses, send_as, certificate, password, disabled and attributes",
        ),
        (
            "[[person]]\nuser_id = \"a\"\n[[person]]\nuser_id = \"A\"\n",
            "4:11: person.user_id: \"a\" is there already; user ids differ by more than case",
        ),
        (
            "[[person]]\nuser_id = \"a\"\naddresses = \"a@b\"\n",
            "3:13: person.addresses: a list of addresses, [\"user@example.org\"], is wanted, not string",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nsend_as = [\"example.org\"]\n",
            "3:12: person.send_as: \"example.org\" is no address and no domain: user@example.org, or @example.org",
        ),
        (
            "[[person]]\nuser_id = \"a\"\naddresses = [\"@example.org\"]\n",
            "3:14: person.addresses: \"@example.org\" is no address: user@example.org is one",
        ),
        (
            "[[person]]\nuser_id = \"a\"\naddresses = [\"a@b\", \"<c@d>\"]\n",
            "3:21: person.addresses: \"<c@d>\" is no address: user@example.org is one",
        ),
        (
            "[[person]]\nuser_id = \"a\"\ndisabled = \"no\"\n",
            "3:12: person.disabled: true or false is wanted, not string",
        ),
        (
            "[[person]]\nuser_id = \"a\"\ncertificate = {}\n",
            "3:15: person.certificate: it is empty: leave it out, or name a field",
        ),
        (
            "[[person]]\nuser_id = \"a\"\ncertificate = { sha256 = \"aa\" }\n",
            "3:26: person.certificate.sha256: a SHA-256 fingerprint has 64 hexadecimal digits",
        ),
        (
            "[[person]]\nuser_id = \"a\"\ncertificate = { cert = \"aa\" }\n",
            "3:24: person.certificate.cert: a certificate can't be written here: use its sha256",
        ),
        (
            "[[person]]\nuser_id = \"a\"\ncertificate = [\"x\"]\n",
            "3:16: person.certificate: a table, { edipi = \"1234567890\" }, is wanted, not string",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nattributes = { UID = \"b\" }\n",
            "3:16: person.attributes.UID: uid is filled from user_id",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nattributes = { Mail = \"b\" }\n",
            "3:16: person.attributes.Mail: mail is filled from addresses",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nattributes = { a = \"b\", A = \"c\" }\n",
            // TOML's keys come in alphabetical order.
            "3:16: person.attributes.a: it is there already: case makes no difference",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nattributes = { n = [\"b\", 5] }\n",
            "3:26: person.attributes.n: a string, or a list of strings, is wanted, not integer",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nattributes = { cacEmergency = \"never\" }\n",
            "3:31: person.attributes.cacEmergency: a filter compares it with the time, and \"never\" is no \
             GeneralizedTime: 20261201000000Z is one",
        ),
        (
            "[[person]]\nuser_id = \"a\"\nattributes = { x = 2026-12-01T00:00:00Z }\n",
            "3:20: person.attributes.x: a string, or a list of strings, is wanted, not a bare date (write \
             GeneralizedTime in quotes: \"20261201000000Z\")",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
    let unknown = problems("[[person]]\nuser_id = \"a\"\ncertificate = { sn:hex = \"aa\" }\n");
    assert!(unknown.first().unwrap().starts_with("3:"), "{unknown:?}");
    let [unknown] = problems("[[person]]\nuser_id = \"a\"\ncertificate = { u = \"aa\" }\n").try_into().unwrap();
    assert!(
        unknown.starts_with("3:17: person.certificate.u: unknown field; a certificate has cn o ou c dn sn "),
        "{unknown}"
    );
    assert!(!unknown.contains(" cert "), "{unknown}");
}

#[test]
fn all_faults_at_once_but_not_without_end() {
    let person = "[[person]]\nuser_id = 1\naddresses = 2\n";
    assert_eq!(problems(person).len(), 2, "{:?}", problems(person));
    let bad = read(&person.repeat(50), &times()).unwrap_err();
    assert_eq!((bad.problems.len(), bad.more), (20, 80));
}

#[test]
fn no_message_repeats_a_password() {
    for text in [
        "[[person]]\nuser_id = \"a\"\npassword = \"hunter2\"\n",
        "[[person]]\nuser_id = \"a\"\npassword = 48151623\n",
        "[[person]]\nuser_id = \"a\"\npassword = hunter2\n",
        "[[person]]\nuser_id = \"a\"\npassword = \"hunter2\n",
        "[[person]]\nuser_id = \"a\"\npassword = \"hunter2\"\npassword = \"hunter2\"\n",
        "[[person]]\nuser_id = \"a\"\npassword = \"hunter2\" 48151623\n",
        "[[person]]\nuser_id = \"a\"\npassword = [\"hunter2\"]\n",
        "[[person]]\nuser_id = \"a\"\npassword = \"SCRAM-SHA-256$hunter2\"\n",
        "[[person]]\nuser_id = \"a\"\npassword = [\"SCRAM-SHA-256$4096:aGVsbG8=$hunter2:48151623\"]\n",
        "[[person]]\nuser_id = \"a\"\nattributes = { password = \"hunter2\\u0000\" }\n",
    ] {
        let told = problems(text).join("\n");
        assert!(!told.is_empty() && !told.contains("hunter2") && !told.contains("48151623"), "{told}");
    }
}

#[test]
fn a_password_may_have_one_form_of_each_kind() {
    let hash = crate::password::tests::cheap_hash("x");
    let scram =
        ScramVerifier::make(&crate::password::Password::new("x"), 4096.try_into().unwrap()).unwrap().to_string();
    let read = |forms: &[&str]| {
        read(&format!("[[person]]\nuser_id = \"a\"\npassword = {forms:?}\n"), &BTreeSet::new())
            .map(|records| (records[0].hash.is_some(), records[0].scram.is_some()))
            .map_err(|bad| bad.problems[0].text.clone())
    };
    assert_eq!(read(&[&hash]), Ok((true, false)));
    assert_eq!(read(&[&scram]), Ok((false, true)));
    assert_eq!(read(&[&scram, &hash]), Ok((true, true)));
    assert_eq!(read(&[]), Ok((false, false)));
    assert!(read(&[&hash, &scram, &hash]).unwrap_err().contains("one password"));
    assert!(read(&[&scram, &scram]).unwrap_err().contains("one password"));
}
