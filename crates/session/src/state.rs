//! Where a session stands: RFC 5321 section 4.1.4, the order of commands, as types. A handler takes the state it needs
//! and returns the next; what a state holds is gone when it is left.

use crate::data::Chunks;
use crate::transaction::{Hello, Transaction};

pub(crate) enum State {
    /// Connected, or TLS has begun: the client has not said who it is.
    Greeted,
    /// EHLO or HELO was answered; no transaction is open.
    Ready(Hello),
    /// MAIL was accepted; recipients follow.
    Mail(Box<Transaction>),
    /// BDAT without LAST was accepted; chunks follow.
    Chunking(Box<Chunks>),
}

impl State {
    /// Whether a stop must wait for this to end.
    pub(crate) fn in_transaction(&self) -> bool {
        matches!(self, Self::Mail(_) | Self::Chunking(_))
    }

    /// Drops the transaction, if there is one; RSET, and a transaction's end.
    pub(crate) fn reset(self) -> Self {
        match self {
            Self::Greeted => Self::Greeted,
            Self::Ready(hello) => Self::Ready(hello),
            Self::Mail(transaction) => Self::Ready(transaction.hello),
            Self::Chunking(chunks) => Self::Ready(chunks.into_hello()),
        }
    }

    /// Replies may be UTF-8: the client said SMTPUTF8 at MAIL (RFC 6531 section 3.7.4.2).
    pub(crate) fn smtputf8(&self) -> bool {
        matches!(self, Self::Mail(transaction) if transaction.envelope.smtputf8)
    }
}
