//! Who may write as whom: MAIL FROM and the header's From and Sender, bound to the identity.

use crate::harness::peers::{command, has, run, run_with_input};
use crate::harness::{Gateway, World, dialogues, golden};
use crate::t08_commands::{neutral, postern};

const CONFIGURATION: &str = include_str!("senders.toml");

fn matches(path: &str, got: &str) {
    let difference = golden::differs(path, got);
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_dialogue() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    dialogues::play_all("t13_senders/dialogues", &world, &gateway).await;

    let first = world.delivered("Subject: masqueraded 1").await;
    assert_eq!(first.field("From"), "<alice@example.mil>");
    assert_eq!(first.field("X-Original-From"), "Printer <printer@10.1.2.3.example>");
    assert_eq!(first.field("X-Original-Sender"), "spooler@printer.example");
    assert!(first.fields("Sender").is_empty());
    assert!(first.field("X-Envelope-From").starts_with("<alice@example.mil>"), "{}", first.text);
    let second = world.delivered("Subject: masqueraded 2").await;
    assert_eq!(second.field("From"), "<alice@example.mil>");
    assert!(second.fields("X-Original-From").is_empty());
    let third = world.delivered("Subject: masqueraded 3").await;
    assert_eq!(third.field("From"), "alice.doe@example.mil");
    assert!(third.field("X-Envelope-From").starts_with("<alice.doe@example.mil>"), "{}", third.text);
    let watched = world.delivered("Subject: watched 1").await;
    assert_eq!(watched.field("From"), "Bob <bob@example.mil>");
    assert!(watched.field("X-Envelope-From").starts_with("<bob@example.mil>"), "{}", watched.text);
    for number in 1..=7 {
        world.delivered(&format!("Subject: senders {number}")).await;
    }
    let refused = world.all_delivered().await.iter().filter(|message| message.text.contains("senders no")).count();
    assert_eq!(refused, 0, "a refused message was delivered");
    the_log_says_so(&gateway);
}

fn the_log_says_so(gateway: &Gateway) {
    gateway.wait_for_log("a refused sender", |line| {
        line["message"] == "sender refused" && line["written"] == "<bob@example.mil>" && line["identity"] == "alice"
    });
    gateway.wait_for_log("a refused author", |line| {
        line["message"] == "author refused"
            && line["identity"] == "alice"
            && line["reason"] == "the header names \"bob@example.mil\", no address of the identity"
    });
    gateway.wait_for_log("a rewritten sender", |line| {
        line["message"] == "foreign sender rewritten" && line["written"] == "<printer@printer.example>"
    });
    gateway.wait_for_log("a rewritten author", |line| line["message"] == "foreign author rewritten");
    gateway.wait_for_log("an author let through", |line| {
        line["message"] == "would be refused" && line["rule"] == "from-header" && line["id"].is_string()
    });
}

/// Shared mailboxes and lists from the people file; addresses from the card.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_send_as() {
    const ADDRESSES: &str = "addresses = [\"alice@example.mil\", \"alice.doe@example.mil\"]";
    let world = World::new().await;
    let people = std::fs::read_to_string(world.path("people.toml")).unwrap();
    assert!(people.contains(ADDRESSES));
    let lent = "addresses = [\"alice.doe@example.mil\"]\nsend_as = [\"support@example.mil\", \"@lists.example.mil\"]";
    world.write("people.toml", people.replace(ADDRESSES, lent));
    let from = "directory = \"people\", addresses_from = [\"directory\", \"certificate\"]";
    let gateway = world.start(&CONFIGURATION.replace("directory = \"people\"", from));
    dialogues::play_all("t13_senders/send_as", &world, &gateway).await;
    for number in 1..=4 {
        world.delivered(&format!("Subject: lent {number}")).await;
    }
}

