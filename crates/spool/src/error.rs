//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the spool did not do what it was asked. Nothing that was acknowledged before is lost by any of these.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk is full, or a quota is used up: 452 4.3.1.
    #[error("no space left for the spool")]
    Full,
    /// Reading or writing failed: 451 4.3.0.
    #[error("the spool failed: {0}")]
    Io(Arc<io::Error>),
    /// An earlier `write` of this transaction failed, or was given up half-way: 451 4.3.0.
    #[error("the transaction is broken")]
    Broken,
    /// The envelope is larger than a record can be: 451 4.3.0.
    #[error("the envelope is too large for the spool")]
    TooLarge,
    /// The spool has been closed: 421 4.3.2.
    #[error("the spool is closed")]
    Closed,
    /// Another process has the spool open.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The spool's folder cannot be used.
    #[error("{}: {error}", path.display())]
    Folder {
        /// The folder, or what is in it.
        path: PathBuf,
        /// Why not.
        error: Arc<io::Error>,
    },
    /// The spool was written by a later version of this program.
    #[error(
        "{} has spool format {found}, and this version of the program knows formats up to {known}: \
         run the version that wrote it, or a later one, until it has delivered what is there; nothing was changed",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
}

impl SpoolError {
    pub(crate) fn folder(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Folder { path, error: Arc::new(error) }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full,
            _ => Self::Io(Arc::new(error)),
        }
    }
}
