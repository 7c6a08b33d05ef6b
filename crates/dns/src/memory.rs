//! Answers that are remembered, by their TTL and within a number.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::proto::rr::{Name, RData, RecordType};
use lru::LruCache;
use tokio::time::Instant;

use crate::answer::{Answer, Missing};

/// Whatever a record's TTL says.
const MAX_TTL: Duration = Duration::from_secs(60 * 60);
/// Whatever the TTL of "there is none" says.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5 * 60);

type Question = (Name, RecordType);
type Known = Result<Answer<RData>, Missing>;

/// What was learnt, the least recently used forgotten first.
pub(crate) struct Memory(Mutex<LruCache<Question, (Instant, Known)>>);

impl Memory {
    pub(crate) fn new(entries: u32) -> Self {
        let entries = usize::try_from(entries).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::new(entries)))
    }

    pub(crate) fn get(&self, question: &Question) -> Option<Known> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, result) = known.get(question)?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            known.pop(question);
            return None;
        }
        let result = result.clone();
        Some(result.map(|answer| Answer { ttl: left, ..answer }))
    }

    /// What nobody could say is asked again.
    pub(crate) fn put(&self, question: Question, result: &Known, negative_ttl: Option<Duration>) {
        let time = match result {
            Ok(answer) => Some(answer.ttl.min(MAX_TTL)),
            Err(Missing::Name | Missing::Records) => negative_ttl.map(|ttl| ttl.min(MAX_NEGATIVE_TTL)),
            Err(Missing::Unknown(_)) => None,
        };
        let Some(until) = time.and_then(|time| Instant::now().checked_add(time)) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(question, (until, result.clone()));
    }
}
