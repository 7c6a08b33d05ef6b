//! One certificate revocation list (RFC 5280 section 5): read from a stream, its signature verified against any key
//! later, because only the hash of what is signed is kept.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;

use crate::certificate::{Certificate, Serial};
use crate::crl::stream::{Sink, Stream, StreamError};
use crate::crl::table::{Entry, SerialTable};
use crate::der::{self, Malformed, Reader, Tlv, tag};
use crate::extensions::{AuthorityKeyId, DistributionPointName, RawExtension, Reasons, read_extension};
use crate::general_name::GeneralName;
use crate::name::Name;
use crate::oid;
use crate::signature::{PublicKey, SignatureAlgorithm, Signed};
use crate::time::Time;

/// A list, its entries in a compact table.
#[derive(Debug)]
pub struct Crl {
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    extensions: CrlExtensions,
    /// Of the list's own issuer.
    own: SerialTable,
    /// Of other issuers, in an indirect list.
    foreign: HashMap<Name, SerialTable>,
    signature_algorithm: SignatureAlgorithm,
    signed: Kept,
    signature: Box<[u8]>,
    /// Outcomes of signature checks by the fingerprint of the certificate whose key was tried.
    proven: Mutex<HashMap<[u8; 32], bool>>,
}

/// What is needed of the signed part to verify its signature.
#[derive(Debug)]
enum Kept {
    Digest(digest::Digest),
    Message(Box<[u8]>),
}

/// RFC 5280 section 5.2.
#[derive(Debug, Default)]
struct CrlExtensions {
    number: Option<Number>,
    /// BaseCRLNumber: the list is a delta.
    base_number: Option<Number>,
    authority_key_id: AuthorityKeyId,
    scope: Scope,
}

/// A CRL number: up to 20 octets (RFC 5280 section 5.2.3), ordered as numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Number {
    length: usize,
    octets: Box<[u8]>,
}

impl Number {
    fn read(octets: &[u8]) -> Result<Self, Malformed> {
        der::check_integer(octets, "cRLNumber")?;
        if octets.first().is_some_and(|first| first & 0x80 != 0) || octets.len() > 64 {
            return Err(Malformed::new("cRLNumber", "negative or absurdly long"));
        }
        let magnitude = octets.strip_prefix(&[0]).unwrap_or(octets);
        Ok(Self { length: magnitude.len(), octets: magnitude.into() })
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.length == 0 { "00" } else { "" })?;
        f.write_str(&crate::hex::lower(&self.octets))
    }
}

/// `IssuingDistributionPoint` (RFC 5280 section 5.2.5): which certificates and reasons a list is about.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) distribution_point: Option<DistributionPointName>,
    pub(crate) only_users: bool,
    pub(crate) only_cas: bool,
    pub(crate) only_attributes: bool,
    pub(crate) only_some_reasons: Option<Reasons>,
    pub(crate) indirect: bool,
    /// As it was written: a delta must have the very scope of its base.
    raw: Box<[u8]>,
}

/// How many keys' outcomes a list remembers; a CA has two or three.
const MAX_PROVEN: usize = 64;

