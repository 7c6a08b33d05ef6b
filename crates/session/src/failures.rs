//! Failed logins: who guesses waits, longer after each failure. Kept across reloads, bounded.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use policy::ClientNetwork;
use tokio::time::Instant;

use crate::settings::FailedLoginsSettings;

/// Clients, identities and networks that are remembered. Beyond it the one that was idle for longest is forgotten.
const MAX_KEYS: usize = 65_536;
/// Logins of one client that wait at a time, in longest waits: who comes with more has come to guess.
const MAX_WAITS: u32 = 2;

/// Counts failed logins, of all listeners together.
pub struct Failures {
    hasher: RandomState,
    memory: Mutex<Memory>,
}

struct Memory {
    clients: LruCache<ClientNetwork, Count>,
    identities: LruCache<String, Count>,
    networks: LruCache<IpAddr, Names>,
}

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    newest: Instant,
    /// Until here the logins before this one wait.
    busy_until: Instant,
    /// Of an identity: who was right last waits for no one else's failures.
    known: Option<ClientNetwork>,
}

/// User names that failed from one network, as hashes.
struct Names {
    seen: HashSet<u64>,
    since: Instant,
}

/// A client has more logins waiting than anybody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyLogins;

/// So many accounts were tried from one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spraying {
    pub(crate) network: IpAddr,
    pub(crate) accounts: u32,
}

impl Default for Failures {
    fn default() -> Self {
        // Unbounded, as bounded ones would reserve their memory at once; `with` holds the bound.
        let memory = Memory {
            clients: LruCache::unbounded(),
            identities: LruCache::unbounded(),
            networks: LruCache::unbounded(),
        };
        Self { hasher: RandomState::new(), memory: Mutex::new(memory) }
    }
}

impl Failures {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this login waits before it is looked into, whatever its password is. Logins of one client at the same time
    /// wait one after the other.
    pub(crate) fn admit(
        &self,
        client: IpAddr,
        user: &str,
        settings: &FailedLoginsSettings,
    ) -> Result<Duration, TooManyLogins> {
        if settings.is_exempt(client) {
            return Ok(Duration::ZERO);
        }
        let (now, network) = (Instant::now(), ClientNetwork::of(client));
        let mut memory = self.memory();
        let sprays = memory.networks.get(&wide(client)).is_some_and(|names| names.is_spraying(now, settings));
        let of_identity = match memory.identities.get(&folded(user)) {
            Some(count) if count.known != Some(network) => count.wait(now, settings),
            _ => Duration::ZERO,
        };
        let own = memory.clients.get(&network).map_or(Duration::ZERO, |count| count.wait(now, settings));
        let wait = if sprays { settings.longest_wait } else { own.max(of_identity) };
        if wait.is_zero() {
            return Ok(wait);
        }
        with(&mut memory.clients, network, now, |count| {
            let until = count.busy_until.max(now) + wait;
            let whole = until.saturating_duration_since(now);
            if whole > settings.longest_wait.saturating_mul(MAX_WAITS) {
                return Err(TooManyLogins);
            }
            count.busy_until = until;
            Ok(whole)
        })
    }

    /// The login failed. Tells once when so many names of one network have failed that somebody tries one password on all.
    pub(crate) fn failed(&self, client: IpAddr, user: &str, settings: &FailedLoginsSettings) -> Option<Spraying> {
        if settings.is_exempt(client) {
            return None;
        }
        let now = Instant::now();
        let mut memory = self.memory();
        with(&mut memory.clients, ClientNetwork::of(client), now, |count| count.add(now, settings));
        with(&mut memory.identities, folded(user), now, |count| count.add(now, settings));
        let (network, name) = (wide(client), self.hasher.hash_one(folded(user)));
        let names = memory.networks.get_or_insert_mut(network, || Names { seen: HashSet::new(), since: now });
        if now.duration_since(names.since) > settings.forget_after {
            *names = Names { seen: HashSet::new(), since: now };
        }
        // More than it takes to tell are not kept.
        let sprays_anew =
            !names.is_spraying(now, settings) && names.seen.insert(name) && names.is_spraying(now, settings);
        if memory.networks.len() > MAX_KEYS {
            memory.networks.pop_lru();
        }
        sprays_anew.then_some(Spraying { network, accounts: settings.spraying.get() })
    }

    /// The login succeeded: what others failed at under this name is forgotten for this client. Its own failures are not:
    /// who has one account could guess at others for ever.
    pub(crate) fn succeeded(&self, client: IpAddr, user: &str) {
        let known = Some(ClientNetwork::of(client));
        // Also before anybody failed: whoever fails next must not make this client wait.
        with(&mut self.memory().identities, folded(user), Instant::now(), |count| count.known = known);
    }
}

impl Count {
    fn add(&mut self, now: Instant, settings: &FailedLoginsSettings) {
        if now.duration_since(self.newest) > settings.forget_after {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.newest = now;
    }

    /// Twice as long after each failure beyond those that are free.
    fn wait(&self, now: Instant, settings: &FailedLoginsSettings) -> Duration {
        if now.duration_since(self.newest) > settings.forget_after {
            return Duration::ZERO;
        }
        match self.failures.checked_sub(settings.free) {
            None | Some(0) => Duration::ZERO,
            Some(beyond) => {
                let doubled = 2_u32.saturating_pow(beyond.saturating_sub(1).min(20));
                settings.first_wait.saturating_mul(doubled).min(settings.longest_wait)
            }
        }
    }
}

impl Names {
    fn is_spraying(&self, now: Instant, settings: &FailedLoginsSettings) -> bool {
        let enough = u32::try_from(self.seen.len()).unwrap_or(u32::MAX) >= settings.spraying.get();
        enough && now.duration_since(self.since) <= settings.forget_after
    }
}

fn with<K: Hash + Eq, T>(
    counts: &mut LruCache<K, Count>,
    key: K,
    now: Instant,
    use_it: impl FnOnce(&mut Count) -> T,
) -> T {
    let fresh = || Count { failures: 0, newest: now, busy_until: now, known: None };
    let used = use_it(counts.get_or_insert_mut(key, fresh));
    if counts.len() > MAX_KEYS {
        counts.pop_lru();
    }
    used
}

/// User names are names in directories, which do not tell cases apart.
fn folded(user: &str) -> String {
    user.to_lowercase()
}

/// The network that one attacker has many addresses of: an IPv4 /24, an IPv6 /48.
fn wide(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & 0xffff_ff00).to_be_bytes()),
        IpAddr::V6(address) => IpAddr::from((u128::from(address) & !(u128::MAX >> 48)).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests;
