//! A file with one secret in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Octets of a secret at most.
pub const MAX_SECRET: usize = 4096;

/// The content of a file, without the newline at its end. The error names the file, and repeats nothing of it.
///
/// # Errors
/// When it cannot be read, is empty, or longer than a secret.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    // A buffer that never moves, so that no copy is left behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 2));
    let file = File::open(path).map_err(told)?;
    file.take(MAX_SECRET as u64 + 2).read_to_end(&mut secret).map_err(told)?;
    while secret.last().is_some_and(|octet| matches!(octet, b'\n' | b'\r')) {
        secret.pop();
    }
    match secret.len() {
        0 => Err(format!("{}: there is no password in it", path.display())),
        length if length > MAX_SECRET => Err(format!("{}: longer than a password", path.display())),
        _ => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let longest = "x".repeat(MAX_SECRET);
        for (content, expected) in [
            ("hunter2\n", Ok("hunter2")),
            ("two words \r\n\n", Ok("two words ")),
            ("\n", Err("there is no password in it")),
            (&*longest, Ok(&*longest)),
            (&format!("{longest}y"), Err("longer than a password")),
        ] {
            std::fs::write(file.path(), content).unwrap();
            match (read(file.path()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_slice(), expected.as_bytes()),
                (Err(found), Err(expected)) => {
                    assert!(found.contains(expected) && !found.contains("hunter2"), "{found}")
                }
                (found, _) => panic!("{content:?}: {}", found.is_ok()),
            }
        }
    }
}
