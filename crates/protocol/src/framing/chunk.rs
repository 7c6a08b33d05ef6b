//! The content of BDAT chunks: RFC 3030 section 2.

use memchr::memchr2;

use super::content::{Content, Violation};
use super::{CR, LF};

/// Takes the content out of a message's BDAT chunks. One for a message: a line end may be cut by a chunk's.
///
/// BINARYMIME is not offered, so bare CR and LF are as wrong here as after DATA (RFC 3030 section 3); they end the
/// content, but chunks go on being consumed. NUL passes, as there.
#[derive(Debug, Clone, Default)]
pub struct ChunkDecoder {
    content: Content,
    left: u64,
    /// A CR was held back until its LF is there.
    cr: bool,
    /// The content given out so far is empty or ends with CRLF.
    whole_lines: bool,
}

impl ChunkDecoder {
    /// For one message, before its first chunk.
    #[must_use]
    pub fn new() -> Self {
        Self { whole_lines: true, ..Self::default() }
    }

    /// A chunk of `size` octets follows.
    pub fn begin(&mut self, size: u64) {
        self.left = size;
    }

    /// Octets of the chunk still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.left
    }

    /// Decodes the part of `input` that belongs to the chunk, appends its content to `out` (at most one octet more
    /// than that part has) and says how long the part was. What follows it is the next command's.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let chunk = input.get(..length).unwrap_or(input);
        self.left -= u64::try_from(length).unwrap_or(self.left).min(self.left);
        let mut at = 0;
        if self.cr && !chunk.is_empty() {
            self.cr = false;
            if chunk.first() == Some(&LF) {
                self.content.put(b"\r\n", out);
                self.whole_lines = true;
                at = 1;
            } else {
                self.content.violate(Violation::BareCr);
            }
        }
        self.put_lines(chunk.get(at..).unwrap_or_default(), out);
        length
    }

    fn put_lines(&mut self, lines: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        while self.content.violation.is_none() {
            let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) else {
                return self.content.put(lines, out);
            };
            let Some(found) = memchr2(CR, LF, rest) else {
                self.whole_lines = false;
                return self.content.put(lines, out);
            };
            self.whole_lines &= found == 0;
            at += found;
            let violation = match (rest.get(found), rest.get(found + 1)) {
                (Some(&CR), Some(&LF)) => {
                    at += 2;
                    self.whole_lines = true;
                    continue;
                }
                (Some(&CR), None) => {
                    self.cr = true;
                    return self.content.put(lines.get(..at).unwrap_or_default(), out);
                }
                (Some(&CR), Some(_)) => Violation::BareCr,
                _ => Violation::BareLf,
            };
            self.content.put(lines.get(..at).unwrap_or_default(), out);
            self.content.violate(violation);
        }
    }

    /// The last chunk is over.
    ///
    /// # Errors
    /// When there was a bare CR or LF, the last octet included: the message must be refused.
    pub fn finish(&self) -> Result<(), Violation> {
        match self.content.violation {
            Some(violation) => Err(violation),
            None if self.cr => Err(Violation::BareCr),
            None => Ok(()),
        }
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

    /// The first bare CR or LF so far.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.content.violation
    }

    /// Whether the content is empty or ends with CRLF. Chunks need not; DATA to the next hop does.
    #[must_use]
    pub fn ends_with_crlf(&self) -> bool {
        self.whole_lines && !self.cr
    }
}
