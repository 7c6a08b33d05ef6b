//! The content after DATA: RFC 5321 sections 4.1.1.4 and 4.5.2.

use memchr::memchr2;

use super::content::{Content, Violation};
use super::{CR, LF};

/// How far [`DataDecoder::push`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input was content; more is to come.
    More,
    /// The end mark was reached after this many octets of input. The rest is the next command's.
    End(usize),
}

/// Takes content out of its dot-stuffing, up to CRLF `.` CRLF.
///
/// After a bare CR or LF no more content comes out, but the decoder goes on to the true end, so that the session can
/// refuse the message and go on. Octets are as the client sent them, NUL included: RFC 5321 excludes none, and none
/// but CR and LF bear on where a message ends.
#[derive(Debug, Clone)]
pub struct DataDecoder {
    state: State,
    content: Content,
}

/// What came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A CRLF, or DATA's own.
    LineStart,
    /// Anything else.
    Text,
    /// A CR in a line; held back until its LF is there.
    Cr,
    /// A dot at the start of a line; it is stuffing or the end mark, never content.
    Dot,
    /// The same, and a CR.
    DotCr,
}

impl DataDecoder {
    /// For one message, from the octet after DATA's line on.
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::LineStart, content: Content::default() }
    }

    /// Decodes `input` and appends the content to `out`, at most one octet more than `input` has.
    ///
    /// The same octets give the same content however they are cut into calls.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        // input[kept..at] is content that was looked at but not yet put.
        let mut kept = 0;
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            let first = rest.first().copied();
            match (self.state, first) {
                (State::LineStart, Some(b'.')) => {
                    self.put(input, kept, at, out);
                    at += 1;
                    kept = at;
                    self.state = State::Dot;
                }
                (State::LineStart | State::Text, _) => {
                    self.state = State::Text;
                    let Some(found) = memchr2(CR, LF, rest) else {
                        at = input.len();
                        break;
                    };
                    at += found;
                    match (rest.get(found), rest.get(found + 1)) {
                        (Some(&CR), Some(&LF)) => {
                            at += 2;
                            self.state = State::LineStart;
                        }
                        (Some(&CR), None) => {
                            self.put(input, kept, at, out);
                            at += 1;
                            kept = at;
                            self.state = State::Cr;
                        }
                        (end, _) => {
                            self.put(input, kept, at, out);
                            self.content.violate(if end == Some(&CR) { Violation::BareCr } else { Violation::BareLf });
                            at += 1;
                        }
                    }
                }
                (State::Cr, Some(LF)) => {
                    self.content.put(b"\r\n", out);
                    at += 1;
                    kept = at;
                    self.state = State::LineStart;
                }
                (State::Dot, Some(CR)) => {
                    at += 1;
                    kept = at;
                    self.state = State::DotCr;
                }
                (State::DotCr, Some(LF)) => return Progress::End(at + 1),
                // RFC 5321 section 4.5.2: a dot before anything else than the line's end is deleted.
                (State::Dot, _) => self.state = State::Text,
                (State::Cr | State::DotCr, _) => {
                    self.content.violate(Violation::BareCr);
                    self.state = State::Text;
                }
            }
        }
        self.put(input, kept, at, out);
        Progress::More
    }

    fn put(&mut self, input: &[u8], from: usize, to: usize, out: &mut Vec<u8>) {
        self.content.put(input.get(from..to).unwrap_or_default(), out);
    }

    /// Content from here on is counted but not given out: for a message that is refused already.
    pub fn discard(&mut self) {
        self.content.discarding = true;
    }

    /// Octets of content so far, discarded ones included; nothing after a violation counts.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.content.length
    }

    /// The first bare CR or LF. With one, the message must be refused.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.content.violation
    }
}

impl Default for DataDecoder {
    fn default() -> Self {
        Self::new()
    }
}
