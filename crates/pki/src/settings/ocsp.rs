//! The settings of `[ocsp]`, as they stand in the file.

use std::time::Duration;

use serde::Deserialize;

use crate::location::HttpUrl;
use crate::settings::span::Span;
use crate::signature::Hash;

/// `[ocsp]`: how responders are asked (RFC 6960).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OcspSettings {
    /// For one question and its answer, the connection included.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Send a nonce (RFC 9654), and hold an answer that has one against it.
    #[serde(default = "yes")]
    pub nonce: bool,
    /// Refuse answers without a nonce; many responders give the same answer to all, and can't have one.
    #[serde(default)]
    pub require_nonce: bool,
    /// How long an answer without nextUpdate is used.
    #[serde(default = "max_age")]
    pub max_age: Span,
    /// How far a responder's clock may be from ours.
    #[serde(default = "clock_skew")]
    pub clock_skew: Span,
    /// The hash that a certificate's issuer is named by. Not a signature: SHA-1 is what every responder knows.
    #[serde(default)]
    pub hash: CertIdHash,
    /// `[[ocsp.responder]]`: whom to ask instead of the responder that a certificate names.
    #[serde(default)]
    pub responder: Vec<ResponderSettings>,
}

/// `[[ocsp.responder]]`: whom to ask, for all certificates or for some. The first that fits is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponderSettings {
    /// Where it is: http or https.
    pub url: HttpUrl,
    /// Only for judgements under this trust.
    #[serde(default)]
    pub trust: Option<String>,
    /// Only for certificates of this issuer, its name written as `postern certificate show` does.
    #[serde(default)]
    pub issuer: Option<String>,
}

impl Default for OcspSettings {
    fn default() -> Self {
        Self {
            timeout: timeout(),
            nonce: true,
            require_nonce: false,
            max_age: max_age(),
            clock_skew: clock_skew(),
            hash: CertIdHash::default(),
            responder: Vec::new(),
        }
    }
}

fn yes() -> bool {
    true
}

fn timeout() -> Span {
    Span(Duration::from_secs(3))
}

fn max_age() -> Span {
    Span(Duration::from_secs(3600))
}

fn clock_skew() -> Span {
    Span(Duration::from_secs(300))
}

/// A hash for naming certificates in OCSP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum CertIdHash {
    /// What RFC 5019 section 2.1.1 asks for.
    #[default]
    #[serde(rename = "SHA-1")]
    Sha1,
    /// For responders that refuse SHA-1.
    #[serde(rename = "SHA-256")]
    Sha256,
}

impl CertIdHash {
    pub(crate) fn hash(self) -> Hash {
        match self {
            Self::Sha1 => Hash::Sha1,
            Self::Sha256 => Hash::Sha256,
        }
    }
}
