//! What came of an attempt, recipient by recipient.

use client::{Cause, Host};
use protocol::Reply;

/// What came of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop has taken the message and answers for it from here.
    Delivered {
        /// Who took it.
        host: Host,
        /// Its words.
        reply: Reply,
        /// The DSN parameters went along (RFC 3461 section 4), so that success notices are the next hop's business too.
        dsn: bool,
    },
    /// The same may work later.
    Deferred(Cause),
    /// The same will not work.
    Failed(Cause),
}
