//! What the writer is asked to do.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::index::{Entry, Hold};
use super::record::{Accepted, Extent, RECORD_HEADER};
use crate::clock::Millis;
use crate::error::SpoolError;
use crate::id::MessageId;

pub(crate) type Done<T> = oneshot::Sender<Result<T, SpoolError>>;

/// Work for the writer.
#[derive(Debug)]
pub(crate) enum Job {
    /// A piece of a message not accepted yet; it need not be durable.
    Append {
        id: MessageId,
        text: Bytes,
        /// The transaction has no hold yet.
        first: bool,
        done: Done<Piece>,
    },
    /// What must be durable before the answer.
    Write(Write, Done<()>),
    /// Finish.
    Stop,
}

/// Where a piece is, and the transaction's claim to it.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) extent: Extent,
    pub(crate) hold: Option<Hold>,
}

/// Records that become durable together: the message first, then the changes.
#[derive(Debug, Default)]
pub(crate) struct Write {
    pub(crate) message: Option<NewMessage>,
    pub(crate) changes: Vec<(MessageId, Change)>,
    /// May use the reserve: without this record, space would never come free.
    pub(crate) essential: bool,
}

#[derive(Debug)]
pub(crate) enum Change {
    State(Vec<u8>),
    Done,
}

#[derive(Debug)]
pub(crate) struct NewMessage {
    pub(crate) id: MessageId,
    /// Without the last piece, which is still in `tail`.
    pub(crate) accepted: Accepted,
    pub(crate) tail: Bytes,
    pub(crate) hold: Option<Hold>,
    /// A live message on its way out of an old segment: where it was, and its state. Refused when that has changed.
    pub(crate) moved: Option<(Entry, Option<Vec<u8>>)>,
}

/// A live message and the time of its next attempt, for the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: MessageId,
    pub(crate) at: Millis,
}

impl Job {
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Append { text, .. } => text.len(),
            Self::Write(write, _) => {
                let message = write.message.as_ref().map_or(0, |message| {
                    message.tail.len() + message.accepted.envelope.len() + 12 * message.accepted.extents.len()
                });
                let state = |(_, change): &(_, Change)| if let Change::State(state) = change { state.len() } else { 0 };
                message + write.changes.iter().map(state).sum::<usize>() + RECORD_HEADER * (3 + write.changes.len())
            }
            Self::Stop => 0,
        }
    }

    pub(crate) fn is_essential(&self) -> bool {
        matches!(self, Self::Write(write, _) if write.essential)
    }

    pub(crate) fn fail(self, error: &SpoolError) {
        // Whoever asked may have gone; then nobody is waiting for the answer.
        match self {
            Self::Append { done, .. } => drop(done.send(Err(error.clone()))),
            Self::Write(_, done) => drop(done.send(Err(error.clone()))),
            Self::Stop => {}
        }
    }
}
