//! Reads the log at the start: which messages live, what is damaged, where the log really ends.
//!
//! Of all segments but the newest it reads what the next one tells of them, as long as every segment is there and whole.
//! Anything amiss, and it reads everything. Either way no text is read that was once on disk: that is checked whenever it
//! is read, and by [`verify`](super::verify).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::contents::{Contents, Item as Told};
use super::index::{Entry, Index};
use super::job::Due;
use super::quarantine::Quarantine;
use super::record::{
    Accepted, HeaderError, Kind, Place, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader, VERSION,
};
use super::scan::{Item, Payload, Scan};
use super::segment::{self, ReadError, Segment};
use crate::clock::Millis;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::state::State;

/// What opening the spool has found.
#[derive(Debug, Clone, Default)]
pub struct RecoveryReport {
    /// Messages waiting for delivery.
    pub messages: usize,
    /// Segments of the log.
    pub segments: usize,
    /// Octets at the end of the log that were being written when the last process ended. Nobody was told that they
    /// had been accepted.
    pub torn_octets: u64,
    /// What was damaged, each with its place in the quarantine. Empty on a sound disk.
    pub problems: Vec<Problem>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Something damaged.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The message, where it is known.
    pub message: Option<MessageId>,
    /// What is wrong, and what follows.
    pub what: String,
    /// The text in the quarantine that goes with what was kept.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = self.message {
            write!(f, "message {id}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.kept {
            Some(path) => write!(f, " (see {})", path.display()),
            None => Ok(()),
        }
    }
}

/// The log as the writer goes on from it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) report: RecoveryReport,
    pub(crate) due: Vec<Due>,
    /// Messages to be marked Done: quarantined, or never acknowledged.
    pub(crate) cancel: Vec<MessageId>,
    pub(crate) last_segment: Option<u32>,
    /// What counts of the last segment.
    pub(crate) sealed_length: u64,
    /// What is in the last segment, if all of it is sound.
    pub(crate) contents: Option<Contents>,
    pub(crate) last_id: MessageId,
}

/// Reads the log into the index.
pub(crate) fn recover(log: &Path, quarantine: &Quarantine, index: &Index) -> Result<Recovered, SpoolError> {
    let start = Instant::now();
    let mut recovery = Recovery {
        log,
        quarantine,
        index,
        report: RecoveryReport::default(),
        due: HashMap::new(),
        suspects: HashMap::new(),
        newest: None,
        sound_bodies: HashSet::new(),
        lengths: HashMap::new(),
        whole: true,
        contents: None,
        last_id: MessageId::from_raw(0),
    };
    recovery.read().map_err(SpoolErrorOr::into_spool(log))?;
    let last = recovery.lengths.iter().max().map(|(&number, &length)| (number, length));
    let cancel = recovery.judge_suspects().map_err(SpoolError::folder(log))?;
    let Recovery { mut report, due, last_id, lengths, contents, .. } = recovery;
    report.messages = due.len();
    report.segments = lengths.len();
    report.elapsed = start.elapsed();
    Ok(Recovered {
        report,
        due: due.into_iter().map(|(id, at)| Due { id, at }).collect(),
        cancel,
        last_segment: last.map(|(number, _)| number),
        sealed_length: last.map_or(0, |(_, length)| length),
        contents,
        last_id,
    })
}

