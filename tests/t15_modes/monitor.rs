//! What monitored rules would refuse is let through, and told in the very words that the client reads once they hold.

use std::time::{Duration, SystemTime};

use demo::Template;
use demo::pki::ALICE;

use super::{CONFIGURATION, Client, enforced, reload};
use crate::harness::peers::has;
use crate::harness::world::card;
use crate::harness::{Gateway, World};
use crate::t08_commands::{neutral, postern};

/// Each kind of client, and which rules would refuse it, with what.
const OFFICE: [(Client<'_>, &[(&str, &str)]); 8] = [
    (ALICE_BY_CARD, &[]),
    (
        Client { subject: "a printer", tls: false, certificate: None, user: None, from: None, to: None },
        &[("tls", "530 5.7.0 Must issue a STARTTLS command first"), ("auth", "530 5.7.0 Authentication required")],
    ),
    (
        Client { subject: "a printer that knows TLS", ..PRINTER },
        &[
            ("certificate", "554 5.7.0 A client certificate is required; none was presented"),
            ("auth", "530 5.7.0 Authentication required"),
        ],
    ),
    (
        Client { subject: "a password", user: Some("carol"), from: Some("carol@example.mil"), ..PRINTER },
        &[("certificate", "554 5.7.0 A client certificate is required; none was presented")],
    ),
    (
        Client { subject: "a card left at home", user: Some("alice"), from: Some("alice@example.mil"), ..PRINTER },
        &[
            ("allowance", "535 5.7.8 Authentication credentials invalid"),
            ("certificate", "554 5.7.0 A client certificate is required; none was presented"),
        ],
    ),
    (
        Client { subject: "an expired card", certificate: Some("expired"), ..ALICE_BY_CARD },
        &[
            ("certificate", "554 5.7.8 Client certificate not accepted: expired on "),
            ("auth", "530 5.7.0 Authentication required"),
        ],
    ),
    (
        Client { subject: "a card of nobody's", certificate: Some("nobody"), ..ALICE_BY_CARD },
        &[
            ("certificate", "554 5.7.1 Client certificate is valid, but belongs to no user here"),
            ("auth", "530 5.7.0 Authentication required"),
        ],
    ),
    (
        Client { subject: "another's address", from: Some("bob@example.mil"), ..ALICE_BY_CARD },
        &[("sender", "550 5.7.1 Sender address is not yours; you may send as <alice@example.mil>")],
    ),
];

const PRINTER: Client<'_> = Client { subject: "", tls: true, certificate: None, user: None, from: None, to: None };
const ALICE_BY_CARD: Client<'_> =
    Client { subject: "a card", certificate: Some("alice"), from: Some("alice@example.mil"), ..PRINTER };

async fn world() -> World {
    let world = World::new().await;
    let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 60 * 60));
    world.issue("expired", &card(ALICE).valid(now - 20 * day, now - day));
    world.issue("nobody", &Template::cac("NEWMAN.N.1999999999", "newman@example.mil"));
    world
}

