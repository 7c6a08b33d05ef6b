//! From octets to lines, messages and replies, and back: where each begins and ends, and nothing of what it says.
//!
//! The server reads with [`Inbound`], [`DataDecoder`] and [`ChunkDecoder`], the client with [`ReplyParser`] and writes
//! with [`DotStuffer`]. CRLF alone ends a line (RFC 5321 section 2.3.8). A CR or LF without the other is never taken for
//! a line end and never passed on, for hops that disagree about them can be made to see different messages (SMTP
//! smuggling).

mod chunk;
mod content;
mod data;
mod inbound;
mod replies;
mod stuffing;

pub use chunk::ChunkDecoder;
pub use content::Violation;
pub use data::{DataDecoder, Progress};
pub use inbound::{Inbound, LineError};
pub use replies::{ReplyError, ReplyParser};
pub use stuffing::DotStuffer;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

#[cfg(test)]
mod tests;
