//! MTA-STS (RFC 8461): the policies of domains, found, fetched, kept over restarts and renewed before they end.
//!
//! A policy that is known counts until it ends, whatever becomes of the TXT record and of the server behind it: who can
//! suppress these must not be able to switch the policy off. A domain whose policy was never seen has none.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use client::TlsFailure;
use dns::{Missing, Resolver};
use lru::LruCache;
use pki::{Fetcher, HttpUrl, Time};
use tokio::sync::Mutex;

use crate::tls::sts_policy::{MAX_POLICY, Policy, record_id};

/// Domains remembered; the files of others are read again when they are asked for.
const MAX_DOMAINS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// Section 3.3 suggests a minute.
const PATIENCE: Duration = Duration::from_secs(60);
/// A server that failed is left alone so long: section 3.3.
const AFTER_FAILURE: Duration = Duration::from_secs(5 * 60);
/// The age from which a policy is fetched again, or half of its time if that is sooner: section 10.2 wants it daily.
const RENEW: Duration = Duration::from_secs(24 * 60 * 60);

/// The policies of all domains.
#[derive(Clone)]
pub(crate) struct Policies(Arc<Inner>);

struct Inner {
    resolver: Arc<Resolver>,
    fetcher: Fetcher,
    folder: Option<PathBuf>,
    port: u16,
    slots: std::sync::Mutex<LruCache<String, Arc<Mutex<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    looked: bool,
    known: Option<Known>,
    failed: Option<(Time, TlsFailure)>,
}

/// A policy, by which record it was found and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    id: String,
    fetched: Time,
    policy: Policy,
}

/// What holds for a domain now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) policy: Option<Policy>,
    /// What went wrong on the way to it, for the report.
    pub(crate) failure: Option<TlsFailure>,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl Policies {
    /// Kept in `folder`. `port` is that of the policies' servers: 443, but in tests.
    pub(crate) fn new(resolver: Arc<Resolver>, fetcher: Fetcher, folder: Option<PathBuf>, port: u16) -> Self {
        let slots = std::sync::Mutex::new(LruCache::new(MAX_DOMAINS));
        Self(Arc::new(Inner { resolver, fetcher, folder, port, slots }))
    }

    /// The policy of a recipient's domain, in lower case and A-labels. Who asks about one domain at a time waits for the
    /// first.
    pub(crate) async fn of(&self, domain: &str) -> Found {
        self.found(domain, true).await
    }

    /// The same for somebody who only wants to know: what is fetched for it is not kept over a restart.
    pub(crate) async fn look(&self, domain: &str) -> Found {
        self.found(domain, false).await
    }

    async fn found(&self, domain: &str, keep: bool) -> Found {
        let slot = {
            let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.get_or_insert(domain.to_owned(), Arc::default))
        };
        let mut slot = slot.lock().await;
        let now = Time::now();
        if !std::mem::replace(&mut slot.looked, true) {
            slot.known = self.0.kept(domain).await;
        }
        slot.known.take_if(|known| known.ends() <= now);
        let failure = self.0.renew(domain, &mut slot, now, keep).await;
        Found { policy: slot.known.as_ref().map(|known| known.policy.clone()), failure }
    }

    /// Renews what is kept, whether or not there is mail for it (section 10.2); for a task of its own.
    pub(crate) async fn renew_kept(&self) {
        let Some(folder) = &self.0.folder else { return };
        let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let Some(domain) = name.to_str().filter(|name| is_file_name(name)) else { continue };
            if self.of(domain).await.policy.is_none() {
                drop(tokio::fs::remove_file(entry.path()).await);
            }
        }
    }
}

