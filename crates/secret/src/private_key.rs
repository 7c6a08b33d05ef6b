//! A file with a private key in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Octets of a PEM file at most: above what an RSA key of 16384 bits needs.
const MAX_FILE: usize = 64 * 1024;

/// The key in a PEM file, which is not encrypted and which not everybody on this machine may read. The error names the file,
/// and repeats nothing of it.
///
/// # Errors
/// When it cannot be read, may be read by everybody, or holds no key.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let told = |error: io::Error| wrong(&error);
    let file = File::open(path).map_err(told)?;
    if file.metadata().map_err(told)?.permissions().mode() & 0o007 != 0 {
        return Err(wrong(&"everybody on this machine may read the key: chmod 640"));
    }
    // A buffer that never moves, so that no copy is left behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_FILE + 2));
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut octets).map_err(told)?;
    if octets.len() > MAX_FILE {
        return Err(wrong(&"longer than a key"));
    }
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn what_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (content, mode, expected) in [
            (key.to_owned(), 0o600, None),
            (key.to_owned(), 0o640, None),
            (key.to_owned(), 0o644, Some("everybody on this machine may read the key")),
            (key.to_owned(), 0o602, Some("everybody on this machine may read the key")),
            ("hunter2".to_owned(), 0o600, Some("no items found")),
            (format!("{}{key}", "x\n".repeat(MAX_FILE)), 0o600, Some("longer than a key")),
        ] {
            std::fs::write(file.path(), content).unwrap();
            std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            let error = private_key(file.path()).err();
            match (error, expected) {
                (None, None) => {}
                (Some(error), Some(expected)) => {
                    assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
                }
                (error, expected) => panic!("{error:?} {expected:?}"),
            }
        }
    }
}
