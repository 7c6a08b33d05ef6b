//! Certificates: fields, path validation, certificate revocation lists.
//!
//! A [`Trust`] judges a presented chain against the lists of a [`CrlStore`] and answers with a [`Verdict`]; an
//! [`Identity`] is what the certificate says about its holder, as plain data.

mod trust;
mod cache;
mod describe;
mod revocation;
mod crl;
mod path;
mod verdict;
mod settings;
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
pub use crl::store::{CrlStore, ListStatus, SourceStatus};
pub use der::Malformed;
pub use describe::Described;
pub use error::Error;
pub use extensions::{Extension, KeyUsage};
pub use general_name::GeneralName;
pub use identity::{FieldProblem, Identity, IdentityField};
pub use name::Name;
pub use oid::{BadOid, Oid};
pub use pem::MAX_BUNDLE;
pub use settings::{
    AllowedHash, CrlFormat, CrlLocation, CrlSettings, CrlSourceSettings, KeyPurpose, KeyType, NotYet, OnUnknownStatus,
    PolicyOid, RevocationMethod, Schedule, Span, TrustSettings,
};
pub use signature::{Hash, POSSESSION_SCHEMES, SignatureError, TlsVersion, verify_possession};
pub use time::Time;
pub use trust::Trust;
pub use verdict::{PathError, Revocation, RevocationReason, UnknownStatus, ValidPath, Verdict};
