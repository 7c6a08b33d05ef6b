//! What a certificate says about its holder, as plain data for queries: each field a value, or the reason there is
//! none. Nothing here is trusted before the path is valid.

use std::fmt;
use std::sync::OnceLock;

use crate::certificate::Certificate;
use crate::der::{Reader, tag};
use crate::general_name::GeneralName;
use crate::hex;
use crate::name::{Name, decode_string};
use crate::oid;

/// A field of a certificate that can stand for its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityField {
    /// The subject's last common name.
    CommonName,
    /// The subject's organisation.
    Organization,
    /// The subject's organisational unit.
    OrganizationalUnit,
    /// The subject's country.
    Country,
    /// The whole subject per RFC 4514.
    SubjectDn,
    /// The serial number in decimal.
    SerialDecimal,
    /// The serial number in lower-case hexadecimal, two digits an octet.
    SerialHex,
    /// The mail address: rfc822Name of the subjectAltName.
    Rfc822Name,
    /// The Microsoft user principal name: an otherName of the subjectAltName.
    Upn,
    /// The ten digits that end a CAC's common name, after a dot.
    Edipi,
    /// PIV FASC-N, lower-case hexadecimal.
    FascN,
    /// PIV card UUID, lower case with hyphens: a `urn:uuid:` of the subjectAltName.
    CardUuid,
    /// The whole issuer per RFC 4514.
    IssuerDn,
    /// The issuer's last common name.
    IssuerCommonName,
    /// The subject key identifier, lower-case hexadecimal.
    SubjectKeyId,
    /// SHA-1 of the certificate, lower-case hexadecimal.
    Sha1,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    Sha256,
}

impl IdentityField {
    /// Every field, in the order of the variants.
    pub const ALL: [Self; 17] = [
        Self::CommonName,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::Country,
        Self::SubjectDn,
        Self::SerialDecimal,
        Self::SerialHex,
        Self::Rfc822Name,
        Self::Upn,
        Self::Edipi,
        Self::FascN,
        Self::CardUuid,
        Self::IssuerDn,
        Self::IssuerCommonName,
        Self::SubjectKeyId,
        Self::Sha1,
        Self::Sha256,
    ];
}

impl fmt::Display for IdentityField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommonName => "common name",
            Self::Organization => "organization",
            Self::OrganizationalUnit => "organizational unit",
            Self::Country => "country",
            Self::SubjectDn => "subject",
            Self::SerialDecimal => "serial number",
            Self::SerialHex => "serial number (hexadecimal)",
            Self::Rfc822Name => "rfc822Name",
            Self::Upn => "user principal name",
            Self::Edipi => "EDIPI",
            Self::FascN => "FASC-N",
            Self::CardUuid => "card UUID",
            Self::IssuerDn => "issuer",
            Self::IssuerCommonName => "issuer's common name",
            Self::SubjectKeyId => "subject key identifier",
            Self::Sha1 => "SHA-1 fingerprint",
            Self::Sha256 => "SHA-256 fingerprint",
        })
    }
}

/// Why a field has no value. A query that needs the field must match nobody, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FieldProblem {
    /// The certificate has none.
    #[error("absent")]
    Absent,
    /// The certificate has more than one, and none of them is the one.
    #[error("there is more than one")]
    Several,
    /// It is there and empty.
    #[error("empty")]
    Empty,
    /// It holds a NUL or another control character, which nobody types and everybody shows differently.
    #[error("holds a control character")]
    ControlCharacter,
    /// It is not text in the encoding that its type demands.
    #[error("not text in its encoding")]
    NotText,
    /// It has not the form that this field has.
    #[error("not of the form that it should have")]
    BadForm,
}

/// The identity fields of one certificate, each read out of it when it is first asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    certificate: Certificate,
    fields: [OnceLock<Value>; IdentityField::ALL.len()],
}

impl Identity {
    /// What `certificate` says.
    pub fn of(certificate: &Certificate) -> Self {
        Self { certificate: certificate.clone(), fields: Default::default() }
    }

    /// The value of a field.
    ///
    /// # Errors
    /// [`FieldProblem`] where there is no one clean value; never a guess.
    pub fn get(&self, field: IdentityField) -> Result<&str, FieldProblem> {
        let value = self.fields.get(field as usize).ok_or(FieldProblem::Absent)?;
        value.get_or_init(|| read(&self.certificate, field)).as_deref().map_err(|problem| *problem)
    }
}

