//! Client, next hop and dialogues against each other and against the programs of others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postern_demo::client::{self, Credentials};
use postern_demo::{Client, ClientTls, NextHop, Pki, Security, Submission, TlsVersions, Transport, dialogue};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn next_hop(dir: &Path) -> NextHop {
    NextHop::start(dir, loopback()).await.unwrap()
}

fn from_alice(message: &[u8]) -> Submission<'_> {
    Submission {
        from: "alice@example.mil",
        to: &["bob@example.mil", "carol@example.mil"],
        message,
        credentials: Credentials::None,
    }
}

/// Ends the process that a test started.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free now, for a program that cannot choose one itself.
async fn free_port() -> u16 {
    TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens there.
async fn listening(port: u16) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let connect = async {
        while Transport::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connect).await.expect("nobody listens");
    address
}

#[tokio::test]
async fn a_message_is_kept_as_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    let message = b"Message-ID: <dots@example.mil>\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n";
    let submitted = client::submit(hop.address(), Security::Plain, &from_alice(message)).await.unwrap();
    assert!(submitted.accepted, "{submitted:?}");
    assert_eq!(submitted.decisive.code(), 250);
    let sent: Vec<_> = submitted.transcript.iter().map(|exchange| exchange.sent.as_str()).collect();
    assert_eq!(
        sent,
        [
            "(connected)",
            "EHLO client.example.mil",
            "MAIL FROM:<alice@example.mil>",
            "RCPT TO:<bob@example.mil>",
            "RCPT TO:<carol@example.mil>",
            "DATA",
            "(message)",
            "QUIT"
        ]
    );
    let path = hop.wait_for("<dots@example.mil>", PATIENCE).await.unwrap();
    assert_eq!(path, dir.path().join("000001-dots@example.mil.eml"));
    let envelope = "X-Envelope-From: <alice@example.mil>\r\n\
                    X-Envelope-To: <bob@example.mil>\r\n\
                    X-Envelope-To: <carol@example.mil>\r\n";
    assert_eq!(fs::read(path).unwrap(), [envelope.as_bytes(), message].concat());
}

#[tokio::test]
async fn waiting_ends_with_the_message_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    assert_eq!(hop.wait_for("late", Duration::from_millis(50)).await, None);
    let (found, submitted) = tokio::join!(hop.wait_for("Subject: late", PATIENCE), async {
        client::submit(hop.address(), Security::Plain, &from_alice(b"Subject: other\r\n\r\n")).await.unwrap();
        client::submit(hop.address(), Security::Plain, &from_alice(b"Subject: late\r\n\r\n")).await.unwrap()
    });
    assert!(submitted.accepted);
    assert_eq!(found.unwrap().file_name().unwrap(), "000002-no-message-id.eml");
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for expected in 1..=2 {
        let hop = next_hop(dir.path()).await;
        client::submit(hop.address(), Security::Plain, &from_alice(b"\r\n")).await.unwrap();
        assert_eq!(hop.messages().await.unwrap().len(), expected);
        hop.stop().await;
    }
}

#[tokio::test]
async fn what_breaks_off_or_is_refused_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    let mut broken = Client::connect(hop.address(), Security::Plain).await.unwrap();
    broken.ehlo().await.unwrap();
    broken.mail("a@example.mil").await.unwrap();
    broken.rcpt("b@example.mil").await.unwrap();
    assert_eq!(broken.command("DATA").await.unwrap().code(), 354);
    broken.send(b"Subject: half\r\n").await.unwrap();
    drop(broken);

    let script = r"
        S: 220 *
        C: MAIL FROM:<a@example.mil>
        S: 503 5.5.1 *
        C: EHLO x
        R: 250
        C: RCPT TO:<b@example.mil>
        S: 503 5.5.1 *
        C: MAIL FROM:<a@example.mil> SIZE=999999999
        S: 552 5.3.4 *
        C: MAIL FROM:<a@example.mil> BODY=8BITMIME
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@example.mil> NOTIFY=NEVER
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 *
        C-RAW: smuggled\n.\r\nMAIL FROM:<c@example.mil>\r\n.\r\n
        S: 550 5.6.0 *
        C: BDAT 4 LAST
        S: 502 *
        CLOSED";
    let mut transport = Transport::connect(hop.address()).await.unwrap();
    dialogue::run(script, &mut transport, None).await.unwrap_or_else(|mismatch| panic!("{mismatch}"));

    hop.stop().await;
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left");
}

