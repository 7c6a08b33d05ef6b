//! Distinguished names: read from DER, compared as RFC 5280 section 7.1 says, written as RFC 4514 says.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

use crate::der::{Malformed, Reader, Tlv, tag};
use crate::oid::{self, Oid};

/// A distinguished name. Equality is that of RFC 5280 section 7.1: string types, letter case and runs of spaces
/// make no difference. `Display` is RFC 4514, most specific part first.
#[derive(Clone)]
pub struct Name(Arc<Inner>);

struct Inner {
    /// The whole `RDNSequence`, as it was written.
    der: Box<[u8]>,
    rdns: Vec<Vec<Attribute>>,
    /// One normalised form per relative name: what equality and name constraints compare.
    keys: Box<[Box<[u8]>]>,
}

/// One attribute of a relative distinguished name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) kind: Oid,
    tag: u8,
    value: Box<[u8]>,
}

/// Why an attribute or alternative name is not a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotText;

/// More attributes than any real name has; bounds the work of comparing.
const MAX_ATTRIBUTES: usize = 64;

impl Name {
    /// Reads a `Name`, which is a SEQUENCE of SETs of attributes; `tlv` is that SEQUENCE.
    pub(crate) fn from_tlv(tlv: Tlv<'_>, field: &'static str) -> Result<Self, Malformed> {
        let mut rdns = Vec::new();
        let mut attributes = 0;
        let mut sequence = tlv.contents();
        while !sequence.is_empty() {
            let rdn = read_rdn(sequence.take(tag::SET, field)?.contents(), field)?;
            attributes += rdn.len();
            if attributes > MAX_ATTRIBUTES {
                return Err(Malformed::new(field, "a name of more than 64 attributes"));
            }
            rdns.push(rdn);
        }
        let keys = rdns.iter().map(|rdn| rdn_key(rdn)).collect();
        Ok(Self(Arc::new(Inner { der: tlv.raw.into(), rdns, keys })))
    }

    /// A name relative to `base`: RFC 5280 section 4.2.1.13, `nameRelativeToCRLIssuer` (a single SET's contents).
    pub(crate) fn with_relative(base: &Self, set: Reader<'_>, field: &'static str) -> Result<Self, Malformed> {
        let mut rdns = base.0.rdns.clone();
        rdns.push(read_rdn(set, field)?);
        let keys = rdns.iter().map(|rdn| rdn_key(rdn)).collect();
        Ok(Self(Arc::new(Inner { der: Box::default(), rdns, keys })))
    }

    /// The DER encoding of the whole name.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Has no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.0.rdns.is_empty()
    }

    /// The last (most specific) common name, if it is a text.
    pub fn common_name(&self) -> Option<String> {
        self.attributes(oid::COMMON_NAME).last().and_then(|attribute| attribute.text().ok())
    }

    /// The attributes of one type, in the order of the certificate.
    pub(crate) fn attributes<'a>(&'a self, kind: &'a [u8]) -> impl Iterator<Item = &'a Attribute> {
        self.all_attributes().filter(move |attribute| attribute.kind == *kind)
    }

    pub(crate) fn all_attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.0.rdns.iter().flatten()
    }

    /// Is `self` at or below `base` in the directory tree? RFC 5280 section 4.2.1.10 for directoryName.
    pub(crate) fn is_within(&self, base: &Self) -> bool {
        self.0.keys.starts_with(&base.0.keys)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.keys == other.0.keys
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.keys.hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rdn) in self.0.rdns.iter().rev().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            for (index, attribute) in rdn.iter().enumerate() {
                if index > 0 {
                    f.write_str("+")?;
                }
                attribute.write(f)?;
            }
        }
        Ok(())
    }
}

impl Attribute {
    /// The value, if it is of a string type and well formed in it.
    pub(crate) fn text(&self) -> Result<String, NotText> {
        decode_string(self.tag, &self.value)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (short_name(self.kind.octets()), self.text()) {
            (Some(name), Ok(text)) => {
                write!(f, "{name}=")?;
                write_escaped(&text, f)
            }
            // RFC 4514 section 2.4: what has no string form is written as the hexadecimal of its DER.
            (name, _) => {
                match name {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "{}", self.kind)?,
                }
                write!(f, "=#{:02x}{}{}", self.tag, length_hex(self.value.len()), crate::hex::lower(&self.value))
            }
        }
    }

    /// What equality compares: the type, and the value prepared as RFC 4518 (by way of RFC 5280 section 7.1) says.
    fn key(&self) -> Vec<u8> {
        let (kind, value) = match self.text() {
            Ok(text) => (0, prepare(&text).into_bytes()),
            Err(NotText) => (self.tag, self.value.to_vec()),
        };
        let mut key = Vec::with_capacity(self.kind.octets().len() + value.len() + 10);
        for part in [self.kind.octets(), &[kind], &value] {
            // Lengths between the parts keep two different attributes from running into the same key.
            key.extend((part.len() as u64).to_be_bytes());
            key.extend(part);
        }
        key
    }
}

