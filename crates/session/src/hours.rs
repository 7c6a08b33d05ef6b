//! What clients and identities did within the last hour; kept across reloads, bounded.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use policy::{ClientNetwork, HourCount};
use tokio::time::Instant;

/// Clients that are remembered, and identities. Beyond it the one that was idle for longest is forgotten: who is busy never
/// gets rid of a count by others' doing.
const MAX_KEYS: usize = 65_536;

/// Whose time it is.
enum Clock {
    /// That which passes.
    Running(Instant),
    /// Minutes of a log that is read.
    Told(AtomicU64),
}

/// Counts recipients, of all listeners together.
pub struct Hours {
    clock: Clock,
    clients: Mutex<LruCache<ClientNetwork, ClientHour>>,
    identities: Mutex<LruCache<String, HourCount>>,
}

#[derive(Default)]
struct ClientHour {
    recipients: HourCount,
    unknown: HourCount,
}

/// A recipient that is counted while it is judged, so that sessions at the same time do not overlook each other; dropped,
/// it was never there.
pub(crate) struct Counted {
    hours: Arc<Hours>,
    client: Option<ClientNetwork>,
    identity: Option<String>,
    /// Recipients of the client within the hour, before this one.
    pub(crate) of_client: u32,
    /// Recipients of the identity within the hour, before this one.
    pub(crate) of_identity: u32,
}

impl Default for Hours {
    fn default() -> Self {
        // Unbounded, as a bounded one would reserve its memory at once; `count` holds the bound.
        Self {
            clock: Clock::Running(Instant::now()),
            clients: Mutex::new(LruCache::unbounded()),
            identities: Mutex::new(LruCache::unbounded()),
        }
    }
}

impl Hours {
    /// Of a log that is read: its time is told, and does not pass.
    pub fn of_log() -> Self {
        Self { clock: Clock::Told(AtomicU64::new(0)), ..Self::default() }
    }

    /// What comes next in a log happened at this time.
    pub fn tell(&self, now: pki::Time) {
        if let Clock::Told(minute) = &self.clock {
            minute.store(u64::try_from(now.unix() / 60).unwrap_or_default(), Ordering::Relaxed);
        }
    }

    fn minute(&self) -> u64 {
        match &self.clock {
            Clock::Running(began) => began.elapsed().as_secs() / 60,
            Clock::Told(minute) => minute.load(Ordering::Relaxed),
        }
    }

    /// Counts a recipient of those for whom there is a limit.
    pub(crate) fn count(self: &Arc<Self>, client: Option<ClientNetwork>, identity: Option<&str>) -> Counted {
        let now = self.minute();
        // User ids are names in directories, which do not tell cases apart.
        let identity = identity.map(str::to_lowercase);
        let of_client = client.map(|client| {
            let count = |hour: &mut ClientHour| counted(&mut hour.recipients, now);
            with(&mut locked(&self.clients), client, count)
        });
        let of_identity = identity
            .clone()
            .map(|identity| with(&mut locked(&self.identities), identity, |hour: &mut HourCount| counted(hour, now)));
        Counted {
            hours: Arc::clone(self),
            client,
            identity,
            of_client: of_client.unwrap_or_default(),
            of_identity: of_identity.unwrap_or_default(),
        }
    }

    /// How many recipients of the client were unknown.
    pub(crate) fn unknown(&self, client: ClientNetwork) -> u32 {
        let now = self.minute();
        locked(&self.clients).get_mut(&client).map_or(0, |hour| hour.unknown.at(now))
    }

    /// One recipient more was unknown.
    pub(crate) fn add_unknown(&self, client: ClientNetwork) {
        let now = self.minute();
        with(&mut locked(&self.clients), client, |hour: &mut ClientHour| hour.unknown.add(now));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many there were, and one more.
fn counted(hour: &mut HourCount, now: u64) -> u32 {
    let before = hour.at(now);
    hour.add(now);
    before
}

fn with<K: Hash + Eq, V: Default, T>(keys: &mut LruCache<K, V>, key: K, use_it: impl FnOnce(&mut V) -> T) -> T {
    let used = use_it(keys.get_or_insert_mut(key, V::default));
    if keys.len() > MAX_KEYS {
        keys.pop_lru();
    }
    used
}

impl Counted {
    /// It was taken.
    pub(crate) fn keep(mut self) {
        (self.client, self.identity) = (None, None);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(client) = self.client
            && let Some(hour) = locked(&self.hours.clients).get_mut(&client)
        {
            hour.recipients.take_back();
        }
        if let Some(identity) = &self.identity
            && let Some(hour) = locked(&self.hours.identities).get_mut(identity)
        {
            hour.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, last].into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_counted_and_forgotten() {
        let hours = Arc::new(Hours::default());
        for expected in 0..3 {
            let counted = hours.count(Some(client(1)), Some("Alice"));
            assert_eq!((counted.of_client, counted.of_identity), (expected, expected));
            counted.keep();
        }
        // Another client, the same person.
        let counted = hours.count(Some(client(2)), Some("alice"));
        assert_eq!((counted.of_client, counted.of_identity), (0, 3));
        drop(counted);
        let counted = hours.count(Some(client(2)), Some("alice"));
        assert_eq!((counted.of_client, counted.of_identity), (0, 3), "what was not kept is not counted");
        drop(counted);
        hours.add_unknown(client(2));
        assert_eq!((hours.unknown(client(1)), hours.unknown(client(2)), hours.unknown(client(3))), (0, 1, 0));
        tokio::time::advance(std::time::Duration::from_secs(60 * 60)).await;
        let counted = hours.count(Some(client(1)), Some("alice"));
        assert_eq!((counted.of_client, counted.of_identity, hours.unknown(client(2))), (0, 0, 0));
    }

    #[test]
    fn two_at_a_time_see_each_other() {
        let hours = Arc::new(Hours::default());
        let first = hours.count(Some(client(1)), None);
        let second = hours.count(Some(client(1)), None);
        assert_eq!((first.of_client, second.of_client, second.of_identity), (0, 1, 0));
    }

    #[test]
    fn memory_is_bounded_and_who_is_busy_is_remembered() {
        let hours = Arc::new(Hours::default());
        let busy = client(1);
        hours.count(Some(busy), None).keep();
        for number in 0..u32::try_from(MAX_KEYS).unwrap() + 10 {
            hours.count(Some(ClientNetwork::of(number.to_be_bytes().into())), Some(&number.to_string())).keep();
            if number % 1000 == 0 {
                hours.unknown(busy);
            }
        }
        assert_eq!(locked(&hours.clients).len(), MAX_KEYS);
        assert_eq!(locked(&hours.identities).len(), MAX_KEYS);
        assert_eq!(hours.count(Some(busy), None).of_client, 1);
    }
}
