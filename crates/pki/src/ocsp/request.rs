//! What a responder is asked: about which certificate, with which nonce (RFC 6960 section 4.1).

use aws_lc_rs::digest;

use crate::certificate::{Certificate, Serial};
use crate::der::write::element;
use crate::der::{Malformed, Reader, tag};
use crate::oid;
use crate::signature::Hash;

/// 32 octets, as RFC 9654 section 2.1 recommends; RFC 8954 allows no more.
pub(crate) type Nonce = [u8; 32];

/// `CertID` (RFC 6960 section 4.1.1): a certificate by its issuer's name and key, hashed, and its serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertId {
    hash: Hash,
    issuer_name_hash: Box<[u8]>,
    issuer_key_hash: Box<[u8]>,
    serial: Serial,
}

impl CertId {
    pub(crate) fn new(hash: Hash, certificate: &Certificate, issuer: &Certificate) -> Self {
        Self {
            hash,
            issuer_name_hash: digest::digest(hash.algorithm(), issuer.subject().der()).as_ref().into(),
            issuer_key_hash: digest::digest(hash.algorithm(), key_bits(issuer)).as_ref().into(),
            serial: certificate.serial().clone(),
        }
    }

    /// `None` for a hash that nobody here asks with: such an answer is about no certificate of ours.
    pub(crate) fn read(fields: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        const FIELD: &str = "certID";
        let mut fields = fields.sequence(FIELD)?;
        let hash = Hash::from_oid(fields.sequence("hashAlgorithm")?.oid("hashAlgorithm")?);
        let issuer_name_hash = fields.take(tag::OCTET_STRING, "issuerNameHash")?.value.into();
        let issuer_key_hash = fields.take(tag::OCTET_STRING, "issuerKeyHash")?.value.into();
        let serial = Serial::from_octets(fields.integer("serialNumber")?);
        fields.finish(FIELD)?;
        Ok(hash.map(|hash| Self { hash, issuer_name_hash, issuer_key_hash, serial }))
    }

    /// Is it about this certificate, whichever hash it names the issuer by?
    pub(crate) fn is_of(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        *self == Self::new(self.hash, certificate, issuer)
    }

    fn der(&self) -> Vec<u8> {
        let algorithm = [element(tag::OID, self.hash.oid()), element(tag::NULL, &[])].concat();
        let fields = [
            element(tag::SEQUENCE, &algorithm),
            element(tag::OCTET_STRING, &self.issuer_name_hash),
            element(tag::OCTET_STRING, &self.issuer_key_hash),
            element(tag::INTEGER, self.serial.octets()),
        ];
        element(tag::SEQUENCE, &fields.concat())
    }
}

/// The octets of `subjectPublicKey`, without tag, length and count of unused bits.
pub(crate) fn key_bits(certificate: &Certificate) -> &[u8] {
    let read = || {
        let mut spki = Reader::new(certificate.spki_der()).sequence("subjectPublicKeyInfo")?;
        spki.any("algorithm")?;
        spki.octets_of_bit_string("subjectPublicKey")
    };
    // A certificate with another SubjectPublicKeyInfo could not be read at all.
    read().unwrap_or_default()
}

/// An `OCSPRequest` for one certificate, unsigned.
pub(crate) fn request(id: &CertId, nonce: Option<&Nonce>) -> Vec<u8> {
    let list = element(tag::SEQUENCE, &element(tag::SEQUENCE, &id.der()));
    let extensions = nonce.map(|nonce| {
        // RFC 9654 section 2.1: an OCTET STRING inside the one that every extension has.
        let value = element(tag::OCTET_STRING, &element(tag::OCTET_STRING, nonce));
        let extension = element(tag::SEQUENCE, &[element(tag::OID, oid::OCSP_NONCE), value].concat());
        element(tag::context_constructed(2), &element(tag::SEQUENCE, &extension))
    });
    element(tag::SEQUENCE, &element(tag::SEQUENCE, &[list, extensions.unwrap_or_default()].concat()))
}
