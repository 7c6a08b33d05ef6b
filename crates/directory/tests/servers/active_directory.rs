//! Active Directory, for which Samba stands in: one domain controller, and what is asked of it step by step. Where Samba is
//! known to differ from Windows, the line says so.

use postern_directory::{CertificateMatch, FindingState, Token, Tokens};

use crate::bed::{Bed, Family};
use crate::hostile::hostile;

const ALICE: &str = "DOE.ALICE.Q.1234567890";
const BASE: &str = "DC=ad,DC=example,DC=test";
const BY_NAME: &str = "filter = \"(&(objectCategory=person)(cn={cn}))\"\n";
const LOGIN: &str = "[smtp_auth_query]\nfilter = \"(|(sAMAccountName={u})(userPrincipalName={a}))\"\n\
    user_id = \"sAMAccountName\"\n";

/// As the manual has it: `cn` is a certificate's name, people log in by either of their names.
fn queries(certificate: &str, login: &str) -> String {
    format!("[certificate_query]\nuser_id = \"sAMAccountName\"\n{certificate}{LOGIN}{login}")
}

fn directory(server: &Family, more: &str) -> Bed {
    server.directory(more, &queries(BY_NAME, ""))
}

#[tokio::test]
async fn as_active_directory_answers() {
    let mut server = Family::start("samba.sh");
    whose_certificate(&server).await;
    strong_mappings(&server).await;
    the_certificate_itself(&server).await;
    bases_and_references(&server).await;
    several_and_groups(&server).await;
    everybody_by_pages(&server).await;
    passwords(&server).await;
    allowances(&server).await;
    a_misspelt_allowance(&server).await;
    transport(&server).await;
    the_global_catalog(&server).await;
    binds_of_the_gateway(&server).await;
    too_many_wrong_passwords(&server).await;
    hostile_values(&server).await;
    killed_and_back(&mut server).await;
}

async fn whose_certificate(server: &Family) {
    server.step("01 whose certificate");
    let filter = "filter = \"(&(objectCategory=person)(cn={cn})(serialNumber={sn}))\"\n";
    let addresses = "addresses = \"proxyAddresses\"\nlog = [\"employeeNumber\", \"userCertificate;binary\"]\n";
    let bed = server.directory("", &queries(&format!("{filter}{addresses}"), ""));
    for (name, serial, expected) in [
        (ALICE, "4A5B6C", "alice"),
        ("doe.alice.q.1234567890", "4A5B6C", "alice"),
        // This attribute is case-sensitive here, of all servers: {sn:HEX} or {sn:hex} must be as the site enters it.
        (ALICE, "4a5b6c", "nobody"),
        (ALICE, "4873068", "nobody"),
        ("ROE.BOB.1234567891", "7e:ad:be:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67", "bob"),
        ("O'NEIL, CAROL (ACME) *.1234567892", "1", "carol"),
        ("MÜLLER.DAVE.1234567893", "128", "dave"),
        ("MULLER.DAVE.1234567893", "128", "nobody"),
        ("NOBODY", "1", "nobody"),
        ("*", "*", "nobody"),
    ] {
        let values = [(Token::CommonName, name.as_bytes()), (Token::Serial, serial.as_bytes())];
        let answer = bed.certificate(&values).await;
        assert_eq!(answer.split(':').next().unwrap(), expected, "{name} {serial}: {answer}");
    }
    let mut tokens = Tokens::new();
    tokens.set(Token::CommonName, ALICE);
    tokens.set(Token::Serial, "4A5B6C");
    let CertificateMatch::One(person) = bed.0.certificate_query(|_| tokens).await else { panic!() };
    // Addresses are what says that it is one: no x500.
    let mut addresses = person.addresses;
    addresses.sort();
    assert_eq!(addresses, ["a.doe@example.test", "alice@example.test"]);
    // A closed account has no certificate that counts.
    let bed = directory(server, "");
    for (name, why) in [("DIS.ABLED.1234567800", "is disabled"), ("EXP.IRED.1234567801", "has expired")] {
        let answer = bed.by_name(name).await;
        assert!(answer.starts_with("nobody") && answer.contains(why), "{answer}");
    }
}

