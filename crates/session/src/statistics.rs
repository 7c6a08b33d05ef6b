//! What sessions came to, counted by day, listener and policy, and who would have been refused: for `postern report`.
//!
//! Everything is bounded: events are few and known, listeners and policies are configured, people beyond a number are
//! forgotten, the one last seen longest ago first.

mod snapshot;
pub(crate) mod reason;
mod event;

pub(crate) use event::{Event, What};
pub use snapshot::{Day, DayCount, LedgerSnapshot, Snapshot, UnreadableSnapshot, WouldBeRefused};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use lru::LruCache;
use policy::{Rule, Rules};

/// Who would be refused, remembered for each listener and policy.
const MAX_PEOPLE: usize = 500;
/// A name of somebody, in characters.
const MAX_NAME: usize = 200;

/// All that was counted; shared by all sessions, kept across reloads.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<BTreeMap<(String, String), Arc<Ledger>>>);

/// What was counted of one listener and policy.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    days: BTreeMap<Date, HashMap<Event, u64>>,
    /// Since this process began.
    totals: HashMap<Event, u64>,
    /// Unbounded, as a bounded one would reserve its memory at once.
    people: LruCache<Somebody, Sighting>,
    /// Since when a rule is monitored without a break.
    monitored: BTreeMap<Rule, Date>,
    changed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Somebody {
    rule: Rule,
    /// A user id, a certificate's subject, or an address.
    who: String,
}

#[derive(Debug, Clone)]
struct Sighting {
    reason: std::borrow::Cow<'static, str>,
    times: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Default for Ledger {
    fn default() -> Self {
        Self(Mutex::new(Counts {
            days: BTreeMap::new(),
            totals: HashMap::new(),
            people: LruCache::unbounded(),
            monitored: BTreeMap::new(),
            changed: false,
        }))
    }
}

/// How often something happened since this process began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total {
    /// The listener's name.
    pub listener: String,
    /// The policy's name.
    pub policy: String,
    /// `session`, `message`, `AUTH accepted` …
    pub what: &'static str,
    /// The rule that is monitored, where it is about one.
    pub rule: Option<String>,
    /// Why, or how: one of a few words for each.
    pub reason: std::borrow::Cow<'static, str>,
    /// How often.
    pub count: u64,
}

/// Days begin at midnight UTC.
fn day(at: Timestamp) -> Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        locked(&self.0)
    }

    /// One more.
    pub(crate) fn count(&self, event: Event) {
        self.counts().count(event, Timestamp::now());
    }

    /// A monitored rule would have refused them.
    pub(crate) fn would_refuse(&self, rule: Rule, reason: &'static str, who: &str) {
        let now = Timestamp::now();
        let mut counts = self.counts();
        counts.count(Event { what: What::WouldRefuse(rule), reason: reason.into() }, now);
        let somebody = Somebody { rule, who: who.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect() };
        counts.see(somebody, Sighting { reason: reason.into(), times: 1, first: now, last: now });
    }
}

impl Counts {
    fn count(&mut self, event: Event, at: Timestamp) {
        self.changed = true;
        let total = self.totals.entry(event.clone()).or_default();
        *total = total.saturating_add(1);
        let count = self.days.entry(day(at)).or_default().entry(event).or_default();
        *count = count.saturating_add(1);
    }

    fn see(&mut self, somebody: Somebody, sighting: Sighting) {
        match self.people.get_mut(&somebody) {
            Some(seen) => {
                seen.times = seen.times.saturating_add(sighting.times);
                (seen.reason, seen.last) = (sighting.reason, sighting.last);
            }
            None => {
                self.people.put(somebody, sighting);
            }
        }
        if self.people.len() > MAX_PEOPLE {
            self.people.pop_lru();
        }
    }

    /// Forgets what is older.
    fn forget_before(&mut self, first: Date) {
        self.days = self.days.split_off(&first);
        // The least recently seen come last.
        while self.people.peek_lru().is_some_and(|(_, seen)| day(seen.last) < first) {
            self.people.pop_lru();
        }
    }

