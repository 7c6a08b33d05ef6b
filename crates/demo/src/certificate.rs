//! What a certificate is to say (RFC 5280 section 4), freely: tests need the odd ones too.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::der::{self, Oid};
use crate::key::KeyKind;

/// An X.501 name: one attribute in each RDN, most general first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Name(Vec<(Oid, Vec<u8>)>);

/// One name of `subjectAltName` (RFC 5280 section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AltName {
    /// `rfc822Name`
    Email(String),
    /// `dNSName`
    Dns(String),
    /// `uniformResourceIdentifier`
    Uri(String),
    /// `iPAddress`
    Ip(IpAddr),
    /// Microsoft's user principal name: an `otherName` with a UTF8String.
    Upn(String),
    /// Any other `otherName`: its type and the DER of its value.
    Other(Oid, Vec<u8>),
}

/// One extension, its value as DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What it is.
    pub oid: Oid,
    /// Whether a reader that does not know it has to refuse the certificate.
    pub critical: bool,
    /// The DER inside `extnValue`.
    pub value: Vec<u8>,
}

/// What a certificate is to say. Start from [`Template::cac`], [`Template::client`] or [`Template::server`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The key that is made for it.
    pub key: KeyKind,
    /// The serial number's octets; `None` draws 16 random ones.
    pub serial: Option<Vec<u8>>,
    /// The subject.
    pub subject: Name,
    /// `notBefore`
    pub not_before: SystemTime,
    /// `notAfter`
    pub not_after: SystemTime,
    /// The names in `subjectAltName`; none leaves the extension out.
    pub names: Vec<AltName>,
    /// The bits of `keyUsage` by number; none leaves the extension out.
    pub key_usage: Vec<u8>,
    /// `extendedKeyUsage`; none leaves the extension out.
    pub extended_key_usage: Vec<Oid>,
    /// `certificatePolicies`; none leaves the extension out.
    pub policies: Vec<Oid>,
    /// Whether it is the certificate of a CA.
    pub authority: Authority,
    /// Further extensions, written as they are, after those above.
    pub extensions: Vec<Extension>,
    /// Writes an X.509 version 1 certificate, which has no extensions whatever is said above.
    pub version1: bool,
}

/// `basicConstraints` (RFC 5280 section 4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// No CA; the extension is there and empty.
    No,
    /// A CA with this many CAs below it; `None` sets no limit.
    Yes(Option<u8>),
}

/// `keyUsage` bit digitalSignature.
pub const DIGITAL_SIGNATURE: u8 = 0;
/// `keyUsage` bit keyEncipherment.
pub const KEY_ENCIPHERMENT: u8 = 2;
/// `keyUsage` bit keyCertSign.
pub const KEY_CERT_SIGN: u8 = 5;
/// `keyUsage` bit cRLSign.
pub const CRL_SIGN: u8 = 6;

/// id-kp-serverAuth
pub const SERVER_AUTH: Oid = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth
pub const CLIENT_AUTH: Oid = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// Microsoft's smart card logon
pub const SMARTCARD_LOGON: Oid = &[1, 3, 6, 1, 4, 1, 311, 20, 2, 2];
/// id-US-dod-mediumHardware-256: what a CAC's certificates carry
pub const DOD_MEDIUM_HARDWARE: Oid = &[2, 16, 840, 1, 101, 2, 1, 11, 42];

/// id-at-commonName
pub const COMMON_NAME: Oid = &[2, 5, 4, 3];
/// id-at-countryName
pub const COUNTRY: Oid = &[2, 5, 4, 6];
/// id-at-organizationName
pub const ORGANIZATION: Oid = &[2, 5, 4, 10];
/// id-at-organizationalUnitName
pub const ORGANIZATIONAL_UNIT: Oid = &[2, 5, 4, 11];

