//! CA certificates that are fetched because a certificate names where they are.

use std::sync::Arc;
use std::time::Duration;

use postern_pki::{
    Certificate, CrlStore, FetchSettings, Fetcher, IssuerStore, Knowledge, OcspSettings, OcspStore, PathError, Time,
    Verifier,
};

use crate::common::{CA, CLIENT, Pki, openssl_is_there, wait};
use crate::peers::{Peer, is_there, requests};

fn verifier(pki: &Pki, allowed: &str, fetch_issuers: bool) -> Verifier {
    let trust = pki.trust_by("root", |settings| settings.fetch_issuers = fetch_issuers);
    let settings: FetchSettings = toml::from_str(&format!("allowed_hosts = [{allowed}]\ntimeout = '2s'")).unwrap();
    let fetcher = Fetcher::new(&settings).unwrap();
    let ocsp = OcspStore::new(&OcspSettings::default(), fetcher.clone());
    let knowledge = Knowledge::new(CrlStore::empty(), ocsp, IssuerStore::new(fetcher));
    Verifier::new(Arc::new(trust), knowledge, Duration::from_secs(5))
}

/// A CA or client whose issuer can be found at `at`.
fn pointing(pki: &Pki, name: &str, issuer: &str, extensions: &str, at: &str) -> Certificate {
    pki.key(name, "P-256");
    let extensions = format!("{extensions}\nauthorityInfoAccess=caIssuers;URI:{at}");
    pki.certify(name, issuer, &format!("/CN={name}"), Some(&extensions), &["-set_serial", "5"])
}

#[test]
fn a_chain_is_completed_link_by_link() {
    if !openssl_is_there() || !is_there("python3", &["--version"]) {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.root("other");
    let www = tempfile::tempdir().unwrap();
    let web = Peer::web(www.path(), None);
    let high = pointing(&pki, "high", "root", CA, &web.http("plain/root.cer"));
    let middle = pointing(&pki, "middle", "high", CA, &web.http("plain/high.cer"));
    pointing(&pki, "low", "middle", CA, &web.http("plain/middle.p7c"));
    let client = pointing(&pki, "client", "low", CLIENT, &web.http("hops/2/low.pem"));
    std::fs::write(www.path().join("high.cer"), high.der()).unwrap();
    std::fs::copy(pki.path("low.pem"), www.path().join("low.pem")).unwrap();
    let bundle = ["-certfile", "other.pem", "-certfile", "middle.pem", "-outform", "DER", "-out", "middle.p7c"];
    pki.openssl(&[&["crl2pkcs7", "-nocrl"][..], &bundle[..]].concat());
    std::fs::copy(pki.path("middle.p7c"), www.path().join("middle.p7c")).unwrap();
    assert_eq!(middle.serial().hex(), "05");

    for (allowed, fetch_issuers) in [("'127.0.0.1'", false), ("'ca.example.mil'", true), ("", true)] {
        let verdict = wait(verifier(&pki, allowed, fetch_issuers).verify(&[&client], Time::now()));
        assert!(matches!(verdict.path, Err(PathError::UnknownIssuer { .. })), "{verdict:?}");
    }
    assert!(requests(www.path()).is_empty(), "nobody was asked who may not be");

    let verifier = verifier(&pki, "'127.0.0.1'", true);
    let verdict = wait(verifier.verify(&[&client], Time::now()));
    let path = verdict.path.as_ref().unwrap_or_else(|error| panic!("{error}: {:#?}", verdict.steps));
    assert_eq!(path.certificates.len(), 4);
    let asked = requests(www.path()).len();
    let again = wait(verifier.verify(&[&client], Time::now()));
    assert!(Arc::ptr_eq(&verdict, &again), "from the cache");
    assert_eq!(requests(www.path()).len(), asked);
}

#[test]
fn what_is_no_certificate_leaves_the_issuer_unknown_and_is_not_asked_for_again_at_once() {
    if !openssl_is_there() || !is_there("python3", &["--version"]) {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.root("stranger");
    let www = tempfile::tempdir().unwrap();
    let web = Peer::web(www.path(), None);
    pointing(&pki, "low", "root", CA, &web.http("404/"));
    // The right name and another key.
    pki.key("twin", "P-256");
    pki.certify("twin", "root", "/CN=low", Some(CA), &[]);
    std::fs::copy(pki.path("twin.pem"), www.path().join("twin.cer")).unwrap();
    std::fs::write(www.path().join("text"), "not here").unwrap();
    std::fs::write(www.path().join("lying"), [0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x30]).unwrap();
    std::fs::write(www.path().join("large"), vec![b'x'; 2_000_000]).unwrap();
    for path in ["404/", "plain/text", "plain/lying", "plain/large", "plain/twin.cer", "truncated/twin.cer", "silent/"]
    {
        let client = pointing(&pki, "client", "low", CLIENT, &web.http(path));
        let verifier = verifier(&pki, "'127.0.0.1'", true);
        let before = requests(www.path()).len();
        for _ in 0..2 {
            let verdict = wait(verifier.verify(&[&client], Time::now()));
            let refused = matches!(verdict.path, Err(PathError::UnknownIssuer { .. } | PathError::BadSignature { .. }));
            assert!(refused, "{path}: {verdict:?}");
        }
        assert_eq!(requests(www.path()).len(), before + 1, "{path}");
    }
}
