//! Reads everything and believes nothing: every record, every message, and what segments tell of each other.
//!
//! It only reads and takes no lock, so that it may run beside the gateway. Then it looks at what was there when it began;
//! segments that are given back meanwhile are skipped.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::Path;

use protocol::Envelope;

use super::contents::Contents;
use super::index::Entry;
use super::record::{Accepted, HeaderError, Kind, Place, RecordHeader, SEGMENT_HEADER, VERSION};
use super::recovery::is_torn;
use super::scan::{Item, Payload, Scan};
use super::segment::{self, ReadError, Segment};
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::state::State;

/// What verifying has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verification {
    /// Segments read.
    pub segments: usize,
    /// Records whose checksums were looked at.
    pub records: u64,
    /// Octets read.
    pub octets: u64,
    /// Messages waiting for delivery.
    pub messages: usize,
    /// Octets at the end that are a write under way, or one that was when the gateway ended.
    pub unfinished_octets: u64,
    /// How often something damaged was told.
    pub damaged: usize,
}

/// What is told while verifying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// So many of so many octets have been read.
    Progress {
        /// Octets read.
        read: u64,
        /// Octets there were at the beginning.
        of: u64,
    },
    /// Something is not as it was written.
    Damage(Damage),
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment it is in; `None` when it concerns a message as a whole.
    pub segment: Option<u32>,
    /// Where in the segment what is damaged begins, where that can be said.
    pub octet: Option<u64>,
    /// The message, where it is known.
    pub message: Option<MessageId>,
    /// What is wrong, and what follows.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.segment, self.octet) {
            (Some(segment), Some(octet)) => write!(f, "segment {segment}, octet {octet}: ")?,
            (Some(segment), None) => write!(f, "segment {segment}: ")?,
            (None, _) => {}
        }
        match self.message {
            Some(id) => write!(f, "message {id}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Verifies the log in a folder. Blocks.
pub(crate) fn verify(log: &Path, tell: &mut dyn FnMut(Finding)) -> Result<Verification, SpoolError> {
    let numbers = list(log).map_err(SpoolError::folder(log))?;
    let length = |number: &u32| segment::path(log, *number).metadata().map(|file| file.len()).unwrap_or_default();
    let mut verifier = Verifier {
        log,
        tell,
        of: numbers.iter().map(length).sum(),
        result: Verification::default(),
        pieces: HashMap::new(),
        live: HashMap::new(),
        sound: true,
    };
    let mut before = None;
    for &number in &numbers {
        let read = verifier.segment(number, before, numbers.last() == Some(&number));
        before = Some(number);
        match read {
            Ok(()) | Err(Stopped::Gone) => {}
            Err(Stopped::Damaged(what)) => verifier.damage(Some(number), None, None, what),
            Err(Stopped::Io(error)) => return Err(SpoolError::folder(segment::path(log, number))(error)),
            Err(Stopped::Spool(error)) => return Err(error),
        }
    }
    verifier.messages(numbers.first().copied()).map_err(SpoolError::folder(log))
}

/// The segments. Beside a gateway one listing can miss some, as they come and go; what a second one has between is there.
fn list(log: &Path) -> io::Result<BTreeSet<u32>> {
    let mut numbers: BTreeSet<u32> = segment::list(log)?.into_iter().collect();
    if let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) {
        numbers.extend(segment::list(log)?.into_iter().filter(|number| (first..=last).contains(number)));
    }
    Ok(numbers)
}

/// Why a segment could not be read to its end.
enum Stopped {
    Gone,
    Damaged(String),
    Io(io::Error),
    Spool(SpoolError),
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone => Self::Gone,
            ReadError::Damaged(what) => Self::Damaged(what),
            ReadError::Io(error) => Self::Io(error),
        }
    }
}

/// A sound Body record whose message has not been met yet.
struct Piece {
    id: MessageId,
    length: u32,
    crc: u32,
}

/// A message that waits, as far as has been read.
struct Live {
    recipients: usize,
    /// Why it cannot be delivered, and the segments with pieces that were not met.
    trouble: Option<(String, BTreeSet<u32>)>,
}

