//! What an authentication profile says of each problem: plain data, judged by `policy`, written by hand in its tables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// The judging half of an authentication profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRules {
    /// Certificates authenticate here; `None` when the profile has no `certificate`.
    pub certificate: Option<CertificateRules>,
    /// Passwords authenticate here; `None` when the profile has no `password`.
    pub password: Option<PasswordRules>,
    /// The age of a connection from which each MAIL asks again.
    pub recheck_after: Duration,
}

impl ProfileRules {
    /// Passwords are configured, and no problem with a certificate leads to them.
    pub fn password_never_opens(&self) -> bool {
        self.password.is_some()
            && self.certificate.as_ref().is_some_and(|rules| {
                [rules.on_missing, rules.on_invalid, rules.on_no_match].iter().all(|it| *it == OnProblem::Reject)
            })
    }
}

/// What follows from each problem with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRules {
    /// The client shows no certificate.
    pub on_missing: OnProblem,
    /// The path is invalid, or a certificate on it is revoked.
    pub on_invalid: OnProblem,
    /// The certificate is fine, and the directory knows nobody, or several people, by it.
    pub on_no_match: OnProblem,
    /// Nobody can say whether the certificate is revoked.
    pub on_unknown_status: pki::OnUnknownStatus,
}

/// How passwords, and tokens in their place, are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    /// Offered in EHLO, in this order. EXTERNAL is not among them: it belongs to certificates.
    pub mechanisms: Vec<Mechanism>,
    /// The password is right, and the allowance query says no.
    pub on_not_allowed: OnNotAllowed,
}

/// Refuse, or let the client try a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnProblem {
    /// Refuse the session.
    #[default]
    Reject,
    /// Let SMTP AUTH with a password take its place.
    Fallback,
}

/// What a "no" of the allowance query means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNotAllowed {
    /// As a wrong password.
    #[default]
    Reject,
    /// Let through, and logged.
    Monitor,
}

/// A SASL mechanism, by its registered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: obsolete, and what many clients still send.
    Login,
    /// RFC 4422 appendix A: the TLS client certificate speaks.
    External,
    /// RFC 7677: a password is proved, and not sent.
    ScramSha256,
    /// The same, bound to the TLS connection (RFC 9266): nobody stands between client and server.
    ScramSha256Plus,
    /// RFC 7628: a token of OAuth 2.0.
    OauthBearer,
    /// What Google and Microsoft had before that.
    Xoauth2,
}

/// Not the name of a mechanism this server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown SASL mechanism: PLAIN, LOGIN, EXTERNAL, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, OAUTHBEARER and XOAUTH2 are known"
)]
pub struct UnknownMechanism;

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Login,
        Self::External,
        Self::ScramSha256,
        Self::ScramSha256Plus,
        Self::OauthBearer,
        Self::Xoauth2,
    ];

    /// Proves a password without sending it.
    pub const fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256 | Self::ScramSha256Plus)
    }

    /// Brings a token in a password's place.
    pub const fn is_token(self) -> bool {
        matches!(self, Self::OauthBearer | Self::Xoauth2)
    }

    /// The name, upper case (RFC 4422 section 3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Mechanism {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    /// Without regard to case: SMTP's AUTH argument is (RFC 4954 section 4).
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name)).ok_or(UnknownMechanism)
    }
}

impl TryFrom<String> for Mechanism {
    type Error = UnknownMechanism;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_have_the_names_they_are_registered_under() {
        for (mechanism, name, scram, token) in [
            (Mechanism::Plain, "PLAIN", false, false),
            (Mechanism::Login, "LOGIN", false, false),
            (Mechanism::External, "EXTERNAL", false, false),
            (Mechanism::ScramSha256, "SCRAM-SHA-256", true, false),
            (Mechanism::ScramSha256Plus, "SCRAM-SHA-256-PLUS", true, false),
            (Mechanism::OauthBearer, "OAUTHBEARER", false, true),
            (Mechanism::Xoauth2, "XOAUTH2", false, true),
        ] {
            assert_eq!((mechanism.name(), mechanism.to_string().as_str()), (name, name));
            assert_eq!((mechanism.is_scram(), mechanism.is_token()), (scram, token), "{name}");
            assert_eq!(name.to_lowercase().parse(), Ok(mechanism));
            assert_eq!(Mechanism::try_from(name.to_owned()), Ok(mechanism));
            assert_eq!(serde_json::to_string(&mechanism).unwrap(), format!("\"{name}\""));
        }
        for unknown in ["", "PLAIN ", "CRAM-MD5", "SCRAM-SHA-1"] {
            assert_eq!(unknown.parse::<Mechanism>(), Err(UnknownMechanism), "{unknown:?}");
            assert_eq!(Mechanism::try_from(unknown.to_owned()), Err(UnknownMechanism), "{unknown:?}");
        }
    }

    #[test]
    fn a_password_that_nothing_leads_to() {
        use OnProblem::{Fallback, Reject};
        let password = PasswordRules { mechanisms: vec![Mechanism::Plain], on_not_allowed: OnNotAllowed::Reject };
        let profile = |certificate: Option<[OnProblem; 3]>, password: Option<&PasswordRules>| ProfileRules {
            certificate: certificate.map(|[on_missing, on_invalid, on_no_match]| CertificateRules {
                on_missing,
                on_invalid,
                on_no_match,
                on_unknown_status: pki::OnUnknownStatus::Temporary,
            }),
            password: password.cloned(),
            recheck_after: Duration::from_secs(300),
        };
        for (on_problem, never) in [
            (Some([Reject, Reject, Reject]), true),
            (Some([Fallback, Reject, Reject]), false),
            (Some([Reject, Fallback, Reject]), false),
            (Some([Reject, Reject, Fallback]), false),
            (None, false),
        ] {
            assert_eq!(profile(on_problem, Some(&password)).password_never_opens(), never, "{on_problem:?}");
            assert!(!profile(on_problem, None).password_never_opens(), "{on_problem:?}");
        }
    }
}
