//! The way to a running gateway: a socket in `state_dir` that only its user can open. One line of JSON asks, one answers.

use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use delivery::{MessageSource as _, TlsDays, TlsTally};
use directory::Directory;
use pki::CrlStore;
use serde::{Deserialize, Serialize};
use session::{Snapshot, Statistics};
use spool::{MessageId, Spool};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::directories::{self, DirectoryAnswer, DirectoryRequest};
use crate::lists::{self, ListAnswer, ListRequest};
use crate::queue::{self, QueueAnswer, QueueRequest};

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// About CRLs.
    Crl(ListRequest),
    /// About directories.
    Directory(DirectoryRequest),
    /// All that was counted.
    Report,
    /// What TLS sessions came to.
    TlsReport,
    /// About the queue.
    Queue(QueueRequest),
    /// A message's text; it follows the answer.
    Export(MessageId),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Crl(ListAnswer),
    Directory(DirectoryAnswer),
    Report(Snapshot),
    /// `None` where they are not counted.
    TlsReport(Option<TlsDays>),
    Queue(QueueAnswer),
    Export(Result<Exported, String>),
    /// The line was no request.
    NotUnderstood(String),
}

/// A message of the queue, whose text follows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Exported {
    /// The reverse-path, as in MAIL FROM.
    sender: String,
    /// Recipients, those too who have been served.
    recipients: Vec<String>,
    size: u64,
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
    pub(crate) spool: Spool,
    /// `None` where TLS sessions are not counted.
    pub(crate) tls: Option<Arc<TlsTally>>,
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
    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    timeout(PATIENCE, (&mut stream).take(MAX_REQUEST).read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Crl(request)) => Answer::Crl(lists::answer(&asked.crls, request).await),
        Ok(Request::Directory(request)) => Answer::Directory(directories::answer(&asked.directories, request)),
        Ok(Request::Report) => Answer::Report(asked.statistics.snapshot(asked.keep_days)),
        Ok(Request::TlsReport) => Answer::TlsReport(asked.tls.as_ref().map(|tally| tally.snapshot())),
        Ok(Request::Queue(request)) => Answer::Queue(queue::answer(&asked.spool, request, uid).await),
        Ok(Request::Export(id)) => return send_message(stream.get_mut(), &asked.spool, id, uid).await,
        Err(error) => Answer::NotUnderstood(error.to_string()),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    timeout(PATIENCE, stream.get_mut().write_all(&text)).await?
}

/// The answer, and the text after it, piece by piece.
async fn send_message(stream: &mut UnixStream, spool: &Spool, id: MessageId, uid: Option<u32>) -> io::Result<()> {
    let opened = spool.open_message(id).await;
    tracing::warn!(%id, uid, found = opened.is_ok(), "an administrator's order: export");
    let (answer, source) = match opened {
        Ok((envelope, source)) => {
            let recipients = envelope.recipients.iter().map(|recipient| recipient.mailbox.to_string()).collect();
            let exported = Exported { sender: envelope.reverse_path.to_string(), recipients, size: source.size() };
            (Ok(exported), Some(source))
        }
        Err(error) => (Err(error.to_string()), None),
    };
    let mut text = serde_json::to_vec(&Answer::Export(answer))?;
    text.push(b'\n');
    timeout(PATIENCE, stream.write_all(&text)).await??;
    if let Some(mut source) = source {
        while let Some(piece) = source.next().await? {
            timeout(PATIENCE, stream.write_all(&piece)).await??;
        }
    }
    Ok(())
}

/// Has a message of the gateway's queue written into a file, and its envelope into another: both new, and for the user
/// alone. `None` where there is no gateway.
pub(crate) async fn export(
    state_dir: &Path,
    id: MessageId,
    text: &Path,
    envelope: &Path,
) -> io::Result<Option<Result<(), String>>> {
    let Some((answer, mut stream)) = converse(state_dir, &Request::Export(id)).await? else { return Ok(None) };
    let exported = match answer {
        Answer::Export(Ok(exported)) => exported,
        Answer::Export(Err(why)) => return Ok(Some(Err(why))),
        _ => return Ok(Some(Err("the gateway is of another version".to_owned()))),
    };
    let create = |path: &Path| {
        let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        open.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    let mut file = tokio::fs::File::from_std(create(text)?);
    let copied = tokio::io::copy(&mut stream, &mut file).await?;
    file.sync_all().await?;
    if copied != exported.size {
        std::fs::remove_file(text)?;
        return Ok(Some(Err("the gateway could not read it to its end".to_owned())));
    }
    serde_json::to_writer_pretty(create(envelope)?, &exported)?;
    Ok(Some(Ok(())))
}

/// Asks the gateway that uses this folder; `None` where there is none.
pub(crate) async fn ask(state_dir: &Path, request: &Request) -> io::Result<Option<Answer>> {
    Ok(converse(state_dir, request).await?.map(|(answer, _)| answer))
}

/// The answer, and the stream it came by.
async fn converse(state_dir: &Path, request: &Request) -> io::Result<Option<(Answer, BufReader<UnixStream>)>> {
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
    Ok(Some((serde_json::from_str(&line)?, stream)))
}
