//! Certificates as tokens, tokens as queries, queries as people: of real certificates against the servers that hold them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

extern crate directory as postern_directory;

#[allow(dead_code, reason = "the directory's own tests use all of it")]
#[path = "../../directory/tests/servers/bed.rs"]
mod bed;

use bed::Family;
use directory::CertificateMatch;
use pki::{Certificate, Time};
use postern_auth::certificate_tokens;

/// Whom `filter` makes of each certificate, in a word.
async fn whose(server: &Family, user_id: &str, filter: &str, files: [&str; 5]) -> Vec<String> {
    let bed = server.directory("", &format!("[certificate_query]\nfilter = {filter:?}\nuser_id = {user_id:?}\n"));
    let mut people = Vec::new();
    for file in files {
        let certificate = Certificate::from_der(&std::fs::read(server.pki(&format!("{file}.der"))).unwrap()).unwrap();
        let answer = bed.0.certificate_query(|wanted| certificate_tokens(&certificate, Time::now(), wanted)).await;
        people.push(match answer {
            CertificateMatch::One(person) => person.user_id,
            CertificateMatch::Nobody { .. } => "-".to_owned(),
            CertificateMatch::Several => "several".to_owned(),
            CertificateMatch::Unavailable(why) => why,
        });
    }
    people
}

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

#[tokio::test]
async fn of_active_directory() {
    let server = Family::start("samba.sh");
    // Each person was entered with another kind of mapping; two have that of erin's key.
    for (filter, expected) in [
        ("(altSecurityIdentities={altsecid:issuer-serial})", ["alice", "-", "-", "-", "-"]),
        ("(altSecurityIdentities={altsecid:ski})", ["-", "bob", "-", "-", "several"]),
        ("(altSecurityIdentities={altsecid:sha1-pukey})", ["-", "-", "carol", "-", "-"]),
        ("(altSecurityIdentities={altsecid:rfc822})", ["-", "-", "-", "dave", "erin"]),
        (
            "(|(altSecurityIdentities={altsecid:issuer-serial})(altSecurityIdentities={altsecid:ski})\
             (altSecurityIdentities={altsecid:sha1-pukey}))",
            ["alice", "bob", "carol", "-", "several"],
        ),
        // carol has erin's certificate beside her own.
        ("(userCertificate={cert})", ["alice", "bob", "carol", "-", "carol"]),
        ("(&(cn={cn})(serialNumber={sn:HEX}))", ["alice", "-", "-", "-", "-"]),
        ("(&(cn={cn})(serialNumber={sn:hex-colon}))", ["-", "bob", "-", "-", "-"]),
        ("(&(cn={cn})(serialNumber={sn}))", ["-", "-", "carol", "dave", "-"]),
        ("(mail={email})", PEOPLE),
    ] {
        assert_eq!(whose(&server, "sAMAccountName", filter, PEOPLE).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn of_389() {
    let server = Family::start("389ds.sh");
    for (filter, expected) in [
        ("(userCertificate;binary={cert})", ["alice", "bob", "carol", "dave", "carol"]),
        ("(&(caccn={cn})(cacserial={sn:HEX}))", ["alice", "-", "-", "-", "erin"]),
        ("(&(caccn={cn})(cacserial={sn:hex}))", ["alice", "-", "-", "-", "erin"]),
        ("(&(caccn={cn})(cacserial={sn:hex-colon}))", ["-", "bob", "-", "-", "-"]),
        ("(&(caccn={cn})(cacserial={sn}))", ["-", "-", "carol", "dave", "-"]),
        ("(caccn={cn})", PEOPLE),
        // No rule for it: nobody, and nobody wrong.
        ("(userCertificate={certificateExact})", ["-"; 5]),
    ] {
        assert_eq!(whose(&server, "uid", filter, PEOPLE).await, expected, "{filter}");
    }
}
