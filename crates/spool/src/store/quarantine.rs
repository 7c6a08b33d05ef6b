//! Where damaged things go: never delivered, never deleted, each with a text that says why.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::files::sync_directory;
use super::index::Entry;
use super::record::{Accepted, Kind};
use super::scan::{Item, Payload, Scan};
use super::segment::{self, Segment};
use crate::id::MessageId;

#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    folder: PathBuf,
}

impl Quarantine {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether something of this name is here already.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.txt")).exists()
    }

    /// Octets of a segment that are no record.
    pub(crate) fn keep_region(&self, name: &str, octets: &[u8], why: &str) -> io::Result<PathBuf> {
        self.write(&format!("{name}.octets"), |file| file.write_all(octets))?;
        self.explain(name, why, &[])
    }

    /// A whole file that cannot be read as a segment.
    pub(crate) fn keep_file(&self, name: &str, path: &Path, why: &str) -> io::Result<PathBuf> {
        std::fs::rename(path, self.folder.join(format!("{name}.octets")))?;
        self.explain(name, why, &[])
    }

    /// What can still be read of a message: its envelope, and its text as far as it goes.
    pub(crate) fn keep_message(
        &self,
        log: &Path,
        id: MessageId,
        entry: Option<Entry>,
        why: &str,
    ) -> io::Result<PathBuf> {
        let name = id.to_string();
        let accepted = entry.and_then(|entry| {
            let segment = Segment::open(log, entry.accepted.segment).ok()?;
            let (_, payload) = segment.expect(Kind::Accepted, entry.accepted).ok()?;
            Accepted::decode(&payload)
        });
        let envelope = accepted.as_ref().map(|accepted| accepted.envelope.clone()).unwrap_or_default();
        self.write(&format!("{name}.eml"), |file| {
            each_piece(log, id, accepted.as_ref(), |octets| file.write_all(octets))
        })?;
        self.explain(&name, why, &envelope)
    }

    fn explain(&self, name: &str, why: &str, envelope: &[u8]) -> io::Result<PathBuf> {
        let path = self.write(&format!("{name}.txt"), |file| {
            writeln!(file, "{why}")?;
            if !envelope.is_empty() {
                file.write_all(b"\n")?;
                file.write_all(envelope)?;
            }
            Ok(())
        })?;
        sync_directory(&self.folder)?;
        Ok(path)
    }

    fn write(&self, name: &str, content: impl FnOnce(&mut std::fs::File) -> io::Result<()>) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        content(&mut file)?;
        file.sync_all()?;
        Ok(path)
    }
}

/// The pieces of a message as they stand, sound or not. Without its Accepted record, every segment is searched.
fn each_piece(
    log: &Path,
    id: MessageId,
    accepted: Option<&Accepted>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let segments = match accepted {
        Some(accepted) => {
            let mut numbers: Vec<_> = accepted.extents.iter().map(|extent| extent.place.segment).collect();
            numbers.dedup();
            numbers
        }
        None => segment::list(log)?,
    };
    let wanted = |place| accepted.is_none_or(|accepted| accepted.extents.iter().any(|extent| extent.place == place));
    for number in segments {
        let Ok(segment) = Segment::open(log, number) else { continue };
        let length = segment.file.metadata()?.len();
        let mut scan = Scan::new(&segment, length, true);
        while let Some(item) = scan.next()? {
            if let Item::Record(place, header, Payload::Sound(octets) | Payload::Damaged(octets)) = item
                && (header.kind, header.id) == (Kind::Body, id)
                && wanted(place)
            {
                write(&octets)?;
            }
        }
    }
    Ok(())
}
