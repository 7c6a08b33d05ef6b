//! A spool with routes to real and to scripted next hops.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use delivery::{Courier, RouteSettings};
use protocol::{Body, Domain, Envelope, Mailbox, Recipient, ReversePath};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::id::MessageId;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::store::RecoveryReport;
use crate::transaction::Transaction;

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// Impatient.
pub(super) fn settings() -> Settings {
    Settings {
        retry_interval: Duration::from_millis(100),
        max_retry_interval: Duration::from_millis(400),
        stop_grace: Duration::from_millis(200),
        ..Settings::default()
    }
}

/// Routes in clear text: pattern and port.
pub(super) fn courier(routes: &[(&str, u16)]) -> Courier {
    courier_with(routes, "")
}

/// The same with more to say of each route.
pub(super) fn courier_with(routes: &[(&str, u16)], more: &str) -> Courier {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        route: Vec<RouteSettings>,
    }
    let route = |(pattern, port): &(&str, u16)| {
        format!(
            "[[route]]\ndomains = ['{pattern}']\nhosts = ['127.0.0.1:{port}']\ntls = 'none'\nkeep_open = '1s'\n{more}\n"
        )
    };
    let toml: String = routes.iter().map(route).collect();
    let file: File = toml::from_str(&toml).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Courier::new(&file.route, &delivery::Means::alone(domain("gateway.example.org"), provider)).unwrap()
}

pub(super) fn envelope(from: &str, recipients: &[&str]) -> Envelope {
    let recipient = |text: &&str| Recipient { mailbox: Mailbox::parse(text).unwrap(), notify: None, original: None };
    Envelope {
        reverse_path: ReversePath::parse(from).unwrap(),
        recipients: recipients.iter().map(recipient).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    }
}

/// A spool, and what runs it.
pub(super) struct Bench {
    pub(super) folder: Arc<TempDir>,
    pub(super) spool: Spool,
    pub(super) report: RecoveryReport,
    running: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
}

impl Bench {
    pub(super) async fn new(settings: Settings) -> Self {
        Self::open(Arc::new(TempDir::new().unwrap()), settings).await
    }

    async fn open(folder: Arc<TempDir>, settings: Settings) -> Self {
        let (spool, report) = Spool::open(&settings, folder.path(), &domain("gateway.example.org")).await.unwrap();
        Self { folder, spool, report, running: None }
    }

    pub(super) async fn accept(&self, envelope: Envelope, text: &str) -> MessageId {
        let shared = self.spool.shared();
        let mut transaction =
            Transaction::new(shared.store.clone(), shared.clock, envelope, delivery::Origin::default());
        transaction.write(text.as_bytes()).await.unwrap();
        transaction.commit_with(Vec::new(), false).await.unwrap()
    }

    pub(super) fn run(&mut self, courier: Courier) {
        let (spool, stop) = (self.spool.clone(), CancellationToken::new());
        let stopped = stop.clone();
        self.running = Some((stop, tokio::spawn(async move { spool.run(courier, stopped).await })));
    }

    pub(super) async fn stop(&mut self) {
        if let Some((stop, running)) = self.running.take() {
            stop.cancel();
            tokio::time::timeout(PATIENCE, running).await.expect("the stop takes too long").unwrap();
        }
    }

    pub(super) async fn restart(mut self, settings: Settings) -> Self {
        self.stop().await;
        self.spool.close().await;
        Self::open(self.folder.clone(), settings).await
    }

    pub(super) async fn until(&self, what: impl Fn(&Spool) -> bool) {
        until(|| what(&self.spool), || format!("{:?}", self.spool.counters())).await;
    }

    pub(super) async fn until_empty(&self) {
        self.until(|spool| spool.is_empty()).await;
    }

    pub(super) fn quarantine(&self) -> std::path::PathBuf {
        self.folder.path().join("spool/quarantine")
    }
}

