//! A misspelt attribute must not let everybody in.

use postern_directory::FindingState;

use crate::bed::{SUFFIX, Slant, Slapd};

const MISSPELT: &str = "[smtp_auth_query]\nallowance = \"(|(!(cacnn=*))(cacexempt=*))\"\n";

#[tokio::test]
async fn a_server_without_the_attribute_is_not_asked() {
    let slapd = Slapd::start();
    let bed = slapd.directory("", MISSPELT);
    let answer = bed.password("alice", "alice-pw").await;
    assert!(answer.starts_with("unavailable") && answer.contains("\"cacnn\" of smtp_auth_query.allowance"), "{answer}");
    let findings = bed.0.check_connection().await;
    let problems: Vec<_> = findings.iter().filter(|one| one.state == FindingState::Problem).collect();
    assert!(problems.len() == 1 && problems[0].text.contains("cacnn"), "{findings:?}");

    let warned = slapd.directory("unknown_attributes = \"warn\"", MISSPELT);
    // Undefined on OpenLDAP: nobody without an exemption is let in. 389 and Active Directory let everybody in.
    assert_eq!(warned.password("alice", "alice-pw").await, "alice NotAllowed");
    let findings = warned.0.check_connection().await;
    assert!(findings.iter().any(|one| one.state == FindingState::Warning && one.text.contains("cacnn")));
    assert!(warned.0.notes().iter().any(|note| note.contains("true for everybody")));

    // Names, OIDs and options as servers know them.
    let well = slapd.directory(
        "",
        "[certificate_query]\nfilter = \"(|(2.5.4.3={cn})(commonName={cn})(userCertificate;binary=x))\"\naddresses = \"MAIL\"\n",
    );
    assert_eq!(well.by_name("Alice Doe").await, "alice");
    let findings = well.0.check_connection().await;
    assert!(findings.iter().all(|one| one.state == FindingState::Fine), "{findings:?}");
    assert_eq!(findings.len(), 3);
}

#[tokio::test]
async fn a_check_tells_of_each_server_what_is_wrong() {
    let slapd = Slapd::start();
    let dead = "ldaps://127.0.0.1:1";
    let bed = slapd.asked_at(&[dead, &slapd.url()], &format!("base = \"ou=pepole,{SUFFIX}\""), "");
    let told: Vec<String> = bed.0.check_connection().await.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("ldaps://127.0.0.1:1: Connection refused"), "{told:?}");
    assert!(told[1].contains("takes the gateway's bind"), "{told:?}");
    assert!(told[3].contains("\"ou=pepole,dc=example,dc=test\": noSuchObject (32)"), "{told:?}");
}

#[tokio::test]
async fn a_schema_that_is_not_shown_is_no_excuse() {
    // The database's rules do not cover cn=Subschema; the frontend's do.
    let slapd = Slapd::slanted(Slant {
        environment: &[("FRONTEND_ACCESS", "olcAccess: {0}to dn.base=\"cn=Subschema\" by * none\n")],
    });
    let answer = slapd.directory("", "").password("alice", "alice-pw").await;
    assert!(answer.starts_with("unavailable") && answer.contains("its schema can't be read"), "{answer}");
    let warned = slapd.directory("unknown_attributes = \"warn\"", "");
    assert_eq!(warned.password("alice", "alice-pw").await, "alice NotConfigured");
}

#[tokio::test]
async fn a_replica_without_the_schema_is_passed_over() {
    let slapd = Slapd::start();
    let bare = Slapd::slanted(Slant { environment: &[("NO_CAC_SCHEMA", "1")] });
    // Each bed has its own authority: both are trusted.
    let both = slapd.path("both.pem");
    let pems = [slapd.pki("ca.pem"), bare.pki("ca.pem")].map(|file| std::fs::read(file).unwrap());
    std::fs::write(&both, pems.concat()).unwrap();
    let query = "[certificate_query]\nfilter = \"(caccn={cn})\"\n";
    let bed = slapd.asked_at(&[&bare.url(), &slapd.url()], &format!("ca = {both:?}"), query);
    assert_eq!(bed.by_name("DOE.ALICE.Q.1234567890").await, "alice");
    let health = bed.0.health();
    assert!(health[0].down.as_ref().unwrap().why.contains("\"caccn\" of certificate_query.filter"), "{health:?}");
    assert!(health[1].down.is_none() && health[1].connections == 1, "{health:?}");
}