struct Verifier<'a> {
    log: &'a Path,
    tell: &'a mut dyn FnMut(Finding),
    /// Octets there were at the beginning.
    of: u64,
    result: Verification,
    pieces: HashMap<Place, Piece>,
    live: HashMap<MessageId, Live>,
    /// Nothing damaged was met in this segment.
    sound: bool,
}

impl Verifier<'_> {
    fn damage(&mut self, segment: Option<u32>, octet: Option<u64>, message: Option<MessageId>, what: String) {
        self.sound = false;
        self.result.damaged += 1;
        (self.tell)(Finding::Damage(Damage { segment, octet, message, what }));
    }

    fn segment(&mut self, number: u32, before: Option<u32>, newest: bool) -> Result<(), Stopped> {
        self.sound = true;
        let gap = before.filter(|&before| before.checked_add(1) != Some(number));
        // Given back oldest first: where one is missing and an older one is still there, it was not given back.
        if let Some(before) = gap.filter(|&before| segment::path(self.log, before).exists()) {
            self.damage(None, None, None, format!("the segments between {before} and {number} are missing"));
        }
        let created = segment::path(self.log, number).metadata().map_err(ReadError::from)?.len();
        if newest && created < SEGMENT_HEADER as u64 {
            self.result.unfinished_octets += created;
            return Ok(());
        }
        let segment = Segment::open_any(self.log, number)?.map_err(|error| match error {
            HeaderError::Damaged => Stopped::Damaged("its header is damaged; nothing in it can be read".to_owned()),
            HeaderError::Version(found) => {
                Stopped::Spool(SpoolError::Version { path: segment::path(self.log, number), found, known: VERSION })
            }
        })?;
        if segment.header.segment != number {
            return Err(Stopped::Damaged(format!("its header is that of segment {}", segment.header.segment)));
        }
        // Beside a gateway, the newest may have got a successor.
        let next = number.checked_add(1).and_then(|next| Segment::open(self.log, next).ok());
        // Only now: with a successor, it does not grow any more.
        let found = segment.file.metadata().map_err(Stopped::Io)?.len();
        let length = next.as_ref().map_or(found, |next| next.header.previous_length);
        if found < length {
            self.damage(Some(number), Some(found), None, format!("its last {} octets are missing", length - found));
        }
        let contents = self.records(&segment, found.min(length), next.is_none())?;
        let told = next.as_ref().map(Contents::told_by).transpose()?.flatten();
        if self.sound && told.is_some_and(|told| told != contents) {
            let what = format!("what it tells of segment {number} is not what is there");
            self.damage(number.checked_add(1), Some(SEGMENT_HEADER as u64), None, what);
        }
        self.result.segments += 1;
        Ok(())
    }

    /// Reads all records of a segment. Gives back what they say.
    fn records(&mut self, segment: &Segment, length: u64, newest: bool) -> Result<Contents, Stopped> {
        let mut contents = Contents::default();
        let mut scan = Scan::new(segment, length, true);
        loop {
            let item = match scan.next() {
                Ok(Some(item)) => item,
                // Beside a gateway that has just given a failed write up.
                Err(error) if newest && error.kind() == io::ErrorKind::UnexpectedEof => return Ok(contents),
                Ok(None) => return Ok(contents),
                Err(error) => return Err(Stopped::Io(error)),
            };
            match item {
                Item::Hole { from, to, cut } => {
                    self.read(to - from);
                    if newest && to == length && is_torn(segment, from, to, cut).map_err(Stopped::Io)? {
                        self.result.unfinished_octets += to - from;
                    } else {
                        let what = format!("{} octets that are no record", to - from);
                        self.damage(Some(segment.number), Some(from), None, what);
                    }
                }
                Item::Record(place, header, payload) => {
                    self.result.records += 1;
                    self.read(header.total());
                    match payload {
                        Payload::Sound(payload) => self.record(place, &header, &payload, &mut contents),
                        _ => self.damaged_record(place, &header),
                    }
                }
            }
        }
    }

    fn read(&mut self, octets: u64) {
        self.result.octets += octets;
        (self.tell)(Finding::Progress { read: self.result.octets, of: self.of });
    }

    fn record(&mut self, place: Place, header: &RecordHeader, payload: &[u8], contents: &mut Contents) {
        let id = header.id;
        match header.kind {
            Kind::Body => {
                self.pieces.insert(place, Piece { id, length: header.length, crc: header.payload_crc });
            }
            Kind::Accepted => match Accepted::decode(payload) {
                Some(accepted) => {
                    let (oldest, footprint) = (accepted.oldest(place), accepted.footprint(header.length));
                    contents.accepted(id, &Entry { accepted: place, state: None, oldest, footprint });
                    let live = self.accepted(id, &accepted);
                    self.live.insert(id, live);
                }
                None => self.unreadable(place, header),
            },
            Kind::State => {
                contents.state(id, place, State::due_of(payload).unwrap_or_default());
                let recipients = self.live.get(&id).filter(|live| live.recipients > 0).map(|live| live.recipients);
                let fits = |state: State| recipients.is_none_or(|recipients| state.recipients.len() == recipients);
                if !State::decode(payload).is_some_and(fits) {
                    self.unreadable(place, header);
                }
            }
            Kind::Done => {
                contents.done(id);
                self.live.remove(&id);
            }
            Kind::Contents => {}
        }
    }

    /// The message as its Accepted record has it, held against the pieces that were met.
    fn accepted(&mut self, id: MessageId, accepted: &Accepted) -> Live {
        let mut text = crc32fast::Hasher::new();
        let (mut size, mut missing) = (0_u64, BTreeSet::new());
        for extent in &accepted.extents {
            match self.pieces.remove(&extent.place) {
                Some(piece) if (piece.id, piece.length) == (id, extent.length) => {
                    size += u64::from(piece.length);
                    text.combine(&crc32fast::Hasher::new_with_initial_len(piece.crc, piece.length.into()));
                }
                _ => drop(missing.insert(extent.place.segment)),
            }
        }
        let envelope = Envelope::decode(&accepted.envelope);
        let why = match &envelope {
            Err(error) => Some(format!("its envelope cannot be read: {error}")),
            Ok(_) if !missing.is_empty() => Some("a piece of its text is missing or damaged".to_owned()),
            Ok(_) if (size, text.finalize()) != (accepted.size, accepted.crc) => {
                Some("its text as a whole has a wrong checksum".to_owned())
            }
            Ok(_) => None,
        };
        Live {
            recipients: envelope.map_or(0, |envelope| envelope.recipients.len()),
            trouble: why.map(|why| (why, missing)),
        }
    }

    fn unreadable(&mut self, place: Place, header: &RecordHeader) {
        self.bad_record(place, header, "cannot be read");
    }

    fn damaged_record(&mut self, place: Place, header: &RecordHeader) {
        self.bad_record(place, header, "has a wrong checksum");
    }

    fn bad_record(&mut self, place: Place, header: &RecordHeader, how: &str) {
        let follows = match header.kind {
            Kind::State => "; recipients who have the message may get it again",
            Kind::Contents => "; the next start reads the segment before it",
            Kind::Body | Kind::Accepted | Kind::Done => "",
        };
        if header.kind == Kind::Accepted {
            let trouble = Some((format!("its Accepted record {how}"), BTreeSet::new()));
            self.live.insert(header.id, Live { recipients: 0, trouble });
        }
        let message = (header.kind != Kind::Contents).then_some(header.id);
        let octet = Some(u64::from(place.offset));
        self.damage(Some(place.segment), octet, message, format!("its {:?} record {how}{follows}", header.kind));
    }

    /// Tells of the messages that wait and cannot be delivered.
    fn messages(mut self, first: Option<u32>) -> io::Result<Verification> {
        let now = segment::list(self.log)?.first().copied();
        // What has been given back since the beginning: the message has been moved or delivered meanwhile.
        let given_back =
            |segment: &u32| first.is_some_and(|first| first <= *segment) && now.is_some_and(|now| *segment < now);
        let live = std::mem::take(&mut self.live);
        let mut troubled = Vec::new();
        for (id, live) in live {
            match live.trouble {
                None => self.result.messages += 1,
                Some((_, missing)) if missing.iter().any(given_back) => {}
                Some((why, _)) => troubled.push((id, why)),
            }
        }
        troubled.sort_unstable();
        for (id, why) in troubled {
            self.damage(None, None, Some(id), format!("{why}; it cannot be delivered"));
        }
        Ok(self.result)
    }
}
