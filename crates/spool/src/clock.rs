//! The time of day, read once at the start and carried on by the monotonic clock: when the system's clock is set while
//! the gateway runs, no message waits longer or expires sooner for it.

use std::time::{Duration, Instant, SystemTime};

/// Milliseconds since 1970.
pub(crate) type Millis = u64;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    unix: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), unix: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default() }
    }

    fn since_1970(&self) -> Duration {
        self.unix.saturating_add(self.start.elapsed())
    }

    pub(crate) fn now(&self) -> Millis {
        u64::try_from(self.since_1970().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn now_micros(&self) -> u64 {
        u64::try_from(self.since_1970().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A duration in the clock's unit.
pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
