//! Certificates: fields, path validation, certificate revocation lists.
//!
//! A [`Trust`] judges a presented chain against the lists of a [`CrlStore`] and answers with a [`Verdict`]; an
//! [`Identity`] is what the certificate says about its holder, as plain data. That judgement computes and never waits;
//! a [`Verifier`] around it gets what it lacks (OCSP answers, missing issuers, lists that certificates name) and judges
//! again. [`CrlStore::run`] looks after the lists: it fetches without blocking, and reads on threads that may block.
//!
//! # What is ours, and why
//!
//! *Path validation and revocation* (RFC 5280 sections 6.1 and 6.3, RFC 9618) are written here: no library does all of
//! NIST PKITS, and those that come near verify and walk a whole list again at every judgement. `tests/pkits-report.txt`
//! has every case by name, `tests/pkits-openssl.txt` where openssl judges otherwise.
//!
//! *Reading DER* is a bounded reader of 200 lines, because one rule for certificates and for lists that are streamed is
//! easier to trust than two:
//!
//! | | version 1, unknown critical extensions | instants before 1970 (PKITS 4.2.3) | lists of millions |
//! | --- | --- | --- | --- |
//! | `x509-cert`, `der` | read | refused | all in memory, 280 octets an entry |
//! | `x509-parser` | read | read | all in memory, 350 octets an entry |
//! | here | read | read | streamed, 19.5 octets an entry |
//!
//! It copies nothing, has no recursion, no indexing and no `unsafe`, and is fuzzed through the same doors that the gateway uses.
//!
//! *Signatures* are those of aws-lc-rs. Only DSA, which it leaves out, is ours over `num-bigint`: public values in a
//! dozen lines, and no trust accepts it without naming it.
//!
//! # How a judgement goes
//!
//! [`Trust::verify`] looks into its cache; else `path::build` searches upwards through what was presented and what is
//! configured, `path::validate` judges each path that reaches an anchor, and `revocation` asks the lists about each of
//! its certificates. Work is bounded by a budget, whatever a stranger presents. A verdict holds until
//! [`Verdict::valid_until`], the next instant at which anything at hand begins or ends to be valid, or until the lists change.

mod verifier;
mod trust;
mod cache;
mod describe;
mod listed;
mod revocation;
mod path;
mod verdict;
mod knowledge;
mod issuers;
mod pkcs7;
mod ocsp;
mod crl;
mod flight;
mod fetch;
mod system;
mod access;
mod random;
mod settings;
mod location;
mod pool;
mod identity;
mod pem;
mod error;
mod certificate;
mod extensions;
mod general_name;
mod name;
mod signature;
mod dsa;
mod time;
mod oid;
mod der;
mod hex;

pub use certificate::{Certificate, MAX_CERTIFICATE, Serial, subject_public_key_info};
pub use crl::list::Crl;
pub use crl::status::{ListStatus, SourceStatus};
pub use crl::store::CrlStore;
pub use der::Malformed;
pub use describe::Described;
pub use error::Error;
pub use extensions::{Extension, KeyUsage};
pub use fetch::{FetchError, Fetcher, Form};
pub use general_name::GeneralName;
pub use identity::{FieldProblem, Identity, IdentityField};
pub use issuers::IssuerStore;
pub use knowledge::Knowledge;
pub use listed::Listed;
pub use location::{HttpUrl, LdapUrl, Location};
pub use name::Name;
pub use ocsp::{BadOcspAnswer, NoStaple, OcspStatus, OcspStore, Staple, check_ocsp_response, staple};
pub use oid::{BadOid, Oid};
pub use pem::MAX_BUNDLE;
pub use settings::{
    AllowedHash, CertIdHash, CrlFormat, CrlSettings, CrlSourceSettings, FetchSettings, HostPattern, KeyPurpose,
    KeyType, OcspSettings, OnUnknownStatus, PolicyOid, ResponderSettings, RevocationMethod, Schedule, Span,
    TrustSettings,
};
pub use signature::{Hash, POSSESSION_SCHEMES, SignatureError, TlsVersion, verify_possession};
pub use system::system_roots;
pub use time::Time;
pub use trust::Trust;
pub use verdict::{PathError, Revocation, RevocationReason, UnknownStatus, ValidPath, Verdict};
pub use verifier::Verifier;