fn read_rdn(mut set: Reader<'_>, field: &'static str) -> Result<Vec<Attribute>, Malformed> {
    let mut rdn = Vec::new();
    while !set.is_empty() && rdn.len() < MAX_ATTRIBUTES {
        let mut attribute = set.sequence(field)?;
        let kind = Oid::from_octets(attribute.oid(field)?);
        let value = attribute.any(field)?;
        attribute.finish(field)?;
        rdn.push(Attribute { kind, tag: value.tag, value: value.value.into() });
    }
    set.finish(field)?;
    if rdn.is_empty() {
        return Err(Malformed::new(field, "a relative distinguished name without attributes"));
    }
    Ok(rdn)
}

fn rdn_key(rdn: &[Attribute]) -> Box<[u8]> {
    // A multi-valued relative name is a set: its order does not count.
    let mut keys: Vec<Vec<u8>> = rdn.iter().map(Attribute::key).collect();
    keys.sort_unstable();
    keys.concat().into()
}

/// Text of a directory string type; TeletexString is read as Latin-1, as everybody does.
pub(crate) fn decode_string(tag: u8, value: &[u8]) -> Result<String, NotText> {
    match tag {
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING | tag::VISIBLE_STRING if !value.is_ascii() => {
            Err(NotText)
        }
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING | tag::VISIBLE_STRING => {
            std::str::from_utf8(value).map(str::to_owned).map_err(|_| NotText)
        }
        tag::TELETEX_STRING => Ok(value.iter().copied().map(char::from).collect()),
        tag::BMP_STRING => {
            let units = value.chunks_exact(2);
            if !units.remainder().is_empty() {
                return Err(NotText);
            }
            // A BMPString has no surrogates (X.680 section 41.16): each unit is a character, or it is no text.
            units
                .map(|unit| char::from_u32(unit.iter().fold(0, |unit, &octet| unit << 8 | u32::from(octet))))
                .collect::<Option<String>>()
                .ok_or(NotText)
        }
        tag::UNIVERSAL_STRING => {
            let units = value.chunks_exact(4);
            if !units.remainder().is_empty() {
                return Err(NotText);
            }
            units
                .map(|unit| char::from_u32(unit.iter().fold(0, |unit, &octet| unit << 8 | u32::from(octet))))
                .collect::<Option<String>>()
                .ok_or(NotText)
        }
        _ => Err(NotText),
    }
}

/// RFC 4518: fold case, compose compatibly, and make every run of spaces one, none at the ends.
///
/// Control characters stay, against RFC 4518 section 2.2: a name with a NUL inside must not equal the one without.
fn prepare(text: &str) -> String {
    let folded: String = text.chars().flat_map(char::to_lowercase).nfkc().flat_map(char::to_lowercase).collect();
    let mut prepared = String::with_capacity(folded.len());
    for word in folded.split(|character: char| character.is_whitespace()).filter(|word| !word.is_empty()) {
        if !prepared.is_empty() {
            prepared.push(' ');
        }
        prepared.push_str(word);
    }
    prepared
}

/// RFC 4514 section 2.4, and control characters as hexadecimal pairs so that a name is safe to print.
fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // What needs no escape is written in one piece: names are written for every session.
    let mut written = 0;
    for (index, character) in text.char_indices() {
        let end = index + character.len_utf8();
        let escaped = match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
            '#' => index == 0,
            ' ' => index == 0 || end == text.len(),
            _ => character.is_control(),
        };
        if !escaped {
            continue;
        }
        f.write_str(text.get(written..index).unwrap_or_default())?;
        match character.is_control() {
            true => {
                for octet in character.encode_utf8(&mut [0; 4]).bytes() {
                    write!(f, "\\{octet:02x}")?;
                }
            }
            false => write!(f, "\\{character}")?,
        }
        written = end;
    }
    f.write_str(text.get(written..).unwrap_or_default())
}

fn length_hex(length: usize) -> String {
    match u8::try_from(length) {
        Ok(short @ ..=0x7f) => format!("{short:02x}"),
        Ok(long) => format!("81{long:02x}"),
        Err(_) if length <= 0xffff => format!("82{length:04x}"),
        Err(_) => format!("84{length:08x}"),
    }
}

