//! What can go wrong while trusts and lists are loaded: always with the file, and what to do about it.

use std::path::PathBuf;

use crate::der::Malformed;

/// Why a trust or a list can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file can't be read.
    #[error("can't read {}: {source}; check that it exists and that this user may read it", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than it may be.
    #[error("{} is larger than {limit} bytes; is it the right file?", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A file is neither DER nor PEM.
    #[error("{} is no PEM file: {problem}; write it anew from the certificates", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong in it.
        problem: String,
    },
    /// A file has no certificate in it.
    #[error("{} holds no certificate; it must hold PEM blocks `BEGIN CERTIFICATE`, or one certificate in DER", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate of a file is unreadable.
    #[error("certificate {number} of {} is malformed ({problem}); remove it or replace it", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Which one in it, from 1.
        number: usize,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// A trust without anchors trusts nobody.
    #[error("trust.{trust}: `anchors` is empty, so every certificate would be refused; name at least one file")]
    NoAnchors {
        /// The trust's name.
        trust: String,
    },
    /// Something that must not be an empty list is one.
    #[error("trust.{trust}: `{key}` is empty, so every certificate would be refused; leave it out for the default")]
    EmptyList {
        /// The trust's name.
        trust: String,
        /// The key.
        key: &'static str,
    },
    /// Two sources of one name.
    #[error("two [[crl.source]] are named `{name}`; give each its own name, for logs and status tell them apart by it")]
    DuplicateSource {
        /// The name.
        name: String,
    },
    /// A list is not a readable CertificateList.
    #[error("{} is no certificate revocation list: {problem}", path.display())]
    Crl {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Malformed,
    },
    /// A list is not signed by its issuer.
    #[error("the list of `{issuer}` in {} is not signed by any certificate of that name in the trusts", path.display())]
    CrlSignature {
        /// Which file.
        path: PathBuf,
        /// The list's issuer.
        issuer: String,
    },
    /// A list is older than the one in use.
    #[error("the list of `{issuer}` in {} is older than the one in use ({what}); the newer one stays in use", path.display())]
    CrlReplay {
        /// Which file.
        path: PathBuf,
        /// The list's issuer.
        issuer: String,
        /// Its number or date against the one in use.
        what: String,
    },
}
