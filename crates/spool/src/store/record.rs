//! The log's records on disk. Numbers are little-endian.
//!
//! ```text
//! segment = header record*
//! header  = "PSTRNLOG" version:u32 segment:u32 marker:u64 previous_length:u64 last_id:u64 0…  crc:u32   (64 octets)
//! record  = marker:u64 type:u8 0:u8×3 length:u32 id:u64 batch:u64 payload_crc:u32 header_crc:u32   (40 octets) payload
//! ```
//!
//! The marker is a random number of each segment. It finds the next record after a damaged one, and it keeps a sender
//! from planting records in the text of a message: nobody outside ever sees it. `batch` counts the syncs: a record of a
//! later batch proves that everything before that batch had reached the disk.
//!
//! Format 2 differs from format 1 by the Contents record that begins a segment, and tells what is in the one before.

use crate::encoding::{Reader, put_length, put_octets};
use crate::id::MessageId;

/// Changes with any change an older program would misread. Segments of every older format can still be read.
pub(crate) const VERSION: u32 = 2;
const OLDEST_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"PSTRNLOG";
pub(crate) const SEGMENT_HEADER: usize = 64;
pub(crate) const RECORD_HEADER: usize = 40;
/// A transaction keeps this much in memory, and appends it as one record.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// Bounds what a damaged length can make a reader allocate.
pub(crate) const MAX_PAYLOAD: usize = 32 * 1024 * 1024;

/// The first octets of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) segment: u32,
    pub(crate) marker: u64,
    /// What counts of the segment before this one; what lies beyond was never acknowledged.
    pub(crate) previous_length: u64,
    /// Highest message id issued before this segment.
    pub(crate) last_id: MessageId,
}

/// Why octets are no segment header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.marker.to_le_bytes());
        out.extend_from_slice(&self.previous_length.to_le_bytes());
        out.extend_from_slice(&self.last_id.raw().to_le_bytes());
        out.resize(SEGMENT_HEADER - 4, 0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Self, HeaderError> {
        let (fields, crc) = octets.split_at_checked(SEGMENT_HEADER - 4).ok_or(HeaderError::Damaged)?;
        let mut reader = Reader(fields);
        let read = |reader: &mut Reader<'_>| {
            let magic = reader.take(8)? == MAGIC;
            let header = Self {
                version: reader.u32()?,
                segment: reader.u32()?,
                marker: reader.u64()?,
                previous_length: reader.u64()?,
                last_id: MessageId::from_raw(reader.u64()?),
            };
            Some((magic, header))
        };
        let (magic, header) = read(&mut reader).ok_or(HeaderError::Damaged)?;
        if !magic || Reader(crc).u32() != Some(crc32fast::hash(fields)) {
            return Err(HeaderError::Damaged);
        }
        match header.version {
            OLDEST_VERSION..=VERSION => Ok(header),
            _ => Err(HeaderError::Version(header.version)),
        }
    }
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A piece of a message's text.
    Body,
    /// The message is ours: see [`Accepted`]. A second one of the same id replaces the first: the message was moved.
    Accepted,
    /// How far its delivery is: see [`State`](crate::state::State). The newest counts.
    State,
    /// It needs nothing more. Empty.
    Done,
    /// What the segment before holds: see [`Contents`](super::contents::Contents). Of no message.
    Contents,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        let kinds = [Self::Body, Self::Accepted, Self::State, Self::Done, Self::Contents];
        kinds.into_iter().find(|kind| kind.octet() == octet)
    }

    fn octet(self) -> u8 {
        match self {
            Self::Body => b'B',
            Self::Accepted => b'A',
            Self::State => b'S',
            Self::Done => b'D',
            Self::Contents => b'C',
        }
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) length: u32,
    pub(crate) id: MessageId,
    pub(crate) batch: u64,
    pub(crate) payload_crc: u32,
}

impl RecordHeader {
    pub(crate) fn new(kind: Kind, id: MessageId, batch: u64, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        Self { kind, length, id, batch, payload_crc: crc32fast::hash(payload) }
    }

    pub(crate) fn encode(&self, marker: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&marker.to_le_bytes());
        out.extend_from_slice(&[self.kind.octet(), 0, 0, 0]);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.id.raw().to_le_bytes());
        out.extend_from_slice(&self.batch.to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// `None` when the octets are not a sound header of the segment with this marker.
    pub(crate) fn decode(octets: &[u8], marker: u64) -> Option<Self> {
        let (fields, crc) = octets.get(..RECORD_HEADER)?.split_at_checked(RECORD_HEADER - 4)?;
        let mut reader = Reader(fields);
        if Reader(crc).u32()? != crc32fast::hash(fields) || reader.u64()? != marker {
            return None;
        }
        let kind = reader.take(4)?;
        let header = Self {
            kind: Kind::from_octet(*kind.first()?)?,
            length: reader.u32()?,
            id: MessageId::from_raw(reader.u64()?),
            batch: reader.u64()?,
            payload_crc: reader.u32()?,
        };
        (usize::try_from(header.length).ok()? <= MAX_PAYLOAD).then_some(header)
    }

    /// Header and payload, in octets.
    pub(crate) fn total(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.length)
    }
}

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A piece of a message's text: a Body record and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) place: Place,
    pub(crate) length: u32,
}

/// The payload of an Accepted record. Octets after the last known field are a later version's, and skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Milliseconds since 1970.
    pub(crate) arrived: u64,
    /// Octets of the whole text.
    pub(crate) size: u64,
    /// CRC-32 of the whole text.
    pub(crate) crc: u32,
    pub(crate) extents: Vec<Extent>,
    /// As `Envelope::encode` writes it.
    pub(crate) envelope: Vec<u8>,
    /// Who sent it, for logs; empty when unknown.
    pub(crate) origin: String,
}

impl Accepted {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + 12 * self.extents.len() + self.envelope.len() + self.origin.len());
        out.extend_from_slice(&self.arrived.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        put_length(self.extents.len(), &mut out);
        for extent in &self.extents {
            out.extend_from_slice(&extent.place.segment.to_le_bytes());
            out.extend_from_slice(&extent.place.offset.to_le_bytes());
            out.extend_from_slice(&extent.length.to_le_bytes());
        }
        put_octets(&self.envelope, &mut out);
        put_octets(self.origin.as_bytes(), &mut out);
        out
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader(octets);
        let (arrived, size, crc) = (reader.u64()?, reader.u64()?, reader.u32()?);
        let count = reader.u32()?;
        let mut extents = Vec::new();
        for _ in 0..count {
            let place = Place { segment: reader.u32()?, offset: reader.u32()? };
            extents.push(Extent { place, length: reader.u32()? });
        }
        let envelope = reader.octets()?.to_vec();
        let origin = String::from_utf8(reader.octets()?.to_vec()).ok()?;
        Some(Self { arrived, size, crc, extents, envelope, origin })
    }

    /// The oldest segment the message needs.
    pub(crate) fn oldest(&self, place: Place) -> u32 {
        self.extents.iter().map(|extent| extent.place.segment).fold(place.segment, u32::min)
    }

    /// What it takes up in the log, nearly.
    pub(crate) fn footprint(&self, length: u32) -> u64 {
        let headers = (self.extents.len() as u64 + 1) * RECORD_HEADER as u64;
        self.size.saturating_add(headers).saturating_add(u64::from(length))
    }
}
