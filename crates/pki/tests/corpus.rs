//! Replays the saved corpus of the fuzz targets of certificates, lists and OCSP responses through the targets' own bodies, as it is
//! and damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/bodies/certificate_fields.rs"]
mod certificate_fields;
#[path = "../../../fuzz/bodies/crl.rs"]
mod crl;
#[path = "../../../fuzz/bodies/ocsp_response.rs"]
mod ocsp_response;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{} holds no corpus", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn certificates_as_saved() {
    corpus("certificate_fields").iter().for_each(|octets| certificate_fields::run(octets));
}

#[test]
fn lists_as_saved() {
    corpus("crl").iter().for_each(|octets| crl::run(octets));
}

#[test]
fn ocsp_responses_as_saved() {
    corpus("ocsp_response").iter().for_each(|octets| ocsp_response::run(octets));
}

/// The same answers an hour around: each is of its time, whoever signed it.
#[test]
fn what_the_saved_responses_say() {
    use postern_pki::{BadOcspAnswer, Certificate, OcspStatus, Time, check_ocsp_response};

    let fixture =
        |path: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(path)).unwrap();
    let certificate = Certificate::from_der(&fixture("bodies/ocsp_certificate.der")).unwrap();
    let issuer = Certificate::from_der(&fixture("bodies/ocsp_issuer.der")).unwrap();
    let say = |file: &str, certificate: &Certificate, issuer: &Certificate, at: &str| {
        let at = Time::from_rfc3339(at).unwrap();
        check_ocsp_response(&fixture(&format!("corpus/ocsp_response/{file}")), certificate, issuer, at)
    };
    // From thisUpdate less the skew, until nextUpdate (five minutes later) and the skew.
    let rows = [
        ("good", "2026-11-24T09:52:30Z", "future"),
        ("good", "2026-11-24T09:52:40Z", "good"),
        ("good", "2026-11-24T10:07:30Z", "good"),
        ("good", "2026-11-24T10:07:39Z", "old"),
        ("good-delegated", "2026-11-24T09:58:00Z", "good"),
        ("good-with-nonce", "2026-11-24T09:58:00Z", "good"),
        // Without nextUpdate: for an hour.
        ("good-by-key", "2026-11-24T11:02:30Z", "good"),
        ("good-by-key", "2026-11-24T11:03:00Z", "old"),
        ("other-hash", "2026-11-24T10:00:00Z", "good"),
        ("other-serial", "2026-11-24T09:58:00Z", "foreign"),
        ("revoked", "2026-11-24T09:58:00Z", "revoked"),
        ("unknown", "2026-11-24T09:58:00Z", "unknown"),
        ("try-later", "2026-11-24T09:58:00Z", "tryLater"),
    ];
    for (file, at, expected) in rows {
        let said = match say(file, &certificate, &issuer, at) {
            Ok(OcspStatus::Good) => "good",
            Ok(OcspStatus::Revoked { reason: 1, at }) if at.to_string() == "2024-01-02T03:04:05Z" => "revoked",
            Err(BadOcspAnswer::Future(_)) => "future",
            Err(BadOcspAnswer::Old(_)) => "old",
            Err(BadOcspAnswer::Foreign) => "foreign",
            Err(BadOcspAnswer::Unknown) => "unknown",
            Err(BadOcspAnswer::Status(status)) => status,
            other => panic!("{file} at {at}: {other:?}"),
        };
        assert_eq!(said, expected, "{file} at {at}");
    }
    let at = "2026-11-24T09:58:00Z";
    assert_eq!(say("good", &issuer, &issuer, at), Err(BadOcspAnswer::Foreign));
    assert_eq!(say("good", &certificate, &certificate, at), Err(BadOcspAnswer::Foreign));
}

/// One of the corpus, cut short or with some octets changed.
fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = proptest::collection::vec(change, 0..4);
    (prop::sample::select(corpus(target)), changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut octets, changes, end, cut)| {
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            if cut {
                octets.truncate(end.index(octets.len()));
            }
            octets
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_certificates(octets in damaged("certificate_fields")) {
        certificate_fields::run(&octets);
    }

    #[test]
    fn damaged_ocsp_responses(octets in damaged("ocsp_response")) {
        ocsp_response::run(&octets);
    }

    #[test]
    fn damaged_lists(octets in damaged("crl")) {
        crl::run(&octets);
    }
}
