//! A batch of records in memory, and what they will have done.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::index::{Entry, Index};
use super::job::{Change, NewMessage, Write};
use super::record::{Extent, Kind, MAX_PAYLOAD, Place, RECORD_HEADER, RecordHeader};
use crate::clock::Millis;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::state::State;

/// What a job has done to the index once it is durable.
#[derive(Debug)]
pub(crate) enum Effect {
    Append(Extent),
    Write { message: Option<(MessageId, Entry)>, changes: Vec<(MessageId, Changed)>, new: bool },
}

/// What a change has come to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Changed {
    /// The new state, and when the next attempt is due by it.
    State(Place, Millis),
    Done,
}

/// The batch under way.
pub(crate) struct Page<'a> {
    pub(crate) number: u32,
    pub(crate) marker: u64,
    pub(crate) batch: u64,
    pub(crate) start: u64,
    pub(crate) out: &'a mut Vec<u8>,
}

impl Page<'_> {
    fn record(&mut self, kind: Kind, id: MessageId, payload: &[u8]) -> Place {
        let offset = self.start.saturating_add(self.out.len() as u64);
        let place = Place { segment: self.number, offset: u32::try_from(offset).unwrap_or(u32::MAX) };
        RecordHeader::new(kind, id, self.batch, payload).encode(self.marker, self.out);
        self.out.extend_from_slice(payload);
        place
    }

    pub(crate) fn body(&mut self, id: MessageId, text: &Bytes) -> Extent {
        Extent { place: self.record(Kind::Body, id, text), length: u32::try_from(text.len()).unwrap_or(u32::MAX) }
    }

    pub(crate) fn write(
        &mut self,
        write: &Write,
        index: &Index,
        untrusted: &[(u32, u64)],
        changed: &mut HashSet<MessageId>,
    ) -> Result<Effect, SpoolError> {
        let oversized = |(_, change): &(_, Change)| matches!(change, Change::State(state) if state.len() > MAX_PAYLOAD);
        if write.changes.iter().any(oversized) {
            return Err(SpoolError::TooLarge);
        }
        let mut changes = Vec::new();
        let message = match &write.message {
            None => None,
            Some(message) => {
                check(message, index, untrusted, changed)?;
                let entry = self.message(message)?;
                if let Some((_, Some(state))) = &message.moved {
                    changes.push((message.id, self.state(message.id, state)));
                }
                Some((message.id, entry))
            }
        };
        for (id, change) in &write.changes {
            changed.insert(*id);
            changes.push((
                *id,
                match change {
                    Change::State(state) => self.state(*id, state),
                    Change::Done => {
                        self.record(Kind::Done, *id, &[]);
                        Changed::Done
                    }
                },
            ));
        }
        let new = write.message.as_ref().is_some_and(|message| message.moved.is_none());
        Ok(Effect::Write { message, changes, new })
    }

    fn state(&mut self, id: MessageId, state: &[u8]) -> Changed {
        Changed::State(self.record(Kind::State, id, state), State::due_of(state).unwrap_or_default())
    }

    fn message(&mut self, message: &NewMessage) -> Result<Entry, SpoolError> {
        let start = self.out.len();
        let mut accepted = message.accepted.clone();
        if !message.tail.is_empty() {
            accepted.extents.push(self.body(message.id, &message.tail));
        }
        let payload = accepted.encode();
        if payload.len() > MAX_PAYLOAD {
            self.out.truncate(start);
            return Err(SpoolError::TooLarge);
        }
        let place = self.record(Kind::Accepted, message.id, &payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        Ok(Entry {
            accepted: place,
            state: None,
            oldest: accepted.oldest(place),
            footprint: accepted.footprint(length),
        })
    }
}

/// Whether the message may be accepted: all its pieces are trusted, and a moved one is still as it was.
fn check(
    message: &NewMessage,
    index: &Index,
    untrusted: &[(u32, u64)],
    changed: &HashSet<MessageId>,
) -> Result<(), SpoolError> {
    let lost = |extent: &Extent| {
        let end = u64::from(extent.place.offset) + RECORD_HEADER as u64 + u64::from(extent.length);
        untrusted.iter().any(|&(segment, length)| segment == extent.place.segment && end > length)
    };
    if message.accepted.extents.iter().any(lost) {
        return Err(SpoolError::Io(Arc::new(io::Error::other("a piece of the message could not be written"))));
    }
    // A message that ended in this very batch must not be written again after its end.
    let stale = |(entry, _): &(Entry, _)| changed.contains(&message.id) || index.get(message.id) != Some(*entry);
    if message.moved.as_ref().is_some_and(stale) { Err(SpoolError::Broken) } else { Ok(()) }
}
