//! A mail transaction: RFC 5321 section 3.3.

use policy::Permit;
use protocol::Envelope;
use protocol::command::ClientName;

use crate::onward::Relaying;

/// What the client called itself.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) name: ClientName,
    /// EHLO, not HELO.
    pub(crate) extended: bool,
}

/// A mail transaction: only a permit opens one.
pub(crate) struct Transaction {
    pub(crate) hello: Hello,
    pub(crate) permit: Permit,
    pub(crate) envelope: Envelope,
    /// `SIZE=`
    pub(crate) size: Option<u64>,
    pub(crate) relaying: Relaying,
}
