//! Answers of directory servers, remembered for a while; and equal questions at the same time are asked once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::watch;

use crate::ldap::message::FoundEntry;

/// Whom a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FoundEntries {
    Nobody,
    One(Arc<FoundEntry>),
    Several,
}

/// The digest of a question: values in it can be long.
pub(crate) type Key = [u8; 32];

type Outcome = Result<FoundEntries, String>;

/// The cache of one directory.
pub(crate) struct Cache(Arc<Shared>);

struct Shared {
    positive: Duration,
    negative: Duration,
    /// Grows at each flush: what was asked before is not remembered after.
    epoch: AtomicU64,
    remembered: Mutex<LruCache<Key, (Instant, FoundEntries)>>,
    under_way: Mutex<HashMap<Key, watch::Receiver<Option<Outcome>>>>,
    hits: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
}

/// How a directory's memory fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheHealth {
    /// Answers that are kept; some of them may be too old to be used.
    pub entries: usize,
    /// Questions that were answered from memory.
    pub hits: u64,
    /// Questions for which servers were asked.
    pub misses: u64,
    /// Questions that waited for the answer to an equal one.
    pub shared: u64,
}

impl Shared {
    fn remembered(&self) -> MutexGuard<'_, LruCache<Key, (Instant, FoundEntries)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Outcome>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, key: &Key) -> Option<FoundEntries> {
        let mut remembered = self.remembered();
        match remembered.get(key) {
            Some((until, found)) if *until > Instant::now() => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Some(found.clone());
            }
            Some(_) => {}
            None => return None,
        }
        remembered.pop(key);
        None
    }

    fn remember(&self, key: Key, found: &FoundEntries, asked: Instant, epoch: u64) {
        let span = if matches!(found, FoundEntries::One(_)) { self.positive } else { self.negative };
        // From when it was asked: that is what the answer rests on.
        if let Some(until) = asked.checked_add(span).filter(|until| *until > Instant::now()) {
            let mut remembered = self.remembered();
            if self.epoch.load(Ordering::Acquire) == epoch {
                remembered.put(key, (until, found.clone()));
            }
        }
    }
}

impl Cache {
    pub(crate) fn new(positive: Duration, negative: Duration, entries: u32) -> Self {
        let size = NonZeroUsize::new(entries as usize).unwrap_or(NonZeroUsize::MIN);
        Self(Arc::new(Shared {
            positive,
            negative,
            epoch: AtomicU64::new(1),
            remembered: Mutex::new(LruCache::new(size)),
            under_way: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            shared: AtomicU64::new(0),
        }))
    }

    pub(crate) fn health(&self) -> CacheHealth {
        CacheHealth {
            entries: self.0.remembered().len(),
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: self.0.misses.load(Ordering::Relaxed),
            shared: self.0.shared.load(Ordering::Relaxed),
        }
    }

    /// Counts flushes, from 1.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// Forgets everything, also what is just being asked.
    pub(crate) fn flush(&self) {
        let mut remembered = self.0.remembered();
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        remembered.clear();
        drop(remembered);
        self.0.under_way().clear();
    }

    /// What is remembered under this key, if it may be used; or what `ask` finds, asked once for all who wait. Failures
    /// are not remembered. Asking goes on when who began it goes away.
    pub(crate) async fn find(
        &self,
        key: Key,
        remembered: bool,
        ask: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        if remembered && let Some(found) = self.0.look(&key) {
            return Ok(found);
        }
        let mut done = {
            let mut under_way = self.0.under_way();
            match under_way.get(&key) {
                Some(done) => {
                    self.0.shared.fetch_add(1, Ordering::Relaxed);
                    done.clone()
                }
                None => {
                    // It may have landed since the look.
                    if remembered && let Some(found) = self.0.look(&key) {
                        return Ok(found);
                    }
                    self.0.misses.fetch_add(1, Ordering::Relaxed);
                    let (landing, done) = watch::channel(None);
                    under_way.insert(key, done.clone());
                    let shared = Arc::clone(&self.0);
                    let (asked, epoch) = (Instant::now(), self.epoch());
                    tokio::spawn(async move {
                        let mut landed = Landed { shared, key, landing };
                        let outcome = ask.await;
                        if let Ok(found) = &outcome
                            && remembered
                        {
                            landed.shared.remember(key, found, asked, epoch);
                        }
                        landed.land(outcome);
                    });
                    done
                }
            }
        };
        match done.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err("the search was cut off".to_owned())),
            Err(_) => Err("the search was cut off".to_owned()),
        }
    }
}

