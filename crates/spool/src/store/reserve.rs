//! A little space kept back: on a full disk, what was delivered can still be written down, so that space comes free.
//! As long as the reserve is not whole, no new mail is taken.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::Faults;

/// Making the reserve costs a megabyte of writing; a full disk need not be asked more often.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Reserve {
    /// Octets.
    size: usize,
    path: PathBuf,
    whole: bool,
    asked: Option<Instant>,
    faults: Faults,
}

impl Reserve {
    pub(crate) fn new(folder: &Path, size: usize, faults: &Faults) -> Self {
        let path = folder.join("reserve");
        let whole = path.metadata().is_ok_and(|file| file.len() == size as u64);
        Self { size, path, whole, asked: None, faults: faults.clone() }
    }

    /// Whether the space is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether the space is there; makes it where it can.
    pub(crate) fn ensure(&mut self) -> bool {
        if !self.whole && self.asked.is_none_or(|asked| asked.elapsed() >= RETRY) {
            self.asked = Some(Instant::now());
            self.whole = self.make().is_ok();
            if !self.whole {
                let _ = std::fs::remove_file(&self.path);
            }
        }
        self.whole
    }

    /// Octets, not a hole: a sparse file keeps nothing back.
    fn make(&self) -> io::Result<()> {
        self.faults.allow(self.size)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(&vec![0; self.size])?;
        file.sync_all()
    }

    /// Gives the space up; `false` when there was none.
    pub(crate) fn release(&mut self) -> bool {
        std::mem::replace(&mut self.whole, false) && self.remove()
    }

    fn remove(&self) -> bool {
        self.faults.give_back(self.size);
        std::fs::remove_file(&self.path).is_ok()
    }
}
