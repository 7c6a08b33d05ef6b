//! What travels beside a message: RFC 5321 section 2.3.1, with the DSN parameters of RFC 3461.

use crate::{Mailbox, ReversePath};

/// RFC 6152 and 3030: what the client says of the content's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// `BODY=7BIT`, or no BODY at all.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// RFC 3461 section 4.3: how much of the message a failure notice brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// `RET=FULL`
    Full,
    /// `RET=HDRS`
    Headers,
}

/// RFC 3461 section 4.1. All false together with `Notify::never` is `NOTIFY=NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`
    pub success: bool,
    /// `FAILURE`
    pub failure: bool,
    /// `DELAY`
    pub delay: bool,
}

/// One RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message is to go.
    pub mailbox: Mailbox,
    /// `NOTIFY=`; `None` when the client did not say.
    pub notify: Option<Notify>,
    /// `ORCPT=`, as given (`rfc822;bob@example.org`, xtext still encoded).
    pub original: Option<String>,
}

/// Everything about a message that is not in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, in order; at least one once DATA is reached.
    pub recipients: Vec<Recipient>,
    /// `BODY=`
    pub body: Body,
    /// `SMTPUTF8` was given (RFC 6531).
    pub smtputf8: bool,
    /// `RET=`
    pub ret: Option<Return>,
    /// `ENVID=`, xtext still encoded.
    pub envid: Option<String>,
}
