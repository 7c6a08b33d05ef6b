//! One certificate revocation list (RFC 5280 section 5): read from a stream, its signature verified against any key
//! later, because only the hash of what is signed is kept.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;

use crate::certificate::{Certificate, Serial};
use crate::crl::entries::Entries;
use crate::crl::extensions::{CrlExtensions, Number, Scope};
use crate::crl::stream::{Sink, Stream, StreamError};
use crate::crl::table::{Entry, SerialTable};
use crate::der::{Malformed, Reader, tag};
use crate::extensions::Reasons;
use crate::name::Name;
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
        let length = stream.enter(tag::SEQUENCE, "CertificateList")?;
        let end_of_all = stream.position() + length;
        stream.divert(Sink::Undecided);
        let length = stream.enter(tag::SEQUENCE, "tbsCertList")?;
        let end = stream.position() + length;

        let version_2 = read_version(&mut stream)?;
        let algorithm = stream.element("signature")?.expect(tag::SEQUENCE, "signature")?;
        let algorithm_raw: Box<[u8]> = algorithm.raw.into();
        let signature_algorithm = SignatureAlgorithm::read(algorithm.contents(), "signature")?;
        stream.divert(sink_for(&signature_algorithm)?);
        let issuer = Name::from_tlv(stream.element("issuer")?.expect(tag::SEQUENCE, "issuer")?, "issuer")?;
        let this_update = Time::from_tlv(stream.element("thisUpdate")?, "thisUpdate")?;
        let next_update = match stream.peek_within(end, "tbsCertList")? {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => {
                Some(Time::from_tlv(stream.element("nextUpdate")?, "nextUpdate")?)
            }
            _ => None,
        };
        let mut entries = Entries::new(issuer.clone());
        if stream.peek_within(end, "tbsCertList")? == Some(tag::SEQUENCE) {
            read_entries(&mut stream, &mut entries)?;
        }
        let extensions = match stream.peek_within(end, "tbsCertList")? {
            Some(_) if version_2 => CrlExtensions::read(stream.element("crlExtensions")?)?,
            Some(_) => return Err(Malformed::new("version", "too low for the fields that follow").into()),
            None => CrlExtensions::default(),
        };
        if stream.position() != end {
            return Err(Malformed::new("tbsCertList", "its contents don't end where it does").into());
        }
        if entries.names_issuers && !extensions.scope.indirect {
            return Err(Malformed::new("certificateIssuer", "in a list that is not indirect").into());
        }
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
        if stream.position() != end_of_all || stream.peek_tag()?.is_some() {
            return Err(Malformed::new("CertificateList", "bytes after its end").into());
        }
        let (own, foreign) = entries.finish(&issuer);
        let proven = Mutex::default();
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
            proven,
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

    /// Every issuer of a certificate with this number that the list names, and what it says of it.
    pub(crate) fn find_number<'l>(&'l self, serial: &'l Serial) -> impl Iterator<Item = (&'l Name, Entry)> {
        let tables = std::iter::once((&self.issuer, &self.own)).chain(&self.foreign);
        tables.filter_map(move |(issuer, table)| Some((issuer, table.find(serial)?)))
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

fn read_version<R: Read>(stream: &mut Stream<R>) -> Result<bool, StreamError> {
    match stream.peek_tag()? {
        Some(tag::INTEGER) => match stream.element("version")?.value {
            [1] => Ok(true),
            _ => Err(Malformed::new("version", "neither absent nor 2").into()),
        },
        _ => Ok(false),
    }
}

fn sink_for(algorithm: &SignatureAlgorithm) -> Result<Sink, Malformed> {
    match (algorithm, algorithm.hash()) {
        (_, Some(hash)) => Ok(Sink::Digest(digest::Context::new(hash.algorithm()))),
        (SignatureAlgorithm::Ed25519, None) => Ok(Sink::Keep(Vec::new())),
        (other, None) => Err(Malformed::new("signature", format!("{other} is not supported"))),
    }
}

fn read_entries<R: Read>(stream: &mut Stream<R>, entries: &mut Entries) -> Result<(), StreamError> {
    const FIELD: &str = "revokedCertificates";
    let length = stream.enter(tag::SEQUENCE, FIELD)?;
    let end = stream.position() + length;
    while stream.position() < end {
        entries.read(stream.element(FIELD)?.expect(tag::SEQUENCE, FIELD)?)?;
    }
    if stream.position() != end {
        return Err(Malformed::new(FIELD, "its last entry overruns it").into());
    }
    Ok(())
}