/// Values as an administrator enters them; that a certificate becomes these is shown in `postern-auth`.
async fn strong_mappings(server: &Family) {
    server.step("02 strong mappings");
    let ask = async |token: Token, value: &str| {
        let filter = format!("filter = \"(altSecurityIdentities={{{token}}})\"\n");
        let bed = server.directory("", &queries(&filter, ""));
        bed.certificate(&[(token, value.as_bytes())]).await
    };
    let issuer_serial = "X509:<I>C=XX,L=Köln+O=Test, Inc. \"East\",OU=PKI,CN=User CA #1<SR>6c5b4a";
    let backwards = "X509:<I>CN=User CA #1,OU=PKI,L=Köln+O=Test, Inc. \"East\",C=XX<SR>6c5b4a";
    let openssl = |file: &str, arguments: &[&str]| {
        let mut openssl = std::process::Command::new("openssl");
        let output = openssl.args(["x509", "-noout", "-in"]).arg(server.pki(file)).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap().rsplit('=').next().unwrap().trim().to_lowercase();
        last.replace(':', "")
    };
    let ski = |file: &str| format!("X509:<SKI>{}", openssl(file, &["-ext", "subjectKeyIdentifier"]));
    let sha1 = |file: &str| format!("X509:<SHA1-PUKEY>{}", openssl(file, &["-fingerprint", "-sha1"]));
    for (token, value, expected) in [
        (Token::AltSecIdIssuerSerial, issuer_serial.to_owned(), "alice"),
        (Token::AltSecIdIssuerSerial, issuer_serial.to_uppercase(), "alice"),
        // The serial number's octets are backwards, the issuer's names are not: else it is another text.
        (Token::AltSecIdIssuerSerial, issuer_serial.replace("6c5b4a", "4a5b6c"), "nobody"),
        (Token::AltSecIdIssuerSerial, backwards.to_owned(), "nobody"),
        (Token::AltSecIdSki, ski("bob.pem"), "bob"),
        (Token::AltSecIdSki, ski("alice.pem"), "nobody"),
        (Token::AltSecIdSki, ski("erin.pem"), "several"),
        (Token::AltSecIdSha1PublicKey, sha1("carol.pem"), "carol"),
        (Token::AltSecIdSha1PublicKey, sha1("bob.pem"), "nobody"),
        (Token::AltSecIdRfc822, "X509:<RFC822>dave@example.test".to_owned(), "dave"),
        (Token::AltSecIdRfc822, "X509:<RFC822>*".to_owned(), "nobody"),
    ] {
        let answer = ask(token, &value).await;
        assert_eq!(answer.split(':').next().unwrap(), expected, "{value}: {answer}");
    }
}

async fn the_certificate_itself(server: &Family) {
    server.step("03 the certificate itself");
    let mut forged = std::fs::read(server.pki("alice.der")).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let der = |file: &str| std::fs::read(server.pki(file)).unwrap();
    let bed = server.directory("", &queries("filter = \"(userCertificate={cert})\"\n", ""));
    for (der, expected) in [
        (der("alice.der"), "alice"),
        (der("carol.der"), "carol"),
        (der("erin.der"), "carol"),
        (der("dave.der"), "nobody"),
        (forged, "nobody"),
    ] {
        let answer = bed.certificate(&[(Token::Certificate, &der)]).await;
        assert_eq!(answer.split(':').next().unwrap(), expected, "{answer}");
    }
    // The option is not known here, nor is certificateExactMatch: nobody, in either form.
    let exact = "{ serialNumber 4873068, issuer rdnSequence:\"CN=User CA\" }";
    for filter in [
        "(userCertificate;binary={cert})",
        "(userCertificate={certificateExact})",
        "(userCertificate:certificateExactMatch:={certificateExact})",
    ] {
        let bed = server.directory("", &queries(&format!("filter = {filter:?}\n"), ""));
        let values = [(Token::Certificate, &*der("alice.der")), (Token::CertificateExact, exact.as_bytes())];
        let answer = bed.certificate(&values).await;
        assert!(answer.starts_with("nobody"), "{filter}: {answer}");
    }
}

