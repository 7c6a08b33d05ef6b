//! SMTP words without sockets: commands, replies, addresses, envelopes, framing, extensions.
//!
//! Nothing here reads, writes or waits. The server (`session`) and the client (`client`) feed bytes in and take
//! words out, and the fuzz targets use the same doors.

pub mod framing;
pub mod proxy;
pub mod command;
pub mod extensions;
pub mod header;
pub mod envelope;
pub mod transaction;
pub mod parameters;
pub mod xtext;
pub mod reply;
pub mod address;

pub use address::{AddressError, Domain, ForwardPath, MailPattern, MailPatternError, Mailbox, ReversePath};
pub use command::{Command, CommandError};
pub use envelope::{Envelope, Recipient};
pub use extensions::Extensions;
pub use framing::{ChunkDecoder, DataDecoder, DotStuffer, Inbound, LineError, ReplyParser, Violation};
pub use parameters::{Body, EnvelopeId, Notify, OriginalRecipient, ParameterError, Return, Submitter};
pub use reply::{EnhancedCode, Reply};
pub use transaction::{Mail, Rcpt, TransactionError};
