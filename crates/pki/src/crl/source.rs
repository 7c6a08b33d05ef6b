//! One source of lists: what is in use from it, how it stands, and when it is looked at again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::crl::keep::Kept;
use crate::crl::list::Crl;
use crate::crl::reading::{Errand, Report, Seen};
use crate::fetch::fetcher::NamedBy;
use crate::location::Location;
use crate::pool::BySubject;
use crate::random;
use crate::settings::CrlSourceSettings;
use crate::time::Time;

/// A source and what is known from it.
pub(crate) struct Source {
    pub(crate) settings: CrlSourceSettings,
    pub(crate) named_by: NamedBy,
    /// The lists in use.
    pub(crate) lists: Vec<Arc<Crl>>,
    pub(crate) checked_at: Option<Time>,
    /// When a location last did not fail, and which.
    pub(crate) fetched: Option<(Time, Location)>,
    /// Of what was read last.
    pub(crate) octets: Option<u64>,
    /// What went wrong at the last look: also that the primary failed where the secondary did not.
    pub(crate) last_error: Option<String>,
    pub(crate) next_look: Option<Time>,
    seen: HashMap<Location, Seen>,
    kept: bool,
    /// Looks in a row at which every location failed.
    failures: u32,
    /// The expiry that has been warned of already, and how.
    warned: Option<(Time, Warning)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Warning {
    EndsSoon,
    Stale,
}

/// What holds for all sources of a store.
#[derive(Clone, Default)]
pub(crate) struct Ground {
    /// The CA certificates of all trusts.
    pub(crate) issuers: Arc<BySubject>,
    pub(crate) max_size: u64,
    pub(crate) grace: Duration,
}

/// After the first failure, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(900));
/// How early a newer list is looked for: a quarter of the list's time, within these.
const EARLY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(12 * 3600));
const ONE_MINUTE: Duration = Duration::from_secs(60);