const UPN: Oid = &[1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
const SUBJECT_ALT_NAME: Oid = &[2, 5, 29, 17];
const KEY_USAGE: Oid = &[2, 5, 29, 15];
const EXTENDED_KEY_USAGE: Oid = &[2, 5, 29, 37];
const BASIC_CONSTRAINTS: Oid = &[2, 5, 29, 19];
const CERTIFICATE_POLICIES: Oid = &[2, 5, 29, 32];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Template {
    /// A client certificate with this subject, good from an hour ago for a year.
    pub fn client(subject: Name) -> Self {
        let now = SystemTime::now();
        Self {
            key: KeyKind::default(),
            serial: None,
            subject,
            not_before: now - DAY / 24,
            not_after: now + 365 * DAY,
            names: Vec::new(),
            key_usage: vec![DIGITAL_SIGNATURE],
            extended_key_usage: vec![CLIENT_AUTH],
            policies: Vec::new(),
            authority: Authority::No,
            extensions: Vec::new(),
            version1: false,
        }
    }

    /// A client certificate that looks like that of a Common Access Card: the common name ends in the ten digits of
    /// the EDIPI, which also make the UPN (`1234567890@mil`).
    pub fn cac(common_name: &str, email: &str) -> Self {
        let edipi = common_name.rsplit('.').next().unwrap_or(common_name);
        Self {
            names: vec![AltName::Email(email.to_owned()), AltName::Upn(format!("{edipi}@mil"))],
            extended_key_usage: vec![CLIENT_AUTH, SMARTCARD_LOGON],
            policies: vec![DOD_MEDIUM_HARDWARE],
            ..Self::client(Name::dod().organizational_unit("USAF").common_name(common_name))
        }
    }

    /// A server certificate for `localhost`, `127.0.0.1` and `::1`.
    pub fn server() -> Self {
        Self {
            names: vec![
                AltName::Dns("localhost".to_owned()),
                AltName::Ip([127, 0, 0, 1].into()),
                AltName::Ip([0, 0, 0, 0, 0, 0, 0, 1].into()),
            ],
            key_usage: vec![DIGITAL_SIGNATURE, KEY_ENCIPHERMENT],
            extended_key_usage: vec![SERVER_AUTH],
            ..Self::client(Name::dod().common_name("localhost"))
        }
    }

    /// A CA's certificate, good from three years ago for thirteen.
    pub fn authority(subject: Name, path_length: Option<u8>) -> Self {
        let now = SystemTime::now();
        Self {
            key: KeyKind::EcdsaP384,
            not_before: now - 3 * 365 * DAY,
            not_after: now + 10 * 365 * DAY,
            key_usage: vec![KEY_CERT_SIGN, CRL_SIGN],
            extended_key_usage: Vec::new(),
            authority: Authority::Yes(path_length),
            ..Self::client(subject)
        }
    }

    /// With this key.
    pub fn key(self, key: KeyKind) -> Self {
        Self { key, ..self }
    }

    /// With this time of validity.
    pub fn valid(self, not_before: SystemTime, not_after: SystemTime) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// The extensions that follow from the fields, in the order RFC 5280 describes them, then the further ones.
    pub(crate) fn extensions(&self) -> Vec<Extension> {
        let constraints = match self.authority {
            Authority::No => Vec::new(),
            Authority::Yes(None) => vec![der::boolean(true)],
            Authority::Yes(Some(length)) => vec![der::boolean(true), der::unsigned(&[length])],
        };
        let oids = |oids: &[Oid]| oids.iter().map(|arcs| der::oid(arcs)).collect::<Vec<_>>();
        let mut extensions = Vec::new();
        if !self.key_usage.is_empty() {
            extensions.push(Extension::critical(KEY_USAGE, der::named_bits(&self.key_usage)));
        }
        if !self.policies.is_empty() {
            let policies = oids(&self.policies).into_iter().map(|policy| der::sequence([policy]));
            extensions.push(Extension::plain(CERTIFICATE_POLICIES, der::sequence(policies)));
        }
        if !self.names.is_empty() {
            extensions.push(Extension::plain(SUBJECT_ALT_NAME, der::sequence(self.names.iter().map(AltName::der))));
        }
        extensions.push(Extension::critical(BASIC_CONSTRAINTS, der::sequence(constraints)));
        if !self.extended_key_usage.is_empty() {
            extensions.push(Extension::plain(EXTENDED_KEY_USAGE, der::sequence(oids(&self.extended_key_usage))));
        }
        extensions.extend(self.extensions.iter().cloned());
        extensions
    }
}

impl Name {
    /// `C=US, O=U.S. Government, OU=DoD, OU=PKI`: how the names in a DoD certificate begin.
    pub fn dod() -> Self {
        Self::default()
            .country("US")
            .organization("U.S. Government")
            .organizational_unit("DoD")
            .organizational_unit("PKI")
    }

    /// And `C=`, two letters.
    pub fn country(self, code: &str) -> Self {
        self.attribute(COUNTRY, der::printable(code))
    }

    /// And `O=`.
    pub fn organization(self, name: &str) -> Self {
        self.attribute(ORGANIZATION, der::utf8(name))
    }

    /// And `OU=`.
    pub fn organizational_unit(self, name: &str) -> Self {
        self.attribute(ORGANIZATIONAL_UNIT, der::utf8(name))
    }

    /// And `CN=`.
    pub fn common_name(self, name: &str) -> Self {
        self.attribute(COMMON_NAME, der::utf8(name))
    }

    /// And any attribute, its value as DER.
    pub fn attribute(mut self, oid: Oid, value: Vec<u8>) -> Self {
        self.0.push((oid, value));
        self
    }

    /// The name as DER.
    pub fn der(&self) -> Vec<u8> {
        der::sequence(self.0.iter().map(|(oid, value)| der::set([der::sequence([der::oid(oid), value.clone()])])))
    }
}

impl AltName {
    /// RFC 5280 section 4.2.1.6: `GeneralName`, whose tags are implicit.
    fn der(&self) -> Vec<u8> {
        match self {
            Self::Email(text) => der::element(0x81, text.as_bytes()),
            Self::Dns(text) => der::element(0x82, text.as_bytes()),
            Self::Uri(text) => der::element(0x86, text.as_bytes()),
            Self::Ip(IpAddr::V4(address)) => der::element(0x87, &address.octets()),
            Self::Ip(IpAddr::V6(address)) => der::element(0x87, &address.octets()),
            Self::Upn(text) => Self::Other(UPN, der::utf8(text)).der(),
            Self::Other(oid, value) => der::explicit(0, [der::oid(oid), der::explicit(0, [value.clone()])]),
        }
    }
}

impl Extension {
    /// One that a reader may overlook.
    pub fn plain(oid: Oid, value: Vec<u8>) -> Self {
        Self { oid, critical: false, value }
    }

    /// One that a reader must understand.
    pub fn critical(oid: Oid, value: Vec<u8>) -> Self {
        Self { oid, critical: true, value }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        // X.690 section 11.5: FALSE is the default, so DER leaves it out.
        let critical = if self.critical { der::boolean(true) } else { Vec::new() };
        der::sequence([der::oid(self.oid), critical, der::octets(&self.value)])
    }
}
