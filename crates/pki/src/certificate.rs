//! Certificates: read once from DER (RFC 5280 section 4), then shared and never changed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::der::{Malformed, Reader, tag};
use crate::extensions::{Extension, Extensions};
use crate::general_name::GeneralName;
use crate::hex;
use crate::name::Name;
use crate::signature::{PublicKey, SignatureAlgorithm, SignatureError, Signed};
use crate::time::Time;

/// A parsed certificate: cheap to clone, keeps its DER. Equality is that of the DER.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Box<[u8]>,
    tbs: Range<usize>,
    version: u8,
    serial: Serial,
    signature_algorithm: SignatureAlgorithm,
    signature: Box<[u8]>,
    issuer: Name,
    subject: Name,
    not_before: Time,
    not_after: Time,
    spki: Range<usize>,
    public_key: PublicKey,
    extensions: Extensions,
    sha256: [u8; 32],
}

/// The SubjectPublicKeyInfo of a certificate of which nothing else needs to be readable: possession of its key is proved
/// before the certificate is judged, so that a malformed one can be refused in words.
///
/// # Errors
/// When the structure ends before the key.
pub fn subject_public_key_info(der: &[u8]) -> Result<&[u8], Malformed> {
    let mut fields = Reader::new(der).sequence("Certificate")?.sequence("tbsCertificate")?;
    fields.optional(tag::context_constructed(0), "version")?;
    for field in ["serialNumber", "signature", "issuer", "validity", "subject"] {
        fields.any(field)?;
    }
    Ok(fields.take(tag::SEQUENCE, "subjectPublicKeyInfo")?.raw)
}

/// The largest certificate that is read, in octets.
pub const MAX_CERTIFICATE: usize = 256 * 1024;

impl Certificate {
    /// Reads one certificate of any version; nothing may follow it.
    ///
    /// # Errors
    /// [`Malformed`] names the field; also for an extension that is there twice.
    pub fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        if der.len() > MAX_CERTIFICATE {
            return Err(Malformed::new("Certificate", "larger than 256 KiB"));
        }
        let mut input = Reader::new(der);
        let mut certificate = input.sequence("Certificate")?;
        input.finish("Certificate")?;
        let tbs = certificate.take(tag::SEQUENCE, "tbsCertificate")?;
        let outer_algorithm = certificate.take(tag::SEQUENCE, "signatureAlgorithm")?;
        let signature = certificate.signature("signatureValue")?;
        certificate.finish("Certificate")?;

