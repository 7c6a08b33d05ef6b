//! One person of an audit: their certificates judged as a session judges them, or what becomes of them without one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth::certificate_tokens;
use directory::{Allowance, CertificateMatch, Directory, Listed, PasswordMatch, Person, Tokens};
use pki::{PathError, Revocation, Time, Verifier};
use serde::Serialize;

/// How somebody stands, from well to ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// A certificate that is valid and theirs.
    Good,
    /// The account is closed; certificates were not looked at.
    Closed,
    /// The entry describes a certificate and does not hold it.
    NotHeld,
    /// No certificate, and the allowance lets a password do.
    Exempt,
    /// Good, and ends soon.
    Expiring,
    /// Nobody can say whether it is revoked.
    Unknown,
    /// Valid, and the certificate query finds nobody by it.
    Unmatched,
    /// Its time is over.
    Expired,
    /// There is no valid path to the trust.
    Invalid,
    Revoked,
    /// None, and no password will do.
    Missing,
    /// The certificate query finds somebody else by it.
    Another,
    /// The certificate query finds several people by it.
    Ambiguous,
    /// The entry can't be a person to the gateway.
    Nameless,
    /// The directory did not answer.
    Unanswered,
}

impl State {
    /// Whether somebody should do something about it before the rule goes live.
    pub(super) fn needs_attention(&self) -> bool {
        !matches!(self, Self::Good | Self::Closed | Self::NotHeld | Self::Exempt)
    }

    /// About others too: told however well off the person is with other certificates.
    fn is_told_always(self) -> bool {
        matches!(self, Self::Another | Self::Ambiguous | Self::Unanswered)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Closed => "account closed",
            Self::NotHeld => "no certificate held in the directory",
            Self::Exempt => "exempt",
            Self::Expiring => "expiring",
            Self::Unknown => "revocation unknown",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::Revoked => "revoked",
            Self::Unmatched => "matches nobody",
            Self::Missing => "missing",
            Self::Another => "somebody else's",
            Self::Ambiguous => "ambiguous",
            Self::Nameless => "no user id",
            Self::Unanswered => "not answered",
        })
    }
}

/// A person of the report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PersonRow {
    pub(super) dn: String,
    pub(super) user_id: Option<String>,
    pub(super) state: State,
    pub(super) attention: bool,
    pub(super) detail: String,
    /// Of the certificate that the state is about.
    pub(super) serial: Option<String>,
    pub(super) not_after: Option<String>,
    /// Whether the right password would do instead; asked where the certificate won't.
    pub(super) password: Option<&'static str>,
    pub(super) certificates: Vec<CertificateRow>,
}

/// One of their certificates.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CertificateRow {
    pub(super) state: State,
    pub(super) detail: String,
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) not_after: Option<String>,
}

/// What people are judged by.
pub(super) struct Auditor {
    directory: Arc<Directory>,
    verifier: Verifier,
    at: Time,
    now: jiff::Timestamp,
    expiring: Duration,
}

impl Auditor {
    pub(super) fn new(
        directory: Arc<Directory>,
        verifier: Verifier,
        at: Time,
        expiring: Duration,
    ) -> Result<Self, String> {
        if !directory.has_certificate_query() {
            let name = directory.name();
            return Err(format!(
                "directory.{name} has no certificate_query, so that every certificate is nobody's: \
                 add [directory.{name}.certificate_query] with a filter"
            ));
        }
        let now = jiff::Timestamp::from_second(at.unix()).map_err(|_| "--at is beyond the calendar".to_owned())?;
        Ok(Self { directory, verifier, at, now, expiring })
    }

    pub(super) async fn judge(&self, listed: Listed) -> PersonRow {
        let Listed { dn, person, closed, certificates, described } = listed;
        let mut row = PersonRow {
            dn,
            user_id: person.as_ref().ok().map(|person| person.user_id.clone()),
            state: State::Closed,
            attention: false,
            detail: String::new(),
            serial: None,
            not_after: None,
            password: None,
            certificates: Vec::new(),
        };
        match (closed, person) {
            (Some(why), _) => row.detail = why,
            (None, Err(why)) => (row.state, row.detail) = (State::Nameless, why),
            (None, Ok(person)) if certificates.is_empty() => {
                (row.state, row.detail) = match described {
                    Some(tokens) => self.described(tokens, &person).await,
                    None => (State::Missing, "no certificate".to_owned()),
                };
                self.without(&mut row, &person).await;
            }
            (None, Ok(person)) => {
                for der in &certificates {
                    row.certificates.push(self.certificate(der, &person).await);
                }
                let worst =
                    row.certificates.iter().filter(|one| one.state.is_told_always()).max_by_key(|one| one.state);
                if let Some(told) = worst.or_else(|| row.certificates.iter().min_by_key(|one| one.state)) {
                    (row.state, row.detail) = (told.state, told.detail.clone());
                    (row.serial, row.not_after) = (told.serial.clone(), told.not_after.clone());
                }
                self.without(&mut row, &person).await;
            }
        }
        row.attention = row.state.needs_attention();
        row
    }

