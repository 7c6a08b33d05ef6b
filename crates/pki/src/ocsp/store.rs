//! The answers at hand, and how new ones are asked for: once for each certificate however many wait, and not again and
//! again from a responder that is down.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lru::LruCache;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::access::{self, Access};
use crate::certificate::Certificate;
use crate::fetch::FetchError;
use crate::fetch::fetcher::{Fetcher, Limits, NamedBy, Object};
use crate::flight::Flights;
use crate::location::{HttpUrl, Location};
use crate::ocsp::answer::{Answer, BadOcspAnswer, Expected};
use crate::ocsp::request::{CertId, Nonce, request};
use crate::ocsp::response::{MAX_RESPONSE, OcspStatus};
use crate::random;
use crate::settings::OcspSettings;
use crate::time::Time;

/// The OCSP answers at hand; cheap to clone, shared by all trusts.
#[derive(Clone)]
pub struct OcspStore(Arc<Inner>);

struct Inner {
    settings: OcspSettings,
    fetcher: Fetcher,
    known: Mutex<LruCache<Key, Known>>,
    responders: Mutex<LruCache<HttpUrl, Trouble>>,
    /// Each delegate once, for it has signed many answers.
    delegates: Mutex<LruCache<[u8; 32], Certificate>>,
    /// Grows when an answer turns from good to revoked: what was concluded from the old one is void then.
    turns: AtomicU64,
    flights: Flights<Key>,
}

/// A certificate by its issuer's name and key, and its serial number.
type Key = [u8; 32];

enum Known {
    Answer(Arc<Answer>),
    /// Nothing to conclude from, and not asked again until then.
    Nothing {
        why: String,
        until: Time,
    },
}

/// A responder that does not answer.
struct Trouble {
    failures: u32,
    until: Time,
    why: String,
}

/// What is known of a certificate.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    Answered(Arc<Answer>),
    /// Asked, in vain; it may be asked again from `until` on.
    InVain {
        why: String,
        until: Time,
    },
    /// Not asked yet, or the answer has become old.
    ToAsk,
    /// There is nobody to ask.
    NoResponder,
}

/// Some 400 octets each.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(32_768).unwrap();
const RESPONDERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
const MAX_FLIGHTS: usize = 64;
/// How long a bad answer is remembered.
const BAD_ANSWER: Duration = Duration::from_secs(60);
/// After the first failure, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// RFC 5019 section 5: a GET where the whole of it is at most this long.
const MAX_GET: usize = 255;

impl OcspStore {
    /// A store without answers.
    pub fn new(settings: &OcspSettings, fetcher: Fetcher) -> Self {
        Self(Arc::new(Inner {
            settings: settings.clone(),
            fetcher,
            known: Mutex::new(LruCache::new(ANSWERS)),
            responders: Mutex::new(LruCache::new(RESPONDERS)),
            delegates: Mutex::new(LruCache::new(RESPONDERS)),
            turns: AtomicU64::new(0),
            flights: Flights::new(MAX_FLIGHTS),
        }))
    }

    /// Grows when a certificate that was good is revoked.
    pub fn turns(&self) -> u64 {
        self.0.turns.load(Ordering::Relaxed)
    }

