//! What certificates say about their holders: CAC and PIV shapes, and everything that must not become an identity.

use crate::common::{Pki, openssl_is_there};
use postern_pki::{Certificate, FieldProblem, Identity, IdentityField};

fn san(pki: &Pki, subject: &str, names: &str) -> Certificate {
    let extensions = format!("subjectAltName=@names\n[names]\n{names}");
    pki.certify("client", "root", subject, Some(&extensions), &[])
}

fn pki() -> Pki {
    let pki = Pki::new();
    pki.root("root");
    pki.key("client", "P-256");
    pki
}

#[test]
fn a_common_access_card() {
    if !openssl_is_there() {
        return;
    }
    let pki = pki();
    let names = "email=john.doe.mil@example.mil\n\
                 otherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:1234567890@mil\n\
                 otherName.2=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:d13810d828aab450d41084d40e74ca0b5ca18d0a1cd90bdcfe\n\
                 URI=urn:uuid:AE57F2C4-4B37-4E9C-9C0B-1C6B0A2F6F31";
    let card = san(&pki, "/C=US/O=U.S. Government/OU=DoD/OU=PKI/OU=USN/CN=DOE.JOHN.A.1234567890", names);
    let identity = Identity::of(&card);
    let rows = [
        (IdentityField::CommonName, Ok("DOE.JOHN.A.1234567890")),
        (IdentityField::Edipi, Ok("1234567890")),
        (IdentityField::Organization, Ok("U.S. Government")),
        (IdentityField::OrganizationalUnit, Err(FieldProblem::Several)),
        (IdentityField::Country, Ok("US")),
        (IdentityField::SubjectDn, Ok("CN=DOE.JOHN.A.1234567890,OU=USN,OU=PKI,OU=DoD,O=U.S. Government,C=US")),
        (IdentityField::SerialDecimal, Ok("4660")),
        (IdentityField::SerialHex, Ok("1234")),
        (IdentityField::Rfc822Name, Ok("john.doe.mil@example.mil")),
        (IdentityField::Upn, Ok("1234567890@mil")),
        (IdentityField::FascN, Ok("d13810d828aab450d41084d40e74ca0b5ca18d0a1cd90bdcfe")),
        (IdentityField::CardUuid, Ok("ae57f2c4-4b37-4e9c-9c0b-1c6b0a2f6f31")),
        (IdentityField::IssuerDn, Ok("CN=root,O=Test,C=US")),
        (IdentityField::IssuerCommonName, Ok("root")),
    ];
    for (field, expected) in rows {
        assert_eq!(identity.get(field), expected, "{field}");
    }
    // openssl's own fingerprints.
    for (field, hash) in [(IdentityField::Sha1, "-sha1"), (IdentityField::Sha256, "-sha256")] {
        let text = pki.openssl(&["x509", "-in", "client.pem", "-noout", "-fingerprint", hash]);
        let (_, digits) = text.trim().split_once('=').unwrap();
        assert_eq!(identity.get(field).unwrap(), digits.replace(':', "").to_lowercase());
    }
    let text = pki.openssl(&["x509", "-in", "client.pem", "-noout", "-ext", "subjectKeyIdentifier"]);
    let digits = text.lines().last().unwrap().trim().replace(':', "").to_lowercase();
    assert_eq!(identity.get(IdentityField::SubjectKeyId), Ok(digits.as_str()));
}

