//! A next hop that keeps what it gets: an SMTP server that takes every message and files it in a folder.
//!
//! Each message is one file, `NUMBER-MESSAGE-ID.eml`, renamed into place when it is whole. On top of the message stand
//! `X-Envelope-From:` and, for each recipient, `X-Envelope-To:`, with the parameters they came with.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::{Command, DataDecoder, EnhancedCode, Extensions, Inbound, Reply};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::DemoError;

/// The largest message it takes, octets.
const MAX_MESSAGE: u64 = 64 * 1024 * 1024;
/// Recipients in one transaction.
const MAX_RECIPIENTS: usize = 1000;
/// Connections at a time; more wait.
const MAX_CONNECTIONS: usize = 200;
/// RFC 5321 section 4.5.3.2.7
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How long a transaction may still take after the stop.
const GRACE: Duration = Duration::from_secs(5);
/// Of a command line, octets: RFC 5321 section 4.5.3.1.4, with room for the parameters of extensions.
const MAX_LINE: usize = 4096;
const READ: usize = 64 * 1024;

/// A running next hop.
#[derive(Debug)]
pub struct NextHop {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    number: AtomicU64,
    /// How many messages came, for those who wait.
    arrived: watch::Sender<u64>,
}

impl NextHop {
    /// Listens at the address (port 0 takes a free one) and keeps messages in this folder, which may hold some already.
    pub async fn start(dir: &Path, address: SocketAddr) -> Result<Self, DemoError> {
        fs::create_dir_all(dir).await.map_err(DemoError::file(dir))?;
        let last = kept(dir).await?.iter().filter_map(|path| number_of(path)).max().unwrap_or(0);
        let listener = TcpListener::bind(address).await.map_err(DemoError::connection("listen"))?;
        let address = listener.local_addr().map_err(DemoError::connection("listen"))?;
        let shared =
            Arc::new(Shared { dir: dir.to_path_buf(), number: AtomicU64::new(last), arrived: watch::Sender::new(0) });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, Arc::clone(&shared), stop.clone(), tasks.clone()));
        Ok(Self { address, shared, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The messages kept so far, in the order they came.
    pub async fn messages(&self) -> Result<Vec<PathBuf>, DemoError> {
        kept(&self.shared.dir).await
    }

    /// The first message whose file, envelope lines included, has this text in it; waits until it comes.
    pub async fn wait_for(&self, text: &str, patience: Duration) -> Option<PathBuf> {
        let mut arrived = self.shared.arrived.subscribe();
        let mut seen = HashSet::new();
        let search = async {
            loop {
                // Before the look, so that what comes meanwhile is looked at again.
                arrived.borrow_and_update();
                for path in kept(&self.shared.dir).await.ok()? {
                    if seen.contains(&path) {
                        continue;
                    }
                    let message = fs::read(&path).await.ok()?;
                    if String::from_utf8_lossy(&message).contains(text) {
                        return Some(path);
                    }
                    seen.insert(path);
                }
                arrived.changed().await.ok()?;
            }
        };
        timeout(patience, search).await.ok().flatten()
    }

    /// Takes no more connections, lets transactions under way come to their end, and waits for that.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for NextHop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, listener.accept().await?))
        };
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => {
                // A connection that was reset before it was accepted is no reason to stop.
                let Ok((place, (stream, _))) = accepted else { continue };
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                tasks.spawn(async move {
                    // A peer that breaks off is its own affair.
                    let _ = Session::new(stream, shared, stop).run().await;
                    drop(place);
                });
            }
        }
    }
}

struct Session {
    stream: TcpStream,
    inbound: Inbound,
    shared: Arc<Shared>,
    stop: CancellationToken,
    greeted: bool,
    transaction: Transaction,
}

/// What MAIL and RCPT said, as their arguments came.
#[derive(Default)]
struct Transaction {
    from: Option<String>,
    to: Vec<String>,
}

