//! Transactions that are given up.

use client::{Addresses, Dialect, Limits, Opener, Source, Tls};
use protocol::{Body, Mailbox, ReversePath};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

/// An open relay, its pool, and what the server hears: it answers everything but RCPT, whose reply comes with the next one.
async fn open() -> (Relay, Arc<Pool>, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 late.example\r\n").await.unwrap();
        let (mut heard, mut owed) = (Vec::new(), String::new());
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            let reply = format!("250 {}\r\n", line.split_whitespace().next().unwrap());
            heard.push(std::mem::take(&mut line).trim_end().to_owned());
            if reply.contains("RCPT") {
                owed = reply;
            } else if stream.write_all((std::mem::take(&mut owed) + &reply).as_bytes()).await.is_err() {
                break;
            }
        }
        heard
    });
    let limits = Limits { connect: SOON, handshake: SOON, greeting: SOON, command: SOON };
    let host = Host::parse(&address.to_string(), 25).unwrap();
    let opener = Opener {
        host: host.clone(),
        addresses: Addresses::Known(vec![address.ip()]),
        source: Source::default(),
        tls: Tls::Never,
        implicit_tls: false,
        limits,
        hostname: "gateway.example.org".into(),
        dialect: Dialect::Smtp,
    };
    let connection = opener.open(Instant::now() + SOON).await.unwrap();
    let pool = Arc::new(Pool::new(SOON, 100, SOON));
    let room = Arc::new(Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap());
    let destination = Destination { route: 0, domain: None };
    let peer = Peer { destination, host, timeouts: Timeouts::default(), pool: Arc::clone(&pool), _room: room };
    let relay = Relay::begin(peer, connection, &envelope(), None).await.unwrap_or_else(|_| panic!("MAIL"));
    (relay, pool, server)
}

fn envelope() -> Envelope {
    Envelope {
        reverse_path: ReversePath::Mailbox(mailbox("alice@example.org")),
        recipients: vec![Recipient { mailbox: mailbox("bob@example.net"), notify: None, original: None }],
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    }
}

/// A reply that is still to come would be taken for the answer to the next message's commands.
#[tokio::test]
async fn a_step_that_is_broken_off_leaves_no_connection_behind() {
    let (mut relay, pool, server) = open().await;
    let envelope = envelope();
    let step = relay.recipient(&envelope, &envelope.recipients[0]);
    timeout(Duration::from_millis(50), step).await.expect_err("no reply comes");
    drop(relay);
    let heard = timeout(SOON, server).await.expect("the connection is closed").unwrap();
    assert!(heard.last().is_some_and(|line| line.starts_with("RCPT")), "{heard:?}");
    assert!(pool.take().is_none());
}

#[tokio::test]
async fn between_two_steps_the_connection_is_kept() {
    let (relay, pool, _server) = open().await;
    drop(relay);
    let kept = async {
        loop {
            if let Some(connection) = pool.take() {
                return connection;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(SOON, kept).await.unwrap().kept);
}
