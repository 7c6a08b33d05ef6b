//! The one thread that writes. It takes what is waiting, writes it all at once, syncs once, and only then says so to
//! everybody: group commit.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::contents::Contents;
use super::files::{Faults, LogFile, sync_directory};
use super::index::Index;
use super::job::{Due, Job, Piece};
use super::page::{Changed, Effect, Page};
use super::record::{Kind, RecordHeader, SEGMENT_HEADER, SegmentHeader, VERSION};
use super::reserve::Reserve;
use super::segment;
use crate::error::SpoolError;
use crate::id::{Ids, MessageId};

/// Most octets in one batch, nearly: bounds the memory and the wait of those in it.
const MAX_BATCH: usize = 4 * 1024 * 1024;
/// How long a disk that failed is left alone. Everything is refused meanwhile, instead of strewing segments about.
const REST: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Current {
    number: u32,
    marker: u64,
    file: LogFile,
    /// Where what it has been asked to keep begins.
    start: u64,
    end: u64,
    /// Up to here everything is on disk.
    synced: u64,
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) segment_size: u64,
    pub(crate) faults: Faults,
    pub(crate) index: Index,
    pub(crate) ids: Arc<Ids>,
    pub(crate) arrivals: mpsc::UnboundedSender<Due>,
    pub(crate) reserve: Reserve,
    /// Kept as long as the writer lives.
    pub(crate) lock: Arc<File>,
    pub(crate) log: Log,
}

/// Where the log ends.
#[derive(Debug)]
pub(crate) struct Log {
    current: Option<Current>,
    next_number: u32,
    /// What counts of the segment before the next one.
    sealed_length: u64,
    /// What is in the current segment, or without one in the segment before the next; `None` when that is not known.
    contents: Option<Contents>,
    batch: u64,
    /// Segments whose sync failed, and the length up to which they are to be trusted. After a failed sync the kernel
    /// may have thrown the unwritten pages away and call the next sync a success.
    untrusted: Vec<(u32, u64)>,
    rest: Option<(Instant, SpoolError)>,
    buffer: Vec<u8>,
}

impl Log {
    pub(crate) fn after(last_number: Option<u32>, sealed_length: u64, contents: Option<Contents>) -> Self {
        Self {
            current: None,
            next_number: last_number.map_or(1, |last| last.saturating_add(1)),
            sealed_length,
            contents,
            batch: 1,
            untrusted: Vec::new(),
            rest: None,
            buffer: Vec::new(),
        }
    }
}

