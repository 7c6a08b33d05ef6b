//! What an administrator can have done to a message in the queue.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::error::SpoolError;
use crate::id::MessageId;
use crate::store::ReadError;

/// An order for a message, and who waits for what it comes to.
pub(crate) type Ordered = (MessageId, Order, oneshot::Sender<Result<(), OrderError>>);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Try it now.
    Retry,
    /// No attempt before it is released.
    Hold,
    /// Held no longer.
    Release,
    /// Give it up, and tell the sender.
    Bounce,
    /// Give it up, and tell nobody.
    Delete,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The message has been dealt with.
    #[error("it is not in the queue")]
    Gone,
    /// It is held, and cannot be tried.
    #[error("it is held: release it first")]
    Held,
    /// Nobody delivers.
    #[error("delivery has been stopped")]
    Stopped,
    /// The message cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It could not be written down.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl From<ReadError> for OrderError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone => Self::Gone,
            ReadError::Damaged(why) => Self::Unreadable(why),
            ReadError::Io(error) => Self::Unreadable(error.to_string()),
        }
    }
}
