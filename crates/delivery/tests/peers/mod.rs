//! Next hops for the tests: a scripted one that can be as rude as no real server is, and real ones.

#![allow(dead_code, unreachable_pub)] // each test binary uses some of it

pub mod dovecot;
pub mod exim;
pub mod postfix;
pub mod scripted;
pub mod sink;
pub mod tls_server;

use std::path::Path;
use std::sync::Arc;

use postern_delivery::{Courier, InMemory, Means, Origin, Outcome, RouteSettings, Taken};
use protocol::{Body, Domain, Envelope, Mailbox, Recipient, ReversePath};

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A route as an administrator writes it; short timeouts, so that what stalls ends.
pub fn settings(toml: &str) -> RouteSettings {
    #[derive(serde::Deserialize)]
    struct File {
        route: RouteSettings,
    }
    let timeouts = "timeouts = { connect = '2s', handshake = '3s', greeting = '1s', command = '1s', data = '1s', \
                    block = '1s', end = '1s', attempt = '10s' }";
    let timeouts = if toml.contains("timeouts") { "" } else { timeouts };
    let file: File = toml::from_str(&format!("[route]\ndomains = ['*']\n{timeouts}\n{toml}\n")).unwrap();
    file.route
}

pub fn courier(toml: &str) -> Courier {
    Courier::new(&[settings(toml)], &means()).unwrap()
}

pub fn means() -> Means {
    Means::alone(domain("gateway.example.org"), provider())
}

/// A route in clear text to these ports, best first.
pub fn clear(ports: &[u16]) -> Courier {
    let hosts: Vec<String> = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
    courier(&format!("hosts = [{}]\ntls = 'none'", hosts.join(", ")))
}

pub fn envelope(recipients: &[&str]) -> Envelope {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    let recipient = |text: &&str| Recipient { mailbox: mailbox(text), notify: None, original: None };
    Envelope {
        reverse_path: ReversePath::Mailbox(mailbox("alice@example.org")),
        recipients: recipients.iter().map(recipient).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        require_tls: false,
        ret: None,
        envid: None,
    }
}

pub const MESSAGE: &str = "Subject: test\r\n\r\nHello\r\n.\r\n..two\r\nend\r\n";

pub async fn deliver(courier: &Courier, envelope: &Envelope) -> Vec<Outcome> {
    deliver_text(courier, envelope, MESSAGE.as_bytes()).await
}

pub async fn deliver_text(courier: &Courier, envelope: &Envelope, text: &[u8]) -> Vec<Outcome> {
    deliver_from(courier, &Origin::default(), envelope, text).await
}

pub async fn deliver_from(courier: &Courier, origin: &Origin, envelope: &Envelope, text: &[u8]) -> Vec<Outcome> {
    let all: Vec<usize> = (0..envelope.recipients.len()).collect();
    let destination = courier.destination(origin, envelope, 0).unwrap();
    let mut source = InMemory::new(text.to_vec().into());
    let outcomes = courier.deliver(&destination, origin, envelope, &all, &mut source).await;
    assert_eq!(outcomes.len(), all.len());
    outcomes
}

/// An outcome in one line: `delivered 250 …`, `deferred 4.4.2 …`, `failed 5.1.1 …`.
pub fn line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { reply, taken, .. } => {
            let taken = match taken {
                Taken::Delivered => " for good",
                Taken::RelayedWithDsn => " dsn",
                Taken::Relayed => "",
            };
            format!("delivered {reply}{taken}")
        }
        Outcome::Deferred(cause) => format!("deferred {} {cause}", cause.status()),
        Outcome::Failed(cause) => format!("failed {} {cause}", cause.status()),
    }
}

pub fn lines(outcomes: &[Outcome]) -> Vec<String> {
    outcomes.iter().map(line).collect()
}

/// Whether a program is there; says so where it is not.
pub fn has(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}

/// Runs a program to its end, this being its standard input.
pub fn piped(command: &mut std::process::Command, input: &[u8]) -> std::process::Output {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub async fn until_listening(port: u16) {
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("nothing listens at port {port}");
}
