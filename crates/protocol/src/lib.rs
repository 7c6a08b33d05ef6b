//! SMTP words without sockets: commands, replies, addresses, envelopes, framing, extensions.
//!
//! Nothing here reads, writes or waits. The server (`session`) and the client (`delivery`) feed bytes in and take
//! words out, and the fuzz targets use the same doors.

pub mod framing;
pub mod proxy;
pub mod command;
pub mod extensions;
pub mod envelope;
pub mod header;
pub mod reply;
pub mod address;

pub use address::{AddressError, Domain, Mailbox, ReversePath};
pub use command::{Command, CommandError};
pub use envelope::{Body, Envelope, Recipient};
pub use reply::{EnhancedCode, Reply};
