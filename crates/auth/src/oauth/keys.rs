//! The issuer's keys (RFC 7517): fetched, kept for a while, fetched anew for a key that is not among them; and tokens
//! held against them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use pki::{Fetcher, Location};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Octets of a key set, and keys in it: many times what issuers have.
const MAX_SET: u64 = 512 * 1024;
const MAX_KEYS: usize = 200;
/// Keys that one token is held against, where it does not say which.
const MAX_TRIED: usize = 8;
/// Whatever a client's token asks for, the issuer is not asked more often.
const PAUSE: Duration = Duration::from_secs(30);
/// While the issuer can't be asked, its keys are used for this many times `refresh`.
const KEPT_FOR: u32 = 24;

/// An issuer's keys.
pub(super) struct Keys {
    pub(super) location: Location,
    pub(super) fetcher: Fetcher,
    pub(super) timeout: Duration,
    /// The age from which they are fetched anew.
    pub(super) refresh: Duration,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) current: ArcSwapOption<Set>,
    /// Locked while they are fetched.
    pub(super) last: Mutex<Option<Fetching>>,
}

/// The newest try to fetch them.
pub(super) struct Fetching {
    at: Instant,
    failure: Option<String>,
}

pub(super) struct Set {
    fetched: Instant,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    /// The only algorithm it is for, where the issuer says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// What holding a token against the keys came to.
#[derive(Debug)]
pub(super) enum Verified {
    Good(Map<String, Value>),
    Bad(String),
    Unavailable(String),
}

impl Keys {
    /// The claims of a token that the issuer signed; nothing of them is judged yet.
    pub(super) async fn verify(&self, token: &str) -> Verified {
        let Ok(header) = decode_header(token) else {
            return Verified::Bad("it is no signed token (JWS), or of an algorithm that is not known".to_owned());
        };
        // The keys are public: with a symmetric algorithm everybody could sign. The list has none.
        if !self.algorithms.contains(&header.alg) {
            return Verified::Bad(format!("it is signed by {:?}, which is not among the algorithms", header.alg));
        }
        // RFC 7515 section 4.1.11.
        if header.crit.is_some() {
            return Verified::Bad("it has critical header parameters (crit)".to_owned());
        }
        let set = match self.set(header.kid.as_deref()).await {
            Ok(set) => set,
            Err(why) => return Verified::Unavailable(why),
        };
        let mut validation = Validation::new(header.alg);
        // Claims are judged elsewhere, by one rule for all sources.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let mut fitting = set.fitting(header.kid.as_deref(), header.alg).take(MAX_TRIED).peekable();
        if fitting.peek().is_none() {
            return Verified::Bad(match &header.kid {
                Some(id) => format!("its key {:?} is none of the issuer's", id.chars().take(100).collect::<String>()),
                None => "none of the issuer's keys is for it".to_owned(),
            });
        }
        match fitting.find_map(|key| decode::<Map<String, Value>>(token, &key.key, &validation).ok()) {
            Some(good) => Verified::Good(good.claims),
            None => Verified::Bad("its signature is wrong".to_owned()),
        }
    }

    /// Keys that are new enough and have this one; or what there is, where the issuer was asked just now.
    async fn set(&self, id: Option<&str>) -> Result<Arc<Set>, String> {
        let will_do = || self.current.load_full().filter(|set| set.fetched.elapsed() < self.refresh && set.has(id));
        if let Some(set) = will_do() {
            return Ok(set);
        }
        let mut last = self.last.lock().await;
        // Others waited for the same.
        if let Some(set) = will_do() {
            return Ok(set);
        }
        let pause = PAUSE.min(self.refresh);
        if last.as_ref().is_none_or(|last| last.at.elapsed() >= pause) {
            let failure = self.fetch().await.err();
            if let Some(why) = &failure {
                tracing::warn!(location = %self.location, why, mend = "until they can be fetched, old ones serve as far as they go", "an issuer's keys");
            }
            *last = Some(Fetching { at: Instant::now(), failure });
        }
        let failure = last.as_ref().and_then(|last| last.failure.clone());
        let kept_for = self.refresh.saturating_mul(KEPT_FOR);
        match (self.current.load_full(), failure) {
            (Some(set), None) => Ok(set),
            // Whether a key that is not known is one of theirs, nobody can say now.
            (Some(set), Some(_)) if set.has(id) && set.fetched.elapsed() < kept_for => Ok(set),
            (_, failure) => Err(format!("{}: {}", self.location, failure.unwrap_or_else(|| "not fetched".to_owned()))),
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        let octets =
            self.fetcher.read(&self.location, MAX_SET, self.timeout).await.map_err(|error| error.to_string())?;
        let keys = read(&octets)?;
        self.current.store(Some(Arc::new(Set { fetched: Instant::now(), keys })));
        Ok(())
    }
}

impl Set {
    fn has(&self, id: Option<&str>) -> bool {
        id.is_none() || self.keys.iter().any(|key| key.id.as_deref() == id)
    }

    fn fitting<'s>(&'s self, id: Option<&'s str>, algorithm: Algorithm) -> impl Iterator<Item = &'s Key> {
        self.keys.iter().filter(move |key| {
            let named = id.is_none() || key.id.as_deref() == id;
            let meant = key.algorithm.is_none_or(|only| only == algorithm);
            named && meant && key.key.family() == algorithm.family()
        })
    }
}

/// The public keys of a set. One that is of another kind, or no key at all, does not spoil the others.
fn read(octets: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(octets).map_err(|error| format!("no JSON: {error}"))?;
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return Err("no key set: { \"keys\": [ … ] } is one (RFC 7517 section 5)".to_owned());
    };
    if keys.len() > MAX_KEYS {
        return Err(format!("{} keys, and {MAX_KEYS} is the most", keys.len()));
    }
    let keys: Vec<Key> = keys.iter().filter_map(key).collect();
    if keys.is_empty() { Err("no key in the set that could be used".to_owned()) } else { Ok(keys) }
}

fn key(value: &Value) -> Option<Key> {
    use jsonwebtoken::jwk::AlgorithmParameters as Kind;
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
    let public = matches!(jwk.algorithm, Kind::RSA(_) | Kind::EllipticCurve(_) | Kind::OctetKeyPair(_));
    if !signs || !public {
        return None;
    }
    let algorithm = match jwk.common.key_algorithm {
        None => None,
        Some(named) => Some(named.to_string().parse().ok()?),
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id, algorithm, key })
}
