//! Secrets: the files that hold one, and what SCRAM-SHA-256 makes of a password for either side. No messages, no sockets.

mod file;
mod private_key;
pub mod scram;

pub use file::{MAX_SECRET, read};
pub use private_key::private_key;
