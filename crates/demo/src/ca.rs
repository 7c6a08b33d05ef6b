//! Certification authorities: issue certificates and CRLs (RFC 5280).

use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::certificate::{Extension, Name, Template};
use crate::der::{self, Oid};
use crate::error::DemoError;
use crate::key::{Key, pem};

/// A certification authority: a name, a key and the certificate that binds them.
#[derive(Debug)]
pub struct Ca {
    name: Name,
    key: Key,
    certificate: CertificateDer<'static>,
    /// What a holder of its certificates has to send along: its own certificate and those above, without the root's.
    chain: Vec<CertificateDer<'static>>,
}

/// A certificate just issued, with what belongs to it.
#[derive(Debug)]
pub struct Issued {
    /// The serial number's octets.
    pub serial: Vec<u8>,
    /// The certificate, followed by its issuers without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: Key,
}

/// What one side of a TLS connection shows and proves.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, followed by its issuers.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key that belongs to the first of them. Nothing checks that it does: a test may lie.
    pub key: PrivateKeyDer<'static>,
}

/// One entry of a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The serial number's octets.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: SystemTime,
    /// `CRLReason` (RFC 5280 section 5.3.1); `None` leaves it out.
    pub reason: Option<u8>,
}

/// `CRLReason` keyCompromise.
pub const KEY_COMPROMISE: u8 = 1;

const SUBJECT_KEY_IDENTIFIER: Oid = &[2, 5, 29, 14];
const AUTHORITY_KEY_IDENTIFIER: Oid = &[2, 5, 29, 35];
const CRL_NUMBER: Oid = &[2, 5, 29, 20];
const CRL_REASON: Oid = &[2, 5, 29, 21];

impl Ca {
    /// A root CA of this common name.
    pub fn new(common_name: &str) -> Result<Self, DemoError> {
        Self::root(&Template::authority(Name::dod().common_name(common_name), None))
    }

    /// A root CA, by its template.
    pub fn root(template: &Template) -> Result<Self, DemoError> {
        let key = Key::generate(template.key)?;
        let serial = serial(template)?;
        let certificate = certificate(template, &serial, key.public_der(), &template.subject, &key)?;
        Ok(Self { name: template.subject.clone(), key, certificate, chain: Vec::new() })
    }

    /// A CA of this common name below this one, which issues no further CAs.
    pub fn subordinate(&self, common_name: &str) -> Result<Self, DemoError> {
        self.subordinate_as(&Template::authority(Name::dod().common_name(common_name), Some(0)))
    }

    /// A CA below this one, by its template.
    pub fn subordinate_as(&self, template: &Template) -> Result<Self, DemoError> {
        let Issued { chain, key, .. } = self.issue(template)?;
        let certificate = chain.first().cloned().ok_or(DemoError::Crypto("issue a certificate"))?;
        Ok(Self { name: template.subject.clone(), key, certificate, chain })
    }

    /// Issues a certificate and makes its key. Nothing of the template is questioned.
    pub fn issue(&self, template: &Template) -> Result<Issued, DemoError> {
        let key = Key::generate(template.key)?;
        let serial = serial(template)?;
        let certificate = certificate(template, &serial, key.public_der(), &self.name, &self.key)?;
        let chain = std::iter::once(certificate).chain(self.chain.iter().cloned()).collect();
        Ok(Issued { serial, chain, key })
    }