    async fn certificate(&self, der: &[u8], person: &Person) -> CertificateRow {
        let verdict = self.verifier.verify(&[der], self.at).await;
        let Some(leaf) = &verdict.leaf else {
            let why = verdict.path.as_ref().err().map_or_else(String::new, ToString::to_string);
            return CertificateRow {
                state: State::Invalid,
                detail: why,
                subject: None,
                issuer: None,
                serial: None,
                not_after: None,
            };
        };
        let not_after = leaf.not_after();
        let (state, detail) = match (&verdict.path, &verdict.revocation) {
            (Err(PathError::Expired { .. }), _) if not_after < self.at => {
                (State::Expired, format!("was valid until {not_after}"))
            }
            (Err(error), _) => (State::Invalid, error.to_string()),
            (Ok(_), status @ Revocation::Revoked { .. }) => (State::Revoked, status.to_string()),
            (Ok(_), status @ Revocation::Unknown(_)) => (State::Unknown, status.to_string()),
            (Ok(_), Revocation::Good { .. } | Revocation::NotChecked) => {
                let asking = self.directory.certificate_query(|wanted| certificate_tokens(leaf, self.at, wanted));
                match matched(asking.await, person) {
                    (State::Good, _) if not_after < self.at.plus(self.expiring) => {
                        (State::Expiring, format!("is valid until {not_after}"))
                    }
                    matched => matched,
                }
            }
        };
        CertificateRow {
            state,
            detail,
            subject: Some(leaf.subject().to_string()),
            issuer: Some(leaf.issuer().to_string()),
            serial: Some(leaf.serial().hex()),
            not_after: Some(not_after.to_string()),
        }
    }

    /// The certificate that an entry describes, without having it: whom the query finds by it can be told, and no more.
    async fn described(&self, tokens: Tokens, person: &Person) -> (State, String) {
        match matched(self.directory.certificate_query(|_| tokens).await, person) {
            (State::Good, _) => (State::NotHeld, "described by its attributes only: not judged".to_owned()),
            matched => matched,
        }
    }

    /// What a password would come to, for those whom a certificate won't let in.
    async fn without(&self, row: &mut PersonRow, person: &Person) {
        if !row.state.needs_attention() || row.state == State::Expiring {
            return;
        }
        let (password, why) = match self.directory.presume(&person.user_id, self.now).await {
            PasswordMatch::Right { allowance: Allowance::Allowed, .. } => {
                ("allowed", "the allowance lets a password do")
            }
            PasswordMatch::Right { allowance: Allowance::NotAllowed, .. } => {
                ("not allowed", "the allowance lets no password do")
            }
            PasswordMatch::Right { allowance: Allowance::NotConfigured, .. } => {
                ("no allowance", "no allowance is configured that would exempt anybody")
            }
            PasswordMatch::Right { allowance: Allowance::Unavailable(_), .. } | PasswordMatch::Unavailable(_) => {
                ("not answered", "whether a password does was not answered")
            }
            PasswordMatch::Disabled => ("account closed", "the account is closed"),
            PasswordMatch::Wrong(_) => ("no user", "the SMTP AUTH query does not find this user id alone"),
        };
        row.password = Some(password);
        if row.state == State::Missing {
            row.detail = format!("no certificate, and {why}");
            row.state = match password {
                "allowed" => State::Exempt,
                "not answered" => State::Unanswered,
                _ => State::Missing,
            };
        }
    }
}

/// Whom the certificate query found, seen from the person whose entry holds the certificate.
fn matched(answer: CertificateMatch, person: &Person) -> (State, String) {
    match answer {
        CertificateMatch::One(found) if found.user_id.eq_ignore_ascii_case(&person.user_id) => {
            (State::Good, String::new())
        }
        CertificateMatch::One(found) => {
            (State::Another, format!("the certificate query finds {} by it", found.user_id))
        }
        CertificateMatch::Nobody { why } => (State::Unmatched, why),
        CertificateMatch::Several => (State::Ambiguous, "the certificate query finds several people by it".to_owned()),
        CertificateMatch::Unavailable(why) => (State::Unanswered, why),
    }
}
