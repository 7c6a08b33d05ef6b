//! The few file operations the log stands on; in tests, the place where they can be made to fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The file that is being appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    faults: Faults,
}

impl LogFile {
    /// Creates the file, or empties what a failed creation left.
    pub(crate) fn create(path: &Path, faults: &Faults) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { file, faults: faults.clone() })
    }

    pub(crate) fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.faults.allow(octets.len()) {
            // A disk fills up in the middle of a write.
            let _ = self.file.write_all_at(octets.get(..octets.len() / 2).unwrap_or_default(), offset);
            return Err(error);
        }
        self.file.write_all_at(octets, offset)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.faults.sync()?;
        self.file.sync_data()
    }

    pub(crate) fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// Makes the directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Faults to order; without `cfg(test)` there are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    #[cfg(test)]
    plan: std::sync::Arc<std::sync::Mutex<Plan>>,
}

#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Octets until the disk is full.
    pub(crate) space: Option<usize>,
    /// Syncs that will fail.
    pub(crate) failing_syncs: usize,
    /// Writes that will fail.
    pub(crate) failing_writes: usize,
    /// Syncs so far.
    pub(crate) syncs: usize,
}

#[cfg(not(test))]
#[allow(clippy::unused_self, clippy::unnecessary_wraps)]
impl Faults {
    pub(crate) fn allow(&self, _length: usize) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give_back(&self, _length: usize) {}

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Faults {
    pub(crate) fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    pub(crate) fn allow(&self, length: usize) -> io::Result<()> {
        let mut plan = self.plan();
        if plan.failing_writes > 0 {
            plan.failing_writes -= 1;
            return Err(io::Error::other("write failed to order"));
        }
        match &mut plan.space {
            Some(space) if *space < length => Err(io::ErrorKind::StorageFull.into()),
            Some(space) => {
                *space -= length;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn give_back(&self, length: usize) {
        self.plan().space.iter_mut().for_each(|space| *space += length);
    }

    fn sync(&self) -> io::Result<()> {
        let mut plan = self.plan();
        plan.syncs += 1;
        if plan.failing_syncs > 0 {
            plan.failing_syncs -= 1;
            return Err(io::Error::other("sync failed to order"));
        }
        Ok(())
    }
}
