//! What the parts of an open spool have in common.

use delivery::Courier;
use protocol::Domain;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, watch};

use crate::clock::{Clock, Millis, millis};
use crate::order::Ordered;
use crate::settings::Settings;
use crate::store::{Due, Store};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    /// At the start the clock was behind the last message's arrival.
    pub(crate) set_back: bool,
    pub(crate) settings: Settings,
    /// Who notices come from.
    pub(crate) hostname: Domain,
    /// Live messages, for whoever runs the schedule.
    pub(crate) arrivals: Mutex<mpsc::UnboundedReceiver<Due>>,
    /// Puts messages back among the arrivals when a run ends.
    pub(crate) returns: mpsc::UnboundedSender<Due>,
    /// The courier to use from now on.
    pub(crate) courier: watch::Sender<Option<Courier>>,
    pub(crate) counts: Counts,
    /// What administrators want done, for whoever runs the schedule.
    pub(crate) orders: (mpsc::Sender<Ordered>, Mutex<mpsc::Receiver<Ordered>>),
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) notices: AtomicU64,
    pub(crate) quarantined: AtomicU64,
}

/// What has happened since the spool was opened, and what there is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Recipients whose next hop took the message.
    pub delivered: u64,
    /// Attempts for one recipient that are to be repeated.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Notices to senders.
    pub notices: u64,
    /// Messages found damaged.
    pub quarantined: u64,
    /// Messages waiting now.
    pub messages: usize,
    /// Of them, those an administrator holds.
    pub held: usize,
    /// Of them, those of which each recipient still to be served has been tried; held ones apart.
    pub to_be_retried: usize,
    /// How long ago the oldest of them was accepted; `None` when there is none.
    pub oldest_age: Option<Duration>,
    /// Octets of them in the log.
    pub live_octets: u64,
    /// Octets of the log on disk.
    pub disk_octets: u64,
    /// Segments of the log.
    pub segments: usize,
}

impl Shared {
    /// No attempt is put off beyond this, where the clock has been set back: the longest wait, and room for what is added to
    /// spread attempts. A route whose own waits are longer tries once too early then.
    pub(crate) fn latest(&self) -> Millis {
        if !self.set_back {
            return Millis::MAX;
        }
        self.clock.now().saturating_add(millis(self.settings.max_retry_interval.saturating_mul(2)))
    }

    pub(crate) fn counters(&self) -> Counters {
        let usage = self.store.usage();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            delivered: read(&self.counts.delivered),
            deferred: read(&self.counts.deferred),
            failed: read(&self.counts.failed),
            notices: read(&self.counts.notices),
            quarantined: read(&self.counts.quarantined),
            messages: usage.messages,
            held: usage.held,
            to_be_retried: usage.deferred,
            // An id is the microsecond of its message's arrival.
            oldest_age: self
                .store
                .oldest()
                .map(|id| Duration::from_micros(self.clock.now_micros().saturating_sub(id.raw()))),
            live_octets: usage.live_octets,
            disk_octets: usage.disk_octets,
            segments: usage.segments,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or_default(), Ordering::Relaxed);
}
