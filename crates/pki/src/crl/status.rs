//! How sources and their lists stand, for people.

use crate::crl::source::Source;
use crate::fetch::fetcher::NamedBy;
use crate::location::Location;
use crate::time::Time;

/// How one source stands.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    /// The configured name, or the URL for one that certificates name.
    pub name: String,
    /// Named by certificates, not by the configuration.
    pub followed: bool,
    /// Where it is.
    pub primary: Location,
    /// Where it is too.
    pub secondary: Option<Location>,
    /// Its lists in use.
    pub lists: Vec<ListStatus>,
    /// When it was last looked at.
    pub checked_at: Option<Time>,
    /// When it was last looked at with success, and where.
    pub fetched_at: Option<(Time, Location)>,
    /// The size of what was read last.
    pub octets: Option<u64>,
    /// What went wrong the last time, if it did; the lists before it stay in use.
    pub last_error: Option<String>,
    /// When it will be looked at again.
    pub next_look: Option<Time>,
}

/// How one list in use stands.
#[derive(Debug, Clone)]
pub struct ListStatus {
    /// Who issued it.
    pub issuer: String,
    /// Its cRLNumber, hexadecimal.
    pub number: Option<String>,
    /// When it was made.
    pub this_update: Time,
    /// When the next is due.
    pub next_update: Option<Time>,
    /// How many certificates it lists.
    pub entries: usize,
    /// Only changes since a complete list.
    pub is_delta: bool,
}

pub(crate) fn status_of(source: &Source) -> SourceStatus {
    let lists = source.lists.iter().map(|list| ListStatus {
        issuer: list.issuer().to_string(),
        number: list.number().map(ToString::to_string),
        this_update: list.this_update(),
        next_update: list.next_update(),
        entries: list.entries(),
        is_delta: list.is_delta(),
    });
    SourceStatus {
        name: source.name().to_owned(),
        followed: source.named_by == NamedBy::Certificate,
        primary: source.settings.primary.clone(),
        secondary: source.settings.secondary.clone(),
        lists: lists.collect(),
        checked_at: source.checked_at,
        fetched_at: source.fetched.clone(),
        octets: source.octets,
        last_error: source.last_error.clone(),
        next_look: source.next_look,
    }
}
