//! The gateway's log as it was written, line by line: the sessions in it, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use memchr::memmem::Finder;
use serde::Deserialize as _;
use session::{Record, RecordError};

/// Longer than any line with facts; what is longer is passed over.
const MAX_LINE: u64 = 1024 * 1024;
/// How a line with facts says so. Inside of a JSON string its quotation marks would be escaped.
const FACTS: &str = "\"facts\":";

pub(crate) struct SessionLog {
    lines: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    facts: Finder<'static>,
    /// Octets that were read.
    read: u64,
    /// Octets there are, where that can be told.
    pub(crate) length: Option<u64>,
}

impl SessionLog {
    /// A file, or standard input where it is `-`.
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        let (lines, length): (Box<dyn BufRead + Send>, _) = if file == Path::new("-") {
            (Box::new(BufReader::new(io::stdin())), None)
        } else {
            let file = File::open(file)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            (Box::new(BufReader::with_capacity(256 * 1024, file)), metadata.is_file().then_some(metadata.len()))
        };
        Ok(Self { lines, line: Vec::new(), facts: Finder::new(FACTS), read: 0, length })
    }

    /// Octets that were read.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// The next session; `None` at the end.
    pub(crate) fn next_session(&mut self) -> io::Result<Option<Result<Record, RecordError>>> {
        self.next_session_with("")
    }

    /// The next session in whose line there is this text.
    pub(crate) fn next_session_with(&mut self, text: &str) -> io::Result<Option<Result<Record, RecordError>>> {
        let wanted = Finder::new(text);
        while self.next_line()? {
            let Some(at) = self.facts.find(&self.line) else { continue };
            let value = self.line.get(at + FACTS.len()..).unwrap_or_default();
            if wanted.find(value).is_some() {
                return Ok(Some(read(value)));
            }
        }
        Ok(None)
    }

    /// False at the end. A line without end is over at its bound, and the rest of it is passed over.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let read = (&mut self.lines).take(MAX_LINE).read_until(b'\n', &mut self.line)?;
        self.read = self.read.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let mut cut = read as u64 == MAX_LINE && !self.line.ends_with(b"\n");
        while cut {
            let rest = self.lines.fill_buf()?;
            let (used, ended) = match memchr::memchr(b'\n', rest) {
                Some(at) => (at + 1, true),
                None => (rest.len(), rest.is_empty()),
            };
            self.lines.consume(used);
            self.read = self.read.saturating_add(u64::try_from(used).unwrap_or(u64::MAX));
            self.line.clear();
            cut = !ended;
        }
        Ok(read > 0)
    }
}

/// What follows in the line is not looked at.
fn read(value: &[u8]) -> Result<Record, RecordError> {
    let text = String::deserialize(&mut serde_json::Deserializer::from_slice(value))?;
    Record::from_json(&text)
}