impl Source {
    pub(crate) fn new(settings: CrlSourceSettings, named_by: NamedBy) -> Self {
        Self {
            settings,
            named_by,
            lists: Vec::new(),
            checked_at: None,
            fetched: None,
            octets: None,
            last_error: None,
            next_look: None,
            seen: HashMap::new(),
            kept: false,
            failures: 0,
            warned: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// The same source under new settings: its lists stay, and what was good is not read again.
    pub(crate) fn reconfigured(mut self, settings: CrlSourceSettings) -> Self {
        let same_format = self.settings.format == settings.format;
        self.seen.retain(|_, seen| same_format && seen.error.is_none());
        Self { settings, next_look: None, failures: 0, ..self }
    }

    /// What a look at it needs.
    pub(crate) fn errand(&self, ground: &Ground) -> Errand {
        Errand {
            name: self.settings.name.clone(),
            format: self.settings.format,
            named_by: self.named_by,
            locations: std::iter::once(&self.settings.primary).chain(&self.settings.secondary).cloned().collect(),
            seen: self.seen.clone(),
            kept: self.kept,
            current: self.lists.clone(),
            issuers: Arc::clone(&ground.issuers),
            max_size: ground.max_size,
        }
    }

    /// Takes what was kept of it, if that is still good.
    pub(crate) fn restore(&mut self, mut kept: Kept, ground: &Ground) {
        let errand = self.errand(ground);
        let location = kept.origin.as_ref().map_or(&self.settings.primary, |(location, _)| location).clone();
        match errand.read(&location, &mut kept.file, kept.octets) {
            Ok(lists) => {
                self.lists = lists.into_iter().map(Arc::new).collect();
                self.octets = Some(kept.octets);
                self.kept = true;
                if let Some((location, state)) = kept.origin {
                    self.seen.insert(location, Seen { state, error: None });
                }
                tracing::info!(source = self.name(), lists = self.lists.len(), "CRL kept from before");
            }
            Err(error) => tracing::warn!(source = self.name(), %error, "the kept CRL is not used"),
        }
    }

    /// Takes what a look came to; returns whether the lists in use have changed.
    pub(crate) fn take(&mut self, report: Report, ground: &Ground, now: Time) -> bool {
        self.checked_at = Some(now);
        let error = report.failures.iter().map(|(_, _, error)| error.as_str()).collect::<Vec<_>>().join("; ");
        let error = (!error.is_empty()).then_some(error);
        for (location, state, error) in report.failures {
            match state {
                Some(state) => drop(self.seen.insert(location, Seen { state, error: Some(error) })),
                // A server is asked for the whole again next time, and a file that is gone has no state.
                None => drop(self.seen.remove(&location)),
            }
        }
        // Once for each state of things, not at every look.
        if let Some(error) = error.as_ref().filter(|error| self.last_error.as_ref() != Some(*error)) {
            tracing::warn!(source = self.name(), error, lists_kept = self.lists.len(), "CRL source failed");
        }
        self.last_error = error;
        let mut changed = false;
        match report.success {
            Some(success) => {
                self.failures = 0;
                self.kept = success.kept;
                self.seen.insert(success.location.clone(), Seen { state: success.state, error: None });
                self.fetched = Some((now, success.location));
                if let Some(lists) = success.lists {
                    self.octets = Some(success.octets);
                    self.replace(lists, ground.grace, now);
                    changed = true;
                }
            }
            None => self.failures = self.failures.saturating_add(1),
        }
        self.warn_of_expiry(ground.grace, now);
        self.next_look = Some(self.plan(now));
        changed
    }

    /// Puts new lists in the place of older states of the same lists. Lists that the source no longer has stay until they
    /// are stale.
    fn replace(&mut self, lists: Vec<Crl>, grace: Duration, now: Time) {
        let fresh = |list: &Crl| list.next_update().is_none_or(|next| now <= next.plus(grace));
        self.lists.retain(|current| fresh(current) && !lists.iter().any(|list| list.is_of_the_same_kind(current)));
        for list in lists {
            log_use(self.name(), &list);
            self.lists.push(Arc::new(list));
        }
    }

    /// The list that ends first: when, and how long before that a newer one is looked for.
    fn first_end(&self) -> Option<(Time, Duration)> {
        let ends = self.lists.iter().filter_map(|list| {
            let next_update = list.next_update()?;
            Some((next_update, (next_update.since(list.this_update()) / 4).clamp(EARLY.0, EARLY.1)))
        });
        ends.min_by_key(|(end, _)| *end)
    }

    /// When to look again: as scheduled, earlier where a list nears its end, and soon after a failure.
    fn plan(&self, now: Time) -> Time {
        let is_file = self.settings.primary.path().is_some();
        let mut next = self.settings.schedule().next(now);
        if is_file && self.settings.secondary.as_ref().is_none_or(|secondary| secondary.path().is_some()) {
            return next;
        }
        // Not all at once, where many have the same schedule.
        next = next.plus(random::up_to((next.since(now) / 10).min(5 * ONE_MINUTE)));
        if let Some((end, early)) = self.first_end() {
            let wanted = end.earlier(early);
            next = next.min(match wanted > now {
                true => wanted.plus(random::up_to(early / 4)),
                false => now.plus((early / 8).max(ONE_MINUTE)),
            });
        }
        if self.failures > 0 {
            let doublings = self.failures.saturating_sub(1).min(16);
            let pause = BACK_OFF.0.saturating_mul(1 << doublings).min(BACK_OFF.1);
            next = next.min(now.plus(pause + random::up_to(pause / 4)));
        }
        next.max(now.plus(Duration::from_secs(1)))
    }

    /// Warns once when a list has used up half of the time in which a newer one should have come, and once when it is
    /// stale: from then on people are refused.
    fn warn_of_expiry(&mut self, grace: Duration, now: Time) {
        let Some((end, early)) = self.first_end() else { return };
        let warning = match () {
            () if now > end.plus(grace) => Warning::Stale,
            () if now >= end.earlier(early / 2) => Warning::EndsSoon,
            () => return,
        };
        if self.warned == Some((end, warning)) {
            return;
        }
        self.warned = Some((end, warning));
        let (source, last_error) = (self.name(), self.last_error.as_deref());
        match warning {
            Warning::EndsSoon => {
                let left = humantime::format_duration(end.plus(grace).since(now)).to_string();
                tracing::warn!(source, next_update = %end, left, last_error, "CRL ends soon, and no newer one is there");
            }
            Warning::Stale => {
                let message = "CRL is stale: revocation is unknown for all it is about, until a newer one comes";
                tracing::error!(source, next_update = %end, last_error, "{message}");
            }
        }
    }
}

fn log_use(source: &str, list: &Crl) {
    tracing::info!(
        source,
        issuer = %list.issuer(),
        number = list.number().map(ToString::to_string),
        this_update = %list.this_update(),
        next_update = list.next_update().map(|time| time.to_string()),
        entries = list.entries(),
        "CRL in use"
    );
}