async fn bases_and_references(server: &Family) {
    server.step("04 bases and references");
    // Each search from the root brings a reference to the configuration, at a host of the domain's name.
    let root = directory(server, &format!("base = {BASE:?}"));
    assert_eq!(root.by_name("IVAN.1234567898").await, "ivan");
    assert!(root.by_name("NOBODY").await.starts_with("nobody"));
    let chain = directory(server, &format!("base = [\"OU={{o}},{BASE}\", \"OU=People,{BASE}\"]"));
    assert_eq!(chain.by_name(ALICE).await, "alice");
    let place = [(Token::Organization, b"Contractors".as_slice()), (Token::CommonName, b"IVAN.1234567898")];
    assert_eq!(chain.certificate(&place).await, "ivan");
    let place = [(Token::Organization, b"nowhere,x".as_slice()), (Token::CommonName, ALICE.as_bytes())];
    assert_eq!(chain.certificate(&place).await, "alice");
    let lost = directory(server, &format!("base = \"OU=Pepole,{BASE}\""));
    let answer = lost.by_name(ALICE).await;
    assert!(answer.starts_with("unavailable") && answer.contains("noSuchObject"), "{answer}");
    // A base of another domain is a referral, which is not followed.
    let away = directory(server, "base = \"DC=elsewhere,DC=test\"");
    let answer = away.by_name(ALICE).await;
    assert!(answer.starts_with("unavailable"), "{answer}");
}

async fn several_and_groups(server: &Family) {
    server.step("05 size limits, groups");
    // Two are asked for; Samba sends all 120 of them.
    let bed = server.directory("", &queries("filter = \"(cn={cn}*)\"\n", ""));
    for name in ["BULK", "TWIN"] {
        assert_eq!(bed.by_name(name).await, "several", "{name}");
    }
    assert_eq!(bed.by_name("DOE.ALICE").await, "alice");
    // alice is of the mailers, and they are of the staff.
    let chained = ":1.2.840.113556.1.4.1941:";
    for (require, bobs) in [
        (format!("(memberOf=CN=mailers,OU=Groups,{BASE})"), false),
        (format!("(memberOf{chained}=CN=staff,OU=Groups,{BASE})"), false),
        (format!("(!(memberOf=CN=mailers,OU=Groups,{BASE}))"), true),
    ] {
        let bed = directory(server, &format!("require = {require:?}"));
        for (name, user, password, expected) in
            [(ALICE, "alice", "Alice-pw-1", !bobs), ("ROE.BOB.1234567891", "bob", "Bob-pw-11", bobs)]
        {
            let (by_certificate, by_password) = (bed.by_name(name).await, bed.password(user, password).await);
            assert_eq!(by_certificate == user, expected, "{require}: {by_certificate}");
            let told = if expected { format!("{user} NotConfigured") } else { "unknown user".to_owned() };
            assert_eq!(by_password, told, "{require}");
        }
    }
    let direct = directory(server, &format!("require = \"(memberOf=CN=staff,OU=Groups,{BASE})\""));
    assert!(direct.by_name(ALICE).await.starts_with("nobody"));
}

async fn everybody_by_pages(server: &Family) {
    server.step("06 everybody by pages");
    let login = LOGIN.replace("(|(sAMAccountName={u})(userPrincipalName={a}))", "(sAMAccountName={u})");
    let people = server.directory("", &login).everybody().await;
    let of = |name: &str| people.iter().find(|one| one.dn.starts_with(&format!("CN={name}"))).unwrap();
    assert_eq!(of(ALICE).certificates, [std::fs::read(server.pki("alice.der")).unwrap()]);
    assert_eq!((of("O'NEIL").certificates.len(), of("Grace").certificates.len()), (2, 0));
    let contacts = server.directory("", &LOGIN.replace("(|(sAMAccountName={u})(userPrincipalName={a}))", "(mail={a})"));
    assert!(contacts.everybody().await.len() > 120);
}

