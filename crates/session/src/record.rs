//! What the log keeps of a session: the facts that each judgement rested on, in order, each with the reply. From it the
//! same judgement can be asked again, under the same rules or under others.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use auth::{Attempt, CertificateFact, Mechanism, TlsFact};
use pki::Time;
use policy::{DirectoryFact, Naming};
use protocol::Reply;
use protocol::command::Auth;
use protocol::header::OriginatorFields;
use protocol::transaction::Mail;
use serde::{Deserialize, Serialize, Serializer};

use crate::settings::KeptFacts;

/// The form that is written. Fields may be added within a version: readers pass over what they do not know.
const VERSION: u32 = 1;
/// Events of one session that are kept; the others are counted.
const MAX_EVENTS: usize = 100;
/// Octets of a record. journald cuts lines at 48 KiB, and quotation marks are escaped in them.
const MAX_RECORD: usize = 32 * 1024;

/// Names one session in every line of the log about it: the microsecond of its begin, or the next after the last one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct SessionId(u64);

impl SessionId {
    /// Of a session that begins now. Unique over restarts too, as no two are started within a microsecond.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        let after = |last: u64| now.max(last.saturating_add(1));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        Self(after(last.unwrap_or_default()))
    }
}

/// Thirteen digits, which sort as the sessions began; message ids look otherwise.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013x}", self.0)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: thirteen hexadecimal digits, such as 0644c6f0a3b1e")]
pub struct NotASessionId;

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        let digits = (13..=16).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let value = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        value.map(Self).ok_or(NotASessionId)
    }
}

impl TryFrom<String> for SessionId {
    type Error = NotASessionId;

    fn try_from(text: String) -> Result<Self, NotASessionId> {
        text.parse()
    }
}

/// One session. Never a password, a token or a response of SASL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The form's version.
    pub v: u32,
    /// The session's.
    pub id: SessionId,
    /// When the client connected.
    pub at: Time,
    /// The listener's name.
    pub listener: String,
    /// The client's address.
    pub client: IpAddr,
    /// Its names.
    #[serde(default = "not_asked", skip_serializing_if = "is_not_asked")]
    pub naming: Naming,
    /// The sender group it was in.
    pub group: String,
    /// The policy it got.
    pub policy: String,
    /// Who was asked.
    #[serde(default)]
    pub basis: Basis,
    /// What happened.
    pub events: Vec<Event>,
    /// Events after those, of which nothing is kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u32,
    /// How it ended.
    #[serde(default)]
    pub end: String,
}

/// Which settings the answers of lists, directories and servers rest on: a checksum of each. Where one has changed, what
/// was answered then says nothing of what would be answered now. Empty: there is nobody to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Basis {
    /// The trust, the lists and the responders.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust: String,
    /// Who knows the owners of certificates.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owners: String,
    /// Who judges passwords.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub passwords: String,
    /// Who knows recipients.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub recipients: String,
}

/// Something that a judgement followed, and the reply that it led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The server's first word. Empty where it closed the connection without one.
    Greeting {
        /// As the client read it.
        reply: String,
    },
    /// A handshake was completed.
    Tls(TlsFact),
    /// What the handshake showed, or what was found when it was asked again.
    Certificate(Box<Examined>),
    /// An AUTH command.
    Auth {
        /// Its name, if it is one that is known here.
        mechanism: String,
        /// How far it came.
        exchange: Exchange,
        /// As the client read it.
        reply: String,
    },
    /// What an earlier AUTH came to when it was asked again.
    Standing(Attempt),
    /// A MAIL command.
    Mail {
        /// `<alice@example.mil>`
        sender: String,
        /// What SIZE announced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// As the client read it.
        reply: String,
    },
    /// A RCPT command.
    Rcpt {
        /// `<bob@example.mil>`
        recipient: String,
        /// Others before it.
        #[serde(default, skip_serializing_if = "Counts::is_nothing")]
        counts: Counts,
        /// What a directory said of it.
        #[serde(default = "unasked", skip_serializing_if = "is_unasked")]
        directory: DirectoryFact,
        /// As the client read it.
        reply: String,
    },
    /// A message, whole.
    Message {
        /// Octets.
        size: u64,
        /// Who says to have written it; `None` where that was not read, or is too long to keep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        originators: Option<OriginatorFields>,
        /// It was refused for that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        author_refused: bool,
        /// As the client read it.
        reply: String,
    },
}

/// The certificate of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// What was found.
    pub fact: CertificateFact,
    /// What every command meets from now on, where it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What was tried and asked; by setting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// The certificates that were shown, DER in base64, the client's own first; by setting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// How far an AUTH command came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// It was refused before it began: nobody knows what it would have come to.
    Refused,
    /// No rule spoke of it: the client gave it up, its lines were no such exchange, or too many logins waited.
    Broken,
    /// It ran to its end.
    Ended(Attempt),
}