pub(super) async fn until(what: impl Fn() -> bool, state: impl Fn() -> String) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !what() {
        assert!(tokio::time::Instant::now() < end, "it does not come about: {}", state());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port nobody listens at.
pub(super) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A next hop that answers RCPT by the local part: `ok…`, `later…` (450, as often as told), `never…` (550), `stall…`. It
/// speaks LMTP to who says LHLO.
pub(super) struct Hop {
    pub(super) port: u16,
    state: Arc<Mutex<HopState>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct HopState {
    /// So many 450s are left.
    refusals: usize,
    /// Each message: its envelope commands, then its text.
    messages: Vec<String>,
    /// Every RCPT heard.
    attempts: usize,
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hop {
    pub(super) async fn start(refusals: usize) -> Self {
        Self::start_at(0, refusals).await
    }

    pub(super) async fn start_at(port: u16, refusals: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(HopState { refusals, ..HopState::default() }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(session(BufReader::new(stream), shared.clone()));
            }
        });
        Self { port, state, task }
    }

    pub(super) fn messages(&self) -> Vec<String> {
        self.state.lock().unwrap().messages.clone()
    }

    pub(super) fn attempts(&self) -> usize {
        self.state.lock().unwrap().attempts
    }

    pub(super) async fn until_messages(&self, count: usize) -> Vec<String> {
        until(|| self.messages().len() >= count, || format!("{:?}", self.messages())).await;
        self.messages()
    }

    pub(super) async fn until_attempts(&self, count: usize) {
        until(|| self.attempts() >= count, || self.attempts().to_string()).await;
    }
}

async fn session(mut stream: BufReader<tokio::net::TcpStream>, state: Arc<Mutex<HopState>>) -> Option<()> {
    stream.write_all(b"220 hop\r\n").await.ok()?;
    let mut message = String::new();
    let mut line = String::new();
    let (mut lmtp, mut accepted) = (false, 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let verb = line.get(..4).unwrap_or_default().to_owned();
        let reply = match verb.as_str() {
            "EHLO" | "LHLO" => {
                lmtp = verb == "LHLO";
                "250-hop\r\n250-8BITMIME\r\n250 PIPELINING"
            }
            "MAIL" => {
                message = line.clone();
                accepted = 0;
                "250 ok"
            }
            "RCPT" => {
                let refused = {
                    let mut state = state.lock().unwrap();
                    state.attempts += 1;
                    let refused = line.contains("<later") && state.refusals > 0;
                    state.refusals -= usize::from(refused);
                    refused
                };
                if line.contains("<stall") {
                    std::future::pending::<()>().await;
                }
                match (refused, line.contains("<never")) {
                    (true, _) => "450 4.2.0 later",
                    (_, true) => "550 5.1.1 nobody",
                    _ => {
                        message.push_str(&line);
                        accepted += 1;
                        "250 ok"
                    }
                }
            }
            "DATA" => {
                stream.write_all(b"354 go\r\n").await.ok()?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") && text != ".\r\n" {
                    if stream.read_line(&mut text).await.ok()? == 0 {
                        return None;
                    }
                }
                if text != ".\r\n" {
                    state.lock().unwrap().messages.push(format!("{message}\r\n{text}"));
                }
                for _ in 1..accepted * usize::from(lmtp) {
                    stream.write_all(b"250 2.0.0 taken\r\n").await.ok()?;
                }
                "250 2.0.0 taken"
            }
            _ => "250 ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

/// Postfix's smtp-sink, `None` where it is not installed.
pub(super) struct Sink {
    pub(super) port: u16,
    child: std::process::Child,
}

impl Sink {
    pub(super) async fn start() -> Option<Self> {
        if !Path::new("/usr/sbin/smtp-sink").exists() {
            eprintln!("SKIPPED: smtp-sink is not installed");
            return None;
        }
        let port = closed_port();
        let mut command = std::process::Command::new("/usr/sbin/smtp-sink");
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.args(["-u", "nobody"]);
        }
        let child = command.args([&format!("127.0.0.1:{port}"), "100"]).spawn().unwrap();
        let sink = Self { port, child };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(sink);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("smtp-sink does not listen");
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
