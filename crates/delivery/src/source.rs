//! Where the octets of a message come from.

use std::future::Future;
use std::io;

use bytes::Bytes;

/// A message that can be read more than once, piece by piece, so that its size costs no memory.
pub trait MessageSource: Send {
    /// Octets of the whole message.
    fn size(&self) -> u64;

    /// Starts again from the first octet: a host that failed half-way leaves the message for the next one.
    fn rewind(&mut self);

    /// The next piece, `None` after the last. The text is CRLF lines without dot-stuffing.
    ///
    /// # Errors
    /// When the message cannot be read. The attempt then ends without the final dot, and nobody gets half a message.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// A message with fields on top that it gets for this delivery.
pub(crate) struct Prefixed<'a, S> {
    prefix: Bytes,
    told: bool,
    message: &'a mut S,
}

impl<'a, S: MessageSource> Prefixed<'a, S> {
    pub(crate) fn new(prefix: String, message: &'a mut S) -> Self {
        Self { told: prefix.is_empty(), prefix: prefix.into(), message }
    }
}

impl<S: MessageSource> MessageSource for Prefixed<'_, S> {
    fn size(&self) -> u64 {
        self.message.size().saturating_add(self.prefix.len() as u64)
    }

    fn rewind(&mut self) {
        self.told = self.prefix.is_empty();
        self.message.rewind();
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if !std::mem::replace(&mut self.told, true) {
            return Ok(Some(self.prefix.clone()));
        }
        self.message.next().await
    }
}

/// A message in memory.
#[derive(Debug, Clone)]
pub struct InMemory {
    message: Bytes,
    read: bool,
}

impl InMemory {
    /// The whole message, CRLF lines.
    #[must_use]
    pub fn new(message: Bytes) -> Self {
        Self { message, read: false }
    }
}

impl MessageSource for InMemory {
    fn size(&self) -> u64 {
        self.message.len() as u64
    }

    fn rewind(&mut self) {
        self.read = false;
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        Ok((!std::mem::replace(&mut self.read, true)).then(|| self.message.clone()))
    }
}
