//! The store: an append-only log in segments, written by one thread, read by many.
//!
//! ```text
//! STATE/spool/lock          held as long as the spool is open
//! STATE/spool/log/N.log     segments, oldest first
//! STATE/spool/reserve       space kept back for a full disk
//! STATE/spool/quarantine/   what is damaged
//! ```

mod verify;
mod recovery;
mod cleaner;
mod writer;
mod page;
mod job;
mod quarantine;
mod scan;
mod reserve;
mod contents;
mod index;
mod segment;
pub(crate) mod record;
mod files;
pub(crate) mod source;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

pub(crate) use files::Faults;
pub(crate) use index::{Hold, Usage};
pub(crate) use job::{Change, Due, NewMessage, Piece, Write};
pub use recovery::{Problem, RecoveryReport};
pub(crate) use segment::ReadError;
pub(crate) use source::{Loaded, Source};
pub use verify::{Damage, Finding, Verification};

use crate::error::SpoolError;
use crate::id::{Ids, MessageId};
use cleaner::Cleaner;
use index::Index;
use job::Job;
use quarantine::Quarantine;
use reserve::Reserve;
use writer::{Log, Writer};

/// Jobs waiting for the writer. Each holds at most a piece of a message, and its sender waits for the answer.
const QUEUE: usize = 256;

/// What tests turn down.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    /// A segment is ended when it would grow beyond this, octets.
    pub(crate) segment_size: u64,
    /// Kept back for a full disk, octets.
    pub(crate) reserve: usize,
    pub(crate) faults: Faults,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { segment_size: 64 * 1024 * 1024, reserve: 1024 * 1024, faults: Faults::default() }
    }
}

/// The store; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    log: PathBuf,
    index: Index,
    ids: Arc<Ids>,
    quarantine: Quarantine,
    jobs: mpsc::Sender<Job>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// A store as it was found.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) report: RecoveryReport,
    /// The live messages that were found.
    pub(crate) found: Vec<Due>,
    /// Those to come.
    pub(crate) arrivals: mpsc::UnboundedReceiver<Due>,
    /// For those that are to be among the arrivals again.
    pub(crate) returns: mpsc::UnboundedSender<Due>,
}

impl Store {
    /// Opens the store in a folder, which is made when it is missing. Blocks.
    pub(crate) fn open(folder: &Path, tuning: &Tuning) -> Result<Opened, SpoolError> {
        let log = folder.join("log");
        let quarantine = folder.join("quarantine");
        for folder in [folder, &log, &quarantine] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(SpoolError::folder(folder))?;
        }
        let lock = Arc::new(lock(&folder.join("lock"))?);
        let quarantine = Quarantine::new(quarantine);
        let (wake, woken) = std::sync::mpsc::sync_channel(1);
        let index = Index::new(wake);
        let recovered = recovery::recover(&log, &quarantine, &index)?;
        let ids = Arc::new(Ids::after(recovered.last_id));
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (arriving, arrivals) = mpsc::unbounded_channel();
        let mut reserve = Reserve::new(folder, tuning.reserve, &tuning.faults);
        reserve.ensure();
        let writer = Writer {
            folder: log.clone(),
            segment_size: tuning.segment_size,
            faults: tuning.faults.clone(),
            index: index.clone(),
            ids: ids.clone(),
            arrivals: arriving.clone(),
            reserve,
            lock: lock.clone(),
            log: Log::after(recovered.last_segment, recovered.sealed_length, recovered.contents),
        };
        let cleaner = Cleaner {
            log: log.clone(),
            index: index.clone(),
            quarantine: quarantine.clone(),
            jobs: jobs.downgrade(),
            segment_size: tuning.segment_size,
            lock,
        };
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(SpoolError::folder(folder))
        };
        let threads = vec![
            start("spool-writer", Box::new(move || writer.run(queue)))?,
            start("spool-cleaner", Box::new(move || cleaner.run(&woken)))?,
        ];
        let store = Self { log, index, ids, quarantine, jobs, threads: Arc::new(Mutex::new(threads)) };
        store.cancel(recovered.cancel);
        Ok(Opened { store, report: recovered.report, found: recovered.due, arrivals, returns: arriving })
    }

    /// Marks messages Done that recovery has put aside. If that fails, the next start puts them aside again.
    fn cancel(&self, ids: Vec<MessageId>) {
        if !ids.is_empty() {
            let changes = ids.into_iter().map(|id| (id, Change::Done)).collect();
            let (done, _) = oneshot::channel();
            drop(self.jobs.try_send(Job::Write(Write { message: None, changes, essential: true }, done)));
        }
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }

    pub(crate) fn usage(&self) -> Usage {
        self.index.usage()
    }

    /// The live message that has been there longest.
    pub(crate) fn oldest(&self) -> Option<MessageId> {
        self.index.oldest()
    }

    /// The live messages after this one, oldest first, at most so many.
    pub(crate) fn ids_after(&self, after: Option<MessageId>, count: usize) -> Vec<MessageId> {
        self.index.ids_after(after, count)
    }

    /// Writes a piece of a message that is not accepted yet.
    pub(crate) async fn append(&self, id: MessageId, text: Bytes, first: bool) -> Result<Piece, SpoolError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Append { id, text, first, done }).await.map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    /// Makes records durable. When this future is dropped the records may become durable or not.
    pub(crate) async fn write(&self, write: Write) -> Result<(), SpoolError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Write(write, done)).await.map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    /// Reads a live message's envelope and state, and opens its text.
    pub(crate) async fn load(&self, id: MessageId) -> Result<Loaded, ReadError> {
        let (log, index) = (self.log.clone(), self.index.clone());
        blocking(move || Loaded::read(&log, &index, id)).await?
    }

    /// Puts a damaged message aside. It is not delivered any more.
    pub(crate) async fn quarantine(&self, id: MessageId, why: String) -> Result<PathBuf, SpoolError> {
        let (log, quarantine, entry) = (self.log.clone(), self.quarantine.clone(), self.index.get(id));
        let kept = blocking(move || quarantine.keep_message(&log, id, entry, &why)).await??;
        self.write(Write { message: None, changes: vec![(id, Change::Done)], essential: true }).await?;
        Ok(kept)
    }

    /// Finishes what is waiting, and lets go of the folder. Later calls answer [`SpoolError::Closed`].
    pub(crate) async fn close(&self) {
        drop(self.jobs.send(Job::Stop).await);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        if joined.await.is_err() {
            tracing::error!("the spool's threads could not be waited for");
        }
    }
}

/// Checks everything in the store in a folder, which it only reads. Blocks.
pub(crate) fn verify(folder: &Path, tell: &mut dyn FnMut(Finding)) -> Result<Verification, SpoolError> {
    verify::verify(&folder.join("log"), tell)
}

/// Runs what waits for the disk away from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn lock(path: &Path) -> Result<File, SpoolError> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.map_err(SpoolError::folder(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(SpoolError::folder(path)(error)),
    }
}

#[cfg(test)]
mod tests;
