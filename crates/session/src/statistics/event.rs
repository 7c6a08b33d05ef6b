//! What can be counted.

use std::borrow::Cow;

use policy::Rule;

/// Something that happened, and why or how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    /// What.
    pub(crate) what: What,
    /// One of a few words for each.
    pub(crate) reason: Cow<'static, str>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum What {
    /// A session ended.
    Session,
    /// A message was accepted.
    Message,
    /// A certificate said who the client is, or is good where nobody asks.
    CertificateAccepted,
    /// A certificate, or its absence, ended the session.
    CertificateRefused,
    /// Nobody could judge it.
    CertificatePutOff,
    /// A password might have taken its place.
    CertificatePassedOver,
    /// A password took its place.
    FellBack,
    /// AUTH succeeded.
    AuthAccepted,
    /// AUTH was refused.
    AuthRefused,
    /// Nobody could judge it.
    AuthPutOff,
    /// A monitored rule let through what it would refuse.
    WouldRefuse(Rule),
}

impl What {
    const PLAIN: [Self; 10] = [
        Self::Session,
        Self::Message,
        Self::CertificateAccepted,
        Self::CertificateRefused,
        Self::CertificatePutOff,
        Self::CertificatePassedOver,
        Self::FellBack,
        Self::AuthAccepted,
        Self::AuthRefused,
        Self::AuthPutOff,
    ];

    /// As reports and their file name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Message => "message",
            Self::CertificateAccepted => "certificate accepted",
            Self::CertificateRefused => "certificate refused",
            Self::CertificatePutOff => "certificate put off",
            Self::CertificatePassedOver => "certificate passed over",
            Self::FellBack => "fell back to AUTH",
            Self::AuthAccepted => "AUTH accepted",
            Self::AuthRefused => "AUTH refused",
            Self::AuthPutOff => "AUTH put off",
            Self::WouldRefuse(_) => "would be refused",
        }
    }

    /// The rule, where a rule is what it is about.
    pub(crate) const fn rule(self) -> Option<Rule> {
        match self {
            Self::WouldRefuse(rule) => Some(rule),
            _ => None,
        }
    }

    /// What has this name, and is about this rule.
    pub(super) fn named(name: &str, rule: Option<&str>) -> Option<Self> {
        match rule {
            Some(rule) => Rule::named(rule).map(Self::WouldRefuse).filter(|what| what.name() == name),
            None => Self::PLAIN.into_iter().find(|what| what.name() == name),
        }
    }
}