/// Dropped, also by a panic, it frees the key.
struct Landed {
    shared: Arc<Shared>,
    key: Key,
    landing: watch::Sender<Option<Outcome>>,
}

impl Landed {
    fn land(&mut self, outcome: Outcome) {
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Landed {
    fn drop(&mut self) {
        let mut under_way = self.shared.under_way();
        // After a flush the key may be another flight's.
        if under_way.get(&self.key).is_some_and(|known| known.same_channel(&self.landing.subscribe())) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn cache(positive: u64) -> Cache {
        Cache::new(Duration::from_millis(positive), Duration::ZERO, 2)
    }

    fn one(dn: &str) -> FoundEntries {
        FoundEntries::One(Arc::new(FoundEntry { dn: dn.to_owned(), attributes: Vec::new() }))
    }

    async fn ask(cache: &Cache, key: u8, asked: &Arc<AtomicUsize>, outcome: Outcome) -> Outcome {
        let asked = Arc::clone(asked);
        let work = async move {
            asked.fetch_add(1, Ordering::SeqCst);
            outcome
        };
        cache.find([key; 32], true, work).await
    }

    #[tokio::test]
    async fn found_is_remembered_within_bounds_and_nobody_by_its_own_time() {
        let (cache, asked) = (cache(60_000), Arc::new(AtomicUsize::new(0)));
        let count = || asked.load(Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(ask(&cache, 1, &asked, Ok(one("a"))).await, Ok(one("a")));
        }
        assert_eq!(count(), 1);
        for _ in 0..2 {
            assert_eq!(ask(&cache, 2, &asked, Ok(FoundEntries::Nobody)).await, Ok(FoundEntries::Nobody));
            assert!(ask(&cache, 3, &asked, Err("down".to_owned())).await.is_err());
        }
        assert_eq!(count(), 5);
        // Two are kept: the third pushes out the first.
        for key in [4, 5] {
            ask(&cache, key, &asked, Ok(one("b"))).await.unwrap();
        }
        ask(&cache, 1, &asked, Ok(one("a"))).await.unwrap();
        assert_eq!(count(), 8);
        assert_eq!(cache.health(), CacheHealth { entries: 2, hits: 2, misses: 8, shared: 0 });
        cache.flush();
        assert_eq!((cache.epoch(), cache.health().entries), (2, 0));
        ask(&cache, 1, &asked, Ok(one("a"))).await.unwrap();
        assert_eq!(count(), 9);
    }

    #[tokio::test]
    async fn an_answer_ends_when_its_time_is_over() {
        let (cache, asked) = (cache(0), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            ask(&cache, 1, &asked, Ok(one("a"))).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_thousand_wait_for_one_and_a_flush_parts_them() {
        let cache = Arc::new(cache(60_000));
        let asked = Arc::new(AtomicUsize::new(0));
        let (open, gate) = watch::channel(false);
        let waiter = |dn: &'static str| {
            let (cache, asked, mut gate) = (Arc::clone(&cache), Arc::clone(&asked), gate.clone());
            tokio::spawn(async move {
                let work = async move {
                    asked.fetch_add(1, Ordering::SeqCst);
                    gate.wait_for(|open| *open).await.map_err(|error| error.to_string())?;
                    Ok(one(dn))
                };
                cache.find([7; 32], true, work).await
            })
        };
        let first: Vec<_> = (0..1000).map(|_| waiter("before")).collect();
        while asked.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        cache.flush();
        let second = waiter("after");
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        open.send(true).unwrap();
        for waiter in first {
            assert_eq!(waiter.await.unwrap(), Ok(one("before")));
        }
        assert_eq!(second.await.unwrap(), Ok(one("after")));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        // What was asked before the flush is not what is remembered after it.
        assert_eq!(cache.0.look(&[7; 32]), Some(one("after")));
        assert!(cache.0.under_way().is_empty());
    }

    #[tokio::test]
    async fn a_panic_frees_the_key() {
        let cache = cache(60_000);
        assert!(cache.find([1; 32], true, async { panic!("as it happens") }).await.is_err());
        assert_eq!(cache.find([1; 32], true, async { Ok(one("a")) }).await, Ok(one("a")));
    }
}