#[tokio::test]
async fn a_stop_lets_a_transaction_end() {
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    let mut client = Client::connect(hop.address(), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client.mail("a@example.mil").await.unwrap();
    client.rcpt("b@example.mil").await.unwrap();
    let (reply, ()) = tokio::join!(
        async {
            let reply = client.data(b"Subject: last\r\n\r\n").await.unwrap();
            assert_eq!(client.reply().await.unwrap().code(), 421);
            reply
        },
        hop.stop()
    );
    assert_eq!(reply.code(), 250);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_dialogue_says_where_it_went_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    let mut transport = Transport::connect(hop.address()).await.unwrap();
    let script = "# greeting\nS: 220 *\nC: NOOP\nS: 451 *\n";
    let mismatch = dialogue::run(script, &mut transport, None).await.unwrap_err();
    assert_eq!(mismatch.line, 4);
    let text = mismatch.to_string();
    for part in ["expected: S: 451 *", "got:      S: 250 2.0.0 Ok", "  C: NOOP\n"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[tokio::test]
async fn swaks_and_python_deliver_to_the_next_hop() {
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    let port = hop.address().port().to_string();
    let python = format!(
        "import smtplib\n\
         from email.message import EmailMessage\n\
         m = EmailMessage()\n\
         m['Message-ID'] = '<' + 'python' * 12 + '@example.mil>'\n\
         m['From'] = 'python@example.mil'; m['To'] = 'b@example.mil'\n\
         m.set_content('.dot\\nGrüße\\n')\n\
         with smtplib.SMTP('127.0.0.1', {port}) as s: s.send_message(m, rcpt_options=['NOTIFY=FAILURE'])\n"
    );
    // The next hop runs on this thread.
    let run = move || {
        let swaks = Command::new("swaks")
            .args(["--server", "127.0.0.1", "--port", &port, "--from", "swaks@example.mil", "--to", "b@example.mil"])
            .args(["--header", "Message-Id: <by-swaks@x>"])
            .output();
        let python = Command::new("python3").args(["-c", &python]).output();
        [swaks.unwrap(), python.unwrap()]
    };
    for output in tokio::task::spawn_blocking(run).await.unwrap() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let swaks = hop.wait_for("Message-Id: <by-swaks@x>", PATIENCE).await.unwrap();
    assert_eq!(swaks.file_name().unwrap(), "000001-by-swaks@x.eml");
    let python = fs::read_to_string(hop.wait_for("From: python@", PATIENCE).await.unwrap()).unwrap();
    assert!(python.contains("X-Envelope-To: <b@example.mil> NOTIFY=FAILURE\r\n"), "{python}");
    assert!(python.contains("\r\n.dot\r\n"), "{python}");
}

#[tokio::test]
async fn the_client_submits_to_smtp_sink() {
    let port = free_port().await;
    // Started by root, it insists on a user to become.
    let user: &[&str] = if fs::metadata("/proc/self").unwrap().uid() == 0 { &["-u", "nobody"] } else { &[] };
    let sink = Command::new("smtp-sink")
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .args(user)
        .args([&format!("127.0.0.1:{port}"), "10"])
        .stdin(Stdio::null())
        .spawn();
    let _sink = Stopped(sink.unwrap());
    let address = listening(port).await;
    let submitted = client::submit(address, Security::Plain, &from_alice(b"Subject: x\n\n.dot\n")).await.unwrap();
    assert!(submitted.accepted, "{submitted:?}");
}

/// `openssl s_server` is no mail server, but shows what the client sends inside TLS, and with which certificate.
#[tokio::test]
async fn the_client_shows_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::create(dir.path()).unwrap();
    for (versions, word) in [(TlsVersions::Tls12, "CIPHER is ECDHE-ECDSA-"), (TlsVersions::Tls13, "CIPHER is TLS_")] {
        let port = free_port().await;
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let server = Command::new("openssl")
            .current_dir(dir.path())
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert", "server.pem", "-cert_chain"])
            .args(["server.pem", "-key", "server.key", "-CAfile", "ca.pem", "-Verify", "3"])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let _server = Stopped(server.unwrap());
        let address = listening(port).await;
        let tls = ClientTls::new(pki.anchor().unwrap(), Some(pki.identity("alice").unwrap()), versions).unwrap();
        let mut transport = Transport::connect(address).await.unwrap();
        transport.handshake(&tls).await.unwrap();
        assert!(transport.is_tls());
        transport.send("test", b"hello there\n").await.unwrap();
        let seen = async {
            loop {
                let log = fs::read_to_string(dir.path().join("log")).unwrap();
                if log.contains("hello there") {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let log = tokio::time::timeout(PATIENCE, seen).await.unwrap();
        assert!(log.contains("CN = DOE.ALICE.A.1234567890"), "{log}");
        assert!(log.contains(word), "{log}");
    }
}

#[tokio::test]
async fn the_client_distrusts_other_servers() {
    let dir = tempfile::tempdir().unwrap();
    Pki::create(dir.path()).unwrap();
    let other = tempfile::tempdir().unwrap();
    let other = Pki::create(other.path()).unwrap();
    let port = free_port().await;
    let server = Command::new("openssl")
        .current_dir(dir.path())
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert", "server.pem"])
        .args(["-cert_chain", "server.pem", "-key", "server.key"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let _server = Stopped(server.unwrap());
    let address = listening(port).await;
    let tls = ClientTls::new(other.anchor().unwrap(), None, TlsVersions::Both).unwrap();
    let error = Transport::connect(address).await.unwrap().handshake(&tls).await.unwrap_err();
    assert!(error.to_string().starts_with("TLS handshake: invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn passwords_stay_out_of_the_transcript() {
    // A next hop offers no AUTH; what it answers is of no matter here.
    let dir = tempfile::tempdir().unwrap();
    let hop = next_hop(dir.path()).await;
    let mut client = Client::connect(hop.address(), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    assert!(client.extensions().auth.is_empty() && client.extensions().pipelining);
    let reply = client.authenticate(Credentials::Plain("alice", "s3cret")).await.unwrap().unwrap();
    assert_eq!(reply.code(), 502);
    client.authenticate(Credentials::Login("alice", "s3cret")).await.unwrap();
    assert_eq!(client.transcript()[2].sent, "AUTH PLAIN ***");
    assert!(!format!("{client:?}").contains("s3cret"));
}
