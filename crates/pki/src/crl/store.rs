//! The lists in use: read from their sources off the serving path, swapped as a whole under running sessions.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::access;
use crate::certificate::Certificate;
use crate::crl::keep::Keep;
use crate::crl::list::Crl;
use crate::crl::reading::{Errand, Report};
use crate::crl::snapshot::{Loaded, Snapshot};
use crate::crl::source::{Ground, Source};
use crate::crl::status::{SourceStatus, status_of};
use crate::error::Error;
use crate::fetch::fetcher::{Fetcher, NamedBy};
use crate::flight::Flights;
use crate::location::Location;
use crate::pool::BySubject;
use crate::settings::{CrlFormat, CrlSettings, CrlSourceSettings};
use crate::time::Time;

/// The lists in use; cheap to clone, shared by all.
#[derive(Clone)]
pub struct CrlStore(Arc<Inner>);

struct Inner {
    current: ArcSwap<Snapshot>,
    status: ArcSwap<Vec<SourceStatus>>,
    /// Held only to look something up or to put something in.
    sources: Mutex<Sources>,
    /// Whether certificates' distribution points are followed.
    follows: AtomicBool,
    /// Looks under way, by source.
    flights: Flights<String>,
    readings: Arc<Semaphore>,
    fetcher: Fetcher,
    /// Where lists are kept for the next start.
    folder: Option<Arc<Keep>>,
    /// Whether new ones are written there, or only those from before read.
    keeps: AtomicBool,
}

#[derive(Default)]
struct Sources {
    ground: Ground,
    /// Those that are configured first, then those that certificates name.
    list: Vec<Source>,
}

/// The way to the network, and the folder to keep lists in.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    pub(crate) fetcher: Fetcher,
    pub(crate) keep: Option<Arc<Keep>>,
    /// Permits to read a list into memory.
    pub(crate) readings: Arc<Semaphore>,
}

/// Looks at a time: a slow server must not keep the others from being asked.
const MAX_LOOKS: usize = 16;
/// Lists read at a time: each is in memory beside the one in use.
const MAX_READINGS: usize = 2;
/// A PKI has some dozens of shards.
const MAX_FOLLOWED: usize = 256;

impl CrlStore {
    /// A store without sources: everything is unknown.
    pub fn empty() -> Self {
        Self::over(Vec::new(), Fetcher::local(), None)
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
        Self::over(proven.collect(), Fetcher::local(), None)
    }

    fn over(lists: Vec<Loaded>, fetcher: Fetcher, folder: Option<Arc<Keep>>) -> Self {
        Self(Arc::new(Inner {
            current: ArcSwap::from_pointee(Snapshot::new(lists, Vec::new(), Duration::ZERO)),
            status: ArcSwap::default(),
            sources: Mutex::default(),
            follows: AtomicBool::new(false),
            flights: Flights::new(MAX_LOOKS),
            readings: Arc::new(Semaphore::new(MAX_READINGS)),
            fetcher,
            folder,
            keeps: AtomicBool::new(false),
        }))
    }

    /// Takes what was kept in `folder` from before, and reads every source that is a file; others wait for
    /// [`CrlStore::run`]. `issuers` are the CA certificates of all trusts, which lists are verified with. A source that
    /// can't be read is no error here, but logged: the gateway starts with what it has.
    ///
    /// Blocks, for about a fifth of a second for each million of entries.
    ///
    /// # Errors
    /// Two sources of one name.
    pub fn open(
        settings: &CrlSettings,
        issuers: impl IntoIterator<Item = Certificate>,
        fetcher: Fetcher,
        folder: Option<&Path>,
    ) -> Result<Self, Error> {
        let store = Self::over(Vec::new(), fetcher, folder.map(|folder| Arc::new(Keep::of(folder))));
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
        let now = Time::now();
        let mut sources = self.sources();
        let mut previous = std::mem::take(&mut sources.list);
        let ground =
            Ground { issuers: Arc::new(BySubject::of(issuers)), grace: settings.grace.0, max_size: settings.max_size };
        for wanted in settings.source.iter().filter(|source| source.enabled) {
            let same = previous.iter().position(|source| source.settings.name == wanted.name);
            let mut source = match same {
                Some(index) => previous.swap_remove(index).reconfigured(wanted.clone()),
                None => self.begin(wanted.clone(), NamedBy::Configuration, &ground),
            };
            self.look_at_files(&mut source, &ground, now);
            sources.list.push(source);
        }
        let follows = settings.follow_distribution_points;
        self.0.follows.store(follows, Ordering::Relaxed);
        sources.list.extend(previous.into_iter().filter(|source| follows && source.named_by == NamedBy::Certificate));
        sources.ground = ground;
        self.publish(&sources, true);
        Ok(())
    }

    /// A new source, with what was kept of it.
    fn begin(&self, settings: CrlSourceSettings, named_by: NamedBy, ground: &Ground) -> Source {
        let mut source = Source::new(settings, named_by);
        if let Some(kept) = self.0.folder.as_ref().and_then(|keep| keep.load(source.name())) {
            source.restore(kept, ground);
        }
        source
    }

