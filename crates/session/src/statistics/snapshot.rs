//! Counts as plain data: what is kept on disk, and what a report is made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use policy::Rule;
use serde::{Deserialize, Serialize};

use super::event::{Event, What};
use super::{Ledger, MAX_PEOPLE, Sighting, Somebody};

/// Of the format below. A number that is not known is a newer gateway's.
const VERSION: u32 = 1;
/// Of a file: more than a gateway keeps.
const MAX_DAYS: usize = 1_000;
const MAX_EVENTS: usize = 1_000;

/// All that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Of its format.
    pub version: u32,
    /// By listener and policy.
    pub ledgers: Vec<LedgerSnapshot>,
}

/// What was counted of one listener and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSnapshot {
    /// The listener's name.
    pub listener: String,
    /// The policy's name.
    pub policy: String,
    /// Rules that are monitored now, and since which day.
    pub monitored: BTreeMap<String, String>,
    /// The oldest first; days on which nothing happened are not among them.
    pub days: Vec<Day>,
    /// Who would be refused; the last seen first.
    pub would_be_refused: Vec<WouldBeRefused>,
}

/// A day's counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// `2026-11-24`, in UTC.
    pub day: String,
    /// What happened.
    pub counts: Vec<DayCount>,
}

/// How often something happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DayCount {
    /// `session`, `message`, `AUTH accepted` …
    pub what: String,
    /// The rule that is monitored, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why, or how.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// Somebody whom a monitored rule would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldBeRefused {
    /// The rule.
    pub rule: String,
    /// A user id, a certificate's subject, or the client's address.
    pub who: String,
    /// The newest reason.
    pub reason: String,
    /// How often.
    pub times: u64,
    /// RFC 3339.
    pub first: String,
    /// RFC 3339.
    pub last: String,
}

/// What is kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableSnapshot {
    /// Another version's.
    #[error("format {0} is not known here: {VERSION} is")]
    Version(u32),
    /// No gateway wrote it.
    #[error("{0:?} is nothing that is counted")]
    Unknown(String),
}

impl Snapshot {
    pub(super) fn of<'l>(ledgers: impl Iterator<Item = (&'l str, &'l str, &'l Ledger)>) -> Self {
        let of_ledger = |(listener, policy, ledger): (&str, &str, &Ledger)| {
            let counts = ledger.counts();
            LedgerSnapshot {
                listener: listener.to_owned(),
                policy: policy.to_owned(),
                monitored: counts.monitored.iter().map(|(rule, day)| (rule.to_string(), day.to_string())).collect(),
                days: counts.days.iter().map(|(day, events)| Day::of(*day, events)).collect(),
                would_be_refused: counts.people.iter().map(|(who, seen)| WouldBeRefused::of(who, seen)).collect(),
            }
        };
        Self { version: VERSION, ledgers: ledgers.map(of_ledger).collect() }
    }

    pub(super) fn check(&self) -> Result<(), UnreadableSnapshot> {
        match self.version {
            VERSION => Ok(()),
            other => Err(UnreadableSnapshot::Version(other)),
        }
    }
}

impl Day {
    fn of(day: Date, events: &std::collections::HashMap<Event, u64>) -> Self {
        let mut counts: Vec<DayCount> = events
            .iter()
            .map(|(event, count)| DayCount {
                what: event.what.name().to_owned(),
                rule: event.what.rule().map(|rule| rule.to_string()),
                reason: event.reason.to_string(),
                count: *count,
            })
            .collect();
        counts.sort();
        Self { day: day.to_string(), counts }
    }
}

impl WouldBeRefused {
    fn of(somebody: &Somebody, seen: &Sighting) -> Self {
        Self {
            rule: somebody.rule.to_string(),
            who: somebody.who.clone(),
            reason: seen.reason.to_string(),
            times: seen.times,
            first: seconds(seen.first),
            last: seconds(seen.last),
        }
    }
}

/// RFC 3339 to the second.
fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, UnreadableSnapshot> {
    text.parse().map_err(|_| UnreadableSnapshot::Unknown(text.chars().take(100).collect()))
}

fn rule(name: &str) -> Result<Rule, UnreadableSnapshot> {
    Rule::named(name).ok_or_else(|| UnreadableSnapshot::Unknown(name.chars().take(100).collect()))
}

impl LedgerSnapshot {
    pub(super) fn restore(&self, ledger: &Ledger) -> Result<(), UnreadableSnapshot> {
        let mut counts = ledger.counts();
        for (name, since) in &self.monitored {
            counts.monitored.insert(rule(name)?, parsed(since)?);
        }
        for day in self.days.iter().rev().take(MAX_DAYS) {
            let events = counts.days.entry(parsed(&day.day)?).or_default();
            for row in day.counts.iter().take(MAX_EVENTS) {
                let what = What::named(&row.what, row.rule.as_deref());
                let what = what.ok_or_else(|| UnreadableSnapshot::Unknown(row.what.chars().take(100).collect()))?;
                let count = events.entry(Event { what, reason: row.reason.clone().into() }).or_default();
                *count = count.saturating_add(row.count);
            }
        }
        // The last seen is to be the last that is forgotten.
        for seen in self.would_be_refused.iter().take(MAX_PEOPLE).rev() {
            let somebody = Somebody { rule: rule(&seen.rule)?, who: seen.who.clone() };
            let (first, last) = (parsed(&seen.first)?, parsed(&seen.last)?);
            counts.see(somebody, Sighting { reason: seen.reason.clone().into(), times: seen.times, first, last });
        }
        Ok(())
    }
}
