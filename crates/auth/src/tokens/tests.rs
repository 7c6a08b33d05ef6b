use demo::certificate::{AltName, COMMON_NAME, Name, ORGANIZATION, Template};
use demo::{Ca, der};
use directory::{NoValue, Query};

use super::*;

const EMAIL_ADDRESS: &[u64] = &[1, 2, 840, 113_549, 1, 9, 1];
const USER_ID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];
const LOCALITY: &[u64] = &[2, 5, 4, 7];
const STATE: &[u64] = &[2, 5, 4, 8];

/// The tokens of a certificate that `ca` issues for a template.
fn issue(ca: &Ca, template: &Template) -> Tokens {
    let issued = ca.issue(template).unwrap();
    certificate_tokens(&Certificate::from_der(&issued.chain[0]).unwrap(), at(), &all())
}

fn all() -> BTreeSet<Token> {
    Token::of(Query::Certificate).collect()
}

fn at() -> Time {
    Time::from_civil(2026, 11, 24, 8, 0, 0).unwrap()
}

fn ca(subject: Name) -> Ca {
    Ca::root(&Template::authority(subject, None)).unwrap()
}

#[test]
fn every_token_of_a_common_access_card() {
    let issuer = Name::default().country("XX").organization("Test, Inc. \"East\"").common_name("User CA #1");
    let mut template = Template::cac("DOE.JANE.A.1234567890", "jane@example.mil");
    template.serial = Some(vec![0x4a, 0x00, 0xfe]);
    template.names.push(AltName::Uri("urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6".to_owned()));
    let issued = ca(issuer).issue(&template).unwrap();
    let certificate = Certificate::from_der(&issued.chain[0]).unwrap();
    let tokens = certificate_tokens(&certificate, at(), &all());
    for (token, expected) in [
        (Token::Now, "20261124080000.0Z"),
        (Token::CommonName, "DOE.JANE.A.1234567890"),
        (Token::Organization, "U.S. Government"),
        (Token::Country, "US"),
        (Token::Subject, "CN=DOE.JANE.A.1234567890,OU=USAF,OU=PKI,OU=DoD,O=U.S. Government,C=US"),
        (Token::Serial, "4849918"),
        (Token::SerialHex, "4a00fe"),
        (Token::SerialUpperHex, "4A00FE"),
        (Token::SerialHexColon, "4a:00:fe"),
        (Token::Email, "jane@example.mil"),
        (Token::Upn, "1234567890@mil"),
        (Token::Edipi, "1234567890"),
        (Token::CardUuid, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        (Token::Issuer, "CN=User CA #1,O=Test\\, Inc. \\\"East\\\",C=XX"),
        (Token::IssuerCommonName, "User CA #1"),
        (
            Token::CertificateExact,
            "{ serialNumber 4849918, issuer rdnSequence:\"CN=User CA #1,O=Test\\, Inc. \\\"\"East\\\"\",C=XX\" }",
        ),
        // As the Samba test bed stores it: the order of the certificate, the serial number's octets backwards.
        (Token::AltSecIdIssuerSerial, "X509:<I>C=XX,O=Test, Inc. \"East\",CN=User CA #1<SR>fe004a"),
        (Token::AltSecIdRfc822, "X509:<RFC822>jane@example.mil"),
    ] {
        assert_eq!(tokens.text(token), Ok(expected), "{token}");
    }
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    assert_eq!(tokens.text(Token::Sha256), Ok(&*hex(certificate.sha256())));
    assert_eq!(tokens.text(Token::Sha1), Ok(&*hex(&certificate.sha1())));
    assert_eq!(
        tokens.text(Token::AltSecIdSha1PublicKey),
        Ok(&*format!("X509:<SHA1-PUKEY>{}", hex(&certificate.sha1())))
    );
    let ski = hex(certificate.subject_key_id().unwrap());
    assert_eq!(tokens.text(Token::SubjectKeyId), Ok(&*ski));
    assert_eq!(tokens.text(Token::AltSecIdSki), Ok(&*format!("X509:<SKI>{ski}")));
    assert_eq!(tokens.get(Token::Certificate), Ok(certificate.der()));
    // Three organisational units: none of them is the one.
    assert!(matches!(tokens.get(Token::OrganizationalUnit), Err(NoValue::Unusable(..))));
    assert_eq!(tokens.get(Token::FascN), Err(NoValue::Absent(Token::FascN)));
    for token in [Token::User, Token::Domain, Token::Address] {
        assert_eq!(tokens.get(token), Err(NoValue::Absent(token)));
    }
}

#[test]
fn what_is_not_one_clean_value_is_no_value() {
    let ca = ca(Name::default().common_name("CA"));
    let two_addresses = Template {
        names: vec![AltName::Email("a@example.mil".to_owned()), AltName::Email("b@example.mil".to_owned())],
        ..Template::client(Name::default().common_name("x"))
    };
    let tokens = issue(&ca, &two_addresses);
    for token in [Token::Email, Token::AltSecIdRfc822] {
        assert!(matches!(tokens.get(token), Err(NoValue::Unusable(..))), "{token}");
    }
    let nul = Name::default().attribute(COMMON_NAME, der::utf8("alice\0.1234567890"));
    let tokens = issue(&ca, &Template::client(nul));
    for token in [Token::CommonName, Token::Subject] {
        assert!(matches!(tokens.get(token), Err(NoValue::Unusable(..))), "{token}");
    }
    assert!(tokens.get(Token::Edipi).is_err());
    let blank = Name::default().attribute(ORGANIZATION, der::utf8("  ")).common_name("x");
    assert!(matches!(issue(&ca, &Template::client(blank)).get(Token::Organization), Err(NoValue::Unusable(..))));
}

#[test]
fn issuers_as_windows_writes_them() {
    for (issuer, expected) in [
        (
            Name::default().country("US").attribute(STATE, der::utf8("Ohio")).attribute(LOCALITY, der::utf8("Köln")),
            Some("C=US,S=Ohio,L=Köln"),
        ),
        (
            Name::default().attribute(EMAIL_ADDRESS, der::utf8("ca@example.mil")).common_name(" #a+b,c;d<e>\\\"= "),
            Some("E=ca@example.mil,CN= #a+b,c;d<e>\\\"= "),
        ),
        (Name::default().attribute(USER_ID, der::utf8("ca")), None),
        (Name::default().attribute(&[1, 3, 9999, 1], der::utf8("ca")).common_name("x"), None),
    ] {
        let tokens = issue(&ca(issuer.clone()), &Template::client(Name::default().common_name("x")));
        match (tokens.text(Token::AltSecIdIssuerSerial), expected) {
            (Ok(text), Some(expected)) => assert!(text.starts_with(&format!("X509:<I>{expected}<SR>")), "{text}"),
            (Err(NoValue::Unusable(..)), None) => {}
            (other, _) => panic!("{issuer:?}: {other:?}"),
        }
    }
}
