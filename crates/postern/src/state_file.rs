//! JSON in `state_dir`, read when the gateway starts, written while it runs and when it stops.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Larger than any that is written.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What an earlier gateway wrote; `None` where there was none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let refuse = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(&error)),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text).map_err(|error| refuse(&error))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| refuse(&error))
}

/// Writes it in one step: there is always a whole one.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    // Only its owner can read it: it has names.
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    serde_json::to_writer(&mut file, content)?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Out of the way, for somebody to look at: counts are worth less than a start.
pub(crate) fn put_aside(path: &Path, what: &'static str, error: &io::Error) {
    let aside = path.with_extension("unreadable.json");
    tracing::warn!(%error, aside = %aside.display(), "{what} cannot be read; counting begins anew");
    if let Err(error) = fs::rename(path, aside) {
        tracing::warn!(%error, "and they cannot be put aside");
    }
}
