//! Segment files: their names, and reading records out of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{
    HeaderError, Kind, MAX_PAYLOAD, Place, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader,
};

const SUFFIX: &str = ".log";

/// The file of a segment.
pub(crate) fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:010}{SUFFIX}"))
}

/// The numbers of the segments in a folder, oldest first. Other files are left alone.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u32>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).filter(|number| number.len() == 10);
        segments.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file is not there: the segment was deleted, and what was in it lives elsewhere or no longer.
    #[error("the segment is gone")]
    Gone,
    /// What is there is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// It cannot be said.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::UnexpectedEof => Self::Damaged("the segment ends before the record".to_owned()),
            _ => Self::Io(error),
        }
    }
}

/// A segment open for reading. It stays readable when the file is deleted.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) number: u32,
    pub(crate) header: SegmentHeader,
}

impl Segment {
    pub(crate) fn open(folder: &Path, number: u32) -> Result<Self, ReadError> {
        let damaged = |_| ReadError::Damaged(format!("segment {number} has a damaged header"));
        Self::open_any(folder, number)?.map_err(damaged)
    }

    /// The same, with the trouble there is with its header.
    pub(crate) fn open_any(folder: &Path, number: u32) -> Result<Result<Self, HeaderError>, ReadError> {
        let file = File::open(path(folder, number))?;
        let mut octets = [0; SEGMENT_HEADER];
        file.read_exact_at(&mut octets, 0)?;
        Ok(SegmentHeader::decode(&octets).map(|header| Self { file, number, header }))
    }

    /// The record at an offset, checked; the header and the payload.
    pub(crate) fn read(&self, offset: u64) -> Result<(RecordHeader, Vec<u8>), ReadError> {
        let header = self.read_header(offset)?;
        let mut payload = vec![0; usize::try_from(header.length).unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD)];
        self.file.read_exact_at(&mut payload, offset.saturating_add(RECORD_HEADER as u64))?;
        if crc32fast::hash(&payload) != header.payload_crc {
            return Err(self.damaged(offset, "has a wrong checksum"));
        }
        Ok((header, payload))
    }

    pub(crate) fn read_header(&self, offset: u64) -> Result<RecordHeader, ReadError> {
        let mut octets = [0; RECORD_HEADER];
        self.file.read_exact_at(&mut octets, offset)?;
        RecordHeader::decode(&octets, self.header.marker).ok_or_else(|| self.damaged(offset, "is not one"))
    }

    /// The payload of the record at `place`, which must be of this kind.
    pub(crate) fn expect(&self, kind: Kind, place: Place) -> Result<(RecordHeader, Vec<u8>), ReadError> {
        let (header, payload) = self.read(place.offset.into())?;
        match header.kind == kind {
            true => Ok((header, payload)),
            false => Err(self.damaged(place.offset.into(), "is of another kind")),
        }
    }

    fn damaged(&self, offset: u64, what: &str) -> ReadError {
        ReadError::Damaged(format!("the record at octet {offset} of segment {} {what}", self.number))
    }
}
