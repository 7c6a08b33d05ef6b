//! Whose certificate is it? Against slapd.

use postern_directory::{CertificateMatch, Token, Tokens};

use crate::bed::{SUFFIX, Slapd};

const QUERY: &str = "[certificate_query]\nfilter = \"(&(objectClass=inetOrgPerson)(caccn={cn})(cacserial={sn}))\"\n";
const BY_NAME: &str = "[certificate_query]\nfilter = \"(caccn={cn})\"\n";

#[tokio::test]
async fn one_nobody_several() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", QUERY);
    for (name, serial, expected) in [
        ("DOE.ALICE.Q.1234567890", "4A5B6C", "alice"),
        // caseIgnoreMatch: case and outer spaces are folded.
        ("  doe.alice.q.1234567890 ", "4a5b6c", "alice"),
        // The text form of serial numbers is the site's, and no form is taken for another.
        ("DOE.ALICE.Q.1234567890", "4873068", "nobody"),
        ("ROE.BOB.1234567891", "7e:ad:be:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67", "bob"),
        ("ROE.BOB.1234567891", "7eadbeef0123456789abcdef01234567", "nobody"),
        ("O'NEIL, CAROL (ACME) *.1234567892", "1", "carol"),
        ("MÜLLER.DAVE.1234567893", "128", "dave"),
        ("müller.dave.1234567893", "128", "dave"),
        ("MÜLLER.DAVE.1234567893", "80", "nobody"),
        ("MÜLLER.DAVE.1234567893", "0x80", "nobody"),
        ("TWIN.1234567897", "0E", "several"),
        ("NOBODY", "1", "nobody"),
        ("*", "*", "nobody"),
    ] {
        let values = [(Token::CommonName, name.as_bytes()), (Token::Serial, serial.as_bytes())];
        let answer = bed.certificate(&values).await;
        assert_eq!(answer.split(':').next().unwrap(), expected, "{name} {serial}: {answer}");
    }
    // What was asked is in the words for the log, escaped.
    let answer = bed.certificate(&[(Token::CommonName, b"*)(uid=*"), (Token::Serial, b"1")]).await;
    assert!(answer.contains("(caccn=\\2a\\29\\28uid=\\2a)"), "{answer}");
    // A token without a value asks nothing.
    let before = slapd.logged("SRCH base=\"ou=people");
    let answer = bed.certificate(&[(Token::CommonName, b"DOE.ALICE.Q.1234567890")]).await;
    assert!(answer.contains("{sn} has no value"), "{answer}");
    assert_eq!(slapd.logged("SRCH base=\"ou=people"), before);
}

/// An address is known however many entries have it; what the servers can't say is no "unknown".
#[tokio::test]
async fn recipients() {
    use postern_directory::RecipientMatch;
    let mut slapd = Slapd::start();
    let asking = |filter: &str| slapd.directory("", &format!("[recipient_query]\nfilter = {filter:?}\n"));
    let (by_mail, by_all) = (asking("(mail={a})"), asking("(|(mail={a})(caccn={u}.*))"));
    let silent = slapd.directory("", "");
    assert!(by_mail.0.answers_recipients() && !silent.0.answers_recipients());
    assert!(matches!(silent.0.recipient_query("alice", "example.test").await, RecipientMatch::Unavailable(_)));
    for (bed, local_part, domain, known) in [
        (&by_mail, "a.doe", "example.test", true),
        (&by_mail, "A.DOE", "EXAMPLE.test", true),
        (&by_mail, "nobody", "example.test", false),
        (&by_mail, "*", "example.test", false),
        (&by_mail, "a.doe@example.test)(mail=*", "x", false),
        (&by_all, "TWIN", "example.test", true),
    ] {
        let expected = if known { RecipientMatch::Known } else { RecipientMatch::Unknown };
        assert_eq!(bed.0.recipient_query(local_part, domain).await, expected, "{local_part}@{domain}");
    }
    // From memory, however the server fares.
    slapd.kill();
    assert_eq!(by_mail.0.recipient_query("a.doe", "example.test").await, RecipientMatch::Known);
    assert!(matches!(by_mail.0.recipient_query("b.roe", "example.test").await, RecipientMatch::Unavailable(_)));
}

