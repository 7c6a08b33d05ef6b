//! What can go wrong in the demo's parts.

use std::io;
use std::path::{Path, PathBuf};

/// Why a part of the demo did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// A file or folder of the demo could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cryptographic library refused to make, read or use a key; it gives no reasons.
    #[error("the cryptographic library refused to {0}")]
    Crypto(&'static str),
    /// A PEM file does not hold what its name promises.
    #[error("{}: {what}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// The TLS settings cannot be used.
    #[error("TLS settings: {0}")]
    Tls(#[from] rustls::Error),
    /// The connection failed; the step says at what.
    #[error("{step}: {source}")]
    Connection {
        /// What was being done.
        step: &'static str,
        /// What the system or TLS said.
        source: io::Error,
    },
    /// The other side took too long; the step says with what.
    #[error("{0}: timed out")]
    TimedOut(&'static str),
    /// The other side closed the connection; the step says at what.
    #[error("{0}: the connection was closed")]
    Closed(&'static str),
    /// The other side sent what is not an SMTP reply, or too much of it.
    #[error("not an SMTP reply: {0}")]
    NotAReply(String),
}

impl DemoError {
    /// For `map_err`: names the file that a system call was about.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }

    /// For `map_err`: names the step of a conversation.
    pub(crate) fn connection(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Connection { step, source }
    }
}