async fn passwords(server: &Family) {
    server.step("07 passwords");
    let bed = directory(server, "");
    for (user, password, expected) in [
        ("alice", "Alice-pw-1", "alice NotConfigured"),
        ("alice@ad.example.test", "Alice-pw-1", "alice NotConfigured"),
        ("ADTEST\\alice", "Alice-pw-1", "alice NotConfigured"),
        ("bob", "Bob-pw-11", "bob NotConfigured"),
        // Names that come back escaped in the server's own way.
        ("carol", "Carol-pw-1", "carol NotConfigured"),
        ("dave", "Dave-pw-11", "dave NotConfigured"),
        ("weird", "Weird-pw-1", "weird NotConfigured"),
        ("juergen", "Grüße-pw-1", "juergen NotConfigured"),
        ("juergen", "Grusse-pw-1", "wrong password"),
        ("alice", "alice-pw-1", "wrong password"),
        ("alice", "", "empty password"),
        ("zoe", "", "empty password"),
        ("zoe", "Zoe-pw-11", "unknown user"),
        ("*", "Alice-pw-1", "unknown user"),
        ("ivan", "Ivan-pw-11", "unknown user"),
        // By sub-code 533, or by userAccountControl.
        ("disabled", "Disabled-pw-1", "disabled"),
        ("disabled", "x", "disabled"),
        // By accountExpires, before sub-code 701 is looked at.
        ("expired", "Expired-pw-1", "disabled"),
        ("expired", "x", "disabled"),
        ("mustchange", "Mustchange-pw-1", "the password must be changed first"),
        ("mustchange", "x", "wrong password"),
    ] {
        assert_eq!(bed.password(user, password).await, expected, "{user:?} {password:?}");
    }
    // Until the first of December: by the time of the question.
    assert_eq!(bed.password("leaving", "Leaving-pw-1").await, "leaving NotConfigured");
    assert_eq!(bed.password_at("leaving", "Leaving-pw-1", "2026-12-01T00:00:00Z").await, "disabled");
    // Where our clock is behind theirs, their sub-code 701 tells, to whoever has the password.
    let behind = "2020-01-01T00:00:00Z";
    assert_eq!(bed.password_at("expired", "Expired-pw-1", behind).await, "the account has expired");
    assert_eq!(bed.password_at("expired", "x", behind).await, "wrong password");
    // Nobody reads passwords here.
    let tables = queries(BY_NAME, "method = { password_attribute = \"unicodePwd\" }\n");
    let answer = server.directory("", &tables).password("alice", "Alice-pw-1").await;
    assert_eq!(answer, "the person has no password");
}

async fn allowances(server: &Family) {
    server.step("08 allowances");
    let ask = async |allowance: &str, user: &str| {
        let bed = server.directory("", &queries(BY_NAME, &format!("allowance = {allowance:?}\n")));
        bed.presume(user).await
    };
    let no_card = "(|(!(altSecurityIdentities=*))(employeeType=exempt))";
    let not_disabled = "(!(userAccountControl:1.2.840.113556.1.4.803:=2))";
    // 2026-12-01T00:00:00Z
    let long_lived = "(|(accountExpires=0)(accountExpires>=134405568000000001))";
    for (allowance, user, expected) in [
        (no_card, "alice", "alice NotAllowed"),
        (no_card, "bob", "bob NotAllowed"),
        (no_card, "dave", "dave Allowed"),
        (no_card, "erin", "erin NotAllowed"),
        (no_card, "grace", "grace Allowed"),
        (no_card, "zoe", "unknown user"),
        (not_disabled, "alice", "alice Allowed"),
        (not_disabled, "disabled", "disabled"),
        (long_lived, "alice", "alice Allowed"),
        (long_lived, "leaving", "leaving NotAllowed"),
    ] {
        assert_eq!(ask(allowance, user).await, expected, "{allowance}");
    }
    // A time without a fraction is none to Samba: `>=` is true for everybody, and `<=` for nobody. {t} has one.
    for (allowance, now, expected) in [
        ("(whenCreated>=21000101000000.0Z)", "2026-11-24T00:00:00Z", "NotAllowed"),
        ("(whenCreated<=21000101000000.0Z)", "2026-11-24T00:00:00Z", "Allowed"),
        ("(whenCreated>=21000101000000Z)", "2026-11-24T00:00:00Z", "Allowed"),
        ("(whenCreated>={t})", "2100-01-01T00:00:00Z", "NotAllowed"),
        ("(whenCreated<={t})", "2100-01-01T00:00:00Z", "Allowed"),
        ("(whenCreated>={t})", "2001-01-01T00:00:00Z", "Allowed"),
        ("(|(accountExpires=0)(accountExpires>={t:filetime}))", "2100-01-01T00:00:00Z", "Allowed"),
        ("(!(accountExpires>={t:filetime}))", "2100-01-01T00:00:00Z", "NotAllowed"),
    ] {
        let bed = server.directory("", &queries(BY_NAME, &format!("allowance = {allowance:?}\n")));
        assert_eq!(bed.password_at("grace", "Grace-pw-1", now).await, format!("grace {expected}"), "{allowance}");
    }
    // The bit rule where nothing else looks at the account.
    let bed =
        server.directory("", &queries("filter = \"(&(cn={cn})(userAccountControl:1.2.840.113556.1.4.803:=2))\"\n", ""));
    assert!(bed.by_name(ALICE).await.contains("no entry matches"));
    assert!(bed.by_name("DIS.ABLED.1234567800").await.contains("is disabled"));
    let bed = server.directory("", &queries(BY_NAME, &format!("allowance = {no_card:?}\n")));
    assert_eq!(bed.password("grace", "Grace-pw-1").await, "grace Allowed");
    assert_eq!(bed.password("alice", "Alice-pw-1").await, "alice NotAllowed");
    assert_eq!(bed.password("alice", "x").await, "wrong password");
}