/// What was counted before a recipient; `None` where the policy had no such limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Recipients of the client within the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_client: Option<u32>,
    /// Recipients of the identity within the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_identity: Option<u32>,
    /// Of the client's, those that were unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown: u32,
}

impl Counts {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

fn not_asked() -> Naming {
    Naming::NotAsked
}

fn is_not_asked(naming: &Naming) -> bool {
    *naming == Naming::NotAsked
}

fn unasked() -> DirectoryFact {
    DirectoryFact::NotAsked
}

fn is_unasked(fact: &DirectoryFact) -> bool {
    *fact == DirectoryFact::NotAsked
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Event {
    pub(crate) fn auth(auth: &Auth, exchange: Exchange, reply: &Reply) -> Self {
        // What is no mechanism's name may be a password in the wrong place.
        let known = auth.mechanism.parse::<Mechanism>();
        let mechanism = known.map_or("(unknown)", Mechanism::name).to_owned();
        Self::Auth { mechanism, exchange, reply: reply.to_string() }
    }

    pub(crate) fn mail(mail: &Mail, reply: &Reply) -> Self {
        Self::Mail { sender: mail.reverse_path.to_string(), size: mail.size, reply: reply.to_string() }
    }

    /// What the client read then; `None` where nothing was said.
    pub fn reply(&self) -> Option<&str> {
        match self {
            Self::Greeting { reply }
            | Self::Auth { reply, .. }
            | Self::Mail { reply, .. }
            | Self::Rcpt { reply, .. }
            | Self::Message { reply, .. } => Some(reply),
            Self::Certificate(examined) => examined.refused.as_deref(),
            Self::Tls(_) | Self::Standing(_) => None,
        }
    }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the form of a record.
    #[error("the facts of the session cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// Written by another version.
    #[error("the facts of the session are of version {0}, and {VERSION} is known here")]
    Version(u32),
}

impl Record {
    /// Reads what [`Record::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        match serde_json::from_str::<Self>(text) {
            Ok(record) if record.v == VERSION => Ok(record),
            Ok(record) => Err(RecordError::Version(record.v)),
            // A later version need not have this one's fields.
            Err(error) => match serde_json::from_str::<Versioned>(text) {
                Ok(Versioned { v }) if v != VERSION => Err(RecordError::Version(v)),
                _ => Err(error.into()),
            },
        }
    }

    /// One line of JSON, of bounded length: the last events go first.
    pub fn to_json(&mut self) -> String {
        loop {
            let text = serde_json::to_string(self).unwrap_or_default();
            if text.len() <= MAX_RECORD || self.events.is_empty() {
                return text;
            }
            let kept = self.events.len() / 2;
            self.omitted = self.omitted.saturating_add(u32::try_from(self.events.len() - kept).unwrap_or(u32::MAX));
            self.events.truncate(kept);
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Keeps what happens, as far as `[log] facts` says.
pub(crate) struct Recorder {
    record: Option<Box<Record>>,
    full: bool,
}

impl Recorder {
    pub(crate) fn new(kept: KeptFacts, record: impl FnOnce() -> Record) -> Self {
        let record = (kept != KeptFacts::None).then(|| Box::new(record()));
        Self { record, full: kept == KeptFacts::Full }
    }

    /// Whether anything is kept.
    pub(crate) fn keeps(&self) -> bool {
        self.record.is_some()
    }

    /// Whether certificates and what was asked about them are kept too.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// One more event; what is beyond the bound is only counted.
    pub(crate) fn add(&mut self, event: impl FnOnce() -> Event) {
        match &mut self.record {
            Some(record) if record.events.len() < MAX_EVENTS => record.events.push(event()),
            Some(record) => record.omitted = record.omitted.saturating_add(1),
            None => {}
        }
    }

    /// The record as the log has it.
    pub(crate) fn finish(self, end: &impl fmt::Display) -> Option<String> {
        let mut record = self.record?;
        record.end = end.to_string();
        Some(record.to_json())
    }
}

impl Record {
    /// A session that begins.
    pub(crate) fn begin(id: SessionId, listener: &str, client: IpAddr, naming: Naming, basis: Basis) -> Self {
        Self {
            v: VERSION,
            id,
            at: Time::now(),
            listener: listener.to_owned(),
            client: client.to_canonical(),
            naming,
            group: String::new(),
            policy: String::new(),
            basis,
            events: Vec::new(),
            omitted: 0,
            end: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
