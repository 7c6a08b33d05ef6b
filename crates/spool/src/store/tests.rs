//! The store held against what it promises: crashes, damage, full and failing disks, space.

mod damage;
mod faults;
mod formats;
mod model;
mod round_trip;
mod verify;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use delivery::MessageSource as _;
use protocol::{Body, Envelope, Mailbox, Recipient, ReversePath};
use tempfile::TempDir;

use super::{Change, Due, Faults, Loaded, Opened, ReadError, Store, Tuning, Write};
use crate::clock::Clock;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::transaction::Transaction;

/// A store in a folder of its own.
struct Bench {
    folder: TempDir,
    tuning: Tuning,
    opened: Option<Opened>,
}

impl Bench {
    async fn new(segment_size: u64) -> Self {
        let folder = folder();
        let tuning = Tuning { segment_size, reserve: 4 * 1024, faults: Faults::default() };
        let mut bench = Self { folder, tuning, opened: None };
        bench.reopen().await;
        bench
    }

    /// The same with a copy of another folder.
    async fn of(source: &Path, segment_size: u64) -> Self {
        let folder = folder();
        copy(source, folder.path());
        let tuning = Tuning { segment_size, reserve: 4 * 1024, faults: Faults::default() };
        let mut bench = Self { folder, tuning, opened: None };
        bench.reopen().await;
        bench
    }

    async fn reopen(&mut self) {
        if let Some(opened) = self.opened.take() {
            opened.store.close().await;
        }
        self.opened = Some(Store::open(self.folder.path(), &self.tuning).unwrap());
    }

    fn store(&self) -> &Store {
        &self.opened.as_ref().unwrap().store
    }

    fn problems(&self) -> Vec<String> {
        self.opened.as_ref().unwrap().report.problems.iter().map(ToString::to_string).collect()
    }

    fn begin(&self) -> Transaction {
        Transaction::new(self.store().clone(), Clock::start(), envelope(), delivery::Origin::from("alice"))
    }

    async fn accept(&self, text: &[u8]) -> Result<MessageId, SpoolError> {
        let mut transaction = self.begin();
        transaction.write(text).await?;
        transaction.commit_with(Vec::new(), false).await
    }

    async fn change(&self, id: MessageId, change: Change) -> Result<(), SpoolError> {
        self.store().write(Write { message: None, changes: vec![(id, change)], essential: true }).await
    }

    async fn done(&self, id: MessageId) {
        self.change(id, Change::Done).await.unwrap();
    }

    async fn text(&self, id: MessageId) -> Result<Vec<u8>, ReadError> {
        let Loaded { mut source, envelope: read, .. } = self.store().load(id).await?;
        assert_eq!(read, envelope());
        let mut text = Vec::new();
        while let Some(octets) = source.next().await.map_err(|error| ReadError::Damaged(error.to_string()))? {
            text.extend_from_slice(&octets);
        }
        Ok(text)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn segments(&self) -> Vec<u32> {
        super::segment::list(&self.log()).unwrap()
    }

    /// Waits until the cleaner has brought it about.
    async fn until(&self, what: impl Fn() -> bool) {
        let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while !what() {
            assert!(tokio::time::Instant::now() < patience, "it does not come about: {:?}", self.store().usage());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// In memory where there is such a file system: thousands of stores are opened here, and every one syncs.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn envelope() -> Envelope {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    let recipient = |text: &str| Recipient { mailbox: mailbox(text), notify: None, original: None };
    Envelope {
        reverse_path: ReversePath::Mailbox(mailbox("alice@example.org")),
        recipients: vec![recipient("bob@example.net"), recipient("carol@example.net")],
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    }
}

/// Lines that differ from message to message.
fn text(seed: usize, length: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|line| format!("message {seed}, line {line}\r\n").into_bytes());
    lines.take(length).collect()
}

fn segment_file(folder: &Path, number: u32) -> File {
    let path = super::segment::path(&folder.join("log"), number);
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Damages what segments tell of those before them. Gives back how many did.
fn forget_contents(folder: &Path) -> usize {
    let segments = super::segment::list(&folder.join("log")).unwrap();
    let forget = |number: &u32| {
        let segment = super::segment::Segment::open(&folder.join("log"), *number).unwrap();
        let offset = super::record::SEGMENT_HEADER as u64;
        let told = segment.read_header(offset).is_ok_and(|header| header.kind == super::record::Kind::Contents);
        if told {
            let payload = offset + super::record::RECORD_HEADER as u64;
            segment_file(folder, *number).write_all_at(b"????", payload).unwrap();
        }
        told
    };
    segments.iter().filter(|number| forget(number)).count()
}

/// A folder as a crash leaves it. A crash takes no time and a copy does: when a segment has gone meanwhile, what was in
/// it may be in one that was not there yet, so the copy begins again.
fn copy(from: &Path, to: &Path) {
    while !copied(from, to) {}
}

fn copied(from: &Path, to: &Path) -> bool {
    for folder in ["log", "quarantine"] {
        let _ = std::fs::remove_dir_all(to.join(folder));
        std::fs::create_dir_all(to.join(folder)).unwrap();
        let entries = std::fs::read_dir(from.join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            match std::fs::copy(from.join(folder).join(&name), to.join(folder).join(&name)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
                copied => drop(copied.unwrap()),
            }
        }
    }
    true
}