async fn a_misspelt_allowance(server: &Family) {
    server.step("09 a misspelt allowance");
    let misspelt = queries(BY_NAME, "allowance = \"(!(altSecurityIdentitys=*))\"\n");
    let bed = server.directory("", &misspelt);
    let answer = bed.password("alice", "Alice-pw-1").await;
    assert!(answer.starts_with("unavailable") && answer.contains("\"altsecurityidentitys\""), "{answer}");
    let findings = bed.0.check_connection().await;
    let problems: Vec<_> = findings.iter().filter(|one| one.state == FindingState::Problem).collect();
    assert!(problems.len() == 1 && problems[0].text.contains("altsecurityidentitys"), "{findings:?}");
    // This is what it guards against: what nobody has is true for everybody, and alice, who has a card, is let in.
    let warned = server.directory("unknown_attributes = \"warn\"", &misspelt);
    assert_eq!(warned.password("alice", "Alice-pw-1").await, "alice Allowed");
    // The default user_id is no attribute of everybody here, but it is one of the schema.
    let findings = directory(server, "").0.check_connection().await;
    assert!(findings.len() == 3 && findings.iter().all(|one| one.state == FindingState::Fine), "{findings:?}");
}

async fn alice(server: &Family, more: &str) -> String {
    directory(server, more).password("alice", "Alice-pw-1").await
}

async fn transport(server: &Family) {
    server.step("10 transport");
    let plain = format!("servers = [{:?}]", server.info("URL"));
    assert_eq!(alice(server, &format!("{plain}\nstarttls = true")).await, "alice NotConfigured");
    let stranger = format!("ca = {:?}", server.pki("stranger.pem"));
    for (more, expected) in [
        (plain.clone(), "strongerAuthRequired"),
        (stranger.clone(), "UnknownIssuer"),
        (format!("{plain}\nstarttls = true\n{stranger}"), "UnknownIssuer"),
        (plain.replace("ldap://", "ldaps://"), "TLS"),
    ] {
        let answer = alice(server, &more).await;
        assert!(answer.starts_with("unavailable") && answer.contains(expected), "{more}: {answer}");
    }
}

async fn the_global_catalog(server: &Family) {
    server.step("11 the global catalog");
    let address = server.info("ADDRESS");
    for (url, starttls) in
        [(format!("ldaps://{address}:3269"), ""), (format!("ldap://{address}:3268"), "starttls = true")]
    {
        let bed = directory(server, &format!("servers = [{url:?}]\n{starttls}\nbase = \"\""));
        assert_eq!(bed.by_name("IVAN.1234567898").await, "ivan", "{url}");
        assert_eq!(bed.password("alice", "Alice-pw-1").await, "alice NotConfigured", "{url}");
        assert_eq!(bed.password("alice", "x").await, "wrong password", "{url}");
    }
}