/// Whether octets at the end of the log that are no record are of a write that was under way: a piece of a record, or the
/// zeros of a file that had grown before its content came.
pub(crate) fn is_torn(segment: &Segment, from: u64, to: u64, cut: bool) -> io::Result<bool> {
    if cut || to.saturating_sub(from) < RECORD_HEADER as u64 {
        return Ok(true);
    }
    let mut octets = vec![0; 64 * 1024];
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).unwrap_or(usize::MAX).min(octets.len());
        octets.truncate(length);
        segment.file.read_exact_at(&mut octets, at)?;
        if octets.iter().any(|&octet| octet != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

enum SpoolErrorOr {
    Spool(SpoolError),
    Io(io::Error),
}

impl SpoolErrorOr {
    fn into_spool(log: &Path) -> impl FnOnce(Self) -> SpoolError {
        move |error| match error {
            Self::Spool(error) => error,
            Self::Io(error) => SpoolError::folder(log)(error),
        }
    }
}

impl From<io::Error> for SpoolErrorOr {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An Accepted record that cannot be taken at its word.
struct Suspect {
    why: String,
    entry: Option<Entry>,
    /// It stands in the batch that was being written when the last process ended, so nobody was told of it.
    unacknowledged: bool,
}

struct Recovery<'a> {
    log: &'a Path,
    quarantine: &'a Quarantine,
    index: &'a Index,
    report: RecoveryReport,
    due: HashMap<MessageId, Millis>,
    suspects: HashMap<MessageId, Suspect>,
    newest: Option<u32>,
    /// The Body records of the newest segment, checked.
    sound_bodies: HashSet<Place>,
    /// What counts of each segment.
    lengths: HashMap<u32, u64>,
    /// Every segment is there, and as long as the next one says.
    whole: bool,
    /// What is in the segment being scanned, as long as all of it is sound.
    contents: Option<Contents>,
    last_id: MessageId,
}

impl Recovery<'_> {
    fn read(&mut self) -> Result<(), SpoolErrorOr> {
        let mut segments = Vec::new();
        let numbers = segment::list(self.log)?;
        let newest = numbers.last().copied();
        for number in numbers {
            segments.extend(self.open(number, Some(number) == newest)?);
        }
        for at in 0..segments.len() {
            let Some(segment) = segments.get(at) else { break };
            let next = segments.get(at + 1);
            let length = self.length(segment, next.map(|next| &next.header))?;
            self.index.set_length(segment.number, length);
            self.lengths.insert(segment.number, length);
            self.last_id = self.last_id.max(segment.header.last_id);
        }
        for at in 0..segments.len() {
            let Some(segment) = segments.get(at) else { break };
            let next = segments.get(at + 1);
            let told = match next.filter(|_| self.whole).map(Contents::told_by).transpose() {
                Ok(told) => told.flatten(),
                Err(ReadError::Io(error)) => return Err(error.into()),
                Err(_) => None,
            };
            if !told.is_some_and(|contents| self.take(segment.number, &contents)) {
                self.newest = next.is_none().then_some(segment.number);
                let length = self.lengths.get(&segment.number).copied().unwrap_or_default();
                self.scan(segment, length, next.is_none())?;
            }
        }
        Ok(())
    }

    /// Takes what is told of a segment for what is there; `false` when it cannot be understood.
    fn take(&mut self, segment: u32, contents: &Contents) -> bool {
        for item in contents.items(segment) {
            match item {
                None => return false,
                // Moved or done since, or the segment would be there still.
                Some(Told::Accepted(id, entry)) if !self.lengths.contains_key(&entry.oldest) => {
                    self.suspect(id, Some(entry), "a piece of its text is missing".to_owned());
                }
                Some(Told::Accepted(id, entry)) => self.live(id, entry),
                Some(Told::State(id, place, due)) => self.state(id, place, due),
                Some(Told::Done(id)) => self.done(id),
            }
        }
        true
    }

    /// A segment with a sound header; another one goes into the quarantine.
    fn open(&mut self, number: u32, newest: bool) -> Result<Option<Segment>, SpoolErrorOr> {
        let path = segment::path(self.log, number);
        let file = std::fs::File::open(&path)?;
        let length = file.metadata()?.len();
        let mut octets = [0; SEGMENT_HEADER];
        let decoded = match file.read_exact_at(&mut octets, 0) {
            Ok(()) => SegmentHeader::decode(&octets),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(HeaderError::Damaged),
            Err(error) => return Err(error.into()),
        };
        match decoded {
            Ok(header) if header.segment == number => Ok(Some(Segment { file, number, header })),
            Err(HeaderError::Version(found)) => {
                Err(SpoolErrorOr::Spool(SpoolError::Version { path, found, known: VERSION }))
            }
            // Its creation was under way. Nothing is written before header and name are on disk.
            _ if newest && length <= SEGMENT_HEADER as u64 => {
                std::fs::remove_file(&path)?;
                self.report.torn_octets += length;
                Ok(None)
            }
            _ => {
                let what = format!("segment {number} has a damaged header; its messages are not delivered");
                self.whole = false;
                let kept = self.quarantine.keep_file(&format!("segment-{number}"), &path, &what)?;
                self.problem(None, what, Some(kept));
                Ok(None)
            }
        }
    }

    /// What counts of a segment: the next one says it, and of the newest everything does.
    fn length(&mut self, segment: &Segment, next: Option<&SegmentHeader>) -> io::Result<u64> {
        let found = segment.file.metadata()?.len();
        let Some(next) = next else { return Ok(found) };
        if next.segment != segment.number + 1 {
            self.whole = false;
            let name = format!("missing-after-{}", segment.number);
            if !self.quarantine.has(&name) {
                let what = format!("the segments between {} and {} are missing", segment.number, next.segment);
                let kept = self.quarantine.keep_region(&name, &[], &what)?;
                self.problem(None, what, Some(kept));
            }
            return Ok(found);
        }
        if found < next.previous_length {
            self.whole = false;
            let name = format!("segment-{}-end", segment.number);
            if !self.quarantine.has(&name) {
                let lost = next.previous_length - found;
                let what = format!("segment {} has lost its last {lost} octets", segment.number);
                let kept = self.quarantine.keep_region(&name, &[], &what)?;
                self.problem(None, what, Some(kept));
            }
        }
        Ok(found.min(next.previous_length))
    }

    fn scan(&mut self, segment: &Segment, length: u64, newest: bool) -> io::Result<()> {
        self.contents = Some(Contents::default());
        let mut scan = Scan::new(segment, length, newest);
        let mut last_batch = 0;
        // Whether these were acknowledged is known only when the last batch is.
        let mut doubtful: Vec<(MessageId, u64)> = Vec::new();
        while let Some(item) = scan.next()? {
            match item {
                Item::Hole { from, to, cut } => self.hole(segment, from, to, newest && to == length, cut)?,
                Item::Record(place, header, payload) => {
                    last_batch = header.batch;
                    self.last_id = self.last_id.max(header.id);
                    if self.record(place, &header, payload) {
                        doubtful.push((header.id, header.batch));
                    }
                }
            }
        }
        if newest {
            for (id, _) in doubtful.into_iter().filter(|&(_, batch)| batch == last_batch) {
                if let Some(suspect) = self.suspects.get_mut(&id) {
                    suspect.unacknowledged = true;
                }
            }
        }
        Ok(())
    }

    /// Takes a record into account; `true` when it made its message a suspect.
    fn record(&mut self, place: Place, header: &RecordHeader, payload: Payload) -> bool {
        match (header.kind, payload) {
            (Kind::Body, Payload::Sound(_)) => {
                self.sound_bodies.insert(place);
            }
            (Kind::Body | Kind::Contents, _) => {}
            (Kind::Accepted, Payload::Sound(payload)) => return !self.accepted(place, header, &payload),
            (Kind::Accepted, _) => {
                let why = "its Accepted record has a wrong checksum".to_owned();
                self.suspect(header.id, None, why);
                return true;
            }
            (Kind::State, Payload::Sound(payload)) => {
                if let Some(due) = State::due_of(&payload) {
                    self.contents.iter_mut().for_each(|contents| contents.state(header.id, place, due));
                    self.state(header.id, place, due);
                }
            }
            (Kind::State, _) => {
                self.contents = None;
                let what = "how far its delivery is was damaged; recipients may get it twice".to_owned();
                self.problem(Some(header.id), what, None);
            }
            (Kind::Done, _) => {
                self.contents.iter_mut().for_each(|contents| contents.done(header.id));
                self.done(header.id);
            }
        }
        false
    }

    fn live(&mut self, id: MessageId, entry: Entry) {
        let state = self.index.get(id).and_then(|entry| entry.state);
        self.suspects.remove(&id);
        self.index.put(id, Entry { state, ..entry });
        self.due.entry(id).or_default();
    }

    fn state(&mut self, id: MessageId, place: Place, due: Millis) {
        if let Some(at) = self.due.get_mut(&id) {
            *at = due;
            self.index.set_state(id, place, due);
        }
    }

    fn done(&mut self, id: MessageId) {
        self.suspects.remove(&id);
        self.due.remove(&id);
        self.index.remove(id);
    }

    fn accepted(&mut self, place: Place, header: &RecordHeader, payload: &[u8]) -> bool {
        let id = header.id;
        let Some(accepted) = Accepted::decode(payload) else {
            self.suspect(id, None, "its Accepted record cannot be read".to_owned());
            return false;
        };
        let entry = Entry {
            accepted: place,
            state: None,
            oldest: accepted.oldest(place),
            footprint: accepted.footprint(header.length),
        };
        for extent in &accepted.extents {
            let end = u64::from(extent.place.offset) + u64::from(extent.length);
            let known =
                extent.place < place && self.lengths.get(&extent.place.segment).is_some_and(|&limit| end <= limit);
            let why = match known {
                false => "a piece of its text is missing",
                true if self.newest == Some(extent.place.segment) && !self.sound_bodies.contains(&extent.place) => {
                    "a piece of its text is damaged"
                }
                true => continue,
            };
            self.suspect(id, Some(entry), why.to_owned());
            return false;
        }
        self.contents.iter_mut().for_each(|contents| contents.accepted(id, &entry));
        self.live(id, entry);
        true
    }

    fn suspect(&mut self, id: MessageId, entry: Option<Entry>, why: String) {
        self.contents = None;
        self.index.remove(id);
        self.due.remove(&id);
        self.suspects.insert(id, Suspect { why, entry, unacknowledged: false });
    }

    /// Octets that are no record. At the end of the newest segment they are the write that was under way.
    fn hole(&mut self, segment: &Segment, from: u64, to: u64, at_end: bool, cut: bool) -> io::Result<()> {
        let mut octets = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
        segment.file.read_exact_at(&mut octets, from)?;
        if at_end {
            self.report.torn_octets += to - from;
            self.lengths.insert(segment.number, from);
            self.index.set_length(segment.number, from);
            if is_torn(segment, from, to, cut)? {
                return Ok(());
            }
        }
        self.contents = None;
        let name = format!("segment-{}-{from}", segment.number);
        if self.quarantine.has(&name) {
            return Ok(());
        }
        let what = format!(
            "octets {from} to {to} of segment {} are damaged; what they said of messages is lost",
            segment.number
        );
        let kept = self.quarantine.keep_region(&name, &octets, &what)?;
        self.problem(None, what, Some(kept));
        Ok(())
    }

    /// Quarantines what was acknowledged and is damaged. Gives back all that must be marked Done.
    fn judge_suspects(&mut self) -> io::Result<Vec<MessageId>> {
        let suspects = std::mem::take(&mut self.suspects);
        let mut cancel = Vec::new();
        for (id, suspect) in suspects {
            cancel.push(id);
            if !suspect.unacknowledged {
                let kept = self.quarantine.keep_message(self.log, id, suspect.entry, &suspect.why)?;
                self.problem(Some(id), format!("{}; it is not delivered", suspect.why), Some(kept));
            }
        }
        Ok(cancel)
    }

    fn problem(&mut self, message: Option<MessageId>, what: String, kept: Option<PathBuf>) {
        self.report.problems.push(Problem { message, what, kept });
    }
}