    /// Forgets every answer: each is asked for anew.
    pub fn forget(&self) {
        lock(&self.0.known).clear();
        lock(&self.0.responders).clear();
        self.0.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers are at hand.
    pub fn answers(&self) -> usize {
        lock(&self.0.known).iter().filter(|(_, known)| matches!(known, Known::Answer(_))).count()
    }

    /// What is known without asking.
    pub(crate) fn standing(&self, certificate: &Certificate, issuer: &Certificate, trust: &str, at: Time) -> Standing {
        match lock(&self.0.known).get(&key(certificate, issuer)) {
            Some(Known::Answer(answer))
                if answer.this_update <= at.plus(self.0.settings.clock_skew.0) && at < answer.until =>
            {
                return Standing::Answered(Arc::clone(answer));
            }
            Some(Known::Nothing { why, until }) if Time::now() < *until => {
                return Standing::InVain { why: why.clone(), until: *until };
            }
            _ => {}
        }
        let Some((url, _)) = self.responder(certificate, trust) else { return Standing::NoResponder };
        self.trouble(&url).unwrap_or(Standing::ToAsk)
    }

    fn trouble(&self, url: &HttpUrl) -> Option<Standing> {
        let mut responders = lock(&self.0.responders);
        let trouble = responders.get(url).filter(|trouble| Time::now() < trouble.until)?;
        let why = format!("{url}: {}; not asked again before {}", trouble.why, trouble.until);
        Some(Standing::InVain { why, until: trouble.until })
    }

    /// Whom to ask: as configured, or as the certificate says where its host is allowed.
    fn responder(&self, certificate: &Certificate, trust: &str) -> Option<(HttpUrl, NamedBy)> {
        let issuer = certificate.issuer();
        let configured = self.0.settings.responder.iter().find(|responder| {
            responder.trust.as_ref().is_none_or(|name| name == trust)
                && responder.issuer.as_ref().is_none_or(|name| *name == issuer.to_string())
        });
        if let Some(configured) = configured {
            return Some((configured.url.clone(), NamedBy::Configuration));
        }
        let allowed = access::locations(certificate, Access::Ocsp).into_iter().filter(|at| self.0.fetcher.allows(at));
        allowed
            .filter_map(|location| match location {
                Location::Http(url) => Some((url, NamedBy::Certificate)),
                Location::File(_) | Location::Ldap(_) => None,
            })
            .next()
    }

    /// Asks, unless somebody is asking already, and returns when there is an answer or none.
    pub(crate) async fn ask(&self, certificate: Certificate, issuer: Certificate, trust: &str) {
        let Some((url, named_by)) = self.responder(&certificate, trust) else { return };
        let this = self.clone();
        let key = key(&certificate, &issuer);
        let work = async move {
            // Somebody may have asked, or found out that nobody answers, while this waited for its turn.
            if this.trouble(&url).is_none() {
                let outcome = this.0.ask_once(&url, named_by, &certificate, &issuer).await;
                this.0.remember(key, &url, &certificate, outcome.map(|(answer, _)| answer));
            }
        };
        self.0.flights.join(key, work).await;
    }

    /// Asks for an answer to hand on: its DER with what it says. Only good and revoked answers are.
    pub(crate) async fn ask_for_staple(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<(Answer, Vec<u8>), String> {
        // The server's own certificate: the administrator installed it, so nothing else has to be allowed.
        let responder = self.responder(certificate, "").or_else(|| {
            access::locations(certificate, Access::Ocsp).into_iter().find_map(|location| match location {
                Location::Http(url) => Some((url, NamedBy::Configuration)),
                Location::File(_) | Location::Ldap(_) => None,
            })
        });
        let Some((url, named_by)) = responder else { return Err("it names no OCSP responder".to_owned()) };
        self.0.ask_once(&url, named_by, certificate, issuer).await.map_err(|failure| format!("{url}: {failure}"))
    }
}

/// Why there is no answer, or none that counts.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Bad(#[from] BadOcspAnswer),
}

impl Failure {
    /// Is it the responder that is in trouble, rather than this one answer?
    fn is_of_the_responder(&self) -> bool {
        matches!(self, Self::Fetch(_) | Self::Bad(BadOcspAnswer::Status("tryLater" | "internalError")))
    }
}

impl Inner {
    async fn ask_once(
        &self,
        url: &HttpUrl,
        named_by: NamedBy,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<(Answer, Vec<u8>), Failure> {
        let settings = &self.settings;
        let nonce: Option<Nonce> = if settings.nonce { random::octets() } else { None };
        let request = request(&CertId::new(settings.hash.hash(), certificate, issuer), nonce.as_ref());
        let limits = Limits { size: MAX_RESPONSE as u64, time: settings.timeout.0 };
        // Answers to requests without a nonce are the same for all, so caches on the way may keep them.
        let der = match nonce.is_none().then(|| by_get(url, &request)).flatten() {
            Some(whole) => {
                let mut der = Vec::new();
                let location = Location::Http(whole);
                self.fetcher.get(&location, named_by, Object::Crl, limits, None, &mut der).await?;
                der
            }
            None => self.fetcher.post_ocsp(url, named_by, &request, limits).await?,
        };
        let expected = Expected {
            certificate,
            issuer,
            nonce: nonce.as_ref(),
            require_nonce: settings.require_nonce,
            at: Time::now(),
            skew: settings.clock_skew.0,
            max_age: settings.max_age.0,
        };
        Ok((expected.check(&url.to_string(), &der)?, der))
    }

    fn remember(&self, key: Key, url: &HttpUrl, certificate: &Certificate, outcome: Result<Answer, Failure>) {
        match outcome {
            Ok(mut answer) => {
                if let Some(delegate) = answer.delegate.take() {
                    let key = *delegate.sha256();
                    answer.delegate = Some(lock(&self.delegates).get_or_insert(key, || delegate).clone());
                }
                lock(&self.responders).pop(url);
                tracing::debug!(%certificate, responder = %url, status = ?answer.status, until = %answer.until, "OCSP answer");
                let is_good = answer.status == OcspStatus::Good;
                let before = lock(&self.known).put(key, Known::Answer(Arc::new(answer)));
                if !is_good && matches!(before, Some(Known::Answer(before)) if before.status == OcspStatus::Good) {
                    self.turns.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(failure) => {
                tracing::warn!(%certificate, responder = %url, error = %failure, "no OCSP answer");
                let now = Time::now();
                if failure.is_of_the_responder() {
                    let mut responders = lock(&self.responders);
                    let failures = responders.get(url).map_or(0, |trouble| trouble.failures);
                    let pause =
                        BACK_OFF.0.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(BACK_OFF.1);
                    let until = now.plus(pause);
                    let trouble = Trouble { failures: failures.saturating_add(1), until, why: failure.to_string() };
                    responders.put(url.clone(), trouble);
                } else {
                    let nothing = Known::Nothing { why: format!("{url}: {failure}"), until: now.plus(BAD_ANSWER) };
                    lock(&self.known).put(key, nothing);
                }
            }
        }
    }
}

impl std::fmt::Debug for OcspStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OcspStore({} answers)", self.answers())
    }
}

/// RFC 6960 appendix A.1: the request in base64 behind the URL, unless it is too long or the URL has a query.
fn by_get(url: &HttpUrl, request: &[u8]) -> Option<HttpUrl> {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    let encoded = utf8_percent_encode(&STANDARD.encode(request), KEPT).to_string();
    let whole = url.below(&encoded).ok().filter(|_| !url.has_query())?;
    (whole.to_string().len() <= MAX_GET).then_some(whole)
}

fn key(certificate: &Certificate, issuer: &Certificate) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [issuer.spki_der(), issuer.subject().der(), certificate.serial().octets()] {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
