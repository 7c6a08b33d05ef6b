//! 389 Directory Server, of the family of Oracle's: one server, and what is asked of it step by step.

use postern_directory::{CertificateMatch, FindingState, Token, Tokens};

use crate::bed::{Family, SUFFIX};
use crate::hostile::hostile;

const ALICE: &str = "DOE.ALICE.Q.1234567890";
const BY_NAME: &str = "[certificate_query]\nfilter = \"(caccn={cn})\"\n";

#[tokio::test]
async fn as_389_answers() {
    let mut server = Family::start("389ds.sh");
    whose_certificate(&server).await;
    the_certificate_itself(&server).await;
    bases_and_references(&server).await;
    several_and_groups(&server).await;
    everybody_by_pages(&server).await;
    passwords_by_bind(&server).await;
    allowances(&server).await;
    a_misspelt_allowance(&server).await;
    passwords_by_attribute(&server).await;
    transport(&server).await;
    binds_of_the_gateway(&server).await;
    too_many_wrong_passwords(&server).await;
    hostile_values(&server).await;
    killed_and_back(&mut server).await;
}

async fn whose_certificate(server: &Family) {
    server.step("01 whose certificate");
    let bed = server.directory(
        "",
        "[certificate_query]\nfilter = \"(&(objectClass=inetOrgPerson)(caccn={cn})(cacserial={sn}))\"\n",
    );
    for (name, serial, expected) in [
        (ALICE, "4A5B6C", "alice"),
        // caseIgnoreMatch, as on OpenLDAP.
        ("  doe.alice.q.1234567890 ", "4a5b6c", "alice"),
        // The text form of serial numbers is the site's, and no form is taken for another.
        (ALICE, "4873068", "nobody"),
        ("ROE.BOB.1234567891", "7e:ad:be:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67", "bob"),
        ("ROE.BOB.1234567891", "7eadbeef0123456789abcdef01234567", "nobody"),
        ("O'NEIL, CAROL (ACME) *.1234567892", "1", "carol"),
        ("MÜLLER.DAVE.1234567893", "128", "dave"),
        ("müller.dave.1234567893", "128", "dave"),
        // Canonically the same, and no match: OpenLDAP normalises, 389 does not.
        ("MU\u{308}LLER.DAVE.1234567893", "128", "nobody"),
        ("MÜLLER.DAVE.1234567893", "80", "nobody"),
        ("TWIN.1234567897", "0E", "several"),
        ("NOBODY", "1", "nobody"),
        ("*", "*", "nobody"),
    ] {
        let values = [(Token::CommonName, name.as_bytes()), (Token::Serial, serial.as_bytes())];
        let answer = bed.certificate(&values).await;
        assert_eq!(answer.split(':').next().unwrap(), expected, "{name} {serial}: {answer}");
    }
    let mut tokens = Tokens::new();
    tokens.set(Token::CommonName, ALICE);
    let bed = server.directory("", &format!("{BY_NAME}log = [\"userCertificate\", \"employeeNumber\"]\n"));
    let CertificateMatch::One(person) = bed.0.certificate_query(|_| tokens).await else { panic!() };
    assert_eq!((person.user_id.as_str(), person.addresses.len()), ("alice", 2));
}

async fn the_certificate_itself(server: &Family) {
    server.step("02 the certificate itself");
    // Octets are compared, of any of a person's certificates: carol has erin's too.
    for filter in ["(userCertificate={cert})", "(userCertificate;binary={cert})"] {
        let bed = server.directory("", &format!("[certificate_query]\nfilter = {filter:?}\n"));
        for (file, expected) in [("alice.der", "alice"), ("carol.der", "carol"), ("erin.der", "carol")] {
            let der = std::fs::read(server.pki(file)).unwrap();
            assert_eq!(bed.certificate(&[(Token::Certificate, &der)]).await, expected, "{filter} {file}");
        }
        // All of them, though this server cuts texts off at a NUL: another signature is another certificate.
        let mut forged = std::fs::read(server.pki("alice.der")).unwrap();
        *forged.last_mut().unwrap() ^= 1;
        for der in [forged.as_slice(), &forged[..forged.len() - 1], b"\x30\x03*\x00)"] {
            let answer = bed.certificate(&[(Token::Certificate, der)]).await;
            assert!(answer.starts_with("nobody"), "{filter}: {answer}");
        }
    }
    // certificateExactMatch is not known here. By its name that is an error and no answer; by the attribute's own rule,
    // which compares octets, it is nobody.
    let exact = "{ serialNumber 4097, issuer rdnSequence:\"cn=Directory Test CA ca,ou=Directory,o=Test Org,c=XX\" }";
    for (filter, expected) in [
        ("(userCertificate={certificateExact})", "nobody"),
        ("(userCertificate:certificateExactMatch:={certificateExact})", "unavailable"),
    ] {
        let bed = server.directory("", &format!("[certificate_query]\nfilter = {filter:?}\n"));
        let answer = bed.certificate(&[(Token::CertificateExact, exact.as_bytes())]).await;
        assert_eq!(answer.split(':').next().unwrap(), expected, "{filter}: {answer}");
    }
}

