//! What a look at a directory's servers found.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// One thing that a check of a server found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The server's URL.
    pub server: String,
    /// Whether it is well.
    pub state: FindingState,
    /// The key below `[directory.NAME]` that it is about.
    pub key: &'static str,
    /// Where its value stands in the configuration, octets; 0..0 where it was left out.
    #[serde(skip)]
    pub span: Range<usize>,
    /// What was found.
    pub text: String,
    /// What would be right, where that is known.
    pub mend: Option<&'static str>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Fine,
    /// The server is asked; somebody should look at it.
    Warning,
    /// The server is of no use as things stand.
    Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.text)
    }
}

/// What the words of a failure mean: the key to look at, and what would be right. The first that fits.
const MENDS: [(&str, &str, &str); 14] = [
    ("UnknownIssuer", "ca", "name the authority that issued the server's certificate: ca = \"directory-ca.pem\""),
    ("NotValidForName", "servers", "write the server's name as it stands in its certificate"),
    ("not valid for name", "servers", "write the server's name as it stands in its certificate"),
    ("Expired", "servers", "the server's own certificate has expired: renew it there"),
    ("certificate expired", "servers", "the server's own certificate has expired: renew it there"),
    ("StartTLS", "starttls", "the server takes no StartTLS here: write ldaps://, or let the server have a certificate"),
    (
        "confidentialityRequired",
        "servers",
        "the server wants TLS before a password: write ldaps://, or starttls = true",
    ),
    ("strongerAuthRequired", "servers", "the server wants TLS before a password: write ldaps://, or starttls = true"),
    (
        "own bind: invalidCredentials",
        "bind_dn",
        "bind_dn, or the password in bind_password_file, is not what the server knows",
    ),
    ("own bind: noSuchObject", "bind_dn", "there is no such entry: write the whole distinguished name of the account"),
    ("own bind: invalidDNSyntax", "bind_dn", "write the account as a distinguished name: cn=gateway,dc=example,dc=mil"),
    (
        "own bind: inappropriateAuthentication",
        "bind",
        "the server takes no such bind: give the gateway an account there",
    ),
    ("Connection refused", "servers", "nothing listens there: does the server run, and on that port?"),
    ("failed to lookup address", "servers", "there is no host of that name, or DNS does not know it"),
];

/// Key and mend for the words of a failure.
pub(crate) fn mend(why: &str) -> (&'static str, Option<&'static str>) {
    let row = MENDS.iter().find(|row| why.contains(row.0));
    row.map_or(("servers", None), |row| (row.1, Some(row.2)))
}

impl Finding {
    /// What would be right after a failure in these words, as far as that is known.
    pub fn mend_of(why: &str) -> Option<&'static str> {
        mend(why).1
    }
}
