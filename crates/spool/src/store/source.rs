//! Reading one message: what the log says of it, and its text.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use delivery::{MessageSource, Origin};
use protocol::Envelope;

use super::blocking;
use super::index::{Entry, Index};
use super::record::{Accepted, Extent, Kind, Place};
use super::segment::{ReadError, Segment};
use crate::clock::Millis;
use crate::id::MessageId;
use crate::state::State;

/// A live message.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) arrived: Millis,
    pub(crate) envelope: Envelope,
    pub(crate) origin: Origin,
    pub(crate) state: State,
    pub(crate) source: Source,
}

impl Loaded {
    /// Blocks.
    pub(crate) fn read(log: &Path, index: &Index, id: MessageId) -> Result<Self, ReadError> {
        loop {
            let entry = index.get(id).ok_or(ReadError::Gone)?;
            match Self::read_entry(log, id, entry) {
                // It has been moved, and the old segment deleted.
                Err(ReadError::Gone) if index.get(id) != Some(entry) => {}
                Err(ReadError::Gone) => return Err(ReadError::Damaged("a segment it needs is missing".to_owned())),
                read => return read,
            }
        }
    }

    fn read_entry(log: &Path, id: MessageId, entry: Entry) -> Result<Self, ReadError> {
        let damaged = |what: &str| ReadError::Damaged(what.to_owned());
        let mut segments = vec![Arc::new(Segment::open(log, entry.accepted.segment)?)];
        let mut open = |number: u32| match segments.iter().find(|segment| segment.number == number) {
            Some(segment) => Ok::<_, ReadError>(segment.clone()),
            None => {
                let segment = Arc::new(Segment::open(log, number)?);
                segments.push(segment.clone());
                Ok(segment)
            }
        };
        let (header, payload) = open(entry.accepted.segment)?.expect(Kind::Accepted, entry.accepted)?;
        if header.id != id {
            return Err(damaged("its Accepted record is another message's"));
        }
        let accepted = Accepted::decode(&payload).ok_or_else(|| damaged("its Accepted record cannot be read"))?;
        let envelope = Envelope::decode(&accepted.envelope).map_err(|error| ReadError::Damaged(error.to_string()))?;
        let recipients = envelope.recipients.len();
        let state = match entry.state.map(|at| state(&*open(at.place.segment)?, id, at.place)).transpose()?.flatten() {
            None => State::fresh(recipients),
            Some(payload) => State::decode(&payload)
                .filter(|state| state.recipients.len() == recipients)
                .ok_or_else(|| damaged("its State record cannot be read"))?,
        };
        let pieces = accepted.extents.iter().map(|extent| Ok((open(extent.place.segment)?, *extent)));
        let pieces = pieces.collect::<Result<_, ReadError>>()?;
        let source =
            Source { id, size: accepted.size, crc: accepted.crc, pieces, at: 0, sum: Sum::default(), damage: None };
        Ok(Self { arrived: accepted.arrived, envelope, origin: Origin::from(accepted.origin.as_str()), state, source })
    }
}

/// The State record at `place`. `None` when it is damaged: then the message is delivered as if nothing had been tried,
/// and of losing it and sending it twice, that is the lesser evil.
pub(crate) fn state(segment: &Segment, id: MessageId, place: Place) -> Result<Option<Vec<u8>>, ReadError> {
    match segment.expect(Kind::State, place) {
        Ok((_, payload)) => Ok(Some(payload)),
        Err(ReadError::Damaged(why)) => {
            tracing::error!(%id, why, "how far its delivery is was damaged; recipients may get it twice");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The text of a message, read piece by piece, each checked before it is given out. The segments are held open, so
/// that it stays readable when the message is moved meanwhile.
#[derive(Debug)]
pub(crate) struct Source {
    id: MessageId,
    size: u64,
    crc: u32,
    pieces: Vec<(Arc<Segment>, Extent)>,
    at: usize,
    sum: Sum,
    damage: Option<String>,
}

#[derive(Debug, Default)]
struct Sum {
    octets: u64,
    crc: crc32fast::Hasher,
}

impl Source {
    /// Why the text is not what was accepted, if reading it has shown that.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// The same message, from its first octet.
    pub(crate) fn again(&self) -> Self {
        Self {
            id: self.id,
            size: self.size,
            crc: self.crc,
            pieces: self.pieces.clone(),
            at: 0,
            sum: Sum::default(),
            damage: None,
        }
    }

    /// The next piece. Blocks.
    pub(crate) fn read(segment: &Segment, id: MessageId, extent: Extent) -> Result<Bytes, ReadError> {
        let (header, payload) = segment.expect(Kind::Body, extent.place)?;
        match header.id == id && header.length == extent.length {
            true => Ok(payload.into()),
            false => Err(ReadError::Damaged("a piece of its text is another message's".to_owned())),
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some((segment, extent)) = self.pieces.get(self.at).cloned() else {
            let whole = self.sum.octets == self.size && self.sum.crc.clone().finalize() == self.crc;
            let damage = || ReadError::Damaged("its text as a whole has a wrong checksum".to_owned());
            return if whole { Ok(None) } else { Err(damage()) };
        };
        let id = self.id;
        let octets = blocking(move || Self::read(&segment, id, extent)).await??;
        self.at += 1;
        self.sum.octets += octets.len() as u64;
        self.sum.crc.update(&octets);
        Ok(Some(octets))
    }
}

impl MessageSource for Source {
    fn size(&self) -> u64 {
        self.size
    }

    fn rewind(&mut self) {
        self.at = 0;
        self.sum = Sum::default();
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        self.next_piece().await.map_err(|error| {
            if let ReadError::Damaged(what) = &error {
                self.damage = Some(what.clone());
            }
            io::Error::other(error.to_string())
        })
    }
}