impl Writer {
    /// Works until it is told to stop or nobody is left who could ask for anything.
    pub(crate) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut weight = first.weight();
            let mut batch = vec![first];
            while weight < MAX_BATCH {
                let Ok(job) = jobs.try_recv() else { break };
                weight += job.weight();
                batch.push(job);
            }
            let before_stop = batch.iter().position(|job| matches!(job, Job::Stop));
            let rest = before_stop.map(|at| batch.split_off(at));
            self.process(batch);
            if let Some(rest) = rest {
                jobs.close();
                rest.into_iter().for_each(|job| job.fail(&SpoolError::Closed));
                while let Ok(job) = jobs.try_recv() {
                    job.fail(&SpoolError::Closed);
                }
                break;
            }
        }
        if let Some(current) = &self.log.current {
            let _ = current.file.sync();
        }
        self.index.stop_cleaner();
        tracing::debug!(lock = ?self.lock, "the spool's writer has stopped");
    }

    fn process(&mut self, batch: Vec<Job>) {
        let (essential, new): (Vec<_>, Vec<_>) = batch.into_iter().partition(Job::is_essential);
        let mut jobs = essential;
        match new.is_empty() || self.reserve.ensure() {
            true => jobs.extend(new),
            false => new.into_iter().for_each(|job| job.fail(&SpoolError::Full)),
        }
        let Err((error, jobs)) = self.commit(jobs) else { return };
        let (essential, new): (Vec<_>, Vec<_>) = jobs.into_iter().partition(Job::is_essential);
        new.into_iter().for_each(|job| job.fail(&error));
        let retry = matches!(error, SpoolError::Full) && !essential.is_empty() && self.reserve.release();
        let failed = if retry { self.commit(essential) } else { Err((error, essential)) };
        if let Err((error, jobs)) = failed {
            jobs.into_iter().for_each(|job| job.fail(&error));
        }
    }

    /// Writes the jobs, all or none; the refused ones come back.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), (SpoolError, Vec<Job>)> {
        if jobs.is_empty() {
            return Ok(());
        }
        let weight = jobs.iter().map(Job::weight).sum::<usize>();
        if let Err(error) = self.make_room(weight as u64) {
            return Err((error, jobs));
        }
        let planned = self.encode(jobs);
        let durable = planned.iter().any(|(job, _)| matches!(job, Job::Write(..)));
        match self.write(durable) {
            Ok(()) => {
                planned.into_iter().for_each(|(job, effect)| self.finish(job, effect));
                Ok(())
            }
            Err(error) => Err((error, planned.into_iter().map(|(job, _)| job).collect())),
        }
    }

    /// Makes sure that there is a segment to write to, with room for so many octets.
    fn make_room(&mut self, octets: u64) -> Result<(), SpoolError> {
        if let Some((since, error)) = &self.log.rest {
            if since.elapsed() < REST {
                return Err(error.clone());
            }
            self.log.rest = None;
        }
        match &self.log.current {
            Some(current) if current.end + octets <= self.segment_size || current.end == current.start => {
                return Ok(());
            }
            Some(current) if current.synced < current.end => match current.file.sync() {
                Ok(()) => self.seal(|current| current.end),
                Err(error) => return Err(self.distrust(error)),
            },
            Some(_) => self.seal(|current| current.end),
            None => {}
        }
        let current = self.create().map_err(SpoolError::from)?;
        self.index.set_length(current.number, current.end);
        self.log.next_number = current.number.saturating_add(1);
        self.log.batch += 1;
        self.log.current = Some(current);
        self.log.contents = Some(Contents::default());
        Ok(())
    }

    fn seal(&mut self, length: impl Fn(&Current) -> u64) {
        if let Some(current) = self.log.current.take() {
            self.log.sealed_length = length(&current);
            self.index.set_length(current.number, self.log.sealed_length);
        }
    }

    /// The next segment: its header and its name are on disk, and what is in the segment before.
    fn create(&self) -> io::Result<Current> {
        let number = self.log.next_number;
        let path = segment::path(&self.folder, number);
        // The keys of RandomState come from the system's random numbers.
        let marker = RandomState::new().hash_one(number);
        let header = SegmentHeader {
            version: VERSION,
            segment: number,
            marker,
            previous_length: self.log.sealed_length,
            last_id: self.ids.last(),
        };
        let create = || {
            let file = LogFile::create(&path, &self.faults)?;
            file.write_at(&header.encode(), 0)?;
            file.sync()?;
            sync_directory(&self.folder)?;
            let end = self.write_contents(&file, marker)?;
            Ok(Current { number, marker, file, start: end, end, synced: end })
        };
        match create() {
            Ok(current) => Ok(current),
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Tells what is in the segment before, and where that ends. The log is whole without it, and a full disk's last
    /// space is for better things.
    fn write_contents(&self, file: &LogFile, marker: u64) -> io::Result<u64> {
        let begin = SEGMENT_HEADER as u64;
        let Some(contents) = self.log.contents.as_ref().filter(|_| self.reserve.is_whole()) else { return Ok(begin) };
        let Some(payload) = contents.payload(self.log.next_number.saturating_sub(1), self.log.sealed_length) else {
            return Ok(begin);
        };
        let header = RecordHeader::new(Kind::Contents, MessageId::from_raw(0), self.log.batch, &payload);
        let mut record = Vec::new();
        header.encode(marker, &mut record);
        record.extend_from_slice(&payload);
        match file.write_at(&record, begin) {
            Ok(()) => file.sync().map(|()| begin + record.len() as u64),
            Err(_) => file.truncate(begin).map(|()| begin),
        }
    }

    /// Fills the buffer, and says for each job what it will have done. Jobs that cannot be are answered here.
    fn encode(&mut self, jobs: Vec<Job>) -> Vec<(Job, Effect)> {
        let Some(current) = &self.log.current else { return Vec::new() };
        self.log.buffer.clear();
        let mut page = Page {
            number: current.number,
            marker: current.marker,
            batch: self.log.batch,
            start: current.end,
            out: &mut self.log.buffer,
        };
        let mut changed = HashSet::new();
        let mut planned = Vec::with_capacity(jobs.len());
        for job in jobs {
            let effect = match &job {
                Job::Append { id, text, .. } => Ok(Effect::Append(page.body(*id, text))),
                Job::Write(write, _) => page.write(write, &self.index, &self.log.untrusted, &mut changed),
                Job::Stop => continue,
            };
            match effect {
                Ok(effect) => planned.push((job, effect)),
                Err(error) => job.fail(&error),
            }
        }
        planned
    }

    fn write(&mut self, durable: bool) -> Result<(), SpoolError> {
        let Some(current) = &mut self.log.current else { return Err(SpoolError::Closed) };
        if let Err(error) = current.file.write_at(&self.log.buffer, current.end) {
            let error = SpoolError::from(error);
            // What was synced is safe. If the rest can be cut off the segment can go on, else it ends here.
            let full = matches!(error, SpoolError::Full);
            if !full || current.file.truncate(current.end).is_err() {
                self.abandon(error.clone());
            }
            return Err(error);
        }
        current.end += self.log.buffer.len() as u64;
        if durable {
            if let Err(error) = current.file.sync() {
                return Err(self.distrust(error));
            }
            current.synced = current.end;
            self.log.batch += 1;
        }
        self.index.set_length(current.number, current.end);
        Ok(())
    }

    fn distrust(&mut self, error: io::Error) -> SpoolError {
        let error = SpoolError::from(error);
        self.abandon(error.clone());
        error
    }

    /// Ends the segment at what is known to be on disk. What comes after it is never read again, and transactions
    /// with pieces there fail at their commit.
    fn abandon(&mut self, error: SpoolError) {
        tracing::error!(%error, "writing to the spool failed; going on in a new segment");
        if let Some(current) = &self.log.current {
            self.log.untrusted.push((current.number, current.synced));
            let _ = current.file.truncate(current.synced);
        }
        if !matches!(error, SpoolError::Full) {
            self.log.rest = Some((Instant::now(), error));
        }
        self.seal(|current| current.synced);
    }

    fn finish(&mut self, job: Job, effect: Effect) {
        let contents = self.log.contents.get_or_insert_default();
        match (job, effect) {
            (Job::Append { first, done, .. }, Effect::Append(extent)) => {
                let hold = first.then(|| self.index.hold(extent.place.segment));
                drop(done.send(Ok(Piece { extent, hold })));
            }
            (Job::Write(write, done), Effect::Write { message, changes, new }) => {
                if let Some((id, entry)) = message {
                    contents.accepted(id, &entry);
                    self.index.put(id, entry);
                    if new {
                        let _ = self.arrivals.send(Due { id, at: 0 });
                    }
                }
                for (id, changed) in changes {
                    match changed {
                        Changed::State(place, due) => {
                            contents.state(id, place, due);
                            self.index.set_state(id, place, due);
                        }
                        Changed::Done => {
                            contents.done(id);
                            self.index.remove(id);
                        }
                    }
                }
                // The transaction's hold goes only after the message has its own.
                drop(write.message.and_then(|message| message.hold));
                drop(done.send(Ok(())));
            }
            (job, _) => job.fail(&SpoolError::Broken),
        }
    }
}
