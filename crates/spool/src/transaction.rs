//! A message on its way into the spool.

use bytes::{Bytes, BytesMut};
use delivery::Origin;
use policy::Authorized;
use protocol::Envelope;

use crate::clock::Clock;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::store::record::{Accepted, Extent, MAX_BODY};
use crate::store::{Change, Hold, NewMessage, Store, Write};

/// A message on its way in. Dropped without [`commit`](Self::commit), it leaves nothing.
#[derive(Debug)]
pub struct Transaction {
    store: Store,
    clock: Clock,
    id: MessageId,
    envelope: Envelope,
    origin: Origin,
    /// What is not written yet, at most [`MAX_BODY`].
    buffer: BytesMut,
    extents: Vec<Extent>,
    hold: Option<Hold>,
    size: u64,
    crc: crc32fast::Hasher,
    /// A write is under way. Still set afterwards, it failed or was given up, and a piece may be missing.
    broken: bool,
}

impl Transaction {
    pub(crate) fn new(store: Store, clock: Clock, envelope: Envelope, origin: Origin) -> Self {
        let id = store.ids().next(clock.now_micros());
        Self::with_id(id, store, clock, envelope, origin)
    }

    pub(crate) fn with_id(id: MessageId, store: Store, clock: Clock, envelope: Envelope, origin: Origin) -> Self {
        Self {
            store,
            clock,
            id,
            envelope,
            origin,
            buffer: BytesMut::new(),
            extents: Vec::new(),
            hold: None,
            size: 0,
            crc: crc32fast::Hasher::new(),
            broken: false,
        }
    }

    /// What the message is called from here on: for `Received`, and for the reply.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Octets so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends to the text: lines ending with CRLF, without dot-stuffing. Keeps at most 64 KiB in memory.
    ///
    /// # Errors
    /// When the disk is full or fails. The transaction is of no more use then.
    pub async fn write(&mut self, mut octets: &[u8]) -> Result<(), SpoolError> {
        if self.broken {
            return Err(SpoolError::Broken);
        }
        self.size = self.size.saturating_add(octets.len() as u64);
        self.crc.update(octets);
        while !octets.is_empty() {
            if self.buffer.len() == MAX_BODY {
                self.append().await?;
            }
            let room = MAX_BODY.saturating_sub(self.buffer.len()).min(octets.len());
            let (head, tail) = octets.split_at(room);
            self.buffer.extend_from_slice(head);
            octets = tail;
        }
        Ok(())
    }

    async fn append(&mut self) -> Result<(), SpoolError> {
        self.broken = true;
        let text = self.buffer.split().freeze();
        let piece = self.store.append(self.id, text, self.hold.is_none()).await?;
        self.extents.push(piece.extent);
        self.hold = self.hold.take().or(piece.hold);
        self.broken = false;
        Ok(())
    }

    /// Accepts the message, which its header's author may send. When this returns, it is on disk and will be delivered.
    ///
    /// # Errors
    /// When the disk is full or fails; the message is then not accepted. When the future is dropped, it may be or not.
    pub async fn commit(self, _: &Authorized) -> Result<MessageId, SpoolError> {
        self.commit_with(Vec::new(), false).await
    }

    /// Accepts the message together with changes to others, all or none.
    pub(crate) async fn commit_with(
        self,
        changes: Vec<(MessageId, Change)>,
        essential: bool,
    ) -> Result<MessageId, SpoolError> {
        if self.broken {
            return Err(SpoolError::Broken);
        }
        let accepted = Accepted {
            arrived: self.clock.now(),
            size: self.size,
            crc: self.crc.finalize(),
            extents: self.extents,
            envelope: self.envelope.encode(),
            origin: self.origin.to_string(),
        };
        let tail: Bytes = self.buffer.freeze();
        let message = NewMessage { id: self.id, accepted, tail, hold: self.hold, moved: None };
        self.store.write(Write { message: Some(message), changes, essential }).await?;
        Ok(self.id)
    }
}