impl Crl {
    /// Reads one list; nothing may follow it.
    ///
    /// # Errors
    /// [`Malformed`] names the field; also for critical extensions that are not known, for such a list must not be
    /// used for anything (RFC 5280 sections 5.2 and 5.3).
    pub fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        Self::from_stream(der).map_err(|error| match error {
            StreamError::Malformed(malformed) => malformed,
            StreamError::Io(error) => Malformed::new("CertificateList", error.to_string()),
        })
    }

    /// Reads one list to the end of the input.
    pub(crate) fn from_stream(input: impl Read) -> Result<Self, StreamError> {
        let mut stream = Stream::new(input);
        stream.enter(tag::SEQUENCE, "CertificateList")?;
        stream.divert(Sink::Undecided)?;
        let length = stream.enter(tag::SEQUENCE, "tbsCertList")?;
        let end = stream.position() + length;

        let version_2 = match stream.peek_tag()? {
            Some(tag::INTEGER) => match stream.element("version")?.value {
                [1] => true,
                _ => return Err(Malformed::new("version", "neither absent nor 2").into()),
            },
            _ => false,
        };
        let algorithm = stream.element("signature")?;
        let algorithm_raw: Box<[u8]> = algorithm.raw.into();
        let signature_algorithm = read_algorithm(algorithm)?;
        let issuer = Name::from_tlv(expect(stream.element("issuer")?, tag::SEQUENCE, "issuer")?, "issuer")?;
        let this_update = Time::from_tlv(stream.element("thisUpdate")?, "thisUpdate")?;
        stream.divert(match (&signature_algorithm, signature_algorithm.hash()) {
            (_, Some(hash)) => Sink::Digest(digest::Context::new(hash.algorithm())),
            (SignatureAlgorithm::Ed25519, None) => Sink::Keep(Vec::new()),
            (other, None) => return Err(Malformed::new("signature", format!("{other} is not supported")).into()),
        })?;
        let in_list = |stream: &Stream<_>| stream.position() < end;
        let next_update = match in_list(&stream).then(|| stream.peek_tag()).transpose()?.flatten() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => {
                Some(Time::from_tlv(stream.element("nextUpdate")?, "nextUpdate")?)
            }
            _ => None,
        };
        let mut entries = Entries::new(issuer.clone());
        if in_list(&stream) && stream.peek_tag()? == Some(tag::SEQUENCE) {
            let length = stream.enter(tag::SEQUENCE, "revokedCertificates")?;
            let entries_end = stream.position() + length;
            while stream.position() < entries_end {
                entries.read(expect(stream.element("revokedCertificate")?, tag::SEQUENCE, "revokedCertificate")?)?;
            }
            if stream.position() != entries_end {
                return Err(Malformed::new("revokedCertificates", "its last entry overruns it").into());
            }
        }
        let extensions = match in_list(&stream) {
            true if version_2 => CrlExtensions::read(stream.element("crlExtensions")?)?,
            true => return Err(Malformed::new("version", "too low for the fields that follow").into()),
            false => CrlExtensions::default(),
        };
        if stream.position() != end {
            return Err(Malformed::new("tbsCertList", "bytes after its end").into());
        }
        if entries.names_issuers && !extensions.scope.indirect {
            return Err(Malformed::new("certificateIssuer", "in a list that is not indirect").into());
        }
        let (own, foreign) = entries.finish(&issuer);
        let signed = match stream.end_diversion()? {
            Sink::Digest(context) => Kept::Digest(context.finish()),
            Sink::Keep(message) => Kept::Message(message.into()),
            Sink::Ignore | Sink::Undecided => return Err(Malformed::new("tbsCertList", "ends early").into()),
        };
        // RFC 5280 section 5.1.1.2: both must be the same.
        if stream.element("signatureAlgorithm")?.raw != &*algorithm_raw {
            return Err(Malformed::new("signatureAlgorithm", "not the one inside the signed part").into());
        }
        let signature = stream.element("signatureValue")?;
        let signature = Reader::new(signature.raw).signature("signatureValue")?.into();
        if stream.peek_tag()?.is_some() {
            return Err(Malformed::new("CertificateList", "bytes after its end").into());
        }
        Ok(Self {
            issuer,
            this_update,
            next_update,
            extensions,
            own,
            foreign,
            signature_algorithm,
            signed,
            signature,
            proven: Mutex::default(),
        })
    }

    /// Who issued it.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// When it was made.
    pub fn this_update(&self) -> Time {
        self.this_update
    }

    /// When the next one is due.
    pub fn next_update(&self) -> Option<Time> {
        self.next_update
    }

    /// How many certificates it lists.
    pub fn entries(&self) -> usize {
        self.own.len() + self.foreign.values().map(SerialTable::len).sum::<usize>()
    }

    /// Is it a delta, which says only what changed since a complete list?
    pub fn is_delta(&self) -> bool {
        self.extensions.base_number.is_some()
    }

    /// Does it list the certificate with this serial, issued by its own issuer?
    pub fn lists(&self, serial: &Serial) -> bool {
        self.find(&self.issuer, serial).is_some()
    }

    /// Is it signed with the key of `issuer`? Verified once per certificate, then remembered.
    pub fn is_signed_by(&self, issuer: &Certificate) -> bool {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&outcome) = proven.get(issuer.sha256()) {
            return outcome;
        }
        let outcome = self.verify(issuer.public_key());
        if proven.len() >= MAX_PROVEN {
            proven.clear();
        }
        proven.insert(*issuer.sha256(), outcome);
        outcome
    }

    pub(crate) fn verify(&self, key: &PublicKey) -> bool {
        let signed = match &self.signed {
            Kept::Digest(digest) => Signed::Digest(digest),
            Kept::Message(message) => Signed::Message(message),
        };
        key.verify(&self.signature_algorithm, signed, &self.signature).is_ok()
    }

    pub(crate) fn find(&self, issuer: &Name, serial: &Serial) -> Option<Entry> {
        let table = if *issuer == self.issuer { Some(&self.own) } else { self.foreign.get(issuer) };
        table.and_then(|table| table.find(serial))
    }

    pub(crate) fn number(&self) -> Option<&Number> {
        self.extensions.number.as_ref()
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.extensions.scope
    }

    pub(crate) fn signature_algorithm(&self) -> &SignatureAlgorithm {
        &self.signature_algorithm
    }

    /// The reasons it is about.
    pub(crate) fn reasons(&self) -> Reasons {
        self.extensions.scope.only_some_reasons.unwrap_or(Reasons::ALL)
    }

    /// Two lists of this in common are two states of one list: issuer, key, scope, complete or delta.
    pub(crate) fn is_of_the_same_kind(&self, other: &Self) -> bool {
        self.has_the_scope_of(other) && self.is_delta() == other.is_delta()
    }

    /// RFC 5280 section 6.3.3 (c): may this delta be applied to that complete list?
    pub(crate) fn is_delta_to(&self, complete: &Self) -> bool {
        let (Some(base), Some(number), Some(complete_number)) =
            (&self.extensions.base_number, self.number(), complete.number())
        else {
            return false;
        };
        self.has_the_scope_of(complete) && base <= complete_number && number > complete_number
    }

    fn has_the_scope_of(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.extensions.authority_key_id == other.extensions.authority_key_id
            && self.extensions.scope.raw == other.extensions.scope.raw
    }

    /// Is it an older state than `other`? By number, and by date where numbers don't tell.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(one), Some(two)) if one != two => one < two,
            _ => self.this_update < other.this_update,
        }
    }

    /// Date and number, to tell two states of one list apart.
    pub(crate) fn describe(&self) -> String {
        let number = self.number().map(|number| format!(", number {number}")).unwrap_or_default();
        format!("of {}{number}", self.this_update)
    }
}

