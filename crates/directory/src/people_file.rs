//! A people file: read, read again when it changed, and swapped under running sessions.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::error::{Error, Problem, Problems};
use crate::people::{People, Wants};
use crate::record;

/// Octets of a people file: a hundred thousand people with room to spare.
const MAX_LENGTH: u64 = 64 * 1024 * 1024;

/// People in a TOML file.
#[derive(Debug)]
pub struct PeopleFile {
    path: PathBuf,
    wants: Wants,
    people: ArcSwap<People>,
    /// What the file looked like when it was last read, well or not. The lock makes reloads one after the other.
    seen: Mutex<Option<Stamp>>,
    generation: AtomicU64,
}

/// What became of [`PeopleFile::reload_if_changed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// The file is as it was.
    Unchanged,
    /// New people are in place.
    Reloaded {
        /// How many.
        people: usize,
        /// What an administrator should look at.
        notes: Vec<String>,
    },
}

/// Any write, any replacement changes one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let data = std::fs::metadata(path)?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

impl PeopleFile {
    /// Reads the file. Blocks.
    pub(crate) fn open(path: PathBuf, wants: Wants) -> Result<Self, Error> {
        // Before the content: a write in between shows as a change at the next look.
        let seen = Stamp::of(&path).ok();
        let people = read(&path, &wants)?;
        Ok(Self {
            path,
            wants,
            people: ArcSwap::from_pointee(people),
            seen: Mutex::new(seen),
            generation: AtomicU64::new(1),
        })
    }

    /// Reads the file again if it changed. A bad one leaves the old people in place and is told once, until it changes
    /// again. Blocks: for a thread that may.
    pub fn reload_if_changed(&self) -> Result<Reload, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stamp::of(&self.path).ok();
        if now == *seen {
            return Ok(Reload::Unchanged);
        }
        *seen = now;
        let people = read(&self.path, &self.wants)?;
        let report = Reload::Reloaded { people: people.len(), notes: people.notes().to_vec() };
        self.people.store(Arc::new(people));
        self.generation.fetch_add(1, Ordering::Release);
        Ok(report)
    }

    /// Counts the people lists that were in place, from 1: answers kept from an older one are void.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The people of now. A reload does not change what the caller holds.
    pub(crate) fn people(&self) -> Arc<People> {
        self.people.load_full()
    }
}

fn read(path: &Path, wants: &Wants) -> Result<People, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut octets = Vec::new();
    // Bounded by reading, not by asking: the file may be a pipe, or grow.
    File::open(path).map_err(failed)?.take(MAX_LENGTH + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > MAX_LENGTH {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_LENGTH });
    }
    let problems = |list, more| Error::People { problems: Problems { path: path.to_owned(), list, more } };
    let text = std::str::from_utf8(&octets).map_err(|error| {
        let line = octets.iter().take(error.valid_up_to()).filter(|octet| **octet == b'\n').count() + 1;
        problems(vec![Problem { line, column: 1, key: String::new(), text: "not UTF-8".to_owned() }], 0)
    })?;
    let records = record::read(text, &wants.times).map_err(|bad| problems(bad.problems, bad.more))?;
    People::new(records, wants)
}
