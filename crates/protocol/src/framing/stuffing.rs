//! Content on its way out after DATA: RFC 5321 section 4.5.2.

use memchr::memchr2;

use super::{CR, LF};

/// Dot-stuffs content, in pieces of any size.
///
/// A bare CR or LF goes out as CRLF. The server lets none in, so this is for content from elsewhere: whatever it is,
/// no end mark can be smuggled in it (RFC 5321 section 2.3.8).
#[derive(Debug, Clone)]
pub struct DotStuffer {
    last: Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The start, or a line end that is written.
    LineEnd,
    /// A CR that is not written yet.
    Cr,
    Other,
}

impl DotStuffer {
    /// For one message.
    #[must_use]
    pub fn new() -> Self {
        Self { last: Last::LineEnd }
    }

    /// Appends `content` as it goes over the wire to `out`: at most twice as long and two octets more.
    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut rest = content;
        while let Some(&first) = rest.first() {
            if self.last == Last::Cr {
                out.extend_from_slice(b"\r\n");
                self.last = Last::LineEnd;
                if first == LF {
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
            }
            if self.last == Last::LineEnd && first == b'.' {
                out.push(b'.');
            }
            let end = memchr2(CR, LF, rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at(end);
            out.extend_from_slice(line);
            self.last = if line.is_empty() { self.last } else { Last::Other };
            match tail.first() {
                Some(&CR) => self.last = Last::Cr,
                Some(_) => {
                    out.extend_from_slice(b"\r\n");
                    self.last = Last::LineEnd;
                }
                None => {}
            }
            rest = tail.get(1..).unwrap_or_default();
        }
    }

    /// Appends the end mark, after a CRLF when the content has none at its end (RFC 5321 section 4.1.1.4).
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.last != Last::LineEnd {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

impl Default for DotStuffer {
    fn default() -> Self {
        Self::new()
    }
}