/// Whether the conversation goes on.
enum Next {
    Command,
    Close,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) -> Self {
        Self { stream, inbound: Inbound::new(READ), shared, stop, greeted: false, transaction: Transaction::default() }
    }

    async fn run(mut self) -> io::Result<()> {
        self.reply(&Reply::new(220, None, "next-hop.example.mil ESMTP keeps everything")).await?;
        loop {
            let reply = match self.inbound.next_line(MAX_LINE) {
                Ok(Some(line)) => match self.obey(&line).await? {
                    (reply, Next::Command) => reply,
                    (reply, Next::Close) => return self.reply(&reply).await,
                },
                Ok(None) => match self.read().await? {
                    true => continue,
                    false => return self.reply(&reply(421, EnhancedCode(4, 3, 2), "closing")).await,
                },
                Err(error) => {
                    let reply = reply(500, EnhancedCode(5, 5, 2), error.to_string());
                    if error.is_fatal() {
                        return self.reply(&reply).await;
                    }
                    reply
                }
            };
            self.reply(&reply).await?;
        }
    }

    /// Reads more; false when it is time to stop.
    async fn read(&mut self) -> io::Result<bool> {
        let stopped = async {
            self.stop.cancelled().await;
            if self.transaction.from.is_some() {
                sleep(GRACE).await;
            }
        };
        let mut space = self.inbound.space(READ);
        tokio::select! {
            () = stopped => Ok(false),
            read = timeout(IDLE, self.stream.read_buf(&mut space)) => match read {
                Err(_) => Ok(false),
                Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read.map(|_| true),
            },
        }
    }

    async fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        match timeout(IDLE, self.stream.write_all(&wire)).await {
            Ok(written) => written,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn obey(&mut self, line: &[u8]) -> io::Result<(Reply, Next)> {
        let ok = || reply(250, EnhancedCode(2, 0, 0), "Ok");
        let bad_sequence = |text| reply(503, EnhancedCode(5, 5, 1), text);
        let reply = match Command::parse(line) {
            Ok(Command::Ehlo(_)) => {
                self.greeted = true;
                self.transaction = Transaction::default();
                extensions().to_reply("next-hop.example.mil")
            }
            Ok(Command::Helo(_)) => {
                self.greeted = true;
                self.transaction = Transaction::default();
                Reply::new(250, None, "next-hop.example.mil")
            }
            Ok(Command::Mail(_)) if !self.greeted => bad_sequence("EHLO first"),
            Ok(Command::Mail(_)) if self.transaction.from.is_some() => bad_sequence("there is a sender already"),
            Ok(Command::Mail(mail)) if mail.size.is_some_and(|size| size > MAX_MESSAGE) => too_large(),
            Ok(Command::Mail(mail)) => {
                self.transaction.from = Some(mail.to_string());
                reply(250, EnhancedCode(2, 1, 0), "Ok")
            }
            Ok(Command::Rcpt(_)) if self.transaction.from.is_none() => bad_sequence("MAIL first"),
            Ok(Command::Rcpt(_)) if self.transaction.to.len() >= MAX_RECIPIENTS => {
                reply(452, EnhancedCode(4, 5, 3), "too many recipients")
            }
            Ok(Command::Rcpt(rcpt)) => {
                self.transaction.to.push(rcpt.to_string());
                reply(250, EnhancedCode(2, 1, 5), "Ok")
            }
            Ok(Command::Data) if self.transaction.to.is_empty() => bad_sequence("RCPT first"),
            Ok(Command::Data) => {
                self.reply(&Reply::new(354, None, "end with <CRLF>.<CRLF>")).await?;
                self.take_message().await?
            }
            Ok(Command::Rset) => {
                self.transaction = Transaction::default();
                ok()
            }
            Ok(Command::Noop) => ok(),
            Ok(Command::Vrfy(_)) => reply(252, EnhancedCode(2, 5, 2), "send, and see"),
            Ok(Command::Quit) => return Ok((reply(221, EnhancedCode(2, 0, 0), "bye"), Next::Close)),
            // Its octets would be taken for commands.
            Ok(Command::Bdat { .. }) => {
                return Ok((reply(502, EnhancedCode(5, 5, 1), "CHUNKING was not offered"), Next::Close));
            }
            Ok(_) => reply(502, EnhancedCode(5, 5, 1), "not here"),
            Err(error) => reply(501, EnhancedCode(5, 5, 4), error.to_string()),
        };
        Ok((reply, Next::Command))
    }

    /// The content, written while it comes; the reply to it.
    async fn take_message(&mut self) -> io::Result<Reply> {
        let number = self.shared.number.fetch_add(1, Ordering::Relaxed) + 1;
        let partial = self.shared.dir.join(format!(".{number:06}.partial"));
        let taken = self.write_message(&partial).await;
        let refusal = match taken {
            Ok(Ok(id)) => {
                // No sync: what has to survive a crash is the gateway's copy, not this one.
                fs::rename(&partial, self.shared.dir.join(format!("{number:06}-{id}.eml"))).await?;
                self.shared.arrived.send_modify(|count| *count += 1);
                return Ok(reply(250, EnhancedCode(2, 0, 0), format!("kept as {number:06}-{id}.eml")));
            }
            Ok(Err(refusal)) => Ok(refusal),
            Err(error) => Err(error),
        };
        // A client that vanished leaves nothing.
        fs::remove_file(&partial).await?;
        refusal
    }

    /// Writes envelope and content to this file; what the message calls itself, or a refusal.
    async fn write_message(&mut self, path: &Path) -> io::Result<Result<String, Reply>> {
        let Transaction { from, to } = std::mem::take(&mut self.transaction);
        // Keeps the stop waiting, as the transaction did.
        self.transaction.from = from.clone();
        let mut envelope = format!("X-Envelope-From: {}\r\n", from.unwrap_or_default());
        for recipient in to {
            envelope.push_str(&format!("X-Envelope-To: {recipient}\r\n"));
        }
        let mut file = File::create(path).await?;
        file.write_all(envelope.as_bytes()).await?;

        let mut decoder = DataDecoder::new();
        let mut head = Vec::new();
        let mut content = Vec::with_capacity(READ);
        loop {
            content.clear();
            let end = self.inbound.decode_data(&mut decoder, &mut content);
            if decoder.length() > MAX_MESSAGE {
                decoder.discard();
            }
            head.extend(content.iter().take(READ.saturating_sub(head.len())));
            file.write_all(&content).await?;
            if end {
                break;
            }
            if !self.read().await? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        file.flush().await?;
        self.transaction = Transaction::default();
        Ok(match decoder.violation() {
            Some(violation) => Err(reply(550, EnhancedCode(5, 6, 0), violation.to_string())),
            None if decoder.length() > MAX_MESSAGE => Err(too_large()),
            None => Ok(message_id(&head)),
        })
    }
}

fn extensions() -> Extensions {
    Extensions {
        pipelining: true,
        size: Some(MAX_MESSAGE),
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        enhanced_status_codes: true,
        ..Extensions::default()
    }
}

fn reply(code: u16, enhanced: EnhancedCode, text: impl Into<Cow<'static, str>>) -> Reply {
    Reply::new(code, Some(enhanced), text)
}

fn too_large() -> Reply {
    reply(552, EnhancedCode(5, 3, 4), "too large")
}

/// The value of Message-ID, as far as it can stand in a file's name.
fn message_id(head: &[u8]) -> String {
    // RFC 5322 section 2.2.3: long fields are folded, and Python folds this one right after its name.
    let head = String::from_utf8_lossy(head).replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields = head.lines().take_while(|line| !line.is_empty());
    let id = fields.filter_map(|field| field.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("Message-ID"));
    let id = id.map_or("", |(_, value)| value.trim().trim_matches(['<', '>']));
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_@+=.".contains(c);
    let id: String = id.chars().take(100).map(|c| if fits(c) { c } else { '_' }).collect();
    if id.is_empty() { "no-message-id".to_owned() } else { id }
}

/// The messages in a folder, by number.
async fn kept(dir: &Path) -> Result<Vec<PathBuf>, DemoError> {
    let mut entries = fs::read_dir(dir).await.map_err(DemoError::file(dir))?;
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(DemoError::file(dir))? {
        paths.push(entry.path());
    }
    paths.retain(|path| number_of(path).is_some());
    paths.sort_by_key(|path| number_of(path));
    Ok(paths)
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".eml")?;
    name.split_once('-')?.0.parse().ok()
}