/// RFC 4514 section 3, and the other descriptors that IANA has registered and certificates use.
fn short_name(kind: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 14] = [
        (oid::COMMON_NAME, "CN"),
        (oid::ORGANIZATIONAL_UNIT, "OU"),
        (oid::ORGANIZATION, "O"),
        (oid::COUNTRY, "C"),
        (oid::LOCALITY, "L"),
        (oid::STATE, "ST"),
        (oid::STREET, "STREET"),
        (oid::DOMAIN_COMPONENT, "DC"),
        (oid::USER_ID, "UID"),
        (oid::SURNAME, "sn"),
        (oid::GIVEN_NAME, "givenName"),
        (oid::TITLE, "title"),
        (oid::SERIAL_NUMBER, "serialNumber"),
        (oid::EMAIL_ADDRESS, "emailAddress"),
    ];
    NAMES.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 128);
        [&[tag, value.len() as u8], value].concat()
    }

    /// One attribute per relative name, in the order of the certificate.
    fn name(attributes: &[(&[u8], u8, &[u8])]) -> Name {
        let rdns: Vec<u8> = attributes
            .iter()
            .flat_map(|(kind, tag, value)| {
                let pair = [tlv(tag::OID, kind), tlv(*tag, value)].concat();
                tlv(tag::SET, &tlv(tag::SEQUENCE, &pair))
            })
            .collect();
        let der = tlv(tag::SEQUENCE, &rdns);
        Name::from_tlv(Reader::new(&der).any("name").unwrap(), "name").unwrap()
    }

    #[test]
    fn written_as_rfc_4514() {
        let rows: [(&[u8], u8, &[u8], &str); 12] = [
            (oid::COMMON_NAME, tag::UTF8_STRING, b"Alice", "CN=Alice"),
            (oid::COMMON_NAME, tag::UTF8_STRING, b"Smith, \"A\" + <b>;\\", "CN=Smith\\, \\\"A\\\" \\+ \\<b\\>\\;\\\\"),
            (oid::COMMON_NAME, tag::UTF8_STRING, b" #a ", "CN=\\ #a\\ "),
            (oid::COMMON_NAME, tag::UTF8_STRING, b"#a", "CN=\\#a"),
            (oid::COMMON_NAME, tag::UTF8_STRING, b"a\0b", "CN=a\\00b"),
            (oid::COMMON_NAME, tag::UTF8_STRING, "Jürgen".as_bytes(), "CN=Jürgen"),
            (oid::COMMON_NAME, tag::TELETEX_STRING, b"J\xfcrgen", "CN=Jürgen"),
            (oid::COMMON_NAME, tag::BMP_STRING, &[0, b'J', 0, 0xfc], "CN=Jü"),
            (oid::COMMON_NAME, tag::UTF8_STRING, b"\xff", "CN=#0c01ff"),
            (oid::COMMON_NAME, tag::BMP_STRING, &[0xd8, 0], "CN=#1e02d800"),
            (oid::EMAIL_ADDRESS, tag::IA5_STRING, b"a@b", "emailAddress=a@b"),
            (&[0x2a, 3], tag::UTF8_STRING, b"x", "1.2.3=#0c0178"),
        ];
        for (kind, tag, value, expected) in rows {
            assert_eq!(name(&[(kind, tag, value)]).to_string(), expected);
        }
        let whole = name(&[
            (oid::COUNTRY, tag::PRINTABLE_STRING, b"US"),
            (oid::ORGANIZATION, tag::PRINTABLE_STRING, b"U.S. Government"),
            (oid::COMMON_NAME, tag::PRINTABLE_STRING, b"DOE.JOHN.A.1234567890"),
        ]);
        assert_eq!(whole.to_string(), "CN=DOE.JOHN.A.1234567890,O=U.S. Government,C=US");
        assert_eq!(whole.common_name().as_deref(), Some("DOE.JOHN.A.1234567890"));
    }

    #[test]
    fn compared_as_rfc_5280_section_7_1() {
        let cn = |tag, value: &[u8]| name(&[(oid::COMMON_NAME, tag, value)]);
        let alice = cn(tag::PRINTABLE_STRING, b"Alice  Smith");
        assert_eq!(alice, cn(tag::UTF8_STRING, b" alice smith "));
        assert_eq!(alice, cn(tag::BMP_STRING, &b"Alice Smith".iter().flat_map(|&b| [0, b]).collect::<Vec<_>>()));
        assert_ne!(alice, cn(tag::UTF8_STRING, b"AliceSmith"));
        assert_ne!(alice, cn(tag::UTF8_STRING, b"Alice\0 Smith"));
        assert_ne!(alice, name(&[(oid::ORGANIZATION, tag::PRINTABLE_STRING, b"Alice Smith")]));
        assert_eq!(cn(tag::UTF8_STRING, "e\u{301}".as_bytes()), cn(tag::UTF8_STRING, "É".as_bytes()));
    }

    #[test]
    fn within_a_subtree() {
        let (c, o, cn): (_, _, (&[u8], u8, &[u8])) = (
            (oid::COUNTRY, tag::PRINTABLE_STRING, &b"US"[..]),
            (oid::ORGANIZATION, tag::PRINTABLE_STRING, &b"Gov"[..]),
            (oid::COMMON_NAME, tag::PRINTABLE_STRING, b"A"),
        );
        assert!(name(&[c, o, cn]).is_within(&name(&[c, o])));
        assert!(name(&[c, o]).is_within(&name(&[])));
        assert!(!name(&[c]).is_within(&name(&[c, o])));
        assert!(!name(&[o, c]).is_within(&name(&[c])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_name_or_an_error(input in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(tlv) = Reader::new(&input).any("name") && let Ok(name) = Name::from_tlv(tlv, "name") {
                let text = name.to_string();
                prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
}
