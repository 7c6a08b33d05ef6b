//! Why no connection can even be tried.

use std::io;
use std::path::PathBuf;

/// What TLS is set up from, and cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file of the authorities is no list of certificates.
    #[error("{} holds no CA certificate that can be used: {why}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file of the certificate that this side shows is none.
    #[error("{} cannot be used: {why}", path.display())]
    OwnCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No file was named, on a system that has no authorities.
    #[error("the system's certificate authorities cannot be read ({0}): name a file with ca")]
    SystemAuthorities(String),
    /// The TLS library refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}
