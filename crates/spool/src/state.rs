//! How far the delivery of one message is, recipient by recipient, and its form in the log.

use delivery::Cause;
use protocol::EnhancedCode;

use crate::clock::Millis;
use crate::encoding::{Reader, put_octets};

/// Long enough for a reply of two full lines; what a next hop says beyond that nobody reads.
const MAX_TEXT: usize = 1024;
/// When a held message is due.
pub(crate) const NEVER: Millis = Millis::MAX;
/// "No note" in the log.
const NONE: u32 = u32::MAX;

/// How far the delivery is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// One for each recipient of the envelope, in its order.
    pub(crate) recipients: Vec<Progress>,
    /// An administrator holds it: no attempt before it is released.
    pub(crate) held: bool,
}

/// How far one recipient is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    pub(crate) status: Status,
    pub(crate) attempts: u32,
    /// Not before this.
    pub(crate) next: Millis,
    /// What came of the last attempt, unless it succeeded.
    pub(crate) last: Option<Note>,
    /// The sender has been told that it takes long.
    pub(crate) delay_told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Pending,
    Delivered,
    /// Given up; the sender has been told, or did not want to be.
    Failed,
}

/// What there is to tell of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) status: EnhancedCode,
    /// Name or address of the next hop, empty when none was asked.
    pub(crate) host: String,
    /// The next hop's reply, empty when it gave none.
    pub(crate) reply: String,
    /// The whole story in one line.
    pub(crate) text: String,
}

impl Note {
    pub(crate) fn new(cause: &Cause) -> Self {
        Self {
            status: cause.status(),
            host: cause.host.as_ref().map(delivery::Host::address).unwrap_or_default(),
            reply: cut(cause.reply().map(ToString::to_string).unwrap_or_default()),
            text: cut(cause.to_string()),
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

impl State {
    /// Nothing tried yet.
    pub(crate) fn fresh(recipients: usize) -> Self {
        Self { recipients: vec![Progress::default(); recipients], held: false }
    }

    /// Whoever was put off beyond this is due now. No wait is that long: the clock has been set back since, over a restart.
    pub(crate) fn end_waits_beyond(&mut self, latest: Millis) {
        for progress in self.recipients.iter_mut().filter(|progress| progress.next > latest) {
            progress.next = 0;
        }
    }

    /// When the next attempt is due, [`NEVER`] when the message is held; `None` when every recipient is served or given up.
    pub(crate) fn due(&self) -> Option<Millis> {
        let next = self.pending().map(|(_, progress)| progress.next).min()?;
        Some(if self.held { NEVER } else { next })
    }

    /// The recipients still to be served.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (usize, &Progress)> {
        self.recipients.iter().enumerate().filter(|(_, progress)| progress.status == Status::Pending)
    }

    /// `due` comes first: the recovery reads no further. Recipients of one attempt share their note.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut notes: Vec<&Note> = Vec::new();
        let mut out = Vec::new();
        out.extend_from_slice(&self.due().unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.recipients.len()).unwrap_or(u32::MAX).to_le_bytes());
        for progress in &self.recipients {
            let note = progress.last.as_ref().map_or(NONE, |note| {
                let known = notes.iter().rposition(|known| *known == note);
                let at = known.unwrap_or_else(|| {
                    notes.push(note);
                    notes.len() - 1
                });
                u32::try_from(at).unwrap_or(NONE)
            });
            out.push(match progress.status {
                Status::Pending => b'p',
                Status::Delivered => b'd',
                Status::Failed => b'f',
            });
            out.extend_from_slice(&progress.attempts.to_le_bytes());
            out.extend_from_slice(&progress.next.to_le_bytes());
            out.extend_from_slice(&note.to_le_bytes());
        }
        out.extend_from_slice(&u32::try_from(notes.len()).unwrap_or(u32::MAX).to_le_bytes());
        for note in notes {
            let EnhancedCode(class, subject, detail) = note.status;
            [u16::from(class), subject, detail].iter().for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
            put_octets(note.host.as_bytes(), &mut out);
            put_octets(note.reply.as_bytes(), &mut out);
            put_octets(note.text.as_bytes(), &mut out);
        }
        out.push(u8::from(self.held));
        out.extend(self.recipients.iter().map(|progress| u8::from(progress.delay_told)));
        out
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader(octets);
        let _due = reader.u64()?;
        let mut recipients = Vec::new();
        for _ in 0..reader.u32()? {
            let status = match reader.u8()? {
                b'p' => Status::Pending,
                b'd' => Status::Delivered,
                b'f' => Status::Failed,
                _ => return None,
            };
            recipients.push((status, reader.u32()?, reader.u64()?, reader.u32()?));
        }
        let mut notes = Vec::new();
        for _ in 0..reader.u32()? {
            let status = EnhancedCode(u8::try_from(reader.u16()?).ok()?, reader.u16()?, reader.u16()?);
            let mut text = || String::from_utf8(reader.octets()?.to_vec()).ok();
            notes.push(Note { status, host: text()?, reply: text()?, text: text()? });
        }
        // Earlier versions wrote no more.
        let held = reader.u8() == Some(1);
        let mut progress = |(status, attempts, next, note): (Status, u32, Millis, u32)| {
            let last = match note {
                NONE => None,
                at => Some(notes.get(usize::try_from(at).ok()?)?.clone()),
            };
            Some(Progress { status, attempts, next, last, delay_told: reader.u8() == Some(1) })
        };
        Some(Self { recipients: recipients.into_iter().map(&mut progress).collect::<Option<_>>()?, held })
    }

    /// The `due` of an encoded state.
    pub(crate) fn due_of(octets: &[u8]) -> Option<Millis> {
        Reader(octets).u64()
    }
}