/// Hostile messages by smtplib, what was said to each; and Python's readers see nobody but Alice in what went through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_python() {
    if !has(&["python3"]) {
        return;
    }
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let mut python = command("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/t13_senders/submit.py"));
    python.arg(gateway.address("strict").port().to_string()).arg(world.path("pki/ca.pem"));
    python.arg(world.path("pki/alice.pem")).arg(world.path("pki/alice.key"));
    let said = run(&mut python);
    assert!(said.success, "{}", said.text);
    matches("t13_senders/submit.expected", &said.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_swaks_and_curl() {
    if !has(&["swaks", "curl"]) {
        return;
    }
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let port = gateway.address("strict").port().to_string();
    for (from, well) in [("alice@example.mil", true), ("Bob <bob@example.mil>", false)] {
        let mut swaks = command("swaks");
        swaks.args(["--server", "localhost", "--port", &port, "--tls-on-connect", "--tls-verify", "--tls-ca-path"]);
        swaks.arg(world.path("pki/ca.pem")).arg("--tls-cert").arg(world.path("pki/alice.pem"));
        swaks.arg("--tls-key").arg(world.path("pki/alice.key"));
        swaks.args([
            "--from",
            "alice@example.mil",
            "--to",
            "somebody@example.net",
            "--header",
            &format!("From: {from}"),
        ]);
        let said = run(&mut swaks);
        assert_eq!(said.success, well, "{}", said.text);
        assert_eq!(said.text.contains("550 5.7.1 You may send as <alice@example.mil>"), !well, "{}", said.text);

        let mut curl = command("curl");
        curl.args(["--verbose", "--silent", "--show-error", "--crlf", "--upload-file", "-", "--cacert"]);
        curl.arg(world.path("pki/ca.pem")).arg("--cert").arg(world.path("pki/alice.pem"));
        curl.arg("--key").arg(world.path("pki/alice.key"));
        curl.args(["--mail-from", "alice@example.mil", "--mail-rcpt", "somebody@example.net"]);
        curl.args(["--url", &format!("smtps://localhost:{port}/client.example.mil")]);
        let said = run_with_input(&mut curl, &format!("From: {from}\nSubject: by curl\n\nHello.\n"));
        assert_eq!(said.success, well, "{}", said.text);
        assert_eq!(said.text.contains("which is not yours"), !well, "{}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explained() {
    let world = World::new().await;
    world.configure(CONFIGURATION);
    let mut transcript = String::new();
    for (listener, question) in [
        ("strict", &["--sender", "alice@example.mil", "--from-header", "Alice <alice@example.mil>"][..]),
        ("strict", &["--from-header", "\"bob@example.mil\" <alice@example.mil>"]),
        ("strict", &["--from-header", "alice@example.mil", "--from-header", "bob@example.mil"]),
        ("strict", &["--from-header", "alice@example.mil, alice.doe@example.mil"]),
        ("strict", &["--from-header", "alice@example.mil", "--sender-header", "bob@example.mil"]),
        ("strict", &["--sender", "<>"]),
        ("domain", &["--sender", "bob@example.mil", "--from-header", "bob@example.com"]),
        ("masqueraded", &["--sender", "bob@example.mil", "--from-header", "bob@example.mil"]),
        ("watched", &["--sender", "bob@example.mil", "--from-header", "bob@example.mil"]),
    ] {
        let first = ["explain", "--config", "postern.toml", "--listener", listener, "--client", "10.1.2.3"];
        let said = postern(&world, &[&first[..], &["--certificate", "pki/alice.pem"], question].concat());
        let verdict = neutral(&world, &said.text);
        let verdict: String = verdict
            .lines()
            .filter(|line| ["MAIL ", "DATA "].iter().any(|word| line.starts_with(word)))
            .map(|line| format!("{line}\n"))
            .collect();
        transcript.push_str(&format!(
            "$ postern explain … --listener {listener} {}\n{verdict}exit {}\n\n",
            question.join(" "),
            said.code
        ));
    }
    matches("t13_senders/explain.expected", &transcript);
}
