//! What a directory answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Somebody the directory knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// As the directory spells it.
    pub user_id: String,
    /// The addresses this person may send as, as the directory spells them.
    pub addresses: Vec<String>,
    /// What else this person may send as: addresses, and `@domain` for all of a domain.
    pub send_as: Vec<String>,
}

/// Whose certificate it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateMatch {
    /// This person's.
    One(Person),
    /// Nobody's.
    Nobody {
        /// What was asked, and why nothing could match; for the log.
        why: String,
    },
    /// More than one person's: never the first of them.
    Several,
    /// The directory can't answer; for the log.
    Unavailable(String),
}

/// Whether a user name and a password belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordMatch {
    /// They do.
    Right {
        /// Whose they are.
        person: Person,
        /// Whether a password is good enough for this person.
        allowance: Allowance,
    },
    /// They don't.
    Wrong(WrongPassword),
    /// Right or not, the account is closed.
    Disabled,
    /// The directory can't answer; for the log.
    Unavailable(String),
}

/// Whether somebody has a recipient's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientMatch {
    /// Somebody, or several: a list's address is an address too.
    Known,
    /// Nobody.
    Unknown,
    /// The directory can't answer; for the log.
    Unavailable(String),
}

/// Why a password did not do: alike to the client, apart in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WrongPassword {
    /// The person exists.
    Mismatch,
    /// Nobody of this name.
    UnknownUser,
    /// The name matches several people.
    SeveralUsers,
    /// An empty password never reaches a directory (RFC 4513 section 5.1.2).
    Empty,
    /// The person has no password.
    NoPassword,
    /// The person has no verifier for SCRAM.
    NoVerifier,
    /// Too many wrong ones: the directory has locked the account for a while.
    Locked,
    /// The account's time is over.
    AccountExpired,
    /// The password's time is over.
    PasswordExpired,
    /// It must be changed before it can be used.
    MustChange,
    /// It is not taken at this hour, or not from here.
    NotNow,
    /// Another SMTP server says no, and does not tell an unknown user from a wrong password. No directory's answer.
    Refused,
}

impl fmt::Display for WrongPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mismatch => "wrong password",
            Self::UnknownUser => "unknown user",
            Self::SeveralUsers => "the user name matches several people",
            Self::Empty => "empty password",
            Self::NoPassword => "the person has no password",
            Self::NoVerifier => "the person has no SCRAM-SHA-256 verifier",
            Self::Locked => "the directory has locked the account",
            Self::AccountExpired => "the account has expired",
            Self::PasswordExpired => "the password has expired",
            Self::MustChange => "the password must be changed first",
            Self::NotNow => "the directory does not take this password at this hour, or from here",
            Self::Refused => "the forwarding server does not take this user with this password",
        })
    }
}

/// What the allowance filter says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowance {
    /// There is no such filter.
    NotConfigured,
    /// It matches.
    Allowed,
    /// It does not.
    NotAllowed,
    /// The directory can't answer; for the log.
    Unavailable(String),
}
