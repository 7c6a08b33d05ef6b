//! What judging a certificate comes to: a path or why there is none, its revocation, and the steps that led there.

use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::der::Malformed;
use crate::extensions::KeyUsage;
use crate::knowledge::Lack;
use crate::oid::Oid;
use crate::time::Time;

/// The judgement of one presented chain.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The certificate of the client itself; `None` where it can't be read (then `path` says why).
    pub leaf: Option<Certificate>,
    /// A valid path to a trust anchor, or why there is none.
    pub path: Result<ValidPath, PathError>,
    /// Of the whole path; [`Revocation::NotChecked`] where there is no path or the trust asks for no check.
    pub revocation: Revocation,
    /// What was tried, in order, in words for a person.
    pub steps: Vec<String>,
    /// From this instant on the judgement must be made anew: something it rests on begins or ends then.
    pub valid_until: Time,
    /// What could be fetched and might change the judgement.
    pub(crate) lacks: Vec<Lack>,
}

/// A certification path that RFC 5280 section 6.1 finds valid.
#[derive(Debug, Clone)]
pub struct ValidPath {
    /// From the client's certificate up to the one that the anchor signed.
    pub certificates: Vec<Certificate>,
    /// The trust anchor.
    pub anchor: Certificate,
    /// The user-constrained policy set (RFC 5280 section 6.1.6); `2.5.29.32.0` in it stands for any.
    pub policies: Vec<Oid>,
}

/// Why there is no valid path. Where several paths were tried, the one that came furthest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PathError {
    /// Validity ended.
    #[error("expired: {certificate} was valid until {not_after}")]
    Expired {
        /// Whose.
        certificate: String,
        /// When.
        not_after: Time,
    },
    /// Validity has not begun.
    #[error("not yet valid: {certificate} is valid from {not_before}")]
    NotYetValid {
        /// Whose.
        certificate: String,
        /// When.
        not_before: Time,
    },
    /// No trust anchor is reached.
    #[error("unknown issuer: no trusted certificate of `{issuer}`, which issued {certificate}")]
    UnknownIssuer {
        /// The certificate whose issuer is missing.
        certificate: String,
        /// The missing issuer.
        issuer: String,
    },
    /// A signature is not by the issuer's key.
    #[error("bad signature on {certificate}: {why}")]
    BadSignature {
        /// Whose.
        certificate: String,
        /// What the check said.
        why: String,
    },
    /// An issuer is no CA, or none that may have this many below it.
    #[error("{certificate} may not issue: {why}")]
    NotACa {
        /// The issuer.
        certificate: String,
        /// What forbids it.
        why: String,
    },
    /// A CA is not allowed to certify this name.
    #[error("name constraint: {name} in {certificate} is outside what its CAs may certify")]
    NameConstraint {
        /// Whose.
        certificate: String,
        /// The name.
        name: String,
    },
    /// The path has none of the policies required.
    #[error("policy not acceptable: {why}")]
    PolicyNotAcceptable {
        /// Where it was found out.
        why: String,
    },
    /// keyUsage lacks a bit.
    #[error("wrong key usage: {certificate} lacks {needed}")]
    WrongKeyUsage {
        /// Whose.
        certificate: String,
        /// The bit.
        needed: KeyUsage,
    },
    /// extendedKeyUsage lacks a purpose.
    #[error("wrong extended key usage: {certificate} is not for {needed}")]
    WrongExtendedKeyUsage {
        /// Whose.
        certificate: String,
        /// The purpose.
        needed: String,
    },
    /// A key or algorithm that the trust doesn't allow.
    #[error("weak or forbidden key or algorithm: {certificate} has {what}")]
    WeakKeyOrAlgorithm {
        /// Whose.
        certificate: String,
        /// Which.
        what: String,
    },
    /// A critical extension that nothing here processes.
    #[error("unknown critical extension {oid} in {certificate}")]
    CriticalExtension {
        /// Whose.
        certificate: String,
        /// Which.
        oid: Oid,
    },
    /// Not a readable certificate.
    #[error("malformed certificate: {0}")]
    Malformed(#[from] Malformed),
    /// Nothing was presented.
    #[error("no certificate was presented")]
    Empty,
    /// The bounds on work were reached before a path was found.
    #[error("too complex: no path found within the bounds on work")]
    TooComplex,
}