impl Inner {
    /// Fetches the policy where the record says that there is a new one, or the known one is old.
    async fn renew(&self, domain: &str, slot: &mut Slot, now: Time, keep: bool) -> Option<TlsFailure> {
        let id = match self.resolver.texts(&format!("_mta-sts.{domain}")).await {
            Ok(answer) => record_id(&answer.records),
            Err(Missing::Name | Missing::Records) => None,
            Err(Missing::Unknown(why)) => {
                tracing::info!(domain, why, known = slot.known.is_some(), "the MTA-STS record cannot be looked up");
                None
            }
        };
        // Without a record there may be a policy still, but no new one: section 5.1.
        let id = id?;
        if slot.known.as_ref().is_some_and(|known| known.id == id && now < known.renewal()) {
            return None;
        }
        if let Some((_, failure)) = slot.failed.filter(|(at, _)| now < at.plus(AFTER_FAILURE)) {
            return Some(failure);
        }
        match self.fetch(domain).await {
            Ok(policy) => {
                tracing::info!(domain, mode = policy.mode.as_str(), max_age = ?policy.max_age, "MTA-STS policy fetched");
                let known = Known { id, fetched: now, policy };
                if keep {
                    self.keep(domain, &known).await;
                }
                slot.known = Some(known);
                slot.failed = None;
                None
            }
            Err((failure, why)) => {
                tracing::warn!(domain, %failure, why, known = slot.known.is_some(), "the MTA-STS policy cannot be fetched; a known one stays in use");
                slot.failed = Some((now, failure));
                Some(failure)
            }
        }
    }

    /// Section 3.3: over HTTPS with a certificate for the policy's host, and without redirects.
    async fn fetch(&self, domain: &str) -> Result<Policy, (TlsFailure, String)> {
        let host = format!("mta-sts.{domain}");
        let fetching = |why: String| (TlsFailure::StsPolicyFetchError, why);
        let url = format!("https://{host}:{}/.well-known/mta-sts.txt", self.port);
        let url: HttpUrl = url.parse().map_err(|_| fetching("the domain makes no URL".to_owned()))?;
        let addresses =
            self.resolver.addresses(&host).await.map_err(|missing| fetching(format!("{host}: {missing}")))?;
        let octets = self.fetcher.read_at(&url, &addresses.records, MAX_POLICY, PATIENCE).await;
        let octets = octets.map_err(|error| match error {
            pki::FetchError::Tls { .. } => (TlsFailure::StsWebpkiInvalid, error.to_string()),
            _ => fetching(error.to_string()),
        })?;
        Policy::parse(&octets).map_err(|why| (TlsFailure::StsPolicyInvalid, why))
    }

    async fn kept(&self, domain: &str) -> Option<Known> {
        let file = self.file(domain)?;
        let text = tokio::fs::read_to_string(file).await.ok()?;
        Known::parse(&text)
    }

    async fn keep(&self, domain: &str, known: &Known) {
        let Some(file) = self.file(domain) else { return };
        if let Err(error) = write(&file, known.to_text()).await {
            tracing::error!(file = %file.display(), %error, "an MTA-STS policy cannot be kept; a restart forgets it");
        }
    }

    fn file(&self, domain: &str) -> Option<PathBuf> {
        self.folder.as_ref().filter(|_| is_file_name(domain)).map(|folder| folder.join(domain))
    }
}

/// Renamed into place: half a policy is none.
async fn write(file: &Path, text: String) -> std::io::Result<()> {
    let new = file.with_file_name(format!(".{}", file.file_name().and_then(|name| name.to_str()).unwrap_or_default()));
    if let Some(folder) = file.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    tokio::fs::write(&new, text).await?;
    tokio::fs::rename(&new, file).await
}

/// A domain in A-labels, which leads to no other folder.
fn is_file_name(domain: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !domain.starts_with('.') && (1..=250).contains(&domain.len()) && domain.bytes().all(fits)
}

impl Known {
    fn ends(&self) -> Time {
        self.fetched.plus(self.policy.max_age)
    }

    fn renewal(&self) -> Time {
        self.fetched.plus((self.policy.max_age / 2).min(RENEW))
    }

    fn to_text(&self) -> String {
        format!("fetched: {}\nid: {}\n{}", self.fetched.unix(), self.id, self.policy.to_text())
    }

    fn parse(text: &str) -> Option<Self> {
        let (fetched, rest) = text.strip_prefix("fetched: ")?.split_once('\n')?;
        let (id, policy) = rest.strip_prefix("id: ")?.split_once('\n')?;
        let fetched = Time::from_unix(fetched.parse().ok()?);
        Some(Self { id: id.to_owned(), fetched, policy: Policy::parse(policy.as_bytes()).ok()? })
    }
}