async fn bases_and_references(server: &Family) {
    server.step("03 bases and references");
    let chain = format!("base = [\"ou={{o}},{SUFFIX}\", \"ou=people,{SUFFIX}\", \"ou=contractors,{SUFFIX}\"]");
    let bed = server.directory(&chain, BY_NAME);
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.by_name("IVAN.1234567898").await, "ivan");
    let ask = async |o: &str, name: &str| {
        bed.certificate(&[(Token::Organization, o.as_bytes()), (Token::CommonName, name.as_bytes())]).await
    };
    assert_eq!(ask("contractors", "IVAN.1234567898").await, "ivan");
    assert_eq!(ask("nowhere,x", ALICE).await, "alice");
    let lost = server.directory(&format!("base = \"ou=pepole,{SUFFIX}\""), BY_NAME);
    let answer = lost.by_name(ALICE).await;
    assert!(answer.starts_with("unavailable") && answer.contains("noSuchObject"), "{answer}");
    // A search from the root brings a reference to 127.0.0.1:1 with it.
    let all = server.directory(&format!("base = \"{SUFFIX}\""), BY_NAME);
    assert_eq!(all.by_name("IVAN.1234567898").await, "ivan");
    // A referral object as the base: here it is a reference like any other, and nobody. The check finds it.
    let away = server.directory(&format!("base = \"ou=elsewhere,{SUFFIX}\""), BY_NAME);
    let answer = away.by_name("IVAN.1234567898").await;
    assert!(answer.starts_with("nobody"), "{answer}");
    let findings = away.0.check_connection().await;
    assert!(findings.iter().any(|one| one.state == FindingState::Problem && one.text.contains("ou=elsewhere")));
}

async fn several_and_groups(server: &Family) {
    server.step("04 size limits, groups");
    let bed = server.directory("", "[certificate_query]\nfilter = \"(caccn={cn}*)\"\n");
    for name in ["BULK", "BULK.00000000", "TWIN"] {
        assert_eq!(bed.by_name(name).await, "several", "{name}");
    }
    assert_eq!(bed.by_name("BULK.0000000007").await, "bulk00007");
    let bed = server.directory(&format!("require = \"(memberOf=cn=mailers,ou=groups,{SUFFIX})\""), BY_NAME);
    assert_eq!(bed.by_name(ALICE).await, "alice");
    let answer = bed.by_name("ERIN.1234567894").await;
    assert!(answer.starts_with("nobody"), "{answer}");
    assert_eq!(bed.password("bob", "bob-pw").await, "bob NotConfigured");
    assert_eq!(bed.password("erin", "erin-pw").await, "unknown user");
}

async fn everybody_by_pages(server: &Family) {
    server.step("05 everybody by pages");
    let people = server.directory("", BY_NAME).everybody().await;
    // More than the 120 that the server gives at once; pages must be smaller than that, not as large.
    assert!(people.len() > 120, "{}", people.len());
    let of = |uid: &str| people.iter().find(|one| one.dn.starts_with(&format!("uid={uid},"))).unwrap();
    assert_eq!(of("alice").certificates, [std::fs::read(server.pki("alice.der")).unwrap()]);
    assert_eq!((of("carol").certificates.len(), of("grace").certificates.len()), (2, 0));
}

/// Lines of the server's own account of what it was asked.
fn logged(server: &Family, text: &str) -> usize {
    let log = std::fs::read(server.path("log/access")).unwrap();
    String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count()
}