/// What the log told of the listener's session since then: rule and reply, in order.
fn told(gateway: &Gateway, listener: &str, since: usize) -> Vec<(String, String)> {
    let mut told = Vec::new();
    gateway.wait_for_log_after(since, "the session", |line| {
        if line["message"] == "would be refused" && line["listener"] == listener {
            let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            told.push((field("rule"), field("reply")));
        }
        line["message"] == "session" && line["listener"] == listener
    });
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_let_through_and_told_of_in_the_words_they_will_read() {
    if !has(&["swaks"]) {
        return;
    }
    let world = world().await;
    let gateway = world.start(CONFIGURATION);
    for (client, expected) in OFFICE {
        let before = gateway.log_length();
        let said = client.send(&world, &gateway, "submission");
        assert!(said.success, "{}: {}", client.subject, said.text);
        world.delivered(&format!("Subject: {}\r\n", client.subject)).await;
        let told = told(&gateway, "submission", before);
        let as_expected = told.len() == expected.len()
            && told
                .iter()
                .zip(expected)
                .all(|((rule, reply), (known, start))| rule == known && reply.starts_with(start));
        assert!(as_expected, "{}: {told:#?}", client.subject);
        let session = gateway.wait_for_log_after(before, "the session", |line| line["message"] == "session");
        assert_eq!(session["verdict"], "permitted", "{session}");
        assert_eq!(session["monitored"].is_null(), expected.is_empty(), "{session}");
    }
    // A client that only knocks is nobody whom the rule keeps from sending.
    let before = gateway.log_length();
    let script = "S: 220 *\nC: EHLO scanner.example.com\nR: 250\nC: QUIT\nS: 221 *\nCLOSED\n";
    crate::harness::dialogues::play(script, &world, &gateway).await.unwrap();
    assert_eq!(told(&gateway, "submission", before), []);

    reload(&world, &gateway, &enforced(CONFIGURATION));
    for (client, expected) in OFFICE {
        let said = client.send(&world, &gateway, "submission");
        assert_eq!(said.success, expected.is_empty(), "{}: {}", client.subject, said.text);
        // The first of its reasons is the one that it meets, but for the password that it never gets to try.
        let (_, reply) = expected.iter().find(|(rule, _)| *rule != "allowance").unwrap_or(&("", "250 "));
        assert!(said.text.contains(reply), "{}: {reply}: {}", client.subject, said.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_and_hours() {
    if !has(&["swaks"]) {
        return;
    }
    let world = world().await;
    let gateway = world.start(CONFIGURATION);
    // Recipients that do not exist go on to the next hop; those who are not ours never do.
    let inbound = |to| Client { subject: "inbound", to: Some(to), ..Client::default() };
    for (to, expected) in [
        ("alice@example.mil", None),
        ("former@example.mil", Some("550 5.1.1 Recipient unknown")),
        ("nobody@example.mil", Some("550 5.1.1 Recipient unknown")),
    ] {
        let before = gateway.log_length();
        let said = inbound(to).send(&world, &gateway, "inbound");
        assert!(said.success, "{to}: {}", said.text);
        let told: Vec<String> = told(&gateway, "inbound", before).into_iter().map(|(_, reply)| reply).collect();
        assert_eq!(told, Vec::from_iter(expected), "{to}");
    }
    let line = gateway.wait_for_log("a recipient", |line| line["recipient"] == "nobody@example.mil");
    assert_eq!((&line["rule"], &line["sender"]), (&"recipients".into(), &"<printer@example.mil>".into()), "{line}");
    assert_eq!(line["reason"], "unknown, and accepted if known, by example.mil", "{line}");
    let said = inbound("somebody@example.net").send(&world, &gateway, "inbound");
    assert!(said.text.contains("550 5.7.1 Relaying denied"), "{}", said.text);
    // Monitored or not, unknown recipients are counted.
    assert!(inbound("nobody@example.mil").send(&world, &gateway, "inbound").success);
    let said = inbound("alice@example.mil").send(&world, &gateway, "inbound");
    assert!(said.text.contains("421 4.7.1 Too many unknown recipients"), "{}", said.text);

    let before = gateway.log_length();
    let to = "a@example.net,b@example.net,c@example.net,d@example.net,e@example.net,f@example.net";
    let said = Client { subject: "to six", to: Some(to), ..ALICE_BY_CARD }.send(&world, &gateway, "submission");
    assert!(said.success, "{}", said.text);
    assert_eq!(world.delivered("Subject: to six\r\n").await.fields("X-Envelope-To").len(), 6);
    let reply = "450 4.7.1 Too many recipients from this identity within an hour, try again later";
    assert_eq!(told(&gateway, "submission", before), [("limits".to_owned(), reply.to_owned())], "told once a session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explained() {
    let world = world().await;
    world.configure(CONFIGURATION);
    let questions: [&[&str]; 4] = [
        &["--listener", "submission", "--client", "127.0.0.1", "--without-tls"],
        &["--listener", "submission", "--client", "127.0.0.1", "--user", "alice", "--sender", "bob@example.mil"],
        &["--listener", "submission", "--client", "127.0.0.1", "--user", "carol", "--sender", "<>"],
        &["--listener", "inbound", "--client", "127.0.0.1", "--recipient", "former@example.mil"],
    ];
    let mut transcript = String::new();
    for question in questions {
        let said = postern(&world, &[&["explain", "--config", "postern.toml"], question].concat());
        let text = crate::harness::golden::without_now(&neutral(&world, &said.text));
        transcript.push_str(&format!("$ postern explain {}\n{text}exit {}\n\n", question.join(" "), said.code));
    }
    assert_eq!(crate::harness::golden::differs("t15_modes/explain.expected", &transcript), None);
}