    /// Where the primary is a file, or where there is nothing yet and the secondary is one.
    fn look_at_files(&self, source: &mut Source, ground: &Ground, now: Time) {
        let errand = source.errand(ground);
        let mut report = Report::default();
        let mut missed_a_server = false;
        for location in &errand.locations {
            let Some(path) = location.path() else {
                missed_a_server = true;
                continue;
            };
            if report.success.is_some() || (missed_a_server && !source.lists.is_empty()) {
                break;
            }
            errand.look_at_file_and_keep(location, path, self.means().keep.as_deref(), &mut report);
        }
        if report.success.is_some() || !report.failures.is_empty() {
            source.take(report, ground, now);
        }
        if missed_a_server {
            source.next_look = None;
        }
    }

    /// Adds a source that a certificate names, with what was kept of it; returns whether it must be looked at now.
    pub(crate) fn add_followed(&self, location: Location) -> bool {
        let ground = self.sources().ground.clone();
        let settings = CrlSourceSettings {
            name: location.to_string(),
            format: CrlFormat::Auto,
            primary: location.clone(),
            secondary: None,
            schedule: None,
            enabled: true,
        };
        // Reading what was kept takes its time, and nobody may wait for that.
        let source = self.begin(settings, NamedBy::Certificate, &ground);
        let mut sources = self.sources();
        if !self.may_follow(&location) {
            return false;
        }
        tracing::info!(source = source.name(), "a certificate's distribution point is followed");
        sources.list.push(source);
        self.publish(&sources, true);
        true
    }

    /// The distribution points of a certificate that may be followed, and are not yet.
    pub(crate) fn unfollowed(&self, certificate: &Certificate) -> Vec<Location> {
        if !self.0.follows.load(Ordering::Relaxed) {
            return Vec::new();
        }
        access::distribution_points(certificate).into_iter().filter(|location| self.may_follow(location)).collect()
    }

    /// By the published status, so that judgements never wait for a look under way.
    fn may_follow(&self, location: &Location) -> bool {
        let status = self.0.status.load();
        let name = location.to_string();
        let known = status.iter().any(|source| source.name == name || source.primary == *location);
        let followed = status.iter().filter(|source| source.followed).count();
        !known && followed < MAX_FOLLOWED && self.0.fetcher.allows(location)
    }

    pub(crate) fn due(&self, now: Time) -> Vec<String> {
        let sources = self.sources();
        let due = sources.list.iter().filter(|source| source.next_look.is_none_or(|next| next <= now));
        due.map(|source| source.name().to_owned()).collect()
    }

    pub(crate) fn next_look(&self) -> Option<Time> {
        self.sources().list.iter().filter_map(|source| source.next_look).min()
    }

    pub(crate) fn names(&self, only: Option<&str>) -> Vec<String> {
        let sources = self.sources();
        let wanted = sources.list.iter().map(Source::name).filter(|name| only.is_none_or(|only| only == *name));
        wanted.map(str::to_owned).collect()
    }

    pub(crate) fn errand(&self, name: &str) -> Option<Errand> {
        let sources = self.sources();
        let source = sources.list.iter().find(|source| source.name() == name)?;
        Some(source.errand(&sources.ground))
    }

    pub(crate) fn take(&self, name: &str, report: Report, now: Time) {
        let mut sources = self.sources();
        let Sources { ground, list } = &mut *sources;
        // A source that has gone meanwhile has no use for it.
        let Some(source) = list.iter_mut().find(|source| source.name() == name) else { return };
        let changed = source.take(report, ground, now);
        self.publish(&sources, changed);
    }

    pub(crate) fn means(&self) -> Means {
        let keep = self.0.folder.clone().filter(|_| self.0.keeps.load(Ordering::Relaxed));
        Means { fetcher: self.0.fetcher.clone(), keep, readings: Arc::clone(&self.0.readings) }
    }

    pub(crate) fn folder(&self) -> Option<Arc<Keep>> {
        self.0.folder.clone()
    }

    pub(crate) fn keep_from_now_on(&self) {
        self.0.keeps.store(true, Ordering::Relaxed);
    }

    pub(crate) fn flights(&self) -> &Flights<String> {
        &self.0.flights
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

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, sources: &Sources, lists_changed: bool) {
        if lists_changed {
            let lists = sources.list.iter().flat_map(|source| {
                let name: Arc<str> = source.name().into();
                source.lists.iter().map(move |list| Loaded { source: Arc::clone(&name), list: Arc::clone(list) })
            });
            let unread = sources.list.iter().filter(|source| source.lists.is_empty());
            let never_read = unread.map(|source| source.name().to_owned()).collect();
            self.0.current.store(Arc::new(Snapshot::new(lists.collect(), never_read, sources.ground.grace)));
        }
        self.0.status.store(Arc::new(sources.list.iter().map(status_of).collect()));
    }
}

impl std::fmt::Debug for CrlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrlStore(generation {})", self.generation())
    }
}