/// Whether anything in the path was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// The trust's `revocation` is empty, or there is no path.
    NotChecked,
    /// Every certificate of the path is covered, and none is revoked. Names the client certificate's list.
    Good {
        /// The configured source's name.
        source: String,
        /// When the list was made.
        this_update: Time,
        /// When the next one is due.
        next_update: Option<Time>,
    },
    /// A certificate of the path is revoked.
    Revoked {
        /// Which certificate.
        certificate: String,
        /// Why, in RFC 5280's words.
        reason: RevocationReason,
        /// Since when.
        at: Time,
    },
    /// It can't be told.
    Unknown(UnknownStatus),
}

/// Why it can't be told whether a certificate is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UnknownStatus {
    /// No list covers the certificate.
    #[error("no CRL of its issuer covers {certificate}")]
    NoCrl {
        /// Which certificate.
        certificate: String,
    },
    /// The list is older than it says it may be.
    #[error("the CRL for {certificate} (source {source_name}) is stale since {next_update}")]
    Stale {
        /// Which certificate.
        certificate: String,
        /// The configured source.
        source_name: String,
        /// When a newer list was due.
        next_update: Time,
    },
    /// No list covers the certificate, and a configured source has never been read.
    #[error("no CRL covers {certificate}; these sources could never be read: {sources}")]
    NeverFetched {
        /// Which certificate.
        certificate: String,
        /// The sources' names, with commas between.
        sources: String,
    },
    /// A list is there, but not signed by a key that may sign it.
    #[error("the CRL for {certificate} (source {source_name}) has no valid signer")]
    BadSigner {
        /// Which certificate.
        certificate: String,
        /// The configured source.
        source_name: String,
    },
    /// Lists are there, but together they don't cover every reason for revocation.
    #[error("the CRLs for {certificate} leave out some reasons for revocation")]
    SomeReasons {
        /// Which certificate.
        certificate: String,
    },
    /// Neither configuration nor certificate name an OCSP responder that may be asked.
    #[error("no OCSP responder may be asked about {certificate}")]
    NoResponder {
        /// Which certificate.
        certificate: String,
    },
    /// OCSP could not tell.
    #[error("OCSP does not tell about {certificate}: {why}")]
    NoAnswer {
        /// Which certificate.
        certificate: String,
        /// What went wrong, the responder first.
        why: String,
    },
    /// The bounds on work were reached.
    #[error("revocation of {certificate} is too complex to check")]
    TooComplex {
        /// Which certificate.
        certificate: String,
    },
}

impl UnknownStatus {
    /// Nothing is there that could tell, as opposed to something that is there and can't.
    pub(crate) fn has_nothing_to_go_by(&self) -> bool {
        matches!(self, Self::NoCrl { .. } | Self::NoResponder { .. })
    }
}

/// `CRLReason` (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the RFC's own names, and it says what they mean")]
pub enum RevocationReason {
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    CertificateHold,
    PrivilegeWithdrawn,
    AaCompromise,
}

impl std::fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        })
    }
}

impl std::fmt::Display for Revocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotChecked => f.write_str("not checked"),
            Self::Good { source, this_update, next_update: Some(next_update) } => {
                write!(f, "good ({source}, of {this_update}, next {next_update})")
            }
            Self::Good { source, this_update, next_update: None } => write!(f, "good ({source}, of {this_update})"),
            Self::Revoked { certificate, reason, at } => write!(f, "{certificate} revoked at {at} ({reason})"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}
