//! How many connections there are: in all, of each listener and of each client.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::ClientNetwork;

/// Counts living connections; shared by all listeners, kept across reloads.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    by_listener: HashMap<String, u32>,
    by_client: HashMap<ClientNetwork, u32>,
}

/// A counted connection; dropping it uncounts.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Arc<Connections>,
    listener: String,
    client: Option<ClientNetwork>,
}

/// Which limit a new connection met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    InAll(u32),
    OfThisListener(u32),
    OfThisClient(u32),
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InAll(limit) => write!(f, "{limit} connections already"),
            Self::OfThisListener(limit) => write!(f, "{limit} connections to this listener already"),
            Self::OfThisClient(limit) => write!(f, "{limit} connections of this client already"),
        }
    }
}

impl Connections {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection to `listener`, unless a limit says no.
    pub(crate) fn enter(self: &Arc<Self>, listener: &str, per_listener: u32, in_all: u32) -> Result<Counted, TooMany> {
        let mut counts = self.counts();
        if counts.all >= in_all {
            return Err(TooMany::InAll(in_all));
        }
        if !add(&mut counts.by_listener, listener.to_owned(), per_listener) {
            return Err(TooMany::OfThisListener(per_listener));
        }
        counts.all += 1;
        Ok(Counted { connections: Arc::clone(self), listener: listener.to_owned(), client: None })
    }

    /// Living connections.
    pub fn count(&self) -> u32 {
        self.counts().all
    }
}

/// One more, unless there are so many already. Nothing is kept of keys without connections.
fn add<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: K, limit: u32) -> bool {
    // A limit is at least 1, so that no key is inserted in vain.
    let count = counts.entry(key).or_insert(0);
    let fits = *count < limit.max(1);
    *count += u32::from(fits);
    fits
}

fn remove<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Counted {
    /// Counts it as this client's too, once its policy is known; unless the policy's limit says no.
    pub(crate) fn of_client(&mut self, client: ClientNetwork, per_client: u32) -> Result<(), TooMany> {
        if !add(&mut self.connections.counts().by_client, client, per_client) {
            return Err(TooMany::OfThisClient(per_client));
        }
        self.client = Some(client);
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connections.counts();
        counts.all = counts.all.saturating_sub(1);
        remove(&mut counts.by_listener, &self.listener);
        if let Some(client) = &self.client {
            remove(&mut counts.by_client, client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    #[test]
    fn limits_hold_and_places_come_back() {
        let connections = Arc::new(Connections::default());
        let connect = |listener: &str, client: &str| {
            let mut counted = connections.enter(listener, 3, 4)?;
            counted.of_client(network(client), 2)?;
            Ok::<_, TooMany>(counted)
        };
        let first = connect("a", "192.0.2.1").unwrap();
        let second = connect("a", "192.0.2.1").unwrap();
        assert_eq!(connect("a", "192.0.2.1").unwrap_err(), TooMany::OfThisClient(2));
        assert_eq!(connect("b", "192.0.2.1").unwrap_err(), TooMany::OfThisClient(2));
        let third = connect("a", "192.0.2.2").unwrap();
        assert_eq!(connect("a", "192.0.2.2").unwrap_err(), TooMany::OfThisListener(3));
        let fourth = connect("b", "192.0.2.2").unwrap();
        assert_eq!(connect("b", "192.0.2.3").unwrap_err(), TooMany::InAll(4));
        drop((first, third, fourth));
        assert_eq!(connections.count(), 1);
        assert!(connect("a", "192.0.2.1").is_ok());
        drop(second);
        assert_eq!(connections.count(), 0);
        let counts = connections.counts();
        assert!(counts.by_client.is_empty() && counts.by_listener.is_empty(), "what is gone is not remembered");
    }

    /// A machine with IPv6 has more addresses than anybody could count.
    #[test]
    fn ipv6_clients_are_counted_by_their_64() {
        let connections = Arc::new(Connections::default());
        let mut first = connections.enter("a", 9, 9).unwrap();
        first.of_client(network("2001:db8:1:2::1"), 1).unwrap();
        let mut second = connections.enter("a", 9, 9).unwrap();
        assert_eq!(second.of_client(network("2001:db8:1:2:ffff::1"), 1), Err(TooMany::OfThisClient(1)));
        assert_eq!(second.of_client(network("2001:db8:1:3::1"), 1), Ok(()));
    }
}
