//! Gives space back: deletes the oldest segments that nothing needs, and moves what lives in the way of that forward,
//! so that one stuck message does not keep everything after it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::{mpsc, oneshot};

use super::files::sync_directory;
use super::index::{Index, Wake};
use super::job::{Change, Job, NewMessage, Piece, Write};
use super::quarantine::Quarantine;
use super::record::{Accepted, Kind};
use super::segment::{self, ReadError, Segment};
use super::source::{self, Source};
use crate::error::SpoolError;
use crate::id::MessageId;

/// Segments that may lie about before anything is moved.
const SLACK: u64 = 2;

#[derive(Debug)]
pub(crate) struct Cleaner {
    pub(crate) log: PathBuf,
    pub(crate) index: Index,
    pub(crate) quarantine: Quarantine,
    /// Weak: the cleaner must not keep the writer alive.
    pub(crate) jobs: mpsc::WeakSender<Job>,
    pub(crate) segment_size: u64,
    /// Kept as long as the cleaner lives.
    pub(crate) lock: Arc<File>,
}

/// Why cleaning stopped; the next wake goes on.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl Cleaner {
    /// Works whenever it is woken, until it is stopped.
    pub(crate) fn run(self, woken: &Receiver<Wake>) {
        while woken.recv() == Ok(Wake::Clean) {
            match self.clean() {
                Ok(()) | Err(Stopped::Spool(SpoolError::Closed)) => {}
                Err(error) => tracing::warn!(%error, "space of the spool could not be given back now"),
            }
        }
        tracing::debug!(lock = ?self.lock, "the spool's cleaner has stopped");
    }

    fn clean(&self) -> Result<(), Stopped> {
        while let Some(oldest) = self.index.oldest_segment() {
            if self.index.is_needed(oldest) {
                if !self.is_wasteful() || !self.evacuate(oldest)? {
                    return Ok(());
                }
                continue;
            }
            std::fs::remove_file(segment::path(&self.log, oldest))?;
            // The deletion is on disk before the next one: a Done record never goes before what it cancels.
            sync_directory(&self.log)?;
            self.index.forget_segment(oldest);
        }
        Ok(())
    }

    /// Half of the log or more is dead. So at most as much is copied as is given back.
    fn is_wasteful(&self) -> bool {
        let usage = self.index.usage();
        usage.disk_octets > usage.live_octets.saturating_mul(2).saturating_add(SLACK * self.segment_size)
    }

    /// Moves the live messages of the segment to the log's end. `false` when something else keeps it: an open
    /// transaction, which ends by itself.
    fn evacuate(&self, segment: u32) -> Result<bool, Stopped> {
        let messages = self.index.needing(segment);
        for &id in &messages {
            match self.carry(id) {
                // It changed meanwhile; the next round looks again.
                Ok(()) | Err(Stopped::Spool(SpoolError::Broken) | Stopped::Read(ReadError::Gone)) => {}
                Err(Stopped::Read(ReadError::Damaged(why))) => self.put_aside(id, &why)?,
                Err(error) => return Err(error),
            }
        }
        Ok(!messages.is_empty())
    }

    fn carry(&self, id: MessageId) -> Result<(), Stopped> {
        let Some(entry) = self.index.get(id) else { return Ok(()) };
        let segment = Segment::open(&self.log, entry.accepted.segment)?;
        let (_, payload) = segment.expect(Kind::Accepted, entry.accepted)?;
        let damaged = || ReadError::Damaged(format!("message {id} cannot be moved"));
        let mut accepted = Accepted::decode(&payload).ok_or_else(damaged)?;
        let state = match entry.state {
            Some(at) => source::state(&Segment::open(&self.log, at.place.segment)?, id, at.place)?,
            None => None,
        };
        let jobs = self.jobs.upgrade().ok_or(SpoolError::Closed)?;
        let mut hold = None;
        let mut extents = std::mem::take(&mut accepted.extents);
        let last = extents.pop();
        for extent in extents {
            let text = Source::read(&Segment::open(&self.log, extent.place.segment)?, id, extent)?;
            let piece: Piece = ask(&jobs, |done| Job::Append { id, text, first: hold.is_none(), done })?;
            accepted.extents.push(piece.extent);
            hold = hold.or(piece.hold);
        }
        let tail = match last {
            Some(extent) => Source::read(&Segment::open(&self.log, extent.place.segment)?, id, extent)?,
            None => bytes::Bytes::new(),
        };
        let message = NewMessage { id, accepted, tail, hold, moved: Some((entry, state)) };
        let write = Write { message: Some(message), changes: Vec::new(), essential: false };
        ask(&jobs, |done| Job::Write(write, done))?;
        Ok(())
    }
}

impl Cleaner {
    fn put_aside(&self, id: MessageId, why: &str) -> Result<(), Stopped> {
        let kept = self.quarantine.keep_message(&self.log, id, self.index.get(id), why)?;
        tracing::error!(id = %id, why, kept = %kept.display(), "a damaged message is not delivered");
        let jobs = self.jobs.upgrade().ok_or(SpoolError::Closed)?;
        let write = Write { message: None, changes: vec![(id, Change::Done)], essential: true };
        Ok(ask(&jobs, |done| Job::Write(write, done))?)
    }
}

fn ask<T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(oneshot::Sender<Result<T, SpoolError>>) -> Job,
) -> Result<T, SpoolError> {
    let (done, answer) = oneshot::channel();
    jobs.blocking_send(job(done)).map_err(|_| SpoolError::Closed)?;
    answer.blocking_recv().map_err(|_| SpoolError::Closed)?
}
