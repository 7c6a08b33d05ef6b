//! What tells whether the content of a location has changed since it was read.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use crate::fetch::fetcher::Validators;

/// What tells that a location's content has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    File(Stamp),
    Server(Validators),
}

/// What tells that a file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    pub(crate) modified: Option<Duration>,
    pub(crate) inode: u64,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        Self {
            size: metadata.len(),
            modified: modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()),
            inode: inode(metadata),
        }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