        let mut fields = tbs.contents();
        let version = read_version(&mut fields)?;
        let serial = Serial(fields.integer("serialNumber")?.into());
        if serial.0.len() > MAX_SERIAL {
            return Err(Malformed::new("serialNumber", "longer than 64 octets"));
        }
        let inner_algorithm = fields.take(tag::SEQUENCE, "signature")?;
        // RFC 5280 section 4.1.1.2: both must be the same, or the signed one would not be the one used.
        if inner_algorithm.raw != outer_algorithm.raw {
            return Err(Malformed::new("signatureAlgorithm", "not the one inside the signed part"));
        }
        let issuer = Name::from_tlv(fields.take(tag::SEQUENCE, "issuer")?, "issuer")?;
        let mut validity = fields.sequence("validity")?;
        let not_before = Time::from_tlv(validity.any("notBefore")?, "notBefore")?;
        let not_after = Time::from_tlv(validity.any("notAfter")?, "notAfter")?;
        validity.finish("validity")?;
        let subject = Name::from_tlv(fields.take(tag::SEQUENCE, "subject")?, "subject")?;
        let spki = fields.take(tag::SEQUENCE, "subjectPublicKeyInfo")?;
        let unique_ids =
            [fields.optional(tag::context(1), "issuerUniqueID")?, fields.optional(tag::context(2), "subjectUniqueID")?];
        let extensions = fields.optional(tag::context_constructed(3), "extensions")?;
        fields.finish("tbsCertificate")?;
        // RFC 5280 section 4.1.2.8 and 4.1.2.9.
        if (version < 2 && unique_ids.iter().any(Option::is_some)) || (version < 3 && extensions.is_some()) {
            return Err(Malformed::new("version", "too low for the fields that follow"));
        }
        let extensions = match extensions {
            Some(explicit) => {
                let mut inner = explicit.contents();
                let sequence = inner.sequence("extensions")?;
                inner.finish("extensions")?;
                Extensions::read(sequence)?
            }
            None => Extensions::default(),
        };
        Ok(Self(Arc::new(Inner {
            tbs: tbs.range(),
            version,
            serial,
            signature_algorithm: SignatureAlgorithm::read(outer_algorithm.contents(), "signatureAlgorithm")?,
            signature: signature.into(),
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.range(),
            public_key: PublicKey::from_spki(spki.raw)?,
            extensions,
            sha256: sha256(der),
            der: der.into(),
        })))
    }

    /// The whole certificate as it came.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// 1, 2 or 3.
    pub fn version(&self) -> u8 {
        self.0.version
    }

    /// The serial number.
    pub fn serial(&self) -> &Serial {
        &self.0.serial
    }

    /// Whom it is for.
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// Who signed it.
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// The first instant of its validity.
    pub fn not_before(&self) -> Time {
        self.0.not_before
    }

    /// The last instant of its validity.
    pub fn not_after(&self) -> Time {
        self.0.not_after
    }

    /// The SubjectPublicKeyInfo in DER, as [`verify_possession`](crate::verify_possession) takes it.
    pub fn spki_der(&self) -> &[u8] {
        self.0.der.get(self.0.spki.clone()).unwrap_or_default()
    }

    /// The key's type and size in words, as `RSA 2048` or `P-256`.
    pub fn key_description(&self) -> String {
        self.0.public_key.to_string()
    }

    /// The signature's algorithm in words, as `ECDSA with SHA-256`.
    pub fn signature_description(&self) -> String {
        self.0.signature_algorithm.to_string()
    }

    /// Every extension, in the order of the certificate.
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions.all
    }

    /// The subject's alternative names.
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        &self.0.extensions.subject_alt_names
    }

    /// The subject key identifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// Issued to its own issuer (RFC 5280 section 3.2: self-issued).
    pub fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// The SHA-256 hash of the DER.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.0.sha256
    }

    /// The SHA-1 hash of the DER: a name, not a proof.
    pub fn sha1(&self) -> [u8; 20] {
        let mut hash = [0; 20];
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.0.der);
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        hash
    }

    pub(crate) fn known(&self) -> &Extensions {
        &self.0.extensions
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    pub(crate) fn signature_algorithm(&self) -> &SignatureAlgorithm {
        &self.0.signature_algorithm
    }

    /// Was it signed with the private key to `key`?
    pub(crate) fn verify_signature(&self, key: &PublicKey) -> Result<(), SignatureError> {
        let tbs = self.0.der.get(self.0.tbs.clone()).unwrap_or_default();
        key.verify(&self.0.signature_algorithm, Signed::Message(tbs), &self.0.signature)
    }

    /// Is it a CA's? RFC 5280 section 6.1.4 (k): version 3 with cA set.
    pub(crate) fn is_ca(&self) -> bool {
        self.0.extensions.basic_constraints.is_some_and(|constraints| constraints.ca)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl AsRef<[u8]> for Certificate {
    fn as_ref(&self) -> &[u8] {
        self.der()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

/// Its subject and serial number: enough to find it.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subject.is_empty() {
            write!(f, "(no subject), serial {}", self.0.serial)
        } else {
            write!(f, "{}, serial {}", self.0.subject, self.0.serial)
        }
    }
}

/// A certificate's serial number: an integer of any size, negative ones too (RFC 5280 section 4.1.2.2 asks to handle
/// them gracefully). `Display` is lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Serial(Box<[u8]>);

const MAX_SERIAL: usize = 64;

impl Serial {
    /// From the content octets of a DER INTEGER.
    pub fn from_octets(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// From hexadecimal digits, with or without colons between them: `73:c1:59` or `73c159`. `None` for other text.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: String = text.trim().trim_start_matches("0x").chars().filter(|c| *c != ':').collect();
        let fits =
            (1..=2 * MAX_SERIAL).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !fits {
            return None;
        }
        let even = if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") };
        let pairs = (0..even.len()).step_by(2);
        let mut octets: Vec<u8> =
            pairs.map(|at| u8::from_str_radix(even.get(at..at + 2)?, 16).ok()).collect::<Option<_>>()?;
        // The shortest INTEGER, and a positive one (X.690 section 8.3).
        let leading_zeros = octets.iter().take_while(|octet| **octet == 0).count().min(octets.len() - 1);
        octets.drain(..leading_zeros);
        if octets.first().is_some_and(|first| first & 0x80 != 0) {
            octets.insert(0, 0);
        }
        Some(Self(octets.into()))
    }

    /// The content octets of the DER INTEGER: two's complement, most significant first.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Lower-case hexadecimal of the magnitude, an even number of digits, `-` before a negative one.
    pub fn hex(&self) -> String {
        let (sign, magnitude) = self.magnitude();
        format!("{sign}{}", hex::lower(&magnitude))
    }

    /// In decimal.
    pub fn decimal(&self) -> String {
        let (sign, magnitude) = self.magnitude();
        // Long division of the octets by ten to the eighteenth, again and again: at most 64 octets.
        const CHUNK: u128 = 1_000_000_000_000_000_000;
        let mut rest = magnitude;
        let mut chunks = Vec::new();
        while rest.iter().any(|&octet| octet != 0) {
            let mut remainder = 0_u128;
            for octet in &mut rest {
                let current = remainder << 8 | u128::from(*octet);
                *octet = (current / CHUNK) as u8;
                remainder = current % CHUNK;
            }
            chunks.push(remainder);
        }
        let mut text = sign.to_owned();
        match chunks.split_last() {
            Some((last, others)) => {
                text.push_str(&last.to_string());
                for chunk in others.iter().rev() {
                    text.push_str(&format!("{chunk:018}"));
                }
            }
            None => text.push('0'),
        }
        text
    }

    fn magnitude(&self) -> (&'static str, Vec<u8>) {
        if self.0.first().is_some_and(|first| first & 0x80 != 0) {
            let mut carry = true;
            let mut octets: Vec<u8> = self.0.iter().map(|octet| !octet).collect();
            for octet in octets.iter_mut().rev() {
                (*octet, carry) = octet.overflowing_add(u8::from(carry));
            }
            ("-", octets)
        } else {
            let octets = match &*self.0 {
                [0, rest @ ..] if !rest.is_empty() => rest,
                octets => octets,
            };
            ("", octets.to_vec())
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

fn read_version(fields: &mut Reader<'_>) -> Result<u8, Malformed> {
    let Some(explicit) = fields.optional(tag::context_constructed(0), "version")? else { return Ok(1) };
    let mut inner = explicit.contents();
    let version = inner.integer("version")?;
    inner.finish("version")?;
    match version {
        // DER leaves the default (v1) out; issuers who write it mean nothing else by it.
        [version @ 0..=2] => Ok(version + 1),
        _ => Err(Malformed::new("version", "not 1, 2 or 3")),
    }
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, octets).as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_in_words() {
        let rows: [(&[u8], &str, &str); 7] = [
            (&[0], "0", "00"),
            (&[1], "1", "01"),
            (&[0, 0xff], "255", "ff"),
            (&[0xff], "-1", "-01"),
            (&[0x80], "-128", "-80"),
            (&[0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0, 0], "1000000000000000000", "0de0b6b3a7640000"),
            (
                &[0x7f; 20],
                "727885129180488904360266563744972327436484050815",
                "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
            ),
        ];
        for (octets, decimal, hex) in rows {
            let serial = Serial(octets.into());
            assert_eq!((serial.decimal().as_str(), serial.hex().as_str()), (decimal, hex));
        }
    }

    #[test]
    fn serials_as_they_are_typed() {
        let rows: [(&str, Option<&[u8]>); 9] = [
            ("01", Some(&[1])),
            ("1", Some(&[1])),
            ("0x00ff", Some(&[0, 0xff])),
            ("FF", Some(&[0, 0xff])),
            ("73:c1:59", Some(&[0x73, 0xc1, 0x59])),
            ("0", Some(&[0])),
            ("", None),
            ("12 34", None),
            ("g1", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Serial::from_hex(text).as_ref().map(Serial::octets), expected, "{text:?}");
        }
        assert_eq!(Serial::from_hex(&"f".repeat(200)), None);
    }
}
