//! What can be asked about the lists in use, and the answers: the same in the gateway and in a command beside it.

use std::time::Duration;

use pki::{CrlStore, Serial, SourceStatus, Time};
use serde::{Deserialize, Serialize};

/// What can be asked about lists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ListRequest {
    Sources,
    /// All sources, or the one of this name.
    Refresh(Option<String>),
    /// A serial number in hexadecimal.
    Check(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ListAnswer {
    Sources(Vec<SourceRow>),
    Listed(Vec<ListedRow>),
    /// The request names what there is not.
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SourceRow {
    pub(crate) name: String,
    pub(crate) primary: String,
    pub(crate) secondary: Option<String>,
    pub(crate) followed: bool,
    pub(crate) lists: Vec<ListRow>,
    pub(crate) checked_at: Option<String>,
    pub(crate) fetched: Option<(String, String)>,
    pub(crate) octets: Option<u64>,
    pub(crate) last_error: Option<String>,
    pub(crate) next_look: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListRow {
    pub(crate) issuer: String,
    pub(crate) number: Option<String>,
    pub(crate) this_update: String,
    pub(crate) age: String,
    pub(crate) next_update: Option<String>,
    pub(crate) stale: bool,
    pub(crate) entries: usize,
    pub(crate) is_delta: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListedRow {
    pub(crate) source: String,
    pub(crate) issuer: String,
    pub(crate) reason: String,
    pub(crate) since: String,
}

/// The answer, wherever the store is.
pub(crate) async fn answer(crls: &CrlStore, request: ListRequest) -> ListAnswer {
    let sources = || ListAnswer::Sources(crls.status().into_iter().map(source_row).collect());
    match request {
        ListRequest::Sources => sources(),
        ListRequest::Refresh(name) => match crls.refresh(name.as_deref()).await {
            true => sources(),
            false => ListAnswer::Refused(match name {
                Some(name) => format!("there is no [[crl.source]] {name:?} that is enabled"),
                None => "there is no [[crl.source]] that is enabled".to_owned(),
            }),
        },
        ListRequest::Check(serial) => match Serial::from_hex(&serial) {
            None => ListAnswer::Refused(format!("{serial:?} is no serial number: write hexadecimal digits")),
            Some(serial) => ListAnswer::Listed(
                crls.listed(&serial)
                    .into_iter()
                    .map(|listed| ListedRow {
                        source: listed.source,
                        issuer: listed.issuer,
                        reason: listed.reason.to_string(),
                        since: listed.since.to_string(),
                    })
                    .collect(),
            ),
        },
    }
}

fn source_row(status: SourceStatus) -> SourceRow {
    let now = Time::now();
    let lists = status.lists.into_iter().map(|list| ListRow {
        issuer: list.issuer,
        number: list.number,
        age: humantime::format_duration(whole_minutes(now.since(list.this_update))).to_string(),
        this_update: list.this_update.to_string(),
        stale: list.next_update.is_some_and(|next| next < now),
        next_update: list.next_update.map(|next| next.to_string()),
        entries: list.entries,
        is_delta: list.is_delta,
    });
    SourceRow {
        name: status.name,
        primary: status.primary.to_string(),
        secondary: status.secondary.map(|location| location.to_string()),
        followed: status.followed,
        lists: lists.collect(),
        checked_at: status.checked_at.map(|time| time.to_string()),
        fetched: status.fetched_at.map(|(time, location)| (time.to_string(), location.to_string())),
        octets: status.octets,
        last_error: status.last_error,
        next_look: status.next_look.map(|time| time.to_string()),
    }
}

fn whole_minutes(age: Duration) -> Duration {
    Duration::from_secs(age.as_secs() / 60 * 60)
}
