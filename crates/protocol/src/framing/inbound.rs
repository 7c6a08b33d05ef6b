//! What the client sent and nobody has taken yet.

use std::fmt;

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr2};

use super::chunk::ChunkDecoder;
use super::data::{DataDecoder, Progress};
use super::{CR, LF};

/// More than this of one line and its sender is not speaking SMTP, octets.
const DRAIN_LIMIT: usize = 1 << 20;

/// Why there is no line to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Over the limit; the line is gone, to its CRLF: 500 5.5.2 (RFC 5321 section 4.5.3.1.4), and on with the next.
    #[error("the line is too long")]
    TooLong,
    /// Over a mebibyte without CRLF: 500 5.5.2 and close.
    #[error("the line has no end")]
    Endless,
    /// A CR without LF in the line. What follows it may be smuggled: 500 5.5.2 and close.
    #[error("a CR without LF in a command line")]
    BareCr,
    /// A LF without CR in the line. What follows it may be smuggled: 500 5.5.2 and close.
    #[error("a LF without CR in a command line")]
    BareLf,
}

impl LineError {
    /// Whether the position in the stream can no longer be trusted, so that the connection has to go.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        self != Self::TooLong
    }
}

/// The server's input buffer, of bounded size.
pub struct Inbound {
    buffer: BytesMut,
    capacity: usize,
    /// So far there is neither CR nor LF in the buffer.
    scanned: usize,
    /// Octets thrown away of a line that is too long, while its end is looked for.
    drained: Option<usize>,
}

impl fmt::Debug for Inbound {
    /// Without the octets: there may be a password among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("pending", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Inbound {
    /// A buffer that never holds more than `capacity` octets; memory is taken when octets come.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { buffer: BytesMut::new(), capacity, scanned: 0, drained: None }
    }

    /// Room for the next read (tokio's `read_buf`): `want` octets, or what the capacity leaves. After lines were asked
    /// for until `None`, or a decoder for all it takes, there is always room.
    ///
    /// A buffer that is empty and much larger than `want` is given back first, so idle sessions stay small.
    pub fn space(&mut self, want: usize) -> Limit<&mut BytesMut> {
        if self.buffer.is_empty() && self.buffer.capacity() / 4 > want {
            self.buffer = BytesMut::new();
        }
        let room = want.min(self.capacity.saturating_sub(self.buffer.len()));
        self.buffer.reserve(room);
        (&mut self.buffer).limit(room)
    }

    /// Appends `octets`, as many as there is room for, and says how many. For those who do not read from a socket.
    pub fn extend(&mut self, octets: &[u8]) -> usize {
        let room = self.capacity.saturating_sub(self.buffer.len()).min(octets.len());
        self.buffer.extend_from_slice(octets.get(..room).unwrap_or_default());
        room
    }

    /// Nothing is waiting. After STARTTLS it has to be so: what came before the handshake was not protected
    /// (RFC 3207 section 4.2).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What is waiting, untaken.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes `count` octets away, a PROXY header perhaps.
    pub fn consume(&mut self, count: usize) {
        self.buffer.advance(count.min(self.buffer.len()));
        self.scanned = 0;
    }

    /// Takes the next line, without its CRLF; `None` when it is not all there yet. `limit` counts octets with the CRLF
    /// and is at most the capacity.
    ///
    /// # Errors
    /// When the line is too long or has a bare CR or LF; see [`LineError::is_fatal`].
    pub fn next_line(&mut self, limit: usize) -> Result<Option<Bytes>, LineError> {
        if self.drained.is_some() {
            return self.drain();
        }
        let limit = limit.min(self.capacity);
        let found = self.buffer.get(self.scanned..).and_then(|rest| memchr2(CR, LF, rest));
        let end = found.map_or(self.buffer.len(), |offset| self.scanned + offset);
        self.scanned = end;
        // Too long comes before all else, so that it does not depend on how the line was cut into reads.
        if end + 2 > limit {
            return self.drain();
        }
        let error = match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (None, _) | (Some(&CR), None) => return Ok(None),
            (Some(&CR), Some(&LF)) => return Ok(Some(self.take(end + 2).slice(..end))),
            (Some(&CR), Some(_)) => LineError::BareCr,
            _ => LineError::BareLf,
        };
        self.consume(end + 1);
        Err(error)
    }

    /// Decodes content after DATA into `out`; true at its end.
    pub fn decode_data(&mut self, decoder: &mut DataDecoder, out: &mut Vec<u8>) -> bool {
        match decoder.push(&self.buffer, out) {
            Progress::More => {
                self.consume(self.buffer.len());
                false
            }
            Progress::End(consumed) => {
                self.consume(consumed);
                true
            }
        }
    }

    /// Decodes content of the chunk begun into `out`; true at its end.
    pub fn decode_chunk(&mut self, decoder: &mut ChunkDecoder, out: &mut Vec<u8>) -> bool {
        let consumed = decoder.push(&self.buffer, out);
        self.consume(consumed);
        decoder.remaining() == 0
    }

    fn take(&mut self, count: usize) -> Bytes {
        self.scanned = 0;
        self.buffer.split_to(count.min(self.buffer.len())).freeze()
    }

    /// Throws the line away that is too long, as far as it is there.
    fn drain(&mut self) -> Result<Option<Bytes>, LineError> {
        let mut at = 0;
        while let Some(offset) = self.buffer.get(at..).and_then(|rest| memchr(LF, rest)) {
            at += offset + 1;
            if self.buffer.get(..at).is_some_and(|line| line.ends_with(b"\r\n")) {
                self.consume(at);
                self.drained = None;
                return Err(LineError::TooLong);
            }
        }
        // A CR at the end waits for its LF.
        let gone = if self.buffer.last() == Some(&CR) { self.buffer.len() - 1 } else { self.buffer.len() };
        self.consume(gone);
        let drained = self.drained.unwrap_or(0).saturating_add(gone);
        self.drained = Some(drained);
        if drained > DRAIN_LIMIT { Err(LineError::Endless) } else { Ok(None) }
    }
}
