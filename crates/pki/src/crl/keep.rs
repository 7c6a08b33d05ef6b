//! The last good state of each source on disk, so that a restart begins with it whatever the network says. Blocks.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::certificate::sha256;
use crate::crl::state::{Stamp, State};
use crate::fetch::fetcher::Validators;
use crate::hex;
use crate::location::Location;

/// A folder of kept lists, two files for each source: what was read, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    folder: PathBuf,
}

/// What was kept of a source.
pub(crate) struct Kept {
    pub(crate) file: File,
    pub(crate) octets: u64,
    /// Where it came from, and in which state that was; `None` where the note is lost.
    pub(crate) origin: Option<(Location, State)>,
}

/// Downloads under way have names of this beginning.
const UNFINISHED: &str = ".fetch-";
/// An unfinished one older than this is nobody's any more.
const MAX_DOWNLOAD: Duration = Duration::from_secs(3600);

impl Keep {
    /// The folder, which need not be there yet: reading changes nothing.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Makes the folder if need be, and removes what a process that was killed has left unfinished.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > MAX_DOWNLOAD));
            if is_old && entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file for a download: gone when it is dropped, unless it is kept.
    pub(crate) fn download(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)
    }

    /// Keeps a download, in place of what was kept of this source before.
    pub(crate) fn keep(
        &self,
        source: &str,
        download: NamedTempFile,
        location: &Location,
        state: &State,
    ) -> io::Result<()> {
        // A list before its note: a note of a list that is not there would claim that nothing has changed.
        self.put(download, &self.path(source, "crl"))?;
        let mut note = self.download()?;
        note.write_all(describe(location, state).as_bytes())?;
        self.put(note, &self.path(source, "origin"))
    }

    /// Keeps a copy of a file, from its beginning.
    pub(crate) fn copy(&self, source: &str, file: &mut File, location: &Location, state: &State) -> io::Result<()> {
        let mut copy = self.download()?;
        file.rewind()?;
        io::copy(file, copy.as_file_mut())?;
        self.keep(source, copy, location, state)
    }

    fn put(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The rename itself must survive a power cut too.
        File::open(&self.folder)?.sync_all()
    }

    /// What was kept of this source; `None` if nothing can be read.
    pub(crate) fn load(&self, source: &str) -> Option<Kept> {
        let file = File::open(self.path(source, "crl")).ok()?;
        let octets = file.metadata().ok()?.len();
        let note = fs::read_to_string(self.path(source, "origin")).ok();
        Some(Kept { file, octets, origin: note.as_deref().and_then(read_note) })
    }

    fn path(&self, source: &str, extension: &str) -> PathBuf {
        // A name may hold anything, a slash too: its hash names the file, its letters are for people.
        let letters: String = source.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        let hash = hex::lower(sha256(source.as_bytes()).get(..8).unwrap_or_default());
        self.folder.join(format!("{letters}-{hash}.{extension}"))
    }
}

fn describe(location: &Location, state: &State) -> String {
    let mut note = format!("location={location}\n");
    let mut line = |key: &str, value: String| note.push_str(&format!("{key}={value}\n"));
    match state {
        State::File(stamp) => {
            line("size", stamp.size.to_string());
            line("inode", stamp.inode.to_string());
            if let Some(modified) = stamp.modified {
                line("modified", modified.as_nanos().to_string());
            }
        }
        State::Server(Validators { etag, last_modified }) => {
            if let Some(etag) = etag {
                line("etag", etag.clone());
            }
            if let Some(last_modified) = last_modified {
                line("last-modified", last_modified.clone());
            }
        }
    }
    note
}

fn read_note(note: &str) -> Option<(Location, State)> {
    let lines: HashMap<&str, &str> = note.lines().filter_map(|line| line.split_once('=')).collect();
    let location: Location = lines.get("location")?.parse().ok()?;
    let text = |key: &str| lines.get(key).map(|value| (*value).to_owned());
    let number = |key: &str| lines.get(key).and_then(|value| value.parse::<u64>().ok());
    let state = match location {
        Location::File(_) => {
            let modified = number("modified").map(Duration::from_nanos);
            State::File(Stamp { size: number("size")?, modified, inode: number("inode")? })
        }
        Location::Http(_) | Location::Ldap(_) => {
            State::Server(Validators { etag: text("etag"), last_modified: text("last-modified") })
        }
    };
    Some((location, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let stamp = Stamp { size: 7, modified: Some(Duration::from_nanos(1_700_000_000_123_456_789)), inode: 9 };
        let validators = Validators { etag: Some("\"a=b\"".to_owned()), last_modified: None };
        for (location, state) in [
            ("/srv/a.crl", State::File(stamp)),
            ("http://host/a.crl?b=c", State::Server(validators)),
            ("ldap://host/cn=x", State::Server(Validators::default())),
        ] {
            let location: Location = location.parse().unwrap();
            assert_eq!(read_note(&describe(&location, &state)), Some((location, state)));
        }
        for bad in ["", "location=\n", "location=/a\nsize=x\n"] {
            assert_eq!(read_note(bad), None);
        }
    }

    #[test]
    fn what_was_left_unfinished_is_removed_and_what_was_kept_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::of(&folder.path().join("crl"));
        assert!(keep.load("../a b").is_none());
        keep.prepare().unwrap();
        let mut download = keep.download().unwrap();
        download.write_all(b"list").unwrap();
        let location: Location = "http://host/a.crl".parse().unwrap();
        keep.keep("../a b", download, &location, &State::Server(Validators::default())).unwrap();
        let (old, new) = (keep.folder().join(".fetch-old"), keep.folder().join(".fetch-new"));
        fs::write(&new, b"half").unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * MAX_DOWNLOAD;
        File::create(&old).unwrap().set_modified(long_ago).unwrap();
        keep.prepare().unwrap();
        assert!(!old.exists() && new.exists());
        let kept = keep.load("../a b").unwrap();
        assert_eq!((kept.octets, kept.origin.unwrap().0), (4, location));
        assert!(keep.load("other").is_none());
    }
}
