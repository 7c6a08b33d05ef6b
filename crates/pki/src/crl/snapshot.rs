//! The lists in use at one moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::crl::list::Crl;
use crate::name::Name;
use crate::time::Time;

/// The lists at one moment: what a judgement looks at from its beginning to its end.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    /// How long a list may be used after its nextUpdate.
    pub(crate) grace: Duration,
    lists: HashMap<Name, Vec<Loaded>>,
    /// Sources that could never be read.
    pub(crate) never_read: Vec<String>,
    /// When lists begin or end to be valid, in order.
    boundaries: Vec<Time>,
}

/// A list and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) source: Arc<str>,
    pub(crate) list: Arc<Crl>,
}

/// Generations are unique in the process, so that no two stores can be taken for one another.
static GENERATION: AtomicU64 = AtomicU64::new(1);

impl Snapshot {
    pub(crate) fn new(loaded: Vec<Loaded>, never_read: Vec<String>, grace: Duration) -> Self {
        let mut boundaries = Vec::new();
        let mut lists: HashMap<Name, Vec<Loaded>> = HashMap::new();
        for entry in loaded {
            boundaries.push(entry.list.this_update());
            boundaries.extend(entry.list.next_update().map(|next| next.plus(grace + Duration::from_secs(1))));
            lists.entry(entry.list.issuer().clone()).or_default().push(entry);
        }
        boundaries.sort_unstable();
        for same_issuer in lists.values_mut() {
            // Newest first: the first list in scope is the one to ask.
            same_issuer.sort_by(|one, other| {
                let (one, other) = (&one.list, &other.list);
                other.number().cmp(&one.number()).then(other.this_update().cmp(&one.this_update()))
            });
        }
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Self { generation, grace, lists, never_read, boundaries }
    }

    /// All lists.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &Loaded> {
        self.lists.values().flatten()
    }

    /// The lists of one issuer, newest first.
    pub(crate) fn issued_by(&self, issuer: &Name) -> &[Loaded] {
        self.lists.get(issuer).map_or(&[], Vec::as_slice)
    }

    /// When the next list begins or ends to be valid.
    pub(crate) fn next_boundary(&self, after: Time) -> Time {
        let next = self.boundaries.partition_point(|&boundary| boundary <= after);
        self.boundaries.get(next).copied().unwrap_or(Time::NEVER)
    }
}