fn expect<'a>(tlv: Tlv<'a>, tag: u8, field: &'static str) -> Result<Tlv<'a>, Malformed> {
    if tlv.tag == tag {
        Ok(tlv)
    } else {
        Err(Malformed::new(field, format!("expected tag {tag:#04x}, found {:#04x}", tlv.tag)))
    }
}

fn read_algorithm(tlv: Tlv<'_>) -> Result<SignatureAlgorithm, Malformed> {
    SignatureAlgorithm::read(expect(tlv, tag::SEQUENCE, "signature")?.contents(), "signature")
}

/// The entries as they come by.
struct Entries {
    tables: HashMap<Name, SerialTable>,
    /// Whose certificates the next entries are about: RFC 5280 section 5.3.3, it holds until another is named.
    issuer: Name,
    table: SerialTable,
    names_issuers: bool,
}

impl Entries {
    fn new(issuer: Name) -> Self {
        Self { tables: HashMap::new(), issuer, table: SerialTable::default(), names_issuers: false }
    }

    fn read(&mut self, entry: Tlv<'_>) -> Result<(), Malformed> {
        const FIELD: &str = "revokedCertificate";
        let mut fields = entry.contents();
        let serial = fields.integer("userCertificate")?;
        let date = Time::from_tlv(fields.any("revocationDate")?, "revocationDate")?;
        let extensions = fields.optional(tag::SEQUENCE, "crlEntryExtensions")?;
        fields.finish(FIELD)?;
        let mut reason = 0;
        let mut extensions = extensions.map(|tlv| tlv.contents());
        while let Some(sequence) = extensions.as_mut().filter(|sequence| !sequence.is_empty()) {
            let extension = read_extension(sequence)?;
            let mut value = Reader::new(extension.value);
            match extension.oid {
                oid::REASON_CODE => {
                    reason = match value.take(tag::ENUMERATED, "reasonCode")?.value {
                        [reason @ (0..=6 | 8..=10)] => *reason,
                        _ => return Err(Malformed::new("reasonCode", "none of RFC 5280 section 5.3.1")),
                    };
                }
                oid::CERTIFICATE_ISSUER => {
                    let names = GeneralName::list(value.sequence("certificateIssuer")?, "certificateIssuer")?;
                    let name = names.into_iter().find_map(|name| match name {
                        GeneralName::Directory(name) => Some(name),
                        _ => None,
                    });
                    self.switch_to(name.ok_or_else(|| Malformed::new("certificateIssuer", "no directoryName"))?);
                }
                oid::INVALIDITY_DATE => {}
                _ if extension.critical => return Err(unknown_critical(&extension)),
                _ => {}
            }
        }
        self.table.push(serial, Entry { reason, date });
        Ok(())
    }

