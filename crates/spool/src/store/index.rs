//! What the store keeps in memory: where each live message is, and which segments are still needed.
//!
//! Segments are deleted oldest first, and only then. So a Done record never vanishes before the records it cancels,
//! and for each message it is enough to know the oldest segment it needs.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::Place;
use crate::clock::Millis;
use crate::id::MessageId;
use crate::state::NEVER;

/// Where a live message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) accepted: Place,
    pub(crate) state: Option<StateAt>,
    /// The oldest segment with a piece of it.
    pub(crate) oldest: u32,
    /// What it takes up in the log.
    pub(crate) footprint: u64,
}

/// Where the newest state is, and what it says the message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateAt {
    pub(crate) place: Place,
    waits: Waits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Its first attempt, for some recipient.
    First,
    /// Another one.
    Another,
    /// To be released.
    Release,
}

impl StateAt {
    pub(crate) fn new(place: Place, due: Millis) -> Self {
        let waits = match due {
            0 => Waits::First,
            NEVER => Waits::Release,
            _ => Waits::Another,
        };
        Self { place, waits }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct SegmentUse {
    length: u64,
    /// Live messages and open transactions whose oldest piece is here.
    holders: u64,
}

#[derive(Debug)]
struct Inner {
    live: HashMap<MessageId, Entry>,
    segments: BTreeMap<u32, SegmentUse>,
    live_octets: u64,
    held: usize,
    deferred: usize,
    /// Still so when it is live: ids rise.
    oldest: Option<MessageId>,
    cleaner: SyncSender<Wake>,
}

/// What the cleaner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There may be something to give back.
    Clean,
    /// The store is closed.
    Stop,
}

/// The index; cheap to clone. It wakes the cleaner when something is needed no longer.
#[derive(Debug, Clone)]
pub(crate) struct Index(Arc<Mutex<Inner>>);

/// An open transaction's claim to the segments from its first piece on. Released when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    index: Index,
    segment: u32,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.index.lock().release(self.segment);
    }
}

impl Inner {
    fn hold(&mut self, segment: u32) {
        let segment = self.segments.entry(segment).or_default();
        segment.holders = segment.holders.saturating_add(1);
    }

    fn release(&mut self, segment: u32) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.holders = segment.holders.saturating_sub(1);
        }
        self.wake_cleaner();
    }

    /// One more message in this state, or one fewer.
    fn tally(&mut self, state: Option<StateAt>, more: bool) {
        let counter = match state.map(|state| state.waits) {
            Some(Waits::Another) => &mut self.deferred,
            Some(Waits::Release) => &mut self.held,
            Some(Waits::First) | None => return,
        };
        *counter = if more { counter.saturating_add(1) } else { counter.saturating_sub(1) };
    }

    fn wake_cleaner(&self) {
        // Full means that it has been woken already.
        let _ = self.cleaner.try_send(Wake::Clean);
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) messages: usize,
    pub(crate) held: usize,
    pub(crate) deferred: usize,
    pub(crate) segments: usize,
    pub(crate) disk_octets: u64,
    pub(crate) live_octets: u64,
}

impl Index {
    pub(crate) fn new(cleaner: SyncSender<Wake>) -> Self {
        let (live, segments) = (HashMap::new(), BTreeMap::new());
        let inner = Inner { live, segments, live_octets: 0, held: 0, deferred: 0, oldest: None, cleaner };
        Self(Arc::new(Mutex::new(inner)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code panics while it holds the lock; if some did, a wrong count is worth less than going on.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A live message, new or in a new place.
    pub(crate) fn put(&self, id: MessageId, entry: Entry) {
        let mut inner = self.lock();
        inner.hold(entry.oldest);
        inner.live_octets = inner.live_octets.saturating_add(entry.footprint);
        inner.tally(entry.state, true);
        if let Some(old) = inner.live.insert(id, entry) {
            inner.tally(old.state, false);
            inner.live_octets = inner.live_octets.saturating_sub(old.footprint);
            inner.release(old.oldest);
        }
    }

    /// The message's newest state, and when it is due.
    pub(crate) fn set_state(&self, id: MessageId, place: Place, due: Millis) {
        let (mut inner, state) = (self.lock(), Some(StateAt::new(place, due)));
        if let Some(entry) = inner.live.get_mut(&id) {
            let before = std::mem::replace(&mut entry.state, state);
            inner.tally(before, false);
            inner.tally(state, true);
        }
    }

    pub(crate) fn remove(&self, id: MessageId) {
        let mut inner = self.lock();
        if let Some(entry) = inner.live.remove(&id) {
            inner.live_octets = inner.live_octets.saturating_sub(entry.footprint);
            inner.tally(entry.state, false);
            inner.release(entry.oldest);
        }
    }

    pub(crate) fn get(&self, id: MessageId) -> Option<Entry> {
        self.lock().live.get(&id).copied()
    }

    pub(crate) fn hold(&self, segment: u32) -> Hold {
        self.lock().hold(segment);
        Hold { index: self.clone(), segment }
    }

    /// The segment exists and is this long.
    pub(crate) fn set_length(&self, segment: u32, length: u64) {
        self.lock().segments.entry(segment).or_default().length = length;
    }

    /// Ends the cleaner.
    pub(crate) fn stop_cleaner(&self) {
        let cleaner = self.lock().cleaner.clone();
        let _ = cleaner.send(Wake::Stop);
    }

    /// The oldest segment, if it is not the newest too: the newest keeps the highest id.
    pub(crate) fn oldest_segment(&self) -> Option<u32> {
        let inner = self.lock();
        let mut numbers = inner.segments.keys();
        let oldest = numbers.next().copied();
        numbers.next().and(oldest)
    }

    pub(crate) fn is_needed(&self, segment: u32) -> bool {
        self.lock().segments.get(&segment).is_some_and(|segment| segment.holders > 0)
    }

    /// The live messages that need the segment.
    pub(crate) fn needing(&self, segment: u32) -> Vec<MessageId> {
        let inner = self.lock();
        inner.live.iter().filter(|(_, entry)| entry.oldest <= segment).map(|(id, _)| *id).collect()
    }

    /// The live messages after this one, oldest first, at most so many.
    pub(crate) fn ids_after(&self, after: Option<MessageId>, count: usize) -> Vec<MessageId> {
        let mut first = BinaryHeap::with_capacity(count.saturating_add(1));
        for id in self.lock().live.keys().copied().filter(|id| after.is_none_or(|after| *id > after)) {
            if first.len() < count || first.peek().is_some_and(|last| id < *last) {
                first.push(id);
            }
            if first.len() > count {
                first.pop();
            }
        }
        first.into_sorted_vec()
    }

    pub(crate) fn forget_segment(&self, segment: u32) {
        self.lock().segments.remove(&segment);
    }

    /// The live message that has been there longest. All are looked at only where the one before has ended.
    pub(crate) fn oldest(&self) -> Option<MessageId> {
        let mut inner = self.lock();
        if inner.oldest.is_none_or(|id| !inner.live.contains_key(&id)) {
            inner.oldest = inner.live.keys().min().copied();
        }
        inner.oldest
    }

    pub(crate) fn usage(&self) -> Usage {
        let inner = self.lock();
        Usage {
            messages: inner.live.len(),
            held: inner.held,
            deferred: inner.deferred,
            segments: inner.segments.len(),
            disk_octets: inner.segments.values().map(|segment| segment.length).sum(),
            live_octets: inner.live_octets,
        }
    }
}
