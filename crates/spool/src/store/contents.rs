//! What a segment holds, told at the beginning of the next one, so that it need not be read at the start.
//!
//! ```text
//! contents = segment:u32 length:u64 item*
//! item     = 'A' id:u64 offset:u32 oldest:u32 footprint:u64
//!          | 'S' id:u64 offset:u32 due:u64
//!          | 'D' id:u64
//! ```
//!
//! One item for each Accepted, State and Done record, in their order. It repeats the segment and never replaces it.

use super::index::Entry;
use super::record::{Kind, MAX_PAYLOAD, Place};
use super::segment::{ReadError, Segment};
use crate::clock::Millis;
use crate::encoding::Reader;
use crate::id::MessageId;

/// The contents of a segment as they grow, in their form on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents(Vec<u8>);

/// What one record of a segment says, as far as the index wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// A message is in the store; of its state nothing is said.
    Accepted(MessageId, Entry),
    State(MessageId, Place, Millis),
    Done(MessageId),
}

impl Contents {
    pub(crate) fn accepted(&mut self, id: MessageId, entry: &Entry) {
        self.item(b'A', id);
        self.0.extend_from_slice(&entry.accepted.offset.to_le_bytes());
        self.0.extend_from_slice(&entry.oldest.to_le_bytes());
        self.0.extend_from_slice(&entry.footprint.to_le_bytes());
    }

    pub(crate) fn state(&mut self, id: MessageId, place: Place, due: Millis) {
        self.item(b'S', id);
        self.0.extend_from_slice(&place.offset.to_le_bytes());
        self.0.extend_from_slice(&due.to_le_bytes());
    }

    pub(crate) fn done(&mut self, id: MessageId) {
        self.item(b'D', id);
    }

    fn item(&mut self, kind: u8, id: MessageId) {
        self.0.push(kind);
        self.0.extend_from_slice(&id.raw().to_le_bytes());
    }

    /// The payload of the record about the segment, of which so much counts. `None` when it would be too large.
    pub(crate) fn payload(&self, segment: u32, length: u64) -> Option<Vec<u8>> {
        let mut payload = Vec::with_capacity(12 + self.0.len());
        payload.extend_from_slice(&segment.to_le_bytes());
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(&self.0);
        (payload.len() <= MAX_PAYLOAD).then_some(payload)
    }

    /// What the next segment tells of the one before. `None` when it tells nothing, or it is damaged.
    pub(crate) fn told_by(next: &Segment) -> Result<Option<Self>, ReadError> {
        let place = Place { segment: next.number, offset: super::record::SEGMENT_HEADER as u32 };
        let payload = match next.read_header(place.offset.into()) {
            Ok(header) if header.kind == Kind::Contents => next.expect(Kind::Contents, place),
            Ok(_) => return Ok(None),
            Err(error) => Err(error),
        };
        let payload = match payload {
            Ok((_, payload)) => payload,
            Err(ReadError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = Reader(&payload);
        let about = reader.u32().zip(reader.u64());
        let same = about == Some((next.header.segment.wrapping_sub(1), next.header.previous_length));
        Ok(same.then(|| Self(reader.0.to_vec())))
    }

    /// What the records of `segment` say, in their order; `None` for octets that are no items.
    pub(crate) fn items(&self, segment: u32) -> impl Iterator<Item = Option<Item>> {
        let mut reader = Reader(&self.0);
        std::iter::from_fn(move || (!reader.0.is_empty()).then(|| item(&mut reader, segment)))
    }
}

fn item(reader: &mut Reader<'_>, segment: u32) -> Option<Item> {
    let (kind, id) = (reader.u8()?, MessageId::from_raw(reader.u64()?));
    match kind {
        b'A' => {
            let accepted = Place { segment, offset: reader.u32()? };
            let (oldest, footprint) = (reader.u32()?, reader.u64()?);
            Some(Item::Accepted(id, Entry { accepted, state: None, oldest, footprint }))
        }
        b'S' => Some(Item::State(id, Place { segment, offset: reader.u32()? }, reader.u64()?)),
        b'D' => Some(Item::Done(id)),
        _ => None,
    }
}
