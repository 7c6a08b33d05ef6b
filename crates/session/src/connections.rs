//! How many connections there are, in all and of each client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts living connections; shared by all listeners, kept across reloads.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    by_client: HashMap<IpAddr, u32>,
}

/// A counted connection; dropping it uncounts.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Arc<Connections>,
    client: IpAddr,
}

/// Which limit a new connection met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMany {
    InAll,
    OfThisClient,
}

impl Connections {
    /// Counts a connection of `client`, unless a limit says no.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr, in_all: u32, per_client: u32) -> Result<Counted, TooMany> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= in_all {
            return Err(TooMany::InAll);
        }
        let of_client = counts.by_client.entry(client).or_insert(0);
        if *of_client >= per_client {
            return Err(TooMany::OfThisClient);
        }
        *of_client += 1;
        counts.all += 1;
        Ok(Counted { connections: Arc::clone(self), client })
    }

    /// Living connections.
    pub fn count(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(of_client) = counts.by_client.get_mut(&self.client) {
            *of_client = of_client.saturating_sub(1);
            if *of_client == 0 {
                counts.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let connections = Arc::new(Connections::default());
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let first = connections.enter(a, 3, 2).unwrap();
        let second = connections.enter(a, 3, 2).unwrap();
        assert_eq!(connections.enter(a, 3, 2).unwrap_err(), TooMany::OfThisClient);
        let third = connections.enter(b, 3, 2).unwrap();
        assert_eq!(connections.enter(b, 3, 2).unwrap_err(), TooMany::InAll);
        drop((first, third));
        assert_eq!(connections.count(), 1);
        assert!(connections.enter(a, 3, 2).is_ok());
        drop(second);
        assert_eq!(connections.count(), 0);
        assert!(connections.0.lock().unwrap().by_client.is_empty(), "no client without connections is remembered");
    }
}
