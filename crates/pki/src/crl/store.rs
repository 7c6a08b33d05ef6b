//! The lists in use: read from their sources off the serving path, swapped as a whole under running sessions.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::certificate::Certificate;
use crate::crl::list::Crl;
use crate::crl::source::{Reading, Source};
use crate::error::Error;
use crate::name::Name;
use crate::pool::BySubject;
use crate::settings::CrlSettings;
use crate::time::Time;

/// The lists in use; cheap to clone, shared by all.
#[derive(Clone)]
pub struct CrlStore(Arc<Inner>);

struct Inner {
    current: ArcSwap<Snapshot>,
    status: ArcSwap<Vec<SourceStatus>>,
    /// Held while sources are looked at; never by a judgement.
    loader: Mutex<Loader>,
}

struct Loader {
    issuers: BySubject,
    grace: Duration,
    max_size: u64,
    sources: Vec<Source>,
}

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

/// How one source stands.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    /// The configured name.
    pub name: String,
    /// Its lists in use.
    pub lists: Vec<ListStatus>,
    /// When it was last looked at.
    pub checked_at: Option<Time>,
    /// What went wrong the last time, if it did; the lists before it stay in use.
    pub last_error: Option<String>,
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

/// Generations are unique in the process, so that no two stores can be taken for one another.
static GENERATION: AtomicU64 = AtomicU64::new(1);

impl CrlStore {
    /// A store without sources: everything is unknown.
    pub fn empty() -> Self {
        Self::over(Vec::new(), Duration::ZERO)
    }

    /// A store over lists that are read already, all of one source; for tools and tests.
    pub fn of_lists(source: &str, lists: Vec<Crl>, issuers: impl IntoIterator<Item = Certificate>) -> Self {
        let issuers = BySubject::of(issuers);
        let source: Arc<str> = source.into();
        let proven = lists.into_iter().map(|list| {
            for issuer in issuers.named(list.issuer()) {
                list.is_signed_by(issuer);
            }
            Loaded { source: Arc::clone(&source), list: Arc::new(list) }
        });
        Self::over(proven.collect(), Duration::ZERO)
    }

    fn over(lists: Vec<Loaded>, grace: Duration) -> Self {
        let loader = Loader { issuers: BySubject::default(), grace, max_size: 0, sources: Vec::new() };
        Self(Arc::new(Inner {
            current: ArcSwap::from_pointee(Snapshot::new(lists, Vec::new(), grace)),
            status: ArcSwap::default(),
            loader: Mutex::new(loader),
        }))
    }

    /// Reads every source once; `issuers` are the CA certificates of all trusts, which lists are verified with. A
    /// source that can't be read is no error here, but logged: the gateway starts with what it has.
    ///
    /// Blocks, for about a fifth of a second for each million of entries.
    ///
    /// # Errors
    /// Two sources of one name.
    pub fn open(settings: &CrlSettings, issuers: impl IntoIterator<Item = Certificate>) -> Result<Self, Error> {
        let store = Self::empty();
        store.reconfigure(settings, issuers)?;
        Ok(store)
    }

    /// Takes new settings and trusts, under running sessions. Sources that keep their name keep their lists, also
    /// where the file is bad now. Blocks, as [`CrlStore::open`].
    ///
    /// # Errors
    /// Two sources of one name; then nothing has changed.
    pub fn reconfigure(
        &self,
        settings: &CrlSettings,
        issuers: impl IntoIterator<Item = Certificate>,
    ) -> Result<(), Error> {
        let mut names = HashSet::new();
        if let Some(twice) = settings.source.iter().find(|source| !names.insert(source.name.as_str())) {
            return Err(Error::DuplicateSource { name: twice.name.clone() });
        }
        let mut loader = self.loader();
        loader.issuers = BySubject::of(issuers);
        loader.grace = settings.grace.0;
        loader.max_size = settings.max_size;
        let mut previous = std::mem::take(&mut loader.sources);
        for wanted in settings.source.iter().filter(|source| source.enabled) {
            let same = previous.iter().position(|source| source.settings.name == wanted.name);
            loader.sources.push(match same {
                Some(index) => previous.swap_remove(index).reconfigured(wanted.clone()),
                None => Source::new(wanted.clone()),
            });
        }
        loader.look(Time::now(), |_| true);
        self.publish(&loader, true);
        Ok(())
    }

    /// Looks at every source whose schedule has come due, and returns when the next one is. Blocks: to be called in
    /// a loop by one thread off the serving path.
    pub fn refresh_due(&self, now: Time) -> Option<Time> {
        let mut loader = self.loader();
        let changed = loader.look(now, |source| source.due().is_none_or(|due| due <= now));
        self.publish(&loader, changed);
        loader.sources.iter().filter_map(Source::due).min()
    }

    /// Looks at every source now, or at the one of this name; returns whether there was any. Blocks.
    pub fn refresh_now(&self, only: Option<&str>, now: Time) -> bool {
        let mut loader = self.loader();
        let wanted = |source: &Source| only.is_none_or(|name| source.settings.name == name);
        let any = loader.sources.iter().any(wanted);
        let changed = loader.look(now, wanted);
        self.publish(&loader, changed);
        any
    }

    /// Changes with each swap of lists; unique in the process.
    pub fn generation(&self) -> u64 {
        self.0.current.load().generation
    }

    /// How each source stands, in the order of the settings.
    pub fn status(&self) -> Vec<SourceStatus> {
        self.0.status.load().as_ref().clone()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }

    fn loader(&self) -> std::sync::MutexGuard<'_, Loader> {
        self.0.loader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, loader: &Loader, lists_changed: bool) {
        if lists_changed {
            let lists = loader.sources.iter().flat_map(|source| {
                let name: Arc<str> = source.settings.name.as_str().into();
                source.lists.iter().map(move |list| Loaded { source: Arc::clone(&name), list: Arc::clone(list) })
            });
            let unread = loader.sources.iter().filter(|source| source.lists.is_empty());
            let never_read = unread.map(|source| source.settings.name.clone()).collect();
            self.0.current.store(Arc::new(Snapshot::new(lists.collect(), never_read, loader.grace)));
        }
        self.0.status.store(Arc::new(loader.sources.iter().map(status_of).collect()));
    }
}

impl std::fmt::Debug for CrlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrlStore(generation {})", self.generation())
    }
}

impl Loader {
    fn look(&mut self, now: Time, wanted: impl Fn(&Source) -> bool) -> bool {
        let reading = Reading { issuers: &self.issuers, max_size: self.max_size, grace: self.grace, now };
        let mut changed = false;
        for source in self.sources.iter_mut().filter(|source| wanted(source)) {
            changed |= source.look(&reading);
        }
        changed
    }
}

impl Snapshot {
    fn new(loaded: Vec<Loaded>, never_read: Vec<String>, grace: Duration) -> Self {
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

fn status_of(source: &Source) -> SourceStatus {
    let lists = source.lists.iter().map(|list| ListStatus {
        issuer: list.issuer().to_string(),
        number: list.number().map(ToString::to_string),
        this_update: list.this_update(),
        next_update: list.next_update(),
        entries: list.entries(),
        is_delta: list.is_delta(),
    });
    SourceStatus {
        name: source.settings.name.clone(),
        lists: lists.collect(),
        checked_at: source.checked_at,
        last_error: source.last_error.clone(),
    }
}
