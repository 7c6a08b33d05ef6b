//! CA certificates that were fetched because a certificate below named where they are (AIA caIssuers). They are trusted
//! no more than those that a client sends along: they only help to find a path.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use lru::LruCache;

use crate::access::{self, Access};
use crate::certificate::{Certificate, MAX_CERTIFICATE};
use crate::fetch::fetcher::{Fetcher, Limits, NamedBy, Object};
use crate::flight::Flights;
use crate::location::Location;
use crate::pkcs7;
use crate::pool::BySubject;
use crate::time::Time;

/// The fetched CA certificates; cheap to clone, shared by the trusts that allow them.
#[derive(Clone)]
pub struct IssuerStore(Arc<Inner>);

struct Inner {
    fetcher: Fetcher,
    current: ArcSwap<Issuers>,
    /// Until when a location is not tried again.
    tried: Mutex<LruCache<Location, Time>>,
    flights: Flights<Location>,
}

/// The certificates at one moment.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    /// Unique in the process; 0 for none.
    pub(crate) generation: u64,
    pub(crate) by_subject: BySubject,
    all: Vec<Certificate>,
}

const MAX_ISSUERS: usize = 512;
const MAX_PER_FILE: usize = 16;
const MAX_FLIGHTS: usize = 16;
const LOCATIONS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Room for a bundle of them.
const MAX_SIZE: u64 = 1024 * 1024;
const AGAIN_AFTER_SUCCESS: Duration = Duration::from_secs(3600);
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(300);

static GENERATION: AtomicU64 = AtomicU64::new(1);

impl IssuerStore {
    /// An empty store.
    pub fn new(fetcher: Fetcher) -> Self {
        Self(Arc::new(Inner {
            fetcher,
            current: ArcSwap::default(),
            tried: Mutex::new(LruCache::new(LOCATIONS)),
            flights: Flights::new(MAX_FLIGHTS),
        }))
    }

    /// What has been fetched so far.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.0.current.load().all.clone()
    }

    pub(crate) fn current(&self) -> Arc<Issuers> {
        self.0.current.load_full()
    }

    /// Where an issuer of this certificate could be fetched that has not been tried lately.
    pub(crate) fn untried(&self, certificate: &Certificate) -> Vec<Location> {
        let now = Time::now();
        let mut locations = access::locations(certificate, Access::CaIssuers);
        let mut tried = self.0.tried.lock().unwrap_or_else(PoisonError::into_inner);
        locations.retain(|location| {
            self.0.fetcher.allows(location) && tried.get(location).is_none_or(|until| *until <= now)
        });
        locations
    }

    /// Fetches what may be there; the outcome is seen in what is current afterwards.
    pub(crate) async fn fetch(&self, location: Location) {
        let this = self.clone();
        let at = location.clone();
        let work = async move {
            let outcome = this.0.fetch(&at).await;
            let pause = if outcome.is_ok() { AGAIN_AFTER_SUCCESS } else { AGAIN_AFTER_FAILURE };
            let until = Time::now().plus(pause);
            this.0.tried.lock().unwrap_or_else(PoisonError::into_inner).put(at.clone(), until);
            match outcome {
                Ok(certificates) => this.0.add(&at, certificates),
                Err(error) => tracing::warn!(location = %at, error, "issuer not fetched"),
            }
        };
        self.0.flights.join(location, work).await;
    }
}

impl Inner {
    async fn fetch(&self, location: &Location) -> Result<Vec<Certificate>, String> {
        let limits = Limits { size: MAX_SIZE, time: self.fetcher.timeout() };
        let mut octets = Vec::new();
        let fetching =
            self.fetcher.get(location, NamedBy::Certificate, Object::CaCertificates, limits, None, &mut octets);
        fetching.await.map_err(|error| error.to_string())?;
        read(&octets, location)
    }

    fn add(&self, location: &Location, certificates: Vec<Certificate>) {
        self.current.rcu(|current| {
            let fresh = certificates.iter().filter(|candidate| candidate.is_ca() && !current.all.contains(candidate));
            let room = MAX_ISSUERS.saturating_sub(current.all.len());
            let fresh: Vec<Certificate> = fresh.take(room).cloned().collect();
            if fresh.is_empty() {
                return Arc::clone(current);
            }
            for certificate in &fresh {
                tracing::info!(%certificate, %location, "issuer fetched");
            }
            let all: Vec<Certificate> = current.all.iter().cloned().chain(fresh).collect();
            let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
            Arc::new(Issuers { generation, by_subject: BySubject::of(all.iter().cloned()), all })
        });
    }
}

impl Issuers {
    pub(crate) fn all(&self) -> &[Certificate] {
        &self.all
    }
}

/// One certificate in DER or several behind each other (from a directory), a `certs-only` message, or PEM.
fn read(octets: &[u8], location: &Location) -> Result<Vec<Certificate>, String> {
    if octets.first() != Some(&crate::der::tag::SEQUENCE) {
        let shown = location.to_string();
        return Certificate::from_bundle(octets, Path::new(&shown)).map_err(|error| error.to_string());
    }
    if let Ok(certificates) = pkcs7::certificates(octets, MAX_PER_FILE) {
        return Ok(certificates);
    }
    let mut reader = crate::der::Reader::new(octets);
    let mut certificates = Vec::new();
    while !reader.is_empty() && certificates.len() < MAX_PER_FILE {
        let one = reader.any("Certificate").map_err(|error| error.to_string())?.raw;
        if one.len() > MAX_CERTIFICATE {
            return Err("a certificate of more than 256 KiB".to_owned());
        }
        certificates.push(Certificate::from_der(one).map_err(|error| error.to_string())?);
    }
    Ok(certificates)
}

impl std::fmt::Debug for IssuerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuerStore({} certificates)", self.0.current.load().all.len())
    }
}
