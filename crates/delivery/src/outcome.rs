//! What came of an attempt, recipient by recipient.

use client::{Cause, Host};
use protocol::Reply;

/// What has been done with a message that was taken, which says whose business notices of success are (RFC 3461 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is where its reader finds it (RFC 3464 section 2.3.3, `delivered`): a mailbox, or the LMTP server before it.
    Delivered,
    /// It goes on, the DSN parameters with it: the next hop's business.
    RelayedWithDsn,
    /// It goes on, and what the sender asked for does not (`relayed`).
    Relayed,
}

/// What came of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop has taken the message and answers for it from here.
    Delivered {
        /// Who took it; `None` where it has not left this machine, for a Maildir.
        host: Option<Host>,
        /// Its words.
        reply: Reply,
        /// What it is to them.
        taken: Taken,
    },
    /// The same may work later.
    Deferred(Cause),
    /// The same will not work.
    Failed(Cause),
}