async fn passwords_by_bind(server: &Family) {
    server.step("06 passwords by bind");
    let bed = server.directory("", "");
    for (user, password, expected) in [
        ("alice", "alice-pw", "alice NotConfigured"),
        ("ALICE", "alice-pw", "alice NotConfigured"),
        ("alice@example.mil", "alice-pw", "alice NotConfigured"),
        ("bob", "bob-pw", "bob NotConfigured"),
        ("carol", "carol-pw", "carol NotConfigured"),
        // Names that come back escaped in the server's own way.
        ("weird", "weird-pw", "weird NotConfigured"),
        ("juergen", "Grüße-pw", "juergen NotConfigured"),
        ("juergen", "Grusse-pw", "wrong password"),
        ("alice", "Alice-pw", "wrong password"),
        ("alice", "", "empty password"),
        ("zoe", "", "empty password"),
        ("zoe", "zoe-pw", "unknown user"),
        // Versions before 2.0 tell that there is none.
        ("nopw", "x", "wrong password"),
        // Locked by an administrator: whatever the password.
        ("disabled", "disabled-pw", "disabled"),
        ("disabled", "x", "disabled"),
        ("expired", "expired-pw", "the password has expired"),
        ("expired", "x", "wrong password"),
        ("mustchange", "mustchange-pw", "the password must be changed first"),
        ("mustchange", "x", "wrong password"),
        ("ivan", "ivan-pw", "unknown user"),
    ] {
        assert_eq!(bed.password(user, password).await, expected, "{user:?} {password:?}");
    }
    // No bind without a name ever left.
    assert_eq!(logged(server, "BIND dn=\"\" method=128"), 0);
    assert!(logged(server, "BIND dn=\"uid=alice,") >= 4);
}

async fn allowances(server: &Family) {
    server.step("07 allowances");
    let bed = server.directory(
        "",
        "[smtp_auth_query]\nallowance = \"(&(uid={u})(|(!(caccn=*))(cacexempt=*)(cacemergency>={t})))\"\n",
    );
    for (user, allowed) in [
        ("alice", false),
        ("bob", false),
        ("carol", false),
        ("dave", true),
        ("erin", true),
        ("frank", false),
        ("grace", true),
        // It ended half an hour ago, at 23:30Z; but times are compared as text here, and "202611240130+0200" is greater.
        ("heidi", true),
    ] {
        let expected = format!("{user} {}", if allowed { "Allowed" } else { "NotAllowed" });
        assert_eq!(bed.password(user, &format!("{user}-pw")).await, expected);
        assert_eq!(bed.presume(user).await, expected);
    }
    assert_eq!(bed.password("alice", "wrong").await, "wrong password");
}

async fn a_misspelt_allowance(server: &Family) {
    server.step("08 a misspelt allowance");
    let misspelt = "[smtp_auth_query]\nallowance = \"(|(!(cacnn=*))(cacexempt=*))\"\n";
    let bed = server.directory("", misspelt);
    let answer = bed.password("alice", "alice-pw").await;
    assert!(answer.starts_with("unavailable") && answer.contains("\"cacnn\" of smtp_auth_query.allowance"), "{answer}");
    let findings = bed.0.check_connection().await;
    let problems: Vec<_> = findings.iter().filter(|one| one.state == FindingState::Problem).collect();
    assert!(problems.len() == 1 && problems[0].text.contains("cacnn"), "{findings:?}");
    // This is what it guards against: what nobody has is true for everybody, and alice, who has a card, is let in.
    let warned = server.directory("unknown_attributes = \"warn\"", misspelt);
    assert_eq!(warned.password("alice", "alice-pw").await, "alice Allowed");
    let well = server.directory("", "[certificate_query]\nfilter = \"(|(2.5.4.3={cn})(commonName={cn}))\"\n");
    assert_eq!(well.by_name("Alice Doe").await, "alice");
    let findings = well.0.check_connection().await;
    assert!(findings.len() == 3 && findings.iter().all(|one| one.state == FindingState::Fine), "{findings:?}");
}

/// As this server's own `pwdhash` hashes them.
async fn passwords_by_attribute(server: &Family) {
    server.step("09 passwords by attribute");
    let bed = server.directory("", "[smtp_auth_query]\nmethod = { password_attribute = \"userPassword\" }\n");
    let binds = logged(server, "BIND dn=\"uid=");
    let schemes = [
        "sha",
        "ssha",
        "ssha256",
        "ssha384",
        "ssha512",
        "pbkdf2_sha256",
        "pbkdf2-sha1",
        "pbkdf2-sha256",
        "pbkdf2-sha512",
        "crypt-sha256",
        "crypt-sha512",
        "clear",
    ];
    for scheme in schemes {
        assert_eq!(bed.password(scheme, &format!("{scheme}-pw")).await, format!("{scheme} NotConfigured"));
        assert_eq!(bed.password(scheme, &format!("{scheme}-PW")).await, "wrong password", "{scheme}");
    }
    for (user, password, expected) in [
        // crypt(3) of the last century.
        ("crypt", "crypt-pw", "the person has no password"),
        ("nopw", "x", "the person has no password"),
        ("alice", "", "empty password"),
        ("zoe", "x", "unknown user"),
        ("disabled", "disabled-pw", "disabled"),
    ] {
        assert_eq!(bed.password(user, password).await, expected, "{user:?} {password:?}");
    }
    assert_eq!(logged(server, "BIND dn=\"uid="), binds);
}