#[tokio::test]
async fn addresses_and_the_certificate_itself() {
    let slapd = Slapd::start();
    let der = std::fs::read(slapd.pki("alice.der")).unwrap();
    let mut tokens = Tokens::new();
    tokens.set(Token::CommonName, "DOE.ALICE.Q.1234567890");
    let log = "log = [\"employeeNumber\", \"userCertificate;binary\"]\n";
    let bed = slapd.directory("", &format!("{BY_NAME}addresses = [\"mail\", \"mail\"]\n{log}"));
    let CertificateMatch::One(person) = bed.0.certificate_query(|_| tokens.clone()).await else { panic!() };
    assert_eq!((person.user_id.as_str(), person.addresses.len()), ("alice", 2));
    assert!(person.addresses.iter().any(|address| address == "a.doe@example.test"));
    assert!(person.send_as.is_empty());
    // By another attribute, and by both queries.
    let both = format!("{BY_NAME}addresses = []\nsend_as = [\"mail\"]\n[smtp_auth_query]\nsend_as = \"mail\"\n");
    let bed = slapd.directory("", &both);
    let CertificateMatch::One(person) = bed.0.certificate_query(|_| tokens.clone()).await else { panic!() };
    assert_eq!((person.addresses.len(), person.send_as.len()), (0, 2), "{person:?}");

    // Octets of a certificate are no value of certificateExactMatch here: nobody, and no failure. On 389 and Active
    // Directory they are, see there.
    for filter in ["(userCertificate={cert})", "(userCertificate;binary={cert})"] {
        let bed = slapd.directory("", &format!("[certificate_query]\nfilter = {filter:?}\n"));
        let answer = bed.certificate(&[(Token::Certificate, &der)]).await;
        assert!(answer.starts_with("nobody"), "{filter}: {answer}");
    }
    // frank has the server's certificate, whose issuer's name needs no escapes.
    let exact = "{ serialNumber 4097, issuer rdnSequence:\"cn=Directory Test CA ca,ou=Directory,o=Test Org,c=XX\" }";
    for filter in
        ["(userCertificate={certificateExact})", "(userCertificate:certificateExactMatch:={certificateExact})"]
    {
        let bed = slapd.directory("", &format!("[certificate_query]\nfilter = {filter:?}\n"));
        assert_eq!(bed.certificate(&[(Token::CertificateExact, exact.as_bytes())]).await, "frank", "{filter}");
    }
    let renamed = slapd.directory("", &format!("{BY_NAME}user_id = \"employeeNumber\"\n"));
    assert_eq!(renamed.by_name("DOE.ALICE.Q.1234567890").await, "4711");
    let answer = renamed.by_name("ROE.BOB.1234567891").await;
    assert!(answer.starts_with("nobody") && answer.contains("has no employeeNumber"), "{answer}");
}

#[tokio::test]
async fn bases_are_tried_in_order_and_references_are_not_followed() {
    let slapd = Slapd::start();
    let chain = format!("base = [\"ou={{o}},{SUFFIX}\", \"ou=people,{SUFFIX}\", \"ou=contractors,{SUFFIX}\"]");
    let bed = slapd.directory(&chain, BY_NAME);
    assert_eq!(bed.by_name("DOE.ALICE.Q.1234567890").await, "alice");
    assert_eq!(bed.by_name("IVAN.1234567898").await, "ivan");
    assert!(bed.by_name("NOBODY").await.starts_with("nobody"));
    // The first base is of the client's making: it need not be there, and nothing is added to it.
    let ask = async |o: &str, name: &str| {
        bed.certificate(&[(Token::Organization, o.as_bytes()), (Token::CommonName, name.as_bytes())]).await
    };
    assert_eq!(ask("contractors", "IVAN.1234567898").await, "ivan");
    assert_eq!(ask("nowhere,x", "DOE.ALICE.Q.1234567890").await, "alice");
    assert_eq!(slapd.logged("SRCH base=\"ou=nowhere\\2Cx,dc=example,dc=test\""), 1);

    // A written base that is not there is a mistake: nobody would ever be found, and that is no answer.
    let lost = slapd.directory(&format!("base = \"ou=pepole,{SUFFIX}\""), BY_NAME);
    let answer = lost.by_name("DOE.ALICE.Q.1234567890").await;
    assert!(answer.starts_with("unavailable") && answer.contains("noSuchObject"), "{answer}");

    // From the root a search brings a reference to 127.0.0.1:1; it is neither followed nor an entry.
    let all = slapd.directory(&format!("base = \"{SUFFIX}\""), BY_NAME);
    assert_eq!(all.by_name("IVAN.1234567898").await, "ivan");
    let one = slapd.directory(&format!("base = \"{SUFFIX}\"\nscope = \"one\""), BY_NAME);
    assert!(one.by_name("IVAN.1234567898").await.starts_with("nobody"));
    let itself = slapd.directory(&format!("base = \"uid=ivan,ou=contractors,{SUFFIX}\"\nscope = \"base\""), BY_NAME);
    assert_eq!(itself.by_name("IVAN.1234567898").await, "ivan");
    // The referral object as the base: the server refers, and no answer is no answer.
    let away = slapd.directory(&format!("base = \"ou=elsewhere,{SUFFIX}\""), BY_NAME);
    let answer = away.by_name("IVAN.1234567898").await;
    assert!(answer.starts_with("unavailable") && answer.contains("referral, which is not followed"), "{answer}");
}

#[tokio::test]
async fn more_than_the_server_gives_is_several() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", "[certificate_query]\nfilter = \"(caccn={cn}*)\"\n");
    for name in ["BULK", "BULK.00000000", "TWIN"] {
        assert_eq!(bed.by_name(name).await, "several", "{name}");
    }
    assert_eq!(bed.by_name("BULK.0000000007").await, "bulk00007");
}

#[tokio::test]
async fn what_everybody_must_match() {
    let slapd = Slapd::start();
    let require = format!("require = \"(memberOf=cn=mailers,ou=groups,{SUFFIX})\"");
    let bed = slapd.directory(&require, BY_NAME);
    assert_eq!(bed.by_name("DOE.ALICE.Q.1234567890").await, "alice");
    assert!(bed.by_name("ERIN.1234567894").await.starts_with("nobody"));
    assert_eq!(bed.password("bob", "bob-pw").await, "bob NotConfigured");
    assert_eq!(bed.password("erin", "erin-pw").await, "unknown user");
}
