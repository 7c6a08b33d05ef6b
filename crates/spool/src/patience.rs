//! How long to go on with a message, and how long to wait in between: the spool's settings, or the route's own.

use delivery::{Courier, Destination};

use crate::clock::{Millis, millis};
use crate::settings::Settings;

/// What holds for one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    retry_interval: Millis,
    max_retry_interval: Millis,
    /// The age at which an attempt that fails was the last one.
    pub(crate) give_up_after: Millis,
}

impl Patience {
    pub(crate) fn with(settings: &Settings, route: Option<(&Courier, &Destination)>) -> Self {
        let own = route.map(|(courier, destination)| courier.patience(destination)).unwrap_or_default();
        Self {
            retry_interval: millis(own.retry_interval.unwrap_or(settings.retry_interval)),
            max_retry_interval: millis(own.max_retry_interval.unwrap_or(settings.max_retry_interval)),
            give_up_after: millis(own.give_up_after.unwrap_or(settings.give_up_after)),
        }
    }

    /// The wait after so many attempts on end that failed: doubled with each, up to the longest, and varied by a fifth, so
    /// that messages deferred together do not come back together.
    pub(crate) fn backoff(&self, attempts: u32) -> Millis {
        vary(self.doubled(attempts).min(self.max_retry_interval))
    }

    /// How long a destination is left alone that was found down so many times on end. Never so long that all that waits
    /// for it would be late when it is back.
    pub(crate) fn rest(&self, times: u32) -> Millis {
        vary(self.doubled(times).min((self.max_retry_interval / 4).max(self.retry_interval)))
    }

    fn doubled(&self, times: u32) -> Millis {
        self.retry_interval.saturating_mul(1 << times.saturating_sub(1).min(32))
    }
}

fn vary(wait: Millis) -> Millis {
    let wait = wait.max(1);
    let spread = wait / 5;
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), wait);
    wait.saturating_sub(spread).saturating_add(random.checked_rem(spread.saturating_mul(2).max(1)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_a_fifth() {
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(24 * 60 * 60));
        let patience = Patience {
            retry_interval: millis(minute),
            max_retry_interval: millis(60 * minute),
            give_up_after: millis(5 * day),
        };
        for (attempts, minutes) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60), (u32::MAX, 60)] {
            let wait = patience.backoff(attempts);
            let middle = minutes * 60_000;
            assert!((middle * 4 / 5..=middle * 6 / 5).contains(&wait), "{attempts}: {wait}");
        }
        for (times, minutes) in [(1, 1), (3, 4), (4, 8), (5, 15), (u32::MAX, 15)] {
            let wait = patience.rest(times);
            let middle = minutes * 60_000;
            assert!((middle * 4 / 5..=middle * 6 / 5).contains(&wait), "{times}: {wait}");
        }
        let waits: std::collections::HashSet<Millis> = (0..20).map(|_| patience.backoff(7)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