    fn is_empty(&self) -> bool {
        self.days.is_empty() && self.people.is_empty() && self.monitored.is_empty()
    }
}

impl Statistics {
    /// Where a session of this listener and policy counts.
    pub(crate) fn ledger(&self, listener: &str, policy: &str) -> Arc<Ledger> {
        Arc::clone(locked(&self.0).entry((listener.to_owned(), policy.to_owned())).or_default())
    }

    /// These rules are monitored from now on, and no others: what began earlier goes on.
    pub fn monitor<'n>(&self, monitored: impl IntoIterator<Item = (&'n str, &'n str, Rules)>) {
        self.monitor_from(monitored, day(Timestamp::now()));
    }

    fn monitor_from<'n>(&self, monitored: impl IntoIterator<Item = (&'n str, &'n str, Rules)>, today: Date) {
        let mut now: BTreeMap<(String, String), Rules> = BTreeMap::new();
        for (listener, policy, rules) in monitored {
            now.insert((listener.to_owned(), policy.to_owned()), rules);
        }
        let mut ledgers = locked(&self.0);
        for (key, rules) in &now {
            if rules.iter().next().is_some() {
                ledgers.entry(key.clone()).or_default();
            }
        }
        for (key, ledger) in ledgers.iter() {
            let rules = now.get(key).copied().unwrap_or_default();
            let mut counts = ledger.counts();
            let before = counts.monitored.clone();
            counts.monitored = rules.iter().map(|rule| (rule, *before.get(&rule).unwrap_or(&today))).collect();
            counts.changed |= counts.monitored != before;
        }
    }

    /// All that was counted within so many days; what is older is forgotten.
    pub fn snapshot(&self, days: u16) -> Snapshot {
        self.snapshot_at(days, day(Timestamp::now()))
    }

    fn snapshot_at(&self, days: u16, today: Date) -> Snapshot {
        let first = today.checked_sub(i64::from(days.saturating_sub(1)).days()).unwrap_or(Date::MIN);
        // Sessions that begin meanwhile do not wait for all of it.
        let ledgers: Vec<_> = {
            let mut ledgers = locked(&self.0);
            ledgers.retain(|_, ledger| {
                let mut counts = ledger.counts();
                counts.forget_before(first);
                // A session may be about to count in it.
                !counts.is_empty() || Arc::strong_count(ledger) > 1
            });
            ledgers.iter().map(|(key, ledger)| (key.clone(), Arc::clone(ledger))).collect()
        };
        Snapshot::of(ledgers.iter().map(|((listener, policy), ledger)| (listener.as_str(), policy.as_str(), &**ledger)))
    }

    /// All that was counted since this process began.
    pub fn totals(&self) -> Vec<Total> {
        let ledgers: Vec<_> = locked(&self.0).iter().map(|(key, ledger)| (key.clone(), Arc::clone(ledger))).collect();
        let mut totals = Vec::new();
        for ((listener, policy), ledger) in ledgers {
            let total = |(event, count): (&Event, &u64)| Total {
                listener: listener.clone(),
                policy: policy.clone(),
                what: event.what.name(),
                rule: event.what.rule().map(|rule| rule.to_string()),
                reason: event.reason.clone(),
                count: *count,
            };
            totals.extend(ledger.counts().totals.iter().map(total));
        }
        totals.sort();
        totals
    }

    /// Whether anything changed since this was last asked.
    pub fn take_changed(&self) -> bool {
        let mut changed = false;
        for ledger in locked(&self.0).values() {
            changed |= std::mem::take(&mut ledger.counts().changed);
        }
        changed
    }

    /// Goes on from what was counted earlier; before anything else is counted. Nothing is changed by what cannot be read.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), UnreadableSnapshot> {
        snapshot.check()?;
        let earlier = Self::default();
        for of_ledger in &snapshot.ledgers {
            of_ledger.restore(&earlier.ledger(&of_ledger.listener, &of_ledger.policy))?;
        }
        std::mem::swap(&mut *locked(&self.0), &mut *locked(&earlier.0));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
