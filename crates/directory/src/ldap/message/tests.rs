use proptest::prelude::*;

use super::*;
use crate::template::Template;
use crate::tokens::{Query, Token, Tokens};

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// With `{cert}` in it, which may be any octets.
fn resolved(template: &str, value: &[u8]) -> Filter {
    let mut tokens = Tokens::new();
    tokens.set(Token::Certificate, value);
    Template::parse(template, Query::Certificate).unwrap().resolve(&tokens).unwrap()
}

#[test]
fn a_bind_and_its_frame() {
    // RFC 4511 section 4.2, by hand.
    assert_eq!(hex(&message(2, &simple_bind("cn=x", b"pw"))), "3012020102600d0201030404636e3d7880027077");
    assert_eq!(hex(&external_bind()), "60130201030400a30c040845585445524e414c0400");
    assert_eq!(hex(&abandon(300)), "5002012c");
    assert_eq!(hex(&unbind()), "4200");
}

#[test]
fn answers() {
    let ended = |code: u8, text: &[u8]| {
        let content = [element(tag::ENUMERATED, &[code]), element(4, b""), element(4, text)].concat();
        element(0x65, &content)
    };
    let whole = |operation: &[u8]| element(tag::SEQUENCE, &[number(tag::INTEGER, 7), operation.to_vec()].concat());
    let (id, response) = read(&whole(&ended(49, b"80090308: data 533,\n v1db1\0"))).unwrap();
    let Response::Ended(ended_with) = response else { panic!("{response:?}") };
    assert_eq!((id, ended_with.told().as_str()), (7, "invalidCredentials (49): 80090308: data 533, v1db1"));

    let control = element(0xa0, &element(tag::SEQUENCE, &element(4, b"2.16.840.1.113730.3.4.4")));
    let (_, response) = read(&whole(&[ended(0, b""), control].concat())).unwrap();
    let Response::Ended(ended_with) = response else { panic!("{response:?}") };
    assert_eq!(ended_with.controls, ["2.16.840.1.113730.3.4.4"]);

    // RFC 2696 section 2: with and without a criticality.
    for criticality in [element(tag::BOOLEAN, &[0]), Vec::new()] {
        let value = element(tag::SEQUENCE, &[number(tag::INTEGER, 0), element(4, b"next")].concat());
        let control = [element(4, PAGED_RESULTS.as_bytes()), criticality, element(4, &value)].concat();
        let controls = element(0xa0, &element(tag::SEQUENCE, &control));
        let (_, response) = read(&whole(&[ended(0, b""), controls].concat())).unwrap();
        let Response::Ended(ended_with) = response else { panic!("{response:?}") };
        assert_eq!(ended_with.cookie.as_deref(), Some(b"next".as_slice()));
    }

    let values = element(tag::SET, &[element(4, b"a"), element(4, b"\xff")].concat());
    let attribute = element(tag::SEQUENCE, &[element(4, b"userCertificate;binary"), values].concat());
    let entry = element(0x64, &[element(4, b"cn=x"), element(tag::SEQUENCE, &attribute)].concat());
    let (_, response) = read(&whole(&entry)).unwrap();
    let Response::Entry(entry) = response else { panic!("{response:?}") };
    assert_eq!(entry.values("USERCERTIFICATE").count(), 2);
    assert_eq!(entry.texts("userCertificate;binary").collect::<Vec<_>>(), ["a"]);
    assert_eq!(read(&whole(&element(0x73, b"x"))).unwrap().1, Response::Reference);
    assert!(read(&whole(&element(0x65, &element(tag::ENUMERATED, &[0])))).is_err());
}

/// Every kind of item, against another implementation of RFC 4515 and RFC 4511.
#[test]
fn filters_are_encoded_as_ldap3_encodes_them() {
    for template in [
        "(caccn={cert})",
        "(&(a={cert})(|(b=*)(!(c>={cert})))(d<={cert})(e~={cert}))",
        "(a={cert}*x*{cert}*y)",
        "(a=*{cert}*)",
        "(a=*{cert})",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(ou:dn:caseExactMatch:={cert})",
        "(:caseExactMatch:={cert})",
        "(userCertificate;binary={cert})",
    ] {
        let filter_tree = resolved(template, b"O'NEIL (ACME) *\\\0\xff");
        assert_eq!(hex(&filter(&filter_tree)), hex(&by_ldap3(&filter_tree.to_string())), "{template}");
    }
}

fn by_ldap3(text: &str) -> Vec<u8> {
    use lber::structures::ASNTag as _;
    let tag = ldap3::parse_filter(text).unwrap();
    let mut octets = bytes::BytesMut::new();
    lber::write::encode_into(&mut octets, tag.into_structure()).unwrap();
    octets.to_vec()
}

proptest! {
    /// Whatever a certificate says: the written text, read by others, is the same tree with the same octets in it.
    #[test]
    fn no_value_changes_the_shape(value in proptest::collection::vec(any::<u8>(), 1..200)) {
        for template in ["(&(objectClass=posixAccount)(caccn={cert})(!(o={cert}*)))", "(|(a>={cert})(b:=x{cert}y))"] {
            let tree = resolved(template, &value);
            prop_assert_eq!(hex(&filter(&tree)), hex(&by_ldap3(&tree.to_string())));
        }
    }

    #[test]
    fn whatever_comes_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = read(&octets);
        let _ = read(&element(tag::SEQUENCE, &[vec![2, 1, 1, 0x64], octets].concat()));
    }
}