    /// A CRL of this CA with these entries.
    pub fn crl(
        &self,
        revoked: &[Revoked],
        this_update: SystemTime,
        next_update: SystemTime,
    ) -> Result<CertificateRevocationListDer<'static>, DemoError> {
        // RFC 5280 section 5.2.3: the number only has to grow; seconds do.
        let seconds = this_update.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let extensions = [
            authority_key_identifier(&self.key).der(),
            Extension::plain(CRL_NUMBER, der::unsigned(&seconds.to_be_bytes())).der(),
        ];
        // RFC 5280 section 5.1.2.6: an empty list is absent.
        let entries = if revoked.is_empty() { Vec::new() } else { der::sequence(revoked.iter().map(Revoked::der)) };
        let list = der::sequence([
            der::unsigned(&[1]),
            self.key.signature_algorithm(),
            self.name.der(),
            der::time(this_update),
            der::time(next_update),
            entries,
            der::explicit(0, [der::sequence(extensions)]),
        ]);
        Ok(signed(list, &self.key)?.into())
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate, as PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl Issued {
    /// The chain as PEM, the certificate itself first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// For a TLS connection.
    pub fn identity(&self) -> Identity {
        Identity { chain: self.chain.clone(), key: self.key.private_der() }
    }
}

impl Revoked {
    /// Revoked now.
    pub fn now(serial: &[u8], reason: Option<u8>) -> Self {
        Self { serial: serial.to_vec(), at: SystemTime::now(), reason }
    }

    fn der(&self) -> Vec<u8> {
        // RFC 5280 section 5.3.1: ENUMERATED.
        let reason = self.reason.map(|reason| Extension::plain(CRL_REASON, der::element(0x0a, &[reason])).der());
        let extensions = reason.map_or_else(Vec::new, |reason| der::sequence([reason]));
        der::sequence([der::unsigned(&self.serial), der::time(self.at), extensions])
    }
}

/// A CRL as PEM.
pub fn crl_pem(crl: &CertificateRevocationListDer<'_>) -> String {
    pem("X509 CRL", crl)
}

/// RFC 5280 section 4.1.
fn certificate(
    template: &Template,
    serial: &[u8],
    public: &[u8],
    issuer: &Name,
    issuer_key: &Key,
) -> Result<CertificateDer<'static>, DemoError> {
    let mut extensions = vec![Extension::plain(SUBJECT_KEY_IDENTIFIER, der::octets(&key_identifier(public)))];
    // RFC 5280 section 4.2.1.1: a self-signed certificate may go without.
    if public != issuer_key.public_der() {
        extensions.push(authority_key_identifier(issuer_key));
    }
    extensions.extend(template.extensions());
    let extensions = extensions.iter().map(Extension::der);
    let (version, extensions) = if template.version1 {
        (Vec::new(), Vec::new())
    } else {
        (der::explicit(0, [der::unsigned(&[2])]), der::explicit(3, [der::sequence(extensions)]))
    };
    let body = der::sequence([
        version,
        der::unsigned(serial),
        issuer_key.signature_algorithm(),
        issuer.der(),
        der::sequence([der::time(template.not_before), der::time(template.not_after)]),
        template.subject.der(),
        public.to_vec(),
        extensions,
    ]);
    Ok(signed(body, issuer_key)?.into())
}

/// RFC 5280 section 4.1.1: what is signed, how, and the signature.
fn signed(body: Vec<u8>, key: &Key) -> Result<Vec<u8>, DemoError> {
    let signature = key.sign(&body)?;
    Ok(der::sequence([body, key.signature_algorithm(), der::bits(&signature)]))
}

fn authority_key_identifier(issuer: &Key) -> Extension {
    let identifier = der::element(0x80, &key_identifier(issuer.public_der()));
    Extension::plain(AUTHORITY_KEY_IDENTIFIER, der::sequence([identifier]))
}

/// RFC 7093 section 2, method 4: a hash of the whole `SubjectPublicKeyInfo`, here its leftmost 160 bits.
fn key_identifier(public: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, public).as_ref().iter().copied().take(20).collect()
}

fn serial(template: &Template) -> Result<Vec<u8>, DemoError> {
    if let Some(serial) = &template.serial {
        return Ok(serial.clone());
    }
    let mut serial = vec![0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| DemoError::Crypto("draw random numbers"))?;
    // RFC 5280 section 4.1.2.2: positive; a first octet of 0x40 to 0x7f makes every serial 16 octets long.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(serial)
}