fn read(certificate: &Certificate, field: IdentityField) -> Value {
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    match field {
        IdentityField::Edipi => last_common_name(subject).and_then(|name| edipi(&name)),
        IdentityField::CommonName => last_common_name(subject),
        IdentityField::Organization => only_attribute(subject, oid::ORGANIZATION),
        IdentityField::OrganizationalUnit => only_attribute(subject, oid::ORGANIZATIONAL_UNIT),
        IdentityField::Country => only_attribute(subject, oid::COUNTRY),
        IdentityField::SubjectDn => whole(subject),
        IdentityField::SerialDecimal => Ok(certificate.serial().decimal()),
        IdentityField::SerialHex => Ok(certificate.serial().hex()),
        IdentityField::Rfc822Name => rfc822_name(certificate),
        IdentityField::Upn => only(upns(certificate)),
        IdentityField::FascN => only(fasc_ns(certificate)),
        IdentityField::CardUuid => only(card_uuids(certificate)),
        IdentityField::IssuerDn => whole(issuer),
        IdentityField::IssuerCommonName => last_common_name(issuer),
        IdentityField::SubjectKeyId => {
            certificate.subject_key_id().map(hex::lower).ok_or(FieldProblem::Absent).and_then(clean)
        }
        IdentityField::Sha1 => Ok(hex::lower(&certificate.sha1())),
        IdentityField::Sha256 => Ok(hex::lower(certificate.sha256())),
    }
}

type Value = Result<String, FieldProblem>;

/// The one value there is.
fn only(mut values: impl Iterator<Item = Value>) -> Value {
    match (values.next(), values.next()) {
        (None, _) => Err(FieldProblem::Absent),
        (Some(value), None) => value.and_then(clean),
        (Some(_), Some(_)) => Err(FieldProblem::Several),
    }
}

/// Refuses what can't be compared or shown: an empty text, NUL, and every other control character.
fn clean(text: String) -> Value {
    if text.is_empty() {
        Err(FieldProblem::Empty)
    } else if text.chars().any(char::is_control) {
        Err(FieldProblem::ControlCharacter)
    } else {
        Ok(text)
    }
}

fn only_attribute(name: &Name, kind: &[u8]) -> Value {
    only(name.attributes(kind).map(|attribute| attribute.text().map_err(|_| FieldProblem::NotText)))
}

fn last_common_name(name: &Name) -> Value {
    let last = name.attributes(oid::COMMON_NAME).last().ok_or(FieldProblem::Absent)?;
    last.text().map_err(|_| FieldProblem::NotText).and_then(clean)
}

fn whole(name: &Name) -> Value {
    for attribute in name.all_attributes() {
        // Display escapes what is unprintable, so it must be looked for before.
        match attribute.text() {
            Ok(text) if text.chars().any(char::is_control) => return Err(FieldProblem::ControlCharacter),
            Ok(_) => {}
            Err(_) => return Err(FieldProblem::NotText),
        }
    }
    if name.is_empty() { Err(FieldProblem::Absent) } else { Ok(name.to_string()) }
}

/// RFC 5280 section 4.2.1.6: an IA5String of the form `local@domain`.
fn rfc822_name(certificate: &Certificate) -> Value {
    let addresses = certificate.subject_alt_names().iter().filter_map(|name| match name {
        GeneralName::Rfc822(octets) => Some(ascii(octets)),
        _ => None,
    });
    let address = only(addresses)?;
    match address.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(address),
        _ => Err(FieldProblem::BadForm),
    }
}

fn ascii(octets: &[u8]) -> Value {
    decode_string(tag::IA5_STRING, octets).map_err(|_| FieldProblem::NotText)
}

fn other_names<'a>(certificate: &'a Certificate, wanted: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    certificate.subject_alt_names().iter().filter_map(move |name| match name {
        GeneralName::Other { kind, value } if *kind == *wanted => Some(&**value),
        _ => None,
    })
}

fn upns(certificate: &Certificate) -> impl Iterator<Item = Value> {
    other_names(certificate, oid::UPN).map(|value| {
        let tlv = Reader::new(value).any("UPN").map_err(|_| FieldProblem::BadForm)?;
        decode_string(tlv.tag, tlv.value).map_err(|_| FieldProblem::NotText)
    })
}

/// FIPS 201-3: an OCTET STRING of 25 octets.
fn fasc_ns(certificate: &Certificate) -> impl Iterator<Item = Value> {
    other_names(certificate, oid::FASC_N).map(|value| {
        let tlv = Reader::new(value).take(tag::OCTET_STRING, "FASC-N").map_err(|_| FieldProblem::BadForm)?;
        if tlv.value.len() == 25 { Ok(hex::lower(tlv.value)) } else { Err(FieldProblem::BadForm) }
    })
}

/// FIPS 201-3: `urn:uuid:` and the text form of RFC 9562.
fn card_uuids(certificate: &Certificate) -> impl Iterator<Item = Value> {
    certificate.subject_alt_names().iter().filter_map(|name| {
        let GeneralName::Uri(octets) = name else { return None };
        let uri = std::str::from_utf8(octets).ok()?.to_ascii_lowercase();
        let uuid = uri.strip_prefix("urn:uuid:")?;
        let well_formed = uuid.len() == 36
            && uuid.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        Some(if well_formed { Ok(uuid.to_owned()) } else { Err(FieldProblem::BadForm) })
    })
}

/// A CAC's common name is `LAST.FIRST.MIDDLE.1234567890`.
fn edipi(common_name: &str) -> Value {
    match common_name.rsplit_once('.') {
        Some((_, last)) if last.len() == 10 && last.bytes().all(|byte| byte.is_ascii_digit()) => Ok(last.to_owned()),
        _ => Err(FieldProblem::Absent),
    }
}
