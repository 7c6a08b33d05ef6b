//! Signatures of the TLS handshake, made by openssl, over the public key alone.

use crate::common::{Pki, openssl_is_there};
use postern_pki::TlsVersion::{Tls12, Tls13};
use postern_pki::{SignatureError, verify_possession};

const MESSAGE: &[u8] = b"what a handshake signs";

struct Key {
    spki: Vec<u8>,
    signature: Vec<u8>,
}

/// A key, and its signature over the message.
fn key(pki: &Pki, kind: &str, sign: &[&str]) -> Key {
    pki.key("k", kind);
    pki.openssl(&["pkey", "-in", "k.key", "-pubout", "-outform", "DER", "-out", "k.spki"]);
    std::fs::write(pki.path("message"), MESSAGE).unwrap();
    let fixed = ["pkeyutl", "-sign", "-inkey", "k.key", "-rawin", "-in", "message", "-out", "signature"];
    pki.openssl(&[&fixed[..], sign].concat());
    let read = |name: &str| std::fs::read(pki.path(name)).unwrap();
    Key { spki: read("k.spki"), signature: read("signature") }
}

#[test]
fn each_scheme_with_each_key() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    let pss = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest", "-digest", "sha256"];
    // Key, how it signs, the scheme, and whether TLS 1.2 and 1.3 take it.
    let rows: [(&str, &[&str], u16, [bool; 2]); 16] = [
        ("rsa:2048", &["-digest", "sha256"], 0x0401, [true, false]),
        ("rsa:2048", &["-digest", "sha384"], 0x0501, [true, false]),
        ("rsa:2048", &["-digest", "sha512"], 0x0601, [true, false]),
        ("rsa:2048", &pss, 0x0804, [true, true]),
        ("rsa:2048", &pss, 0x0809, [false, false]),
        ("rsa-pss:2048", &pss, 0x0809, [true, true]),
        ("rsa-pss:2048", &pss, 0x0804, [false, false]),
        ("rsa:1024", &["-digest", "sha256"], 0x0401, [false, false]),
        ("rsa:2048", &["-digest", "sha1"], 0x0201, [false, false]),
        ("P-256", &["-digest", "sha256"], 0x0403, [true, true]),
        ("P-384", &["-digest", "sha384"], 0x0503, [true, true]),
        ("P-521", &["-digest", "sha512"], 0x0603, [true, true]),
        ("P-384", &["-digest", "sha256"], 0x0403, [true, false]),
        ("P-256", &["-digest", "sha512"], 0x0603, [true, false]),
        ("P-521", &["-digest", "sha256"], 0x0403, [true, false]),
        ("ed25519", &[], 0x0807, [true, true]),
    ];
    for (kind, sign, scheme, expected) in rows {
        let key = key(&pki, kind, sign);
        let outcomes =
            [Tls12, Tls13].map(|version| verify_possession(&key.spki, version, scheme, MESSAGE, &key.signature));
        let row = format!("{kind} {scheme:#06x}: {outcomes:?}");
        assert_eq!(outcomes.each_ref().map(Result::is_ok), expected, "{row}");
        // Another message is another signature.
        for (version, taken) in [(Tls12, expected[0]), (Tls13, expected[1])] {
            let wrong = verify_possession(&key.spki, version, scheme, b"something else", &key.signature);
            assert!(wrong.is_err());
            assert!(!taken || wrong == Err(SignatureError::Wrong), "{row}: {wrong:?}");
        }
    }
}

#[test]
fn another_key_of_the_kind_does_not_do() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    for (kind, scheme) in [("P-256", 0x0403), ("ed25519", 0x0807)] {
        let sign: &[&str] = if scheme == 0x0403 { &["-digest", "sha256"] } else { &[] };
        let [one, other] = [key(&pki, kind, sign), key(&pki, kind, sign)];
        let outcome = verify_possession(&other.spki, Tls13, scheme, MESSAGE, &one.signature);
        assert_eq!(outcome, Err(SignatureError::Wrong), "{kind}");
    }
    assert!(matches!(verify_possession(b"no key", Tls13, 0x0403, MESSAGE, b""), Err(SignatureError::Key(_))));
}
