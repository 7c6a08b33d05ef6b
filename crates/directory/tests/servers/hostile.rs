//! What certificates and clients may write, against slapd: no value changes what is asked, or how long it takes.

use postern_directory::Token;

use crate::bed::Slapd;

pub(crate) fn hostile() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "*",
        "*)(uid=*",
        "*)(|(uid=*",
        "x)(!(uid=x)",
        "DOE*",
        "\\2a",
        "\\",
        "(",
        ")",
        "))",
        "()",
        "&",
        "|(uid=*)",
        ")(objectClass=*",
        "alice)(cn=*))(|(cn=*",
        "{cn}",
        "{u}",
        "uid=alice,ou=people,dc=example,dc=test",
        "DOE.ALICE.Q.1234567890\0",
        "DOE.ALICE.Q.1234567890\u{0}x",
        "DOE.ALICE.Q.1234567890,x",
        "MU\u{308}LLER",
        "\u{202e}alice",
        "'; DROP TABLE people; --",
        "alice\r\nMAIL FROM:<x>",
        "a=b",
        ">=x",
        ":=x",
        "~=",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    values.push(vec![0xff, 0xfe, b'*', 0]);
    values.push((1..=255).collect());
    values.push(vec![b'('; 10_000]);
    values.push("*)(uid=".repeat(1500).into_bytes());
    values
}

#[tokio::test]
async fn no_certificate_finds_who_it_is_not() {
    let slapd = Slapd::start();
    let filter = "(&(objectClass=inetOrgPerson)(|(caccn={cn})(uid={cn})(cn={cn}))(!(o={cn})))";
    let bed = slapd.directory("", &format!("[certificate_query]\nfilter = {filter:?}\n"));
    for value in hostile() {
        let answer = bed.certificate(&[(Token::CommonName, &value)]).await;
        assert!(answer.starts_with("nobody"), "{:?}: {answer}", String::from_utf8_lossy(&value));
    }
    assert_eq!(bed.by_name("DOE.ALICE.Q.1234567890").await, "alice");
    // Each filter that slapd saw has the shape that was configured: its items in order, nothing else.
    let log = std::fs::read(slapd.path("slapd.log")).unwrap();
    let log = String::from_utf8_lossy(&log);
    let filters: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("filter=\"(&(objectClass=inet")).map(|parts| parts.1).collect();
    assert!(filters.len() >= 25, "{}", filters.len());
    for filter in filters {
        // Parentheses in values are escaped; operators stand right behind an opening one. slapd marks what is Undefined by
        // a "?".
        let item = |text: &'_ str| text.split(['=', ')']).next().unwrap_or_default().trim_start_matches('?').to_owned();
        let items: Vec<String> = filter.split('(').map(item).collect();
        let expected = ["OrgPerson", "|", "caccn", "uid", "cn", "!", "o"];
        if filter.ends_with('"') {
            assert_eq!(items, expected, "{filter}");
            assert!(filter.ends_with(")))\"") && filter.matches(')').count() == 8, "{filter}");
        } else {
            // slapd cuts long lines off.
            assert!(filter.len() > 1000 && items == expected[..items.len()], "{filter}");
        }
    }
}

#[tokio::test]
async fn no_user_name_becomes_another() {
    let slapd = Slapd::start();
    let tables = "[smtp_auth_query]\nfilter = \"(|(uid={u})(mail={a}))\"\nallowance = \"(|(!(caccn=*))(uid={u}))\"\n";
    let bed = slapd.directory("base = [\"ou={d},dc=example,dc=test\", \"ou=people,dc=example,dc=test\"]", tables);
    for value in hostile() {
        let Ok(user) = String::from_utf8(value) else { continue };
        for user in [user.clone(), format!("alice@{user}"), format!("{user}@example.test")] {
            let answer = bed.password(&user, "alice-pw").await;
            let same = user.split('@').next() == Some("alice");
            assert!(answer == "unknown user" || (same && answer.starts_with("alice")), "{user:?}: {answer}");
        }
    }
    assert_eq!(bed.password("alice@example.test", "alice-pw").await, "alice Allowed");
}
