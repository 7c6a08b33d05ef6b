//! Walks through a segment record by record, and finds its way again after octets that are none.

use std::io;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use super::record::{Kind, Place, RECORD_HEADER, RecordHeader, SEGMENT_HEADER};
use super::segment::{ReadError, Segment};

/// Read in one go; larger than most records but the bodies, which are skipped.
const WINDOW: usize = 16 * 1024;
/// Read in one go when searching for a marker.
const SEARCH: usize = 1024 * 1024;

/// What stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A record with a sound header. The payloads of Body and Contents records are not read unless asked for.
    Record(Place, RecordHeader, Payload),
    /// Octets that are no record.
    Hole {
        from: u64,
        to: u64,
        /// A sound header stands there, and the segment ends before its payload does.
        cut: bool,
    },
}

/// The payload of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Sound(Vec<u8>),
    /// Its checksum is wrong.
    Damaged(Vec<u8>),
    Unread,
}

pub(crate) struct Scan<'a> {
    segment: &'a Segment,
    /// What counts of the file.
    limit: u64,
    at: u64,
    /// Check the payloads of Body and Contents records too.
    all: bool,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(segment: &'a Segment, limit: u64, all: bool) -> Self {
        Self { segment, limit, at: SEGMENT_HEADER as u64, all, window: Vec::new(), window_at: 0 }
    }

    /// The next item, `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item>> {
        let from = self.at;
        if from >= self.limit {
            return Ok(None);
        }
        let marker = self.segment.header.marker;
        let header = self.peek(from, RECORD_HEADER)?.and_then(|octets| RecordHeader::decode(octets, marker));
        let Some(header) = header else {
            self.at = self.find(from)?;
            return Ok(Some(Item::Hole { from, to: self.at, cut: false }));
        };
        let end = from.saturating_add(header.total());
        if end > self.limit {
            self.at = self.limit;
            return Ok(Some(Item::Hole { from, to: self.limit, cut: true }));
        }
        self.at = end;
        let place = Place { segment: self.segment.number, offset: u32::try_from(from).unwrap_or(u32::MAX) };
        if matches!(header.kind, Kind::Body | Kind::Contents) && !self.all {
            return Ok(Some(Item::Record(place, header, Payload::Unread)));
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let payload = self.peek(from + RECORD_HEADER as u64, length)?.unwrap_or_default().to_vec();
        let sound = crc32fast::hash(&payload) == header.payload_crc;
        let payload = if sound { Payload::Sound(payload) } else { Payload::Damaged(payload) };
        Ok(Some(Item::Record(place, header, payload)))
    }

    /// Octets of the segment, `None` when it has not so many. The length is bounded by the caller.
    fn peek(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if at.saturating_add(length as u64) > self.limit {
            return Ok(None);
        }
        let inside = |window: &[u8], window_at: u64| {
            let start = usize::try_from(at.checked_sub(window_at)?).ok()?;
            let end = start.checked_add(length)?;
            (end <= window.len()).then_some(start..end)
        };
        if inside(&self.window, self.window_at).is_none() {
            let left = usize::try_from(self.limit - at).unwrap_or(usize::MAX);
            self.window.resize(length.max(WINDOW).min(left), 0);
            self.window_at = at;
            self.segment.file.read_exact_at(&mut self.window, at)?;
        }
        Ok(inside(&self.window, self.window_at).and_then(|range| self.window.get(range)))
    }

    /// Where the next whole record begins, or the end.
    fn find(&self, after: u64) -> io::Result<u64> {
        let marker = self.segment.header.marker.to_le_bytes();
        let finder = memmem::Finder::new(&marker);
        let mut buffer = Vec::new();
        let mut at = after.saturating_add(1);
        while at < self.limit {
            let left = usize::try_from(self.limit - at).unwrap_or(usize::MAX);
            buffer.resize(left.min(SEARCH), 0);
            self.segment.file.read_exact_at(&mut buffer, at)?;
            for found in finder.find_iter(&buffer) {
                let candidate = at + found as u64;
                if self.is_whole(candidate)? {
                    return Ok(candidate);
                }
            }
            // A marker may lie across the border.
            let step = buffer.len().saturating_sub(marker.len() - 1).max(1);
            at += step as u64;
        }
        Ok(self.limit)
    }

    fn is_whole(&self, at: u64) -> io::Result<bool> {
        match self.segment.read_header(at) {
            Ok(header) if at.saturating_add(header.total()) > self.limit => return Ok(false),
            Ok(_) => {}
            Err(ReadError::Io(error)) => return Err(error),
            Err(_) => return Ok(false),
        }
        match self.segment.read(at) {
            Ok(_) => Ok(true),
            Err(ReadError::Io(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}
