//! The way to a running gateway: a socket in `state_dir` that only its user can open. One line of JSON asks, one answers.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use directory::Directory;
use pki::CrlStore;
use serde::{Deserialize, Serialize};
use session::{Snapshot, Statistics};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::directories::{self, DirectoryAnswer, DirectoryRequest};
use crate::lists::{self, ListAnswer, ListRequest};

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// About CRLs.
    Crl(ListRequest),
    /// About directories.
    Directory(DirectoryRequest),
    /// All that was counted.
    Report,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Crl(ListAnswer),
    Directory(DirectoryAnswer),
    Report(Snapshot),
    /// The line was no request.
    NotUnderstood(String),
}

/// No request is longer; answers are bounded by what there is.
const MAX_REQUEST: u64 = 64 * 1024;
const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// For a request to arrive; the answer to a refresh takes as long as its fetches.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(600);

fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// What requests are about.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) crls: CrlStore,
    pub(crate) directories: Arc<[Arc<Directory>]>,
    pub(crate) statistics: Arc<Statistics>,
    /// How many days of them are kept.
    pub(crate) keep_days: u16,
}

/// Answers for as long as it is polled.
pub(crate) async fn serve(state_dir: &Path, asked: Asked) {
    let listener = match listen(&socket(state_dir)) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(%error, "the control socket cannot be opened; commands will not see this gateway");
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &asked).await {
                        tracing::debug!(%error, "control");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a control connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // One that an earlier process left. The spool's lock keeps a second gateway from coming this far.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(stream: UnixStream, asked: &Asked) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    timeout(PATIENCE, (&mut stream).take(MAX_REQUEST).read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Crl(request)) => Answer::Crl(lists::answer(&asked.crls, request).await),
        Ok(Request::Directory(request)) => Answer::Directory(directories::answer(&asked.directories, request)),
        Ok(Request::Report) => Answer::Report(asked.statistics.snapshot(asked.keep_days)),
        Err(error) => Answer::NotUnderstood(error.to_string()),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    timeout(PATIENCE, stream.get_mut().write_all(&text)).await?
}

/// Asks the gateway that uses this folder; `None` where there is none.
pub(crate) async fn ask(state_dir: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(socket(state_dir)).await {
        Ok(stream) => BufReader::new(stream),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.get_mut().write_all(&text).await?;
    let mut line = String::new();
    timeout(ANSWER_PATIENCE, (&mut stream).take(MAX_ANSWER).read_line(&mut line)).await??;
    Ok(Some(serde_json::from_str(&line)?))
}
