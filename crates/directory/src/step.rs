//! What a directory did to answer a question, step by step: for people who want to see it. Sessions' own code tells it,
//! where somebody listens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};

/// One search, comparison or bind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which question it served.
    pub question: Question,
    /// What was asked: a filter as it was sent (RFC 4515), or a bind in words.
    pub asked: String,
    /// Below which base; `None` for a file, and for a bind.
    pub base: Option<String>,
    /// How far below: `base`, `one` or `sub`, as in RFC 4516.
    pub scope: Option<&'static str>,
    /// The server that answered; `None` for a file, when none did, and for what was remembered.
    pub server: Option<String>,
    /// How long that took.
    #[serde(rename = "milliseconds", serialize_with = "milliseconds")]
    pub took: Option<Duration>,
    /// It was remembered from an earlier question, or another one like it was under way.
    pub remembered: bool,
    /// What came of it.
    pub found: Sight,
}

/// What a step serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Whose is the certificate?
    Certificate,
    /// Whose is the user name?
    User,
    /// May this person use a password?
    Allowance,
    /// Is the password theirs?
    Password,
}

/// What a step saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// No entry matches.
    Nobody,
    /// One entry.
    Entry(SeenEntry),
    /// More than one, by their names as far as they are known.
    Several(Vec<String>),
    /// What was said of a password.
    Said(String),
    /// No answer, and why.
    Unavailable(String),
}

/// An entry, as far as it matters. Never with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenEntry {
    /// Its distinguished name; in a file, its user id.
    pub dn: String,
    /// User id, addresses, attributes for the log and of the account's state, as far as they are there.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Why the account is closed; `None`: it is open.
    pub closed: Option<String>,
}

fn milliseconds<S: Serializer>(took: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    took.map(|took| took.as_secs_f64() * 1000.0).serialize(serializer)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate query",
            Self::User => "SMTP AUTH query",
            Self::Allowance => "allowance",
            Self::Password => "password",
        })
    }
}

impl fmt::Display for SeenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dn)?;
        if let Some(why) = &self.closed {
            write!(f, ", which {why}")?;
        }
        for (index, (name, values)) in self.attributes.iter().enumerate() {
            let values = values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
            write!(f, "{}{name} = {values}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Entry(entry) => write!(f, "{entry}"),
            Self::Several(names) if names.is_empty() => f.write_str("several entries"),
            Self::Several(names) => {
                write!(f, "several entries: ")?;
                let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                f.write_str(&names.join(", "))
            }
            Self::Said(text) => f.write_str(text),
            Self::Unavailable(why) => write!(f, "no answer: {why}"),
        }
    }
}

/// On one line.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.question, self.asked)?;
        if let (Some(base), Some(scope)) = (&self.base, self.scope) {
            write!(f, " below {base:?} ({scope})")?;
        }
        if let Some(server) = &self.server {
            write!(f, ", {server}")?;
        }
        if let Some(took) = self.took {
            write!(f, " in {:.1} ms", took.as_secs_f64() * 1000.0)?;
        }
        if self.remembered {
            f.write_str(", remembered")?;
        }
        write!(f, " → {}", self.found)
    }
}

/// Where steps are told; by default nobody listens, and nothing is written.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<Mutex<Vec<Step>>>>);

impl Trace {
    /// Somebody listens.
    pub(crate) fn listening() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether anybody does.
    pub(crate) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn tell(&self, step: Step) {
        if let Some(steps) = &self.0 {
            steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        }
    }

    /// How many steps were told so far.
    pub(crate) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |steps| steps.lock().unwrap_or_else(PoisonError::into_inner).len())
    }

    /// What was told so far, in order.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let told = |steps: &Arc<Mutex<Vec<Step>>>| steps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.as_ref().map(told).unwrap_or_default()
    }
}