#[test]
fn what_is_no_identity() {
    if !openssl_is_there() {
        return;
    }
    let pki = pki();
    let upn = "1.3.6.1.4.1.311.20.2.3";
    use FieldProblem::{Absent, BadForm, ControlCharacter, Empty, NotText, Several};
    use IdentityField::{CardUuid, FascN, Rfc822Name, Upn};
    let rows = [
        ("email=a@b.c".to_owned(), Upn, Err(Absent)),
        (format!("otherName.1={upn};UTF8:a@b\notherName.2={upn};UTF8:c@d"), Upn, Err(Several)),
        (format!("otherName.1={upn};FORMAT:UTF8,UTF8:a\u{85}b"), Upn, Err(ControlCharacter)),
        (format!("otherName.1={upn};UTF8:"), Upn, Err(Empty)),
        (format!("otherName.1={upn};FORMAT:HEX,OCT:61"), Upn, Err(NotText)),
        (format!("otherName.1={upn};INT:5"), Upn, Err(NotText)),
        (format!("otherName.1={upn};FORMAT:UTF8,UTF8:jürgen@b"), Upn, Ok("jürgen@b")),
        ("email.1=a@b.c\nemail.2=d@e.f".to_owned(), Rfc822Name, Err(Several)),
        ("email.1=a b".to_owned(), Rfc822Name, Err(BadForm)),
        ("email.1=@b.c".to_owned(), Rfc822Name, Err(BadForm)),
        ("URI=urn:uuid:1".to_owned(), CardUuid, Err(BadForm)),
        ("URI=https://example.mil".to_owned(), CardUuid, Err(Absent)),
        ("otherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:d1".to_owned(), FascN, Err(BadForm)),
    ];
    for (names, field, expected) in rows {
        let certificate = san(&pki, "/CN=x", &names);
        assert_eq!(Identity::of(&certificate).get(field), expected, "{names}");
    }
    // A NUL, which openssl's tools don't write.
    let mut der = san(&pki, "/CN=x", &format!("otherName.1={upn};UTF8:admin@b")).der().to_vec();
    let at = der.windows(7).position(|window| window == b"admin@b").unwrap();
    der[at + 5] = 0;
    assert_eq!(Identity::of(&Certificate::from_der(&der).unwrap()).get(Upn), Err(ControlCharacter));
}

#[test]
fn common_names_in_every_disguise() {
    if !openssl_is_there() {
        return;
    }
    let pki = pki();
    let common_name =
        |certificate: &Certificate| Identity::of(certificate).get(IdentityField::CommonName).map(str::to_owned);
    let made = |subject: &str| pki.certify("client", "root", subject, None, &[]);
    let last = made("/CN=first/O=x/CN=last");
    assert_eq!(common_name(&last).as_deref(), Ok("last"));
    assert_eq!(common_name(&made("/O=x")), Err(FieldProblem::Absent));
    let plain = made("/CN=DOE.JOHN.123456789");
    assert_eq!(Identity::of(&plain).get(IdentityField::Edipi), Err(FieldProblem::Absent), "nine digits");

    // Octets that openssl's tools don't write, put in their place afterwards: the signature is not the matter here.
    let patched = |from: &[u8], to: &[u8]| {
        let mut der = made("/CN=admin@example").der().to_vec();
        let at = der.windows(from.len()).position(|window| window == from).unwrap();
        der.splice(at..at + from.len(), to.iter().copied());
        Certificate::from_der(&der).unwrap()
    };
    let nul = patched(b"admin@", b"admin\0");
    assert_eq!(common_name(&nul), Err(FieldProblem::ControlCharacter));
    assert_eq!(Identity::of(&nul).get(IdentityField::SubjectDn), Err(FieldProblem::ControlCharacter));
    assert_eq!(nul.subject().to_string(), "CN=admin\\00example");
    let bad_utf8 = patched(b"admin@", b"admin\xff");
    assert_eq!(common_name(&bad_utf8), Err(FieldProblem::NotText));
    let newline = patched(b"admin@", b"admin\n");
    assert_eq!(common_name(&newline), Err(FieldProblem::ControlCharacter));

    // BMPString and TeletexString, by openssl's own mask.
    for (mask, name) in [("MASK:0x800", "Jürgen"), ("MASK:0x4", "Jürgen")] {
        let conf = format!("[req]\nstring_mask={mask}\nutf8=yes\nprompt=no\ndistinguished_name=d\n[d]\nCN={name}\n");
        std::fs::write(pki.path("odd.conf"), conf).unwrap();
        pki.openssl(&["req", "-new", "-key", "client.key", "-out", "client.csr", "-config", "odd.conf", "-utf8"]);
        pki.sign("client", "root", None, &[]);
        let certificate = pki.certificate("client");
        assert_eq!(common_name(&certificate).as_deref(), Ok(name), "{mask}");
    }
}

#[test]
fn serial_numbers_as_openssl_writes_them() {
    if !openssl_is_there() {
        return;
    }
    let pki = pki();
    for serial in ["1", "255", "18446744073709551616", "1461501637330902918203684832716283019655932542975"] {
        let certificate = pki.certify("client", "root", "/CN=x", None, &["-set_serial", serial]);
        assert_eq!(Identity::of(&certificate).get(IdentityField::SerialDecimal), Ok(serial));
    }
}