async fn binds_of_the_gateway(server: &Family) {
    server.step("12 binds of the gateway");
    let secret = server.beside("gateway-secret");
    let bind = |name: &str| format!("bind = \"simple\"\nbind_dn = {name:?}\nbind_password_file = {secret:?}");
    std::fs::write(&secret, server.info("BIND_PW")).unwrap();
    for name in [server.info("BIND_DN"), "gateway@ad.example.test", "ADTEST\\gateway"] {
        assert_eq!(alice(server, &bind(name)).await, "alice NotConfigured", "{name}");
    }
    let external = format!(
        "bind = \"external\"\nclient_certificate = {{ certificate = {:?}, key = {:?} }}",
        server.pki("gateway.pem"),
        server.pki("gateway.key")
    );
    for (more, expected) in [
        // A bare account name is none here.
        (bind("gateway"), "the gateway's own bind: invalidCredentials"),
        (external, "the gateway's own bind:"),
        // The bind is taken, and no search.
        ("bind = \"anonymous\"".to_owned(), "operationsError"),
    ] {
        let answer = alice(server, &more).await;
        assert!(answer.starts_with("unavailable") && answer.contains(expected), "{more}: {answer}");
    }
    std::fs::write(&secret, "not it\n").unwrap();
    let answer = alice(server, &bind("gateway@ad.example.test")).await;
    assert!(answer.contains("the gateway's own bind: invalidCredentials") && answer.contains("data 52e"), "{answer}");
}

async fn too_many_wrong_passwords(server: &Family) {
    server.step("13 too many wrong passwords");
    let bed = directory(server, "");
    let mut answers = Vec::new();
    for password in ["1", "2", "3", "4", "5", "6", "Lockable-pw-1"] {
        answers.push(bed.password("lockable", password).await);
    }
    assert_eq!(answers[..5], ["wrong password"; 5], "{answers:?}");
    assert_eq!(answers[5..], ["the directory has locked the account"; 2], "{answers:?}");
    assert_eq!(alice(server, "").await, "alice NotConfigured");
}

async fn hostile_values(server: &Family) {
    server.step("14 hostile values");
    let filter = "(&(objectCategory=person)(|(sAMAccountName={cn})(cn={cn})(altSecurityIdentities={cn}))(!(o={cn})))";
    let tables = queries(&format!("filter = {filter:?}\n"), "allowance = \"(|(!(cn=*))(sAMAccountName={u}))\"\n");
    let bed = server.directory(&format!("base = [\"OU={{d}},{BASE}\", \"OU=People,{BASE}\"]"), &tables);
    for value in hostile() {
        let shown = String::from_utf8_lossy(&value).chars().take(60).collect::<String>();
        let answer = bed.certificate(&[(Token::CommonName, &value)]).await;
        assert!(answer.starts_with("nobody"), "{shown:?}: {answer}");
        let Ok(user) = String::from_utf8(value) else { continue };
        for user in [user.clone(), format!("alice@{user}"), format!("{user}@example.test")] {
            let answer = bed.password(&user, "Alice-pw-1").await;
            let same = user.split('@').next() == Some("alice");
            assert!(answer == "unknown user" || (same && answer.starts_with("alice")), "{shown:?}: {answer}");
        }
    }
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice@ad.example.test", "Alice-pw-1").await, "alice Allowed");
}

async fn killed_and_back(server: &mut Family) {
    server.step("15 killed and back");
    let bed = directory(server, "cache = { positive = \"0s\", negative = \"0s\" }");
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice", "Alice-pw-1").await, "alice NotConfigured");
    server.kill();
    for answer in [bed.by_name(ALICE).await, bed.password("alice", "Alice-pw-1").await, bed.password("zoe", "x").await]
    {
        assert!(answer.starts_with("unavailable"), "{answer}");
    }
    server.run();
    bed.comes_back(ALICE, "alice").await;
    server.step("done");
}