async fn alice(server: &Family, more: &str) -> String {
    server.directory(more, "").password("alice", "alice-pw").await
}

async fn transport(server: &Family) {
    server.step("10 transport");
    let plain = format!("servers = [{:?}]", server.info("URL"));
    assert_eq!(alice(server, &format!("{plain}\nstarttls = true")).await, "alice NotConfigured");
    let stranger = format!("ca = {:?}", server.pki("stranger.pem"));
    for (more, expected) in [
        (plain.clone(), "confidentialityRequired"),
        (stranger.clone(), "UnknownIssuer"),
        (format!("{plain}\nstarttls = true\n{stranger}"), "UnknownIssuer"),
        (plain.replace("ldap://", "ldaps://"), "TLS"),
    ] {
        let answer = alice(server, &more).await;
        assert!(answer.starts_with("unavailable") && answer.contains(expected), "{more}: {answer}");
    }
}

async fn binds_of_the_gateway(server: &Family) {
    server.step("11 binds of the gateway");
    let own = format!(
        "bind = \"external\"\nclient_certificate = {{ certificate = {:?}, key = {:?} }}",
        server.pki("gateway.pem"),
        server.pki("gateway.key")
    );
    assert_eq!(alice(server, &own).await, "alice NotConfigured");
    let plain = format!("servers = [{:?}]", server.info("URL"));
    assert_eq!(alice(server, &format!("{plain}\nstarttls = true\n{own}")).await, "alice NotConfigured");
    assert!(logged(server, "mech=EXTERNAL") >= 2);
    let others = own.replace("gateway.pem", "alice.pem").replace("gateway.key", "alice.key");
    let wrong = server.beside("wrong");
    std::fs::write(&wrong, "not it\n").unwrap();
    let wrong = format!("bind = \"simple\"\nbind_dn = {:?}\nbind_password_file = {wrong:?}", server.info("BIND_DN"));
    for (more, expected) in [
        (others.as_str(), ""),
        ("bind = \"anonymous\"", "inappropriateAuthentication"),
        (wrong.as_str(), "the gateway's own bind: invalidCredentials"),
    ] {
        let answer = alice(server, more).await;
        assert!(answer.starts_with("unavailable") && answer.contains(expected), "{more}: {answer}");
    }
}

async fn too_many_wrong_passwords(server: &Family) {
    server.step("12 too many wrong passwords");
    let bed = server.directory("", "");
    let mut answers = Vec::new();
    for password in ["1", "2", "3", "4", "5", "6", "lockable-pw"] {
        answers.push(bed.password("lockable", password).await);
    }
    assert_eq!(answers[..4], ["wrong password"; 4], "{answers:?}");
    assert_eq!(answers[5..], ["the directory has locked the account"; 2], "{answers:?}");
    assert_eq!(alice(server, "").await, "alice NotConfigured");
}

async fn hostile_values(server: &Family) {
    server.step("13 hostile values");
    let filter = "(&(objectClass=inetOrgPerson)(|(caccn={cn})(uid={cn})(cn={cn}))(!(o={cn})))";
    let tables = format!(
        "[certificate_query]\nfilter = {filter:?}\n[smtp_auth_query]\nfilter = \"(|(uid={{u}})(mail={{a}}))\"\n\
         allowance = \"(|(!(caccn=*))(uid={{u}}))\"\n"
    );
    let bed = server.directory(&format!("base = [\"ou={{d}},{SUFFIX}\", \"ou=people,{SUFFIX}\"]"), &tables);
    for value in hostile() {
        let shown = String::from_utf8_lossy(&value).chars().take(60).collect::<String>();
        let answer = bed.certificate(&[(Token::CommonName, &value)]).await;
        assert!(answer.starts_with("nobody"), "{shown:?}: {answer}");
        let Ok(user) = String::from_utf8(value) else { continue };
        for user in [user.clone(), format!("alice@{user}"), format!("{user}@example.test")] {
            let answer = bed.password(&user, "alice-pw").await;
            let same = user.split('@').next() == Some("alice");
            assert!(answer == "unknown user" || (same && answer.starts_with("alice")), "{shown:?}: {answer}");
        }
    }
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice@example.test", "alice-pw").await, "alice Allowed");
}

async fn killed_and_back(server: &mut Family) {
    server.step("14 killed and back");
    let bed = server.directory("", &format!("cache = {{ positive = \"0s\", negative = \"0s\" }}\n{BY_NAME}"));
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    server.kill();
    for answer in [bed.by_name(ALICE).await, bed.password("alice", "alice-pw").await, bed.password("zoe", "x").await] {
        assert!(answer.starts_with("unavailable"), "{answer}");
    }
    server.run();
    bed.comes_back(ALICE, "alice").await;
    server.step("done");
}
