//! Secrets: the files that hold one, and what SCRAM-SHA-256 makes of a password for either side. No messages, no sockets.

mod file;
pub mod scram;

pub use file::{MAX_SECRET, read};
