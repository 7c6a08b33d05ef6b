//! What people are shown of a question, and a walk over everybody: by the code of sessions, against a real server.

use postern_directory::{Password, PasswordMatch, Query, Sight, Step, Template, Token, Tokens};

use crate::bed::{NOW, Slapd};

const QUERIES: &str = "[certificate_query]\nfilter = \"(&(caccn={cn})(cacserial={sn:HEX}))\"\nlog = \"employeeNumber\"\n\
    [smtp_auth_query]\nallowance = \"(|(!(caccn=*))(cacexempt=*)(cacemergency>={t}))\"\n";

/// Without the times and ports.
fn told(slapd: &Slapd, steps: &[Step]) -> Vec<String> {
    let plain = |step: &Step| {
        let took = step.took.map(|took| format!(" in {:.1} ms", took.as_secs_f64() * 1000.0));
        step.to_string().replace(&took.unwrap_or_default(), "").replace(&slapd.url(), "SERVER")
    };
    steps.iter().map(plain).collect()
}

#[tokio::test]
async fn every_step_of_a_certificate_query() {
    let slapd = Slapd::start();
    let bases = "base = [\"ou=contractors,dc=example,dc=test\", \"ou=people,dc=example,dc=test\"]";
    let bed = slapd.directory(bases, QUERIES);
    let ask = |name: &'static str, serial: &'static str| {
        let mut tokens = Tokens::new();
        tokens.set(Token::CommonName, name);
        tokens.set(Token::SerialUpperHex, serial);
        bed.0.explain_certificate_query(|_| tokens)
    };
    let filter = "(&(caccn=DOE.ALICE.Q.1234567890)(cacserial=4A5B6C))";
    let alice = format!(
        "certificate query: {filter} below \"ou=people,dc=example,dc=test\" (sub), SERVER → \
         \"uid=alice,ou=people,dc=example,dc=test\": employeeNumber = \"4711\"; \
         mail = \"alice@example.test\", \"a.doe@example.test\"; uid = \"alice\""
    );
    let (_, steps) = ask("DOE.ALICE.Q.1234567890", "4A5B6C").await;
    let nobody =
        format!("certificate query: {filter} below \"ou=contractors,dc=example,dc=test\" (sub), SERVER → nobody");
    assert_eq!(told(&slapd, &steps), [nobody, alice.clone()]);
    let (_, steps) = ask("DOE.ALICE.Q.1234567890", "4A5B6C").await;
    let remembered = alice.replace(" below \"ou=people,dc=example,dc=test\" (sub), SERVER", ", remembered");
    assert_eq!(told(&slapd, &steps), [remembered]);

    let (_, steps) = ask("TWIN.1234567897", "0E").await;
    let Sight::Several(names) = &steps[1].found else { panic!("{steps:?}") };
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("uid=twin")), "{names:?}");
    let (_, steps) = ask("O'NEIL (ACME) *", "0E").await;
    assert_eq!(steps[0].asked, "(&(caccn=O'NEIL \\28ACME\\29 \\2a)(cacserial=0E))");
    let json = serde_json::to_value(&steps[0]).unwrap();
    assert_eq!(json["found"], "nobody");
    assert!(json["milliseconds"].as_f64().unwrap() > 0.0, "{json}");
}

#[tokio::test]
async fn every_step_of_a_password() {
    let slapd = Slapd::start();
    let by_attribute = format!("{QUERIES}method = {{ password_attribute = \"userPassword\" }}\n");
    for (queries, said) in [
        (QUERIES, "password: bind as \"uid=dave,ou=people,dc=example,dc=test\", SERVER → success (0)"),
        (&by_attribute, "password: compared with 1 values of userPassword → it is one of them"),
    ] {
        let bed = slapd.directory("", queries);
        let password = Password::new("dave-pw");
        let (answer, steps) = bed.0.explain_password_query("dave", &password, NOW.parse().unwrap()).await;
        assert!(matches!(answer, PasswordMatch::Right { .. }), "{answer:?}");
        let steps = told(&slapd, &steps);
        assert!(steps[0].starts_with("SMTP AUTH query: (uid=dave) below"), "{steps:?}");
        assert!(
            steps[1].starts_with(
                "allowance: (|(!(caccn=*))(cacexempt=*)(cacemergency>=20261124000000.0Z)) below \"uid=dave"
            )
        );
        assert_eq!(steps[2], said);
        assert!(!steps.concat().contains("{SSHA}") && !steps.concat().contains("dave-pw"), "{steps:?}");
        assert_eq!(bed.0.explain_presumption("dave", NOW.parse().unwrap()).await.1.len(), 2);
    }
}

#[tokio::test]
async fn everybody_by_pages() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", QUERIES);
    let mut walk = bed.0.walk(None, None).await.unwrap();
    assert_eq!((walk.filter().as_str(), walk.server()), ("(uid=*)", slapd.url().as_str()));
    let (mut pages, mut people) = (0, Vec::new());
    while let Some(page) = walk.next_page().await.unwrap() {
        assert!(page.len() <= 100);
        pages += 1;
        people.extend(page);
    }
    assert!(pages == 2 && people.len() == 133, "{pages} {}", people.len());
    let of = |uid: &str| people.iter().find(|one| one.dn.starts_with(&format!("uid={uid},"))).unwrap();
    assert_eq!(of("alice").certificates, [std::fs::read(slapd.pki("alice.der")).unwrap()]);
    assert_eq!(of("alice").person.as_ref().unwrap().addresses.len(), 2);
    assert_eq!((of("carol").certificates.len(), of("grace").certificates.len()), (2, 0));
    let described =
        |uid: &str| of(uid).described.as_ref().map(|tokens| tokens.text(Token::CommonName).unwrap().to_owned());
    assert_eq!((described("erin"), described("grace")), (Some("ERIN.1234567894".to_owned()), None));

    // Narrowed, elsewhere, and beyond what the server lets be seen.
    let bulk = Template::parse("(uid=bulk*)", Query::SmtpAuth).unwrap().resolve(&Tokens::new()).unwrap();
    let mut walk = bed.0.walk(Some(&bulk), None).await.unwrap();
    assert_eq!(walk.next_page().await.unwrap().unwrap().len(), 100);
    assert_eq!(walk.next_page().await.unwrap().unwrap().len(), 20);
    assert!(walk.next_page().await.unwrap().is_none());
    let mut walk = bed.0.walk(None, Some("ou=nowhere,dc=example,dc=test")).await.unwrap();
    assert!(walk.next_page().await.unwrap_err().contains("noSuchObject (32)"));
    let by_domain = slapd.directory("base = \"ou={d},dc=example,dc=test\"", "");
    assert!(by_domain.0.walk(None, None).await.unwrap_err().contains("--base"));
}
