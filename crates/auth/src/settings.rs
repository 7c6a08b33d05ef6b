//! `[authentication.NAME]`

mod contradictions;

use std::time::Duration;

use pki::Trust;

use serde::Deserialize;
use serde_spanned::Spanned;

pub use contradictions::Contradiction;

use crate::rules::{CertificateRules, Mechanism, OnNotAllowed, OnProblem, PasswordRules, ProfileRules};

/// An authentication profile, as configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Certificates authenticate.
    pub certificate: Option<CertificateSettings>,
    /// Passwords authenticate.
    pub password: Option<Spanned<PasswordSettings>>,
    /// The client shows no certificate; `reject` when left out.
    pub on_missing: Option<Spanned<OnProblem>>,
    /// The certificate is invalid or revoked; `reject` when left out.
    pub on_invalid: Option<Spanned<OnProblem>>,
    /// The directory knows nobody, or several, by the certificate; `reject` when left out.
    pub on_no_match: Option<Spanned<OnProblem>>,
    /// The age of a connection from which each MAIL asks again.
    #[serde(default = "five_minutes")]
    pub recheck_after: pki::Span,
}

impl Settings {
    /// How `policy` is to judge, under the trust that `certificate` names.
    pub(crate) fn rules(&self, certificate: Option<&Trust>) -> ProfileRules {
        let or_reject = |setting: &Option<Spanned<OnProblem>>| {
            setting.as_ref().map_or(OnProblem::Reject, |setting| *setting.get_ref())
        };
        ProfileRules {
            certificate: certificate.map(|trust| CertificateRules {
                on_missing: or_reject(&self.on_missing),
                on_invalid: or_reject(&self.on_invalid),
                on_no_match: or_reject(&self.on_no_match),
                on_unknown_status: trust.on_unknown_status(),
            }),
            password: self.password.as_ref().map(Spanned::get_ref).map(|password| PasswordRules {
                mechanisms: password.mechanisms.as_slice().to_vec(),
                on_not_allowed: password.on_not_allowed.as_ref().map_or_else(Default::default, |it| *it.get_ref()),
            }),
            recheck_after: self.recheck_after.0,
        }
    }
}

/// `certificate = { … }`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSettings {
    /// The NAME of a `[trust.NAME]`.
    pub trust: Spanned<String>,
    /// The NAME of a `[directory.NAME]`; without it a certificate is judged and identifies nobody.
    pub directory: Option<Spanned<String>>,
    /// Where the addresses that the certificate's owner may send as come from; the directory when left out.
    #[serde(default)]
    pub addresses_from: AddressSources,
}

/// Where addresses come from: at least one source, each once, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<AddressSource>")]
pub struct AddressSources(Vec<AddressSource>);

/// A source of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressSource {
    /// What the query's `addresses` names.
    Directory,
    /// Every rfc822Name of the subjectAltName (RFC 5280 section 4.2.1.6).
    Certificate,
}

impl AddressSources {
    /// In the order of the configuration.
    pub fn as_slice(&self) -> &[AddressSource] {
        &self.0
    }
}

impl Default for AddressSources {
    fn default() -> Self {
        Self(vec![AddressSource::Directory])
    }
}

impl TryFrom<Vec<AddressSource>> for AddressSources {
    type Error = &'static str;

    fn try_from(sources: Vec<AddressSource>) -> Result<Self, Self::Error> {
        match sources.as_slice() {
            [] => Err("no source: write [\"directory\"]"),
            [_] => Ok(Self(sources)),
            [first, second] if first != second => Ok(Self(sources)),
            _ => Err("a source stands twice"),
        }
    }
}

/// `password = { … }`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSettings {
    /// The NAME of a `[directory.NAME]`.
    pub directory: Option<Spanned<String>>,
    /// The NAME of a `[forward.NAME]`. One of the two is there.
    pub forward: Option<Spanned<String>>,
    /// The NAME of an `[oauth.NAME]`: tokens are taken in a password's place.
    pub oauth: Option<Spanned<String>>,
    /// What AUTH offers, in this order.
    #[serde(default)]
    pub mechanisms: Mechanisms,
    /// The password is right, and the allowance query says no; `reject` when left out.
    pub on_not_allowed: Option<Spanned<OnNotAllowed>>,
}

/// Mechanisms that prove a password: at least one, each once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Mechanism>")]
pub struct Mechanisms(Vec<Mechanism>);

impl Mechanisms {
    /// In the order of the configuration.
    pub fn as_slice(&self) -> &[Mechanism] {
        &self.0
    }
}

impl Default for Mechanisms {
    fn default() -> Self {
        Self(vec![Mechanism::Plain, Mechanism::Login])
    }
}

impl TryFrom<Vec<Mechanism>> for Mechanisms {
    type Error = &'static str;

    fn try_from(mechanisms: Vec<Mechanism>) -> Result<Self, Self::Error> {
        if mechanisms.is_empty() {
            return Err("no mechanism: write [\"PLAIN\", \"LOGIN\"]");
        }
        if mechanisms.contains(&Mechanism::External) {
            return Err("EXTERNAL proves no password: it is offered where `certificate` is set");
        }
        let again = mechanisms.iter().enumerate().any(|(at, one)| mechanisms.iter().skip(at + 1).any(|two| one == two));
        if again { Err("a mechanism stands twice") } else { Ok(Self(mechanisms)) }
    }
}

fn five_minutes() -> pki::Span {
    pki::Span(Duration::from_secs(300))
}