    fn switch_to(&mut self, issuer: Name) {
        self.names_issuers = true;
        if issuer != self.issuer {
            let next = self.tables.remove(&issuer).unwrap_or_default();
            let previous = std::mem::replace(&mut self.issuer, issuer);
            self.tables.insert(previous, std::mem::replace(&mut self.table, next));
        }
    }

    /// The entries of the list's own issuer, and those of others.
    fn finish(mut self, own: &Name) -> (SerialTable, HashMap<Name, SerialTable>) {
        self.tables.insert(self.issuer, self.table);
        for table in self.tables.values_mut() {
            table.finish();
        }
        (self.tables.remove(own).unwrap_or_default(), self.tables)
    }
}

impl CrlExtensions {
    /// Reads the `[0]` that holds the SEQUENCE.
    fn read(tlv: Tlv<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "crlExtensions";
        let mut explicit = expect(tlv, tag::context_constructed(0), FIELD)?.contents();
        let mut sequence = explicit.sequence(FIELD)?;
        explicit.finish(FIELD)?;
        let mut extensions = Self::default();
        let mut seen = Vec::new();
        while !sequence.is_empty() {
            let extension = read_extension(&mut sequence)?;
            if seen.contains(&extension.oid) || seen.len() >= 64 {
                let oid = oid::dotted(extension.oid);
                return Err(Malformed::new(FIELD, format!("{oid} is there twice, or there are too many")));
            }
            let mut value = Reader::new(extension.value);
            match extension.oid {
                oid::CRL_NUMBER => extensions.number = Some(Number::read(value.integer("cRLNumber")?)?),
                oid::DELTA_CRL_INDICATOR => {
                    extensions.base_number = Some(Number::read(value.integer("deltaCRLIndicator")?)?);
                }
                oid::ISSUING_DISTRIBUTION_POINT => extensions.scope = Scope::read(extension.value)?,
                oid::AUTHORITY_KEY_ID => extensions.authority_key_id = AuthorityKeyId::read(&mut value)?,
                // Neither changes what the list says.
                oid::ISSUER_ALT_NAME | oid::FRESHEST_CRL => {}
                _ if extension.critical => return Err(unknown_critical(&extension)),
                _ => {}
            }
            seen.push(extension.oid);
        }
        Ok(extensions)
    }
}

fn unknown_critical(extension: &RawExtension<'_>) -> Malformed {
    Malformed::new("CertificateList", format!("unknown critical extension {}", oid::dotted(extension.oid)))
}

impl Scope {
    fn read(value: &[u8]) -> Result<Self, Malformed> {
        const FIELD: &str = "issuingDistributionPoint";
        let mut outer = Reader::new(value);
        let mut sequence = outer.sequence(FIELD)?;
        outer.finish(FIELD)?;
        let distribution_point = match sequence.optional(tag::context_constructed(0), FIELD)? {
            Some(tlv) => Some(DistributionPointName::read(tlv.contents(), FIELD)?),
            None => None,
        };
        let only_users = sequence.boolean_or_false(tag::context(1), FIELD)?;
        let only_cas = sequence.boolean_or_false(tag::context(2), FIELD)?;
        let only_some_reasons = match sequence.optional(tag::context(3), FIELD)? {
            Some(tlv) => Some(Reasons::read(tlv.value, FIELD)?),
            None => None,
        };
        let indirect = sequence.boolean_or_false(tag::context(4), FIELD)?;
        let only_attributes = sequence.boolean_or_false(tag::context(5), FIELD)?;
        sequence.finish(FIELD)?;
        Ok(Self {
            distribution_point,
            only_users,
            only_cas,
            only_attributes,
            only_some_reasons,
            indirect,
            raw: value.into(),
        })
    }
}
