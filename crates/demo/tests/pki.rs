//! What OpenSSL says of the certificates and CRLs made here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use postern_demo::der::{self, Oid};
use postern_demo::{AltName, Ca, Key, KeyKind, Name, Pki, Revoked, Template};

/// Runs openssl in a folder; all it prints, and whether it was content.
fn openssl(dir: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new("openssl").current_dir(dir).args(arguments.split_whitespace()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn openssl_judges_each_card_as_its_name_says() {
    let dir = tempfile::tempdir().unwrap();
    Pki::create(dir.path()).unwrap();
    for (card, word) in [
        ("alice", "OK"),
        ("bob", "OK"),
        ("expired", "certificate has expired"),
        ("revoked", "certificate revoked"),
        ("stranger", "unable to get local issuer certificate"),
    ] {
        let verify = "verify -x509_strict -CAfile ca.pem -CRLfile crl.pem -crl_check_all -purpose sslclient";
        let (good, text) = openssl(dir.path(), &format!("{verify} -untrusted {card}.pem {card}.pem"));
        assert!(text.contains(word), "{card}: {text}");
        assert_eq!(good, word == "OK", "{card}: {text}");
    }
    let (good, text) = openssl(
        dir.path(),
        "verify -x509_strict -CAfile ca.pem -CRLfile crl.pem -crl_check_all -purpose sslserver \
         -verify_hostname localhost -verify_ip 127.0.0.1 -untrusted server.pem server.pem",
    );
    assert!(good, "{text}");
    // Were it not for the time, the former card would be in order.
    let when = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 500 * 24 * 60 * 60;
    let (good, text) =
        openssl(dir.path(), &format!("verify -attime {when} -CAfile ca.pem -untrusted expired.pem expired.pem"));
    assert!(good, "{text}");
}

#[test]
fn a_card_looks_like_a_cac() {
    let dir = tempfile::tempdir().unwrap();
    Pki::create(dir.path()).unwrap();
    let (_, text) = openssl(dir.path(), "x509 -in alice.pem -noout -text -nameopt RFC2253");
    for line in [
        "Subject: CN=DOE.ALICE.A.1234567890,OU=USAF,OU=PKI,OU=DoD,O=U.S. Government,C=US",
        "Issuer: CN=Postern Demo ID CA-1,OU=PKI,OU=DoD,O=U.S. Government,C=US",
        "email:alice@example.mil, othername: UPN::1234567890@mil",
        "TLS Web Client Authentication, Microsoft Smartcard Login",
        "Policy: 2.16.840.1.101.2.1.11.42",
        "Digital Signature",
        "CA:FALSE",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let (_, serial) = openssl(dir.path(), "x509 -in alice.pem -noout -serial");
    assert_eq!(serial.trim().len(), "serial=".len() + 32, "{serial}");

    let (_, text) = openssl(dir.path(), "crl -in crl.pem -noout -text");
    assert!(text.contains("Key Compromise"), "{text}");
    let (_, revoked) = openssl(dir.path(), "x509 -in revoked.pem -noout -serial");
    assert!(text.contains(revoked.trim().trim_start_matches("serial=")), "{text}");
}

#[test]
fn every_kind_of_key_signs_and_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = |file: &str| dir.path().join(file);
    for (kind, word) in [
        (KeyKind::EcdsaP256, "256 bit"),
        (KeyKind::EcdsaP384, "384 bit"),
        (KeyKind::EcdsaP521, "521 bit"),
        (KeyKind::Ed25519, "ED25519"),
        (KeyKind::Rsa2048, "2048 bit"),
        (KeyKind::Rsa3072, "3072 bit"),
    ] {
        // The CA's key signs the certificate and the CRL, the client's has to be readable as PKCS #8.
        let ca =
            Ca::root(&Template { key: kind, ..Template::authority(Name::dod().common_name("Root"), None) }).unwrap();
        let client = ca.issue(&Template::cac("DOE.J.1234567890", "j@example.mil").key(kind)).unwrap();
        let now = SystemTime::now();
        let crl = ca.crl(&[], now, now + std::time::Duration::from_secs(3600)).unwrap();
        fs::write(path("ca.pem"), ca.certificate_pem()).unwrap();
        fs::write(path("crl.pem"), postern_demo::ca::crl_pem(&crl)).unwrap();
        fs::write(path("client.pem"), client.chain_pem()).unwrap();
        fs::write(path("client.key"), client.key.private_pem()).unwrap();
        let verify = "verify -x509_strict -CAfile ca.pem -CRLfile crl.pem -crl_check client.pem";
        assert_eq!(openssl(dir.path(), verify), (true, "client.pem: OK\n".into()), "{kind:?}");
        let (_, public) = openssl(dir.path(), "x509 -in client.pem -noout -pubkey");
        assert_eq!(openssl(dir.path(), "pkey -in client.key -pubout"), (true, public), "{kind:?}");
        let (_, text) = openssl(dir.path(), "pkey -in client.key -noout -text");
        assert!(text.contains(word), "{kind:?}: {text}");
    }
}

#[test]
fn odd_certificates_can_be_made() {
    const UNKNOWN: Oid = &[2, 999, 1];
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("Odd CA").unwrap();
    let mut template = Template::client(Name::dod().common_name("One").common_name("Two"));
    template.names = vec![
        AltName::Uri("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into()),
        AltName::Other(&[2, 16, 840, 1, 101, 3, 6, 6], der::octets(b"FASC-N")),
    ];
    template.extensions.push(postern_demo::certificate::Extension::critical(UNKNOWN, der::null()));
    template.serial = Some(vec![0, 0x80]);
    fs::write(dir.path().join("odd.pem"), ca.issue(&template).unwrap().chain_pem()).unwrap();
    let (_, text) = openssl(dir.path(), "x509 -in odd.pem -noout -text -nameopt RFC2253");
    for line in ["CN=Two,CN=One,", "URI:urn:uuid:f81d4fae", "2.999.1: critical", "Serial Number: 128 (0x80)"] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }

    template.version1 = true;
    fs::write(dir.path().join("v1.pem"), ca.issue(&template).unwrap().chain_pem()).unwrap();
    let (_, text) = openssl(dir.path(), "x509 -in v1.pem -noout -text");
    assert!(text.contains("Version: 1 (0x0)") && !text.contains("X509v3"), "{text}");
}

#[test]
fn an_empty_crl_and_one_with_entries() {
    let ca = Ca::new("CRL CA").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let next = now + std::time::Duration::from_secs(60);
    for (entries, word) in [
        (vec![], "No Revoked Certificates"),
        (vec![Revoked::now(&[1], None), Revoked::now(&[0xff, 2], Some(6))], "Certificate Hold"),
    ] {
        fs::write(dir.path().join("crl.pem"), postern_demo::ca::crl_pem(&ca.crl(&entries, now, next).unwrap()))
            .unwrap();
        let (good, text) = openssl(dir.path(), "crl -in crl.pem -noout -text");
        assert!(good && text.contains(word), "{text}");
    }
}

#[test]
fn the_folder_is_reused_until_it_is_broken_or_old() {
    let dir = tempfile::tempdir().unwrap();
    let serial = || openssl(dir.path(), "x509 -in alice.pem -noout -serial").1;
    let pki = Pki::open(dir.path()).unwrap();
    let first = serial();
    Pki::open(dir.path()).unwrap();
    assert_eq!(serial(), first);

    fs::remove_file(pki.path("bob.key")).unwrap();
    Pki::open(dir.path()).unwrap();
    let second = serial();
    assert_ne!(second, first, "a folder with a missing file was reused");

    fs::write(pki.path("renew-after"), "2020-01-01T00:00:00Z\n").unwrap();
    Pki::open(dir.path()).unwrap();
    assert_ne!(serial(), second, "an old folder was reused");
}

#[test]
fn keys_are_private_and_stay_out_of_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    // An old file with a wide mode must not lend its mode to the key.
    fs::write(dir.path().join("alice.key"), "").unwrap();
    let pki = Pki::create(dir.path()).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "key") {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
        }
    }
    let identity = pki.identity("alice").unwrap();
    assert_eq!(identity.chain.len(), 2);
    assert_eq!(format!("{:?}", Key::generate(KeyKind::Ed25519).unwrap()), "Key { .. }");
}
