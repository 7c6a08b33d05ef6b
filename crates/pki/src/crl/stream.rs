//! DER from a stream: one element at a time, whatever the whole's size, while its signed part is hashed.

use std::io::Read;

use aws_lc_rs::digest;

use crate::der::{HeaderProblem, Malformed, Tlv, read_header};

/// Why a stream can't be read on.
#[derive(Debug)]
pub(crate) enum StreamError {
    Malformed(Malformed),
    Io(std::io::Error),
}

impl From<Malformed> for StreamError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Where the signed octets go.
pub(crate) enum Sink {
    /// Nowhere: they are not signed.
    Ignore,
    /// Kept in the buffer until it is known which hash they go to: the first fields of a list name the algorithm.
    Undecided,
    Digest(digest::Context),
    /// Kept whole: Ed25519 signs the octets, not a hash of them.
    Keep(Vec<u8>),
}

/// Reads elements one after the other.
pub(crate) struct Stream<R> {
    input: R,
    buffer: Vec<u8>,
    /// What comes before it in the buffer has been read.
    start: usize,
    /// What comes before it in the buffer has gone to the sink.
    sunk: usize,
    sink: Sink,
    /// Octets read, from the beginning of the stream.
    position: u64,
}

const CHUNK: usize = 256 * 1024;
/// The largest single element, an entry or the extensions of a list, and the largest beginning of a list.
const MAX_ELEMENT: usize = 1024 * 1024;
/// The largest list that can be kept whole.
const MAX_KEPT: usize = 16 * 1024 * 1024;

impl<R: Read> Stream<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, sunk: 0, sink: Sink::Ignore, position: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// From here on octets go to `sink`; those that were undecided too.
    pub(crate) fn divert(&mut self, sink: Sink) {
        if !matches!(self.sink, Sink::Undecided) {
            self.sunk = self.start;
        }
        self.sink = sink;
    }

    /// Ends the diversion; returns the sink with all octets up to here in it.
    pub(crate) fn end_diversion(&mut self) -> Result<Sink, StreamError> {
        self.flush()?;
        Ok(std::mem::replace(&mut self.sink, Sink::Ignore))
    }

    /// The next element's tag, without reading it; `None` at the end of the stream.
    pub(crate) fn peek_tag(&mut self) -> Result<Option<u8>, StreamError> {
        self.fill(1)?;
        Ok(self.buffer.get(self.start).copied())
    }

    /// The next element's tag; `None` at `end`, where the element that is being read ends.
    pub(crate) fn peek_within(&mut self, end: u64, field: &'static str) -> Result<Option<u8>, StreamError> {
        if self.position >= end {
            return Ok(None);
        }
        let tag = self.peek_tag()?;
        tag.map_or_else(|| Err(Malformed::new(field, HeaderProblem::Truncated.text()).into()), |tag| Ok(Some(tag)))
    }

    /// Reads the header of a constructed element and enters it; returns the length of its contents.
    pub(crate) fn enter(&mut self, tag: u8, field: &'static str) -> Result<u64, StreamError> {
        let (found, header, length) = self.header(field)?;
        if found != tag {
            return Err(Malformed::new(field, format!("expected tag {tag:#04x}, found {found:#04x}")).into());
        }
        self.advance(header);
        Ok(length as u64)
    }

    /// Reads one whole element.
    pub(crate) fn element(&mut self, field: &'static str) -> Result<Tlv<'_>, StreamError> {
        let (tag, header, length) = self.header(field)?;
        let whole = header.saturating_add(length);
        if whole > MAX_ELEMENT {
            return Err(Malformed::new(field, "larger than 1 MiB").into());
        }
        self.fill(whole)?;
        let start = self.start;
        self.advance(whole);
        let Some(raw) = self.buffer.get(start..start + whole) else {
            return Err(Malformed::new(field, "ends early").into());
        };
        Ok(Tlv { tag, value: raw.get(header..).unwrap_or_default(), raw, offset: 0 })
    }

    fn header(&mut self, field: &'static str) -> Result<(u8, usize, usize), StreamError> {
        // Six octets hold every header that is accepted.
        self.fill(6)?;
        let ahead = self.buffer.get(self.start..).unwrap_or_default();
        read_header(ahead).map_err(|problem: HeaderProblem| Malformed::new(field, problem.text()).into())
    }

    fn advance(&mut self, octets: usize) {
        self.start += octets;
        self.position += octets as u64;
    }

    /// Gets `wanted` octets into the buffer, or all that are left.
    fn fill(&mut self, wanted: usize) -> Result<(), StreamError> {
        if self.buffer.len().saturating_sub(self.start) >= wanted {
            return Ok(());
        }
        self.flush()?;
        if !matches!(self.sink, Sink::Undecided) {
            self.buffer.drain(..self.start.min(self.buffer.len()));
            self.start = 0;
            self.sunk = 0;
        } else if self.buffer.len() > MAX_ELEMENT {
            return Err(Malformed::new("tbsCertList", "its first fields are larger than 1 MiB").into());
        }
        while self.buffer.len().saturating_sub(self.start) < wanted {
            let before = self.buffer.len();
            let mut limited = (&mut self.input).take(CHUNK as u64);
            limited.read_to_end(&mut self.buffer).map_err(StreamError::Io)?;
            if self.buffer.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Gives what has been read to the sink.
    fn flush(&mut self) -> Result<(), StreamError> {
        let read = self.buffer.get(self.sunk..self.start).unwrap_or_default();
        match &mut self.sink {
            Sink::Ignore => {}
            Sink::Undecided => return Ok(()),
            Sink::Digest(context) => context.update(read),
            Sink::Keep(kept) if kept.len() + read.len() > MAX_KEPT => {
                return Err(Malformed::new("tbsCertList", "larger than 16 MiB under an Ed25519 signature").into());
            }
            Sink::Keep(kept) => kept.extend_from_slice(read),
        }
        self.sunk = self.start;
        Ok(())
    }
}
