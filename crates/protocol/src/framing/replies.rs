//! The client's input: replies. RFC 5321 section 4.2.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use super::{CR, LF};
use crate::reply::{EnhancedCode, Reply};

/// RFC 5321 section 4.5.3.1.5 has 512; servers that quote an address or a web page exceed it.
const MAX_LINE: usize = 2048;
const MAX_LINES: usize = 128;
/// Of the buffer, octets: several pipelined replies.
const CAPACITY: usize = 2 * MAX_LINE;

/// Why what the server sent is no reply. The connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line does not begin with a code of 200 to 599 and a space, a hyphen or its end.
    #[error("the server's reply is malformed")]
    Malformed,
    /// RFC 5321 section 4.2.1: "the reply code on each of the lines MUST be the same".
    #[error("the server's reply changes its code from line to line")]
    CodesDiffer,
    /// Over 2048 octets.
    #[error("a line of the server's reply is too long")]
    LineTooLong,
    /// Over 128.
    #[error("the server's reply has too many lines")]
    TooManyLines,
}

/// Reads replies of one line and of several, in whatever pieces they come.
///
/// More forgiving than the server's side: text may be missing, have any octets (they become `?` or `�`), and a line may
/// end with LF alone, for a reply is no message and nothing is smuggled in it.
#[derive(Debug, Default)]
pub struct ReplyParser {
    buffer: BytesMut,
    reply: Option<Reply>,
}

impl ReplyParser {
    /// For one connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Room for the next read (tokio's `read_buf`). After replies were asked for until `None` there is always room.
    pub fn space(&mut self) -> Limit<&mut BytesMut> {
        let room = CAPACITY.saturating_sub(self.buffer.len());
        self.buffer.reserve(room);
        (&mut self.buffer).limit(room)
    }

    /// Appends `octets`, as many as there is room for, and says how many.
    pub fn extend(&mut self, octets: &[u8]) -> usize {
        let room = CAPACITY.saturating_sub(self.buffer.len()).min(octets.len());
        self.buffer.extend_from_slice(octets.get(..room).unwrap_or_default());
        room
    }

    /// Nothing is waiting, no part of a reply either. After STARTTLS' 220 it has to be so (RFC 3207 section 4.2).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.reply.is_none()
    }

    /// Takes the next reply; `None` when it is not all there yet.
    ///
    /// # Errors
    /// When what came is no reply, or a bound is exceeded.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(line) = self.next_line()? {
            let Line { code, last, text } = Line::parse(&line)?;
            let reply = match self.reply.take() {
                None => {
                    let (enhanced, text) = split_enhanced(code, &text);
                    Reply::new(code, enhanced, text.to_owned())
                }
                Some(reply) if reply.code() != code => return Err(ReplyError::CodesDiffer),
                Some(reply) if reply.lines().len() == MAX_LINES => return Err(ReplyError::TooManyLines),
                Some(reply) => {
                    let (enhanced, rest) = split_enhanced(code, &text);
                    let text = if enhanced == reply.enhanced() { rest } else { text.as_str() };
                    reply.with_line(text.to_owned())
                }
            };
            if last {
                return Ok(Some(reply));
            }
            self.reply = Some(reply);
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, ReplyError> {
        let Some(end) = memchr(LF, &self.buffer) else {
            return if self.buffer.len() < MAX_LINE { Ok(None) } else { Err(ReplyError::LineTooLong) };
        };
        if end >= MAX_LINE {
            return Err(ReplyError::LineTooLong);
        }
        Ok(Some(self.buffer.split_to(end + 1).freeze()))
    }
}

/// One line of a reply.
struct Line {
    code: u16,
    last: bool,
    text: String,
}

impl Line {
    fn parse(line: &[u8]) -> Result<Self, ReplyError> {
        let line = line.strip_suffix(&[LF]).unwrap_or(line);
        let line = line.strip_suffix(&[CR]).unwrap_or(line);
        let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::Malformed)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(ReplyError::Malformed);
        }
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if !(200..600).contains(&code) {
            return Err(ReplyError::Malformed);
        }
        // RFC 5321 section 4.2: the text and its space may be missing.
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyError::Malformed),
        };
        Ok(Self { code, last, text: String::from_utf8_lossy(text).into_owned() })
    }
}

/// The enhanced code `text` begins with, if its class is the code's (RFC 2034 section 4), and the text after it.
fn split_enhanced(code: u16, text: &str) -> (Option<EnhancedCode>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match EnhancedCode::parse(word).filter(|enhanced| u16::from(enhanced.0) == code / 100) {
        Some(enhanced) => (Some(enhanced), rest),
        None => (None, text),
    }
}
