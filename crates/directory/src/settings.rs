//! `[directory.NAME]`

use std::path::PathBuf;

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::template::{CertificateTemplate, LoginTemplate};

/// A directory, as configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What holds the people.
    pub kind: Kind,
    /// The people file.
    pub path: PathBuf,
    /// How a certificate becomes a person; left out, the people's own `certificate` tables say.
    pub certificate_query: Option<CertificateQuery>,
    /// How a user name becomes a person.
    #[serde(default)]
    pub smtp_auth_query: SmtpAuthQuery,
}

/// What holds the people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Kind {
    /// A TOML file.
    File,
}

/// `[directory.NAME.certificate_query]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    /// Matches the person whose certificate it is.
    pub filter: Spanned<CertificateTemplate>,
}

/// `[directory.NAME.smtp_auth_query]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpAuthQuery {
    /// Matches the person of the user name; `(uid={u})` when left out.
    #[serde(default = "by_user_id")]
    pub filter: Spanned<LoginTemplate>,
    /// Matches that person if a password is good enough for them; everybody when left out.
    pub allowance: Option<Spanned<LoginTemplate>>,
}

impl Default for SmtpAuthQuery {
    fn default() -> Self {
        Self { filter: by_user_id(), allowance: None }
    }
}

fn by_user_id() -> Spanned<LoginTemplate> {
    Spanned::new(0..0, LoginTemplate::default())
}

/// Not a kind of directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownKind {
    /// It will be one.
    #[error("LDAP directories are not in this version: kind = \"file\" is")]
    Ldap,
    /// It is none.
    #[error("unknown kind {0:?} of directory: \"file\" is known")]
    Other(String),
}

impl TryFrom<String> for Kind {
    type Error = UnknownKind;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "file" => Ok(Self::File),
            "ldap" => Err(UnknownKind::Ldap),
            _ => Err(UnknownKind::Other(name)),
        }
    }
}
