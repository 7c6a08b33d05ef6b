//! The end of a route on this machine: a Maildir, in which a message is whole or not there
//! (<https://cr.yp.to/proto/maildir.html>).

use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use client::Cause;
use protocol::{EnhancedCode, Mailbox, Reply, ReversePath};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::outcome::{Outcome, Taken};
use crate::settings::MaildirSettings;
use crate::source::MessageSource;

/// RFC 3463 section 3.2: bad destination mailbox address syntax, mailbox full, other mailbox status; section 3.4.
const NO_NAME: EnhancedCode = EnhancedCode(5, 1, 3);
const FULL: EnhancedCode = EnhancedCode(4, 2, 2);
const ABSENT: EnhancedCode = EnhancedCode(4, 2, 0);
const SYSTEM: EnhancedCode = EnhancedCode(4, 3, 0);
/// Its readers' and nobody else's.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const FOLDERS: [&str; 3] = ["tmp", "new", "cur"];

/// Makes two deliveries of one process within a microsecond two files.
static DELIVERIES: AtomicU64 = AtomicU64::new(0);

/// Where a route's mail stays.
#[derive(Debug)]
pub(crate) struct Maildir {
    settings: MaildirSettings,
    hostname: Arc<str>,
}

impl Maildir {
    pub(crate) fn new(settings: MaildirSettings, hostname: Arc<str>) -> Self {
        Self { settings, hostname }
    }

    /// The route's setting.
    pub(crate) fn settings(&self) -> &MaildirSettings {
        &self.settings
    }

    /// Where a recipient's mail is put. `None` where the address makes no name of a folder.
    pub(crate) fn folder(&self, recipient: &Mailbox) -> Option<PathBuf> {
        let whole = self.settings.subaddress.and_then(|separator| recipient.without_detail(separator));
        self.settings.path.expand(whole.as_ref().unwrap_or(recipient))
    }

    /// Puts the message into the recipient's Maildir.
    pub(crate) async fn deliver(
        &self,
        sender: &ReversePath,
        recipient: &Mailbox,
        source: &mut impl MessageSource,
    ) -> Outcome {
        let Some(folder) = self.folder(recipient) else {
            return Outcome::Failed(Cause::local(None, NO_NAME, "no mailbox here can have this name"));
        };
        let fields = format!("Return-Path: {sender}\nDelivered-To: {recipient}\n");
        match self.put(&folder, &fields, source).await {
            Ok(()) => Outcome::Delivered {
                host: None,
                reply: Reply::new(250, Some(EnhancedCode(2, 0, 0)), "put into the mailbox"),
                taken: Taken::Delivered,
            },
            Err(error) => {
                // Senders read the cause, and have no business with paths.
                let folder = folder.display();
                tracing::error!(%folder, %recipient, %error, "the message cannot be put into the Maildir; it waits");
                Outcome::Deferred(refused(&error))
            }
        }
    }

    async fn put(&self, folder: &Path, fields: &str, source: &mut impl MessageSource) -> io::Result<()> {
        if self.settings.create {
            make(folder).await?;
        }
        let name = self.unique_name();
        let unfinished = Unfinished::new(folder.join("tmp").join(&name));
        // A name that is taken is not ours: whatever stands there is not written into.
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&unfinished.0).await?;
        let mut file = BufWriter::new(file);
        file.write_all(fields.as_bytes()).await?;
        let mut lines = LineEnds::default();
        source.rewind();
        let mut out = Vec::new();
        while let Some(octets) = source.next().await? {
            out.clear();
            lines.push(&octets, &mut out);
            file.write_all(&out).await?;
        }
        file.write_all(lines.rest()).await?;
        file.flush().await?;
        file.into_inner().sync_all().await?;
        let new = folder.join("new");
        fs::rename(&unfinished.0, new.join(&name)).await?;
        sync_folder(&new).await?;
        sync_folder(&folder.join("tmp")).await
    }

    /// Time, what is unique within this second on this host, and the host.
    fn unique_name(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (count, process) = (DELIVERIES.fetch_add(1, Ordering::Relaxed), process::id());
        format!("{}.M{}P{process}Q{count}.{}", now.as_secs(), now.subsec_micros(), self.hostname)
    }
}

/// A file in `tmp` that is removed where nothing became of it.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(file: PathBuf) -> Self {
        Self(file)
    }
}

impl Drop for Unfinished {
    /// After the rename there is nothing left under this name.
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Makes the Maildir, and the folders above it, where they are not there.
async fn make(maildir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = maildir.ancestors().take_while(|folder| !folder.is_dir()).collect();
    let inside = FOLDERS.map(|name| maildir.join(name));
    let inside = inside.iter().map(PathBuf::as_path).filter(|folder| !folder.is_dir());
    for folder in missing.into_iter().rev().chain(inside) {
        match fs::DirBuilder::new().mode(FOLDER_MODE).create(folder).await {
            Ok(()) => sync_folder(folder.parent().unwrap_or(folder)).await?,
            // Another delivery was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A new name lasts when its folder is on disk.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// All of it may be mended, by an administrator or by time.
fn refused(error: &io::Error) -> Cause {
    let (status, text) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (FULL, "there is no room for it in the mailbox")
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (ABSENT, "the mailbox is not there"),
        _ => (SYSTEM, "the mailbox cannot be written to"),
    };
    Cause::local(None, status, text)
}

/// CRLF becomes LF, as readers of Maildirs have it.
#[derive(Default)]
struct LineEnds {
    cr: bool,
}

impl LineEnds {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for &octet in octets {
            if std::mem::take(&mut self.cr) && octet != b'\n' {
                out.push(b'\r');
            }
            self.cr = octet == b'\r';
            if !self.cr {
                out.push(octet);
            }
        }
    }

    fn rest(&self) -> &'static [u8] {
        if self.cr { b"\r" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_wherever_pieces_end() {
        let text = b"a\r\n\r\nb\rc\r\r\nd\n\r";
        for size in 1..text.len() {
            let (mut lines, mut out) = (LineEnds::default(), Vec::new());
            text.chunks(size).for_each(|piece| lines.push(piece, &mut out));
            out.extend_from_slice(lines.rest());
            assert_eq!(out, b"a\n\nb\rc\r\nd\n\r", "{size}");
        }
    }
}
