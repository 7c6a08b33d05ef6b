//! Names of clients by forward-confirmed reverse DNS: an address is a host's only when the host says so too.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use lru::LruCache;
use policy::{HostName, Naming};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::settings::DnsSettings;

/// Names of one address that are looked at; an address of a hosting company may have hundreds.
const MAX_NAMES: usize = 10;
/// Lookups at a time; the others wait, within their own time.
const MAX_LOOKUPS: usize = 256;
/// Addresses whose failed lookups are remembered, so that a client whose servers do not answer waits for them once.
const MAX_FAILURES: usize = 4096;
/// For how long.
const FAILURE_LASTS: Duration = Duration::from_secs(60);
/// Whatever a record's TTL says.
const MAX_TTL: Duration = Duration::from_secs(60 * 60);
/// Whatever the TTL of "there is none" says.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5 * 60);

/// Looks names up, and remembers them by their TTL.
pub struct Names {
    resolver: TokioResolver,
    /// For one client, whatever has to be asked.
    patience: Duration,
    lookups: Semaphore,
    failures: Mutex<LruCache<IpAddr, (Instant, String)>>,
}

/// The resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the system's resolver cannot be used: {0}")]
pub struct NamesError(NetError);

impl Names {
    /// By the servers that are named, or as the system does. Nothing is asked yet.
    pub fn new(settings: &DnsSettings) -> Result<Self, NamesError> {
        let mut builder = match settings.servers.as_slice() {
            [] => TokioResolver::builder_tokio().map_err(NamesError)?,
            servers => {
                let servers = servers.iter().map(|server| name_server(server.0)).collect();
                let config = ResolverConfig::from_name_servers(servers);
                let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
        };
        let options = builder.options_mut();
        // A server that is down leaves time for the next.
        options.timeout = settings.timeout.0 / 3;
        options.attempts = 1;
        options.cache_size = settings.cache_entries.0.into();
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        Ok(Self {
            resolver: builder.build().map_err(NamesError)?,
            patience: settings.timeout.0,
            lookups: Semaphore::new(MAX_LOOKUPS),
            failures: Mutex::new(LruCache::unbounded()),
        })
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
            Err(_) => Err(Trouble::Failed(format!("no answer within {:?}", self.patience))),
        };
        tracing::debug!(%address, ?confirmed, "names by reverse DNS");
        match outcome {
            // Time that ran out takes away no name that was confirmed before.
            _ if !confirmed.is_empty() => Naming::Confirmed(confirmed),
            Ok(()) => Naming::Unconfirmed("no name of the address has the address".to_owned()),
            Err(Trouble::Nothing) => Naming::Unconfirmed("the address has no name".to_owned()),
            Err(Trouble::Failed(why)) => {
                self.remember(address, &why);
                Naming::Unconfirmed(why)
            }
        }
    }

    async fn ask(&self, address: IpAddr, confirmed: &mut Vec<HostName>) -> Result<(), Trouble> {
        let _place = self.lookups.acquire().await.map_err(|closed| Trouble::Failed(closed.to_string()))?;
        let mut trouble = Ok(());
        for name in self.names(address).await? {
            match self.has(&name, address).await {
                Ok(true) => confirmed.extend(HostName::parse(&name.to_ascii())),
                Ok(false) | Err(Trouble::Nothing) => {}
                Err(failed) => trouble = Err(failed),
            }
        }
        trouble
    }

    async fn names(&self, address: IpAddr) -> Result<Vec<Name>, Trouble> {
        let found = self.resolver.reverse_lookup(address).await.map_err(Trouble::of)?;
        let names = found.answers().iter().filter_map(|record| match &record.data {
            RData::PTR(name) => Some(name.0.clone()),
            _ => None,
        });
        let names: Vec<Name> = names.take(MAX_NAMES).collect();
        if names.is_empty() { Err(Trouble::Nothing) } else { Ok(names) }
    }

    /// Whether the host has the address.
    async fn has(&self, name: &Name, address: IpAddr) -> Result<bool, Trouble> {
        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let mut name = name.clone();
        name.set_fqdn(true);
        let found = self.resolver.lookup(name, kind).await.map_err(Trouble::of)?;
        Ok(found.answers().iter().any(|record| match &record.data {
            RData::A(found) => IpAddr::V4(found.0) == address,
            RData::AAAA(found) => IpAddr::V6(found.0) == address,
            _ => false,
        }))
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

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// Why a question has no answer to go on with.
enum Trouble {
    /// DNS says that there is nothing.
    Nothing,
    /// DNS did not say.
    Failed(String),
}

impl Trouble {
    fn of(error: NetError) -> Self {
        if error.is_nx_domain() || error.is_no_records_found() {
            return Self::Nothing;
        }
        Self::Failed(error.to_string())
    }
}
