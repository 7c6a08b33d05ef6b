//! Names of clients by forward-confirmed reverse DNS: an address is a host's only when the host says so too.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dns::{Missing, Resolver};
use lru::LruCache;
use policy::{HostName, Naming};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Names of one address that are looked at; an address of a hosting company may have hundreds.
const MAX_NAMES: usize = 10;
/// Lookups at a time; the others wait, within their own time.
const MAX_LOOKUPS: usize = 256;
/// Addresses whose failed lookups are remembered, so that a client whose servers do not answer waits for them once.
const MAX_FAILURES: usize = 4096;
/// For how long.
const FAILURE_LASTS: Duration = Duration::from_secs(60);
/// Looks names up.
pub struct Names {
    resolver: Arc<Resolver>,
    /// For one client, whatever has to be asked.
    patience: Duration,
    lookups: Semaphore,
    failures: Mutex<LruCache<IpAddr, (Instant, String)>>,
}

impl Names {
    /// By this resolver; nothing is asked yet.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>) -> Self {
        Self {
            patience: resolver.patience(),
            resolver,
            lookups: Semaphore::new(MAX_LOOKUPS),
            failures: Mutex::new(LruCache::unbounded()),
        }
    }

    /// The names of an address, each confirmed, or why there is none.
    pub async fn of(&self, address: IpAddr) -> Naming {
        let address = address.to_canonical();
        if let Some(why) = self.failed(address) {
            return Naming::Unconfirmed(why);
        }
        let mut confirmed = Vec::new();
        let outcome = match timeout(self.patience, self.ask(address, &mut confirmed)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Missing::Unknown(format!("no answer within {:?}", self.patience))),
        };
        tracing::debug!(%address, ?confirmed, "names by reverse DNS");
        match outcome {
            // Time that ran out takes away no name that was confirmed before.
            _ if !confirmed.is_empty() => Naming::Confirmed(confirmed),
            Ok(()) => Naming::Unconfirmed("no name of the address has the address".to_owned()),
            Err(Missing::Name | Missing::Records) => Naming::Unconfirmed("the address has no name".to_owned()),
            Err(Missing::Unknown(why)) => {
                self.remember(address, &why);
                Naming::Unconfirmed(why)
            }
        }
    }

    async fn ask(&self, address: IpAddr, confirmed: &mut Vec<HostName>) -> Result<(), Missing> {
        let _place = self.lookups.acquire().await.map_err(|closed| Missing::Unknown(closed.to_string()))?;
        let mut trouble = Ok(());
        for name in self.resolver.names(address).await?.records.iter().take(MAX_NAMES) {
            match self.resolver.addresses_like(name, address).await {
                Ok(found) if found.records.contains(&address) => confirmed.extend(HostName::parse(name)),
                Ok(_) | Err(Missing::Name | Missing::Records) => {}
                Err(unknown) => trouble = Err(unknown),
            }
        }
        trouble
    }

    fn failed(&self, address: IpAddr) -> Option<String> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, why) = failures.get(&address)?;
        if at.elapsed() < FAILURE_LASTS {
            return Some(why.clone());
        }
        failures.pop(&address);
        None
    }

    fn remember(&self, address: IpAddr, why: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.put(address, (Instant::now(), why.to_owned()));
        if failures.len() > MAX_FAILURES {
            failures.pop_lru();
        }
    }
}
