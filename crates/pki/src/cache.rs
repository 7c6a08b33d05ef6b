//! Judgements already made, for as long as nothing they rest on changes.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use crate::knowledge::Generation;
use crate::time::Time;
use crate::verdict::Verdict;

/// A bounded cache of verdicts of one trust.
pub(crate) struct VerdictCache {
    hasher: RandomState,
    valid: Mutex<LruCache<u64, Entry>>,
    /// Apart, for anybody can present any number of bad chains, but only clients of the trust have good ones.
    refused: Mutex<LruCache<u64, Entry>>,
}

struct Entry {
    chain: Box<[Box<[u8]>]>,
    generation: Generation,
    judged_at: Time,
    verdict: Arc<Verdict>,
}

/// Some 8 kB each, with the parsed certificates.
const VALID: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
const REFUSED: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// A longer chain, in octets, is judged each time.
const MAX_CHAIN: usize = 32 * 1024;
/// The last octets of a certificate are its signature, which tells it from every other.
const HASHED_TAIL: usize = 32;

impl VerdictCache {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            valid: Mutex::new(LruCache::new(VALID)),
            refused: Mutex::new(LruCache::new(REFUSED)),
        }
    }

    /// The verdict on this very chain, if it still holds.
    pub(crate) fn get(&self, chain: &[impl AsRef<[u8]>], generation: Generation, at: Time) -> Option<Arc<Verdict>> {
        let key = self.key(chain);
        [&self.valid, &self.refused].into_iter().find_map(|entries| {
            let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.get(&key).and_then(|entry| entry.holding(chain, generation, at))
        })
    }

    pub(crate) fn put(&self, chain: &[impl AsRef<[u8]>], generation: Generation, at: Time, verdict: &Arc<Verdict>) {
        if chain.iter().map(|der| der.as_ref().len()).sum::<usize>() > MAX_CHAIN {
            return;
        }
        let entry = Entry {
            chain: chain.iter().map(|der| der.as_ref().into()).collect(),
            generation,
            judged_at: at,
            verdict: Arc::clone(verdict),
        };
        let key = self.key(chain);
        let entries = if verdict.path.is_ok() { &self.valid } else { &self.refused };
        entries.lock().unwrap_or_else(PoisonError::into_inner).put(key, entry);
    }

    fn key(&self, chain: &[impl AsRef<[u8]>]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for der in chain {
            let der = der.as_ref();
            hasher.write_usize(der.len());
            hasher.write(der.get(der.len().saturating_sub(HASHED_TAIL)..).unwrap_or_default());
        }
        hasher.finish()
    }
}

impl Entry {
    /// The verdict, if it is on this very chain and still holds.
    fn holding(&self, chain: &[impl AsRef<[u8]>], generation: Generation, at: Time) -> Option<Arc<Verdict>> {
        // The key only found the entry; the octets decide, so that no forged collision borrows a verdict.
        let same = self.chain.len() == chain.len()
            && self.chain.iter().zip(chain).all(|(one, other)| **one == *other.as_ref());
        // A clock that was set back ends a verdict too.
        let holds = self.generation == generation && self.judged_at <= at && at < self.verdict.valid_until;
        (same && holds).then(|| Arc::clone(&self.verdict))
    }
}
