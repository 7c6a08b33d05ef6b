//! Revocation as an administrator meets it: the `crl` and `certificate` commands beside a gateway and without one, a card
//! revoked under a living connection, and a CA that answers by OCSP.

mod answers;

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use demo::{Client, ClientTls, Issued, Security};

use crate::harness::gateway::binary;
use crate::harness::peers::{Said, has, run};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");

fn by(revocation: &str) -> String {
    CONFIGURATION.replace("REVOCATION", revocation)
}

fn postern(world: &World, arguments: &[&str]) -> Said {
    run(Command::new("timeout").arg("60").arg(binary()).args(arguments).current_dir(world.dir()).env_remove("RUST_LOG"))
}

fn hex(issued: &Issued) -> String {
    issued.serial.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A client that is ready to send, or the reply to its EHLO inside TLS.
async fn ready(gateway: &Gateway, tls: &ClientTls) -> Result<Client, String> {
    let mut client = Client::connect(gateway.address("submission"), Security::StartTls(tls)).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(tls).await.unwrap();
    let reply = client.ehlo().await.unwrap();
    if reply.is_positive() { Ok(client) } else { Err(reply.to_string()) }
}

const REVOKED: &str = "554 5.7.8 Client certificate not accepted: it has been revoked";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_as_commands() {
    let world = World::new().await;
    let card = world.issue("alice", &crate::harness::world::card(demo::pki::ALICE));
    world.revoke(&[]);
    world.configure(&by("[\"crl\"]"));
    let config = ["--config", "postern.toml"];
    let with = |words: &[&'static str]| [words, &config].concat();

    // Without a gateway the command reads the lists itself, and says so.
    let alone = postern(&world, &with(&["crl", "list"]));
    assert!(alone.success && alone.text.contains("no gateway runs on"), "{}", alone.text);

    let gateway = world.start(&by("[\"crl\"]"));
    let beside = postern(&world, &with(&["crl", "list"]));
    assert!(beside.success && !beside.text.contains("no gateway"), "{}", beside.text);
    let serial = hex(&card);
    let check = |expected: bool| {
        let said = postern(&world, &[&["crl", "check", serial.as_str()][..], &config].concat());
        assert_eq!(!said.success, expected, "{}", said.text);
        assert_eq!(said.text.contains("keyCompromise"), expected, "{}", said.text);
    };
    check(false);
    let mut client = ready(&gateway, &world.tls(Some("alice"))).await.unwrap();
    assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
    assert_eq!(client.command("RSET").await.unwrap().code(), 250);

    // Nobody looks at the file before the administrator says so; then the same connection is refused.
    world.revoke(&[&card]);
    assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
    assert_eq!(client.command("RSET").await.unwrap().code(), 250);
    check(false);
    let refreshed = postern(&world, &with(&["crl", "refresh", "test"]));
    assert!(refreshed.success, "{}", refreshed.text);
    check(true);
    assert_eq!(client.mail("alice@example.mil").await.unwrap().to_string(), REVOKED);
    let line = gateway.wait_for_log("the list", |line| line["message"] == "CRL in use" && line["entries"] == 1);
    assert_eq!(line["source"], "test");

    let shown = postern(&world, &with(&["crl", "show", "test"]));
    assert!(shown.success && shown.text.contains("next update"), "{}", shown.text);
    let nowhere = postern(&world, &with(&["crl", "refresh", "nowhere"]));
    assert!(!nowhere.success && nowhere.text.contains("there is no [[crl.source]] \"nowhere\""), "{}", nowhere.text);
    let no_number = postern(&world, &with(&["crl", "check", "zz"]));
    assert!(!no_number.success && no_number.text.contains("write hexadecimal digits"), "{}", no_number.text);

    let verified = postern(&world, &with(&["certificate", "verify", "pki/alice.pem", "--trust", "test"]));
    assert!(!verified.success && verified.text.contains("revoked at"), "{}", verified.text);
    let shown = postern(&world, &["certificate", "show", "pki/alice.pem"]);
    for part in ["userPrincipalName", "{edipi}", demo::pki::ALICE.edipi, "clientAuth", serial.as_str()] {
        assert!(shown.success && shown.text.contains(part), "{part}: {}", shown.text);
    }
}

/// `openssl ocsp`, killed when dropped.
struct Responder(Child);

impl Responder {
    fn start(world: &World, port: u16) -> Self {
        Self::start_as(world, port, &["-nmin", "60"])
    }

    fn start_as(world: &World, port: u16, more: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-index", "index.txt", "-CA", "pki/issuing.pem", "-rsigner", "pki/issuing.pem"]);
        command.args(["-rkey", "pki/issuing.key", "-port", &port.to_string()]).args(more);
        let mut child = command.current_dir(world.dir()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // It serves one connection after the other, so a connection to see whether it is there would stand in the way.
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        let waits = lines.any(|line| line.to_ascii_lowercase().contains("waiting for ocsp client connections"));
        assert!(waits, "openssl ocsp does not start");
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_ocsp() {
    if !has(&["openssl"]) {
        return;
    }
    let world = World::new().await;
    let template = crate::harness::world::card(demo::pki::ALICE);
    let (good, lost) = (world.issue("alice", &template), world.issue("lost", &template));
    world.issuing_key();
    let row = |status: &str, when: &str, issued: &Issued| {
        format!("{status}\t491231235959Z\t{when}\t{}\tunknown\t/CN=x\n", hex(issued).to_uppercase())
    };
    world.write("index.txt", row("V", "", &good) + &row("R", "260101000000Z,keyCompromise", &lost));
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let settings = format!(
        "{}\n[[ocsp.responder]]\nurl = \"http://127.0.0.1:{port}/\"\n",
        // The issuing CA's own status comes from the root's list; the issuing CA's list knows of nobody.
        by("[\"ocsp\", \"crl\"]")
    );
    // Nobody answers yet: a temporary failure, never an acceptance.
    world.remove("pki/crl.pem");
    let gateway = world.start(&settings);
    let mut unknown = ready(&gateway, &world.tls(Some("alice"))).await.unwrap();
    assert_eq!(unknown.mail("alice@example.mil").await.unwrap().code(), 454);
    drop(gateway);

    world.revoke(&[]);
    let _responder = Responder::start(&world, port);
    let gateway = world.start(&settings);
    let mut client = ready(&gateway, &world.tls(Some("alice"))).await.unwrap();
    assert_eq!(client.mail("alice@example.mil").await.unwrap().to_string(), "250 2.1.0 Sender ok");
    assert_eq!(ready(&gateway, &world.tls(Some("lost"))).await.unwrap_err(), REVOKED);
}
