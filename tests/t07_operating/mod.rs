//! A day in the life of an administrator: reloads good and bad, new certificates, people who come and go, a card
//! revoked under a living connection, a stop, a full disk, and the log of it all.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use demo::{Ca, Client, ClientTls, Credentials, NextHop, Security, Template, TlsVersions};
use serde_json::Value;

use crate::harness::gateway::binary;
use crate::harness::{Gateway, PATIENCE, World, until};

const CONFIGURATION: &str = include_str!("postern.toml");

/// A client behind STARTTLS and EHLO.
async fn greeted(gateway: &Gateway, tls: &ClientTls) -> Result<Client, demo::DemoError> {
    let mut client = Client::connect(gateway.address("submission"), Security::StartTls(tls)).await?;
    client.ehlo().await?;
    client.starttls(tls).await?;
    client.ehlo().await?;
    Ok(client)
}

async fn send(client: &mut Client, from: &str, subject: &str) -> String {
    for command in [format!("MAIL FROM:<{from}>"), "RCPT TO:<somebody@example.net>".to_owned()] {
        let reply = client.command(&command).await.unwrap();
        if !reply.is_positive() {
            return reply.to_string();
        }
    }
    let message = format!("From: <{from}>\r\nSubject: {subject}\r\n\r\nHello.\r\n");
    client.data(message.as_bytes()).await.unwrap().to_string()
}

fn message_is(line: &Value, message: &str) -> bool {
    line["message"] == message
}

fn hang_up(gateway: &Gateway, answer: &str) {
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, answer, |line| message_is(line, answer));
}

const IN_USE: &str = "the new configuration is in use";
const REFUSED: &str = "the new configuration is refused; the old one keeps running";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_reload() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let tls = world.tls(Some("alice"));
    let mut old = greeted(&gateway, &tls).await.unwrap();
    assert!(old.extensions().to_reply("x").to_string().contains("SIZE 26214400"));

    // Smaller messages, and one listener more.
    let more = "[[listener]]\nname = \"submissions\"\nbind = [\"127.0.0.1:0\"]\ntls = \"implicit\"\n\
                authentication = \"both\"\ndefault_policy = \"relayed\"\n";
    let smaller =
        CONFIGURATION.replace("smtp_auth = \"required\"", "smtp_auth = \"required\"\nmax_message_size = \"1MiB\"");
    world.configure(&smaller.replace("[[route]]", &format!("{more}\n[[route]]")));
    hang_up(&gateway, IN_USE);
    let new = greeted(&gateway, &tls).await.unwrap();
    assert!(new.extensions().to_reply("x").to_string().contains("SIZE 1048576"), "new sessions get what is new");
    let line = gateway.wait_for_log("the new listener", |line| line["listener"] == "submissions");
    let submissions = line["address"].as_str().unwrap().parse().unwrap();
    let mut implicit = Client::connect(submissions, Security::Implicit(&tls)).await.unwrap();
    assert_eq!(implicit.ehlo().await.unwrap().code(), 250);
    assert!(send(&mut old, "alice@example.mil", "old session").await.starts_with("250 "), "old sessions keep theirs");

    // And one listener less.
    world.configure(&smaller);
    hang_up(&gateway, IN_USE);
    assert!(Client::connect(submissions, Security::Implicit(&tls)).await.is_err(), "nobody listens there any more");
    assert!(send(&mut implicit, "alice@example.mil", "closed listener").await.starts_with("250 "));
    world.delivered("Subject: closed listener").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_reload() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let tls = world.tls(Some("alice"));
    for (bad, told) in [
        (CONFIGURATION.replace("tls = \"required\"", "tls = \"requierd\""), "did you mean `required`?"),
        (CONFIGURATION.replace("pki/ca.pem", "pki/nowhere.pem"), "pki/nowhere.pem"),
        ("no configuration at all".to_owned(), "postern.toml:1:"),
        (CONFIGURATION.replace("mail.example.mil", "other.example.mil"), "hostname cannot change"),
        (CONFIGURATION.replace("\"state\"", "\"elsewhere\""), "state_dir cannot change"),
        (CONFIGURATION.replace("127.0.0.1:0", "192.0.2.1:1"), "192.0.2.1:1"),
    ] {
        world.configure(&bad);
        let before = gateway.log_length();
        hang_up(&gateway, REFUSED);
        let lines = gateway.log_lines();
        assert!(lines[before..].iter().any(|line| line.contains(told)), "{told} in {:#?}", &lines[before..]);
        let mut client = greeted(&gateway, &tls).await.unwrap();
        assert!(send(&mut client, "alice@example.mil", told).await.starts_with("250 "));
    }
    std::fs::remove_file(world.path("postern.toml")).unwrap();
    hang_up(&gateway, REFUSED);
    world.configure(CONFIGURATION);
    hang_up(&gateway, IN_USE);
    assert!(greeted(&gateway, &tls).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_server_certificate() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let old = world.tls(Some("alice"));
    let mut living = greeted(&gateway, &old).await.unwrap();

    // A certificate without its key, and what is no certificate: the old pair stays.
    let other = Ca::new("Another CA").unwrap();
    let issued = other.issue(&Template::server()).unwrap();
    for broken in [issued.chain_pem(), "-----BEGIN NONSENSE-----\n".to_owned()] {
        let before = gateway.log_length();
        world.write("pki/server.pem", broken);
        let refused = "the server's new certificate is refused; the old one stays in use";
        gateway.wait_for_log_after(before, refused, |line| message_is(line, refused));
        assert!(greeted(&gateway, &old).await.is_ok());
    }

    let before = gateway.log_length();
    world.keep("server", &issued);
    let in_use = "the server's new certificate is in use";
    gateway.wait_for_log_after(before, in_use, |line| message_is(line, in_use));
    assert!(greeted(&gateway, &old).await.is_err(), "it is another authority's now");
    let new = ClientTls::new(other.certificate().clone(), Some(world.identity("alice")), TlsVersions::Both).unwrap();
    assert!(greeted(&gateway, &new).await.is_ok());
    assert!(send(&mut living, "alice@example.mil", "still here").await.starts_with("250 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_come_and_go() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let (alice, nobody) = (world.tls(Some("alice")), world.tls(None));
    let mut living = greeted(&gateway, &alice).await.unwrap();
    assert!(send(&mut living, "alice@example.mil", "before").await.starts_with("250 "));
    let people = std::fs::read_to_string(world.path("people.toml")).unwrap();

    // A broken file changes nothing, and tells no secrets.
    let before = gateway.log_length();
    world.write("people.toml", people.replace("[[person]]", "[person]]"));
    let refused = "the new people file is refused; the old one stays in use";
    let line = gateway.wait_for_log_after(before, refused, |line| message_is(line, refused));
    assert!(line["error"].as_str().unwrap().contains("people.toml:"), "{line}");
    assert!(!line.to_string().contains("argon2"), "{line}");
    assert!(send(&mut living, "alice@example.mil", "still").await.starts_with("250 "));

    // Alice is gone, Zoe has come: with the password that Carol has.
    let changed = "the people file changed";
    let before = gateway.log_length();
    let carols = people.split("user_id = \"carol\"").nth(1).unwrap();
    let carols = carols.lines().find(|line| line.starts_with("password")).unwrap();
    let zoe = format!("\n[[person]]\nuser_id = \"zoe\"\naddresses = [\"zoe@example.mil\"]\n{carols}\n");
    world.write("people.toml", people.replace("user_id = \"alice\"", "user_id = \"alice\"\ndisabled = true") + &zoe);
    gateway.wait_for_log_after(before, changed, |line| message_is(line, changed));
    let mut client = greeted(&gateway, &nobody).await.unwrap();
    let reply = client.authenticate(Credentials::Plain("zoe", "carol-password")).await.unwrap().unwrap();
    assert_eq!(reply.code(), 235, "{reply}");
    assert!(send(&mut client, "zoe@example.mil", "from Zoe").await.starts_with("250 "));
    let reply = send(&mut living, "alice@example.mil", "after").await;
    assert!(reply.starts_with("554 5.7.1 "), "Alice's living connection: {reply}");
    world.delivered("Subject: from Zoe").await;
}

/// Revoked at noon, a card stops sending at noon, not at the next reconnect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_under_a_living_connection() {
    let world = World::new().await;
    let card = world.issue("alice", &crate::harness::world::card(demo::pki::ALICE));
    world.revoke(&[]);
    let gateway = world.start(CONFIGURATION);
    let mut alice = greeted(&gateway, &world.tls(Some("alice"))).await.unwrap();
    let mut bob = greeted(&gateway, &world.tls(Some("bob"))).await.unwrap();
    assert!(send(&mut alice, "alice@example.mil", "before noon").await.starts_with("250 "));
    // A list of the same second has the same number, and is no newer list.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.revoke(&[&card]);
    let refusal = until("the refusal of a revoked card", async || {
        let reply = alice.mail("alice@example.mil").await.unwrap();
        if reply.is_positive() {
            alice.command("RSET").await.unwrap();
        }
        (!reply.is_positive()).then(|| reply.to_string())
    });
    assert_eq!(refusal.await, "554 5.7.8 Client certificate not accepted: it has been revoked");
    assert_eq!(alice.command("NOOP").await.unwrap().code(), 554, "the session is refused as a whole");
    assert!(send(&mut bob, "bob@example.mil", "after noon").await.starts_with("250 "));
    let delivered = world.delivered("Subject: after noon").await;
    assert!(delivered.text.contains("bob@example.mil"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop() {
    let world = World::new().await;
    let mut gateway = world.start(CONFIGURATION);
    let tls = world.tls(Some("alice"));
    let mut idle = greeted(&gateway, &tls).await.unwrap();
    let mut under_way = greeted(&gateway, &tls).await.unwrap();
    let mut in_data = greeted(&gateway, &tls).await.unwrap();
    for client in [&mut under_way, &mut in_data] {
        assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
        assert_eq!(client.rcpt("somebody@example.net").await.unwrap().code(), 250);
    }
    assert_eq!(in_data.command("DATA").await.unwrap().code(), 354);
    in_data.send(b"Subject: half\r\n\r\n").await.unwrap();
    gateway.signal("TERM");
    // Who only waits is told at once.
    assert_eq!(idle.reply().await.unwrap().to_string(), "421 4.3.2 mail.example.mil is going down, try again shortly");
    let refused = async || greeted(&gateway, &tls).await.err();
    until("that no new connection is taken", refused).await;
    // Who is at it comes to an end.
    in_data.send(b"The other half.\r\n.\r\n").await.unwrap();
    assert_eq!(in_data.reply().await.unwrap().code(), 250);
    assert_eq!(in_data.reply().await.unwrap().code(), 421);
    assert_eq!(under_way.data(b"Subject: from the start\r\n\r\nHello.\r\n").await.unwrap().code(), 250);
    assert_eq!(under_way.reply().await.unwrap().code(), 421);
    assert!(gateway.wait(PATIENCE).success());
    // What was accepted is delivered, if not before then after the next start.
    let _gateway = world.start(CONFIGURATION);
    assert!(world.delivered("Subject: half").await.body().contains("The other half."));
    world.delivered("Subject: from the start").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_ever() {
    let world = World::new().await;
    let mut gateway = world.start(&(CONFIGURATION.to_owned() + "\n[limits]\nstop_timeout = \"1s\"\n"));
    let mut client = greeted(&gateway, &world.tls(Some("alice"))).await.unwrap();
    assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
    gateway.signal("TERM");
    assert!(gateway.wait(PATIENCE).success());
    assert!(client.rcpt("somebody@example.net").await.is_err());
}

/// Eight mebibytes for the spool, in a mount of the gateway's own.
fn small_disk(world: &World) -> Option<Command> {
    std::fs::create_dir(world.path("state")).unwrap();
    let script = "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\"";
    for flags in ["-rm", "-m"] {
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c", script]).arg(world.path("state"));
        if Command::new("unshare")
            .args([flags, "sh", "-c", script])
            .arg(world.path("state"))
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            command.arg(binary());
            return Some(command);
        }
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI cannot mount a tmpfs");
    eprintln!("\n!!! SKIPPED: no tmpfs can be mounted here, not even in a user namespace\n");
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    let world = World::new().await;
    let Some(command) = small_disk(&world) else { return };
    // Nobody listens there yet.
    let later = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let configuration = CONFIGURATION.replace("127.0.0.1:2525", &later.to_string())
        + "\n[spool]\nretry_interval = \"1s\"\nmax_retry_interval = \"1s\"\n";
    let file = world.configure(&configuration);
    let gateway = Gateway::start_as(command, &file, &["submission".to_owned()]);
    let tls = world.tls(Some("alice"));
    let big = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(8 * 1024);
    let mut accepted = 0;
    let mut refused = 0;
    let mut client = greeted(&gateway, &tls).await.unwrap();
    while refused < 3 {
        assert!(accepted < 32, "8 MiB hold 16 MiB");
        assert_eq!(client.mail("alice@example.mil").await.unwrap().code(), 250);
        assert_eq!(client.rcpt("somebody@example.net").await.unwrap().code(), 250);
        let reply = client.data(format!("Subject: big {accepted}\r\n\r\n{big}").as_bytes()).await.unwrap().to_string();
        if reply.starts_with("250 ") {
            accepted += 1;
        } else {
            assert_eq!(reply, "452 4.3.1 Insufficient system storage");
            refused += 1;
        }
    }
    assert!(accepted > 0);
    assert_eq!(client.command("NOOP").await.unwrap().code(), 250, "the session goes on");
    // The next hop is back: all that was accepted arrives, and there is room again.
    let next_hop = NextHop::start(&world.path("later"), later).await.unwrap();
    for number in 0..accepted {
        assert!(next_hop.wait_for(&format!("Subject: big {number}\r\n"), PATIENCE).await.is_some(), "{number} is lost");
    }
    until("room in the spool", async || {
        let reply = send(&mut client, "alice@example.mil", "afterwards").await;
        reply.starts_with("250 ").then_some(())
    })
    .await;
    assert!(next_hop.wait_for("Subject: afterwards", PATIENCE).await.is_some());
}

/// One line a session, the same fields each time, so that it can be searched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_a_session() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let session = |before| gateway.wait_for_log_after(before, "the session", |line| message_is(line, "session"));

    let before = gateway.log_length();
    let mut client = greeted(&gateway, &world.tls(Some("alice"))).await.unwrap();
    let queued = send(&mut client, "alice@example.mil", "logged").await;
    client.quit().await.unwrap();
    let line = session(before);
    let id = queued.rsplit(' ').next().unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!((&line["listener"], &line["group"]), (&"submission".into(), &"default".into()), "{line}");
    assert_eq!((&line["policy"], &line["tls"]), (&"relayed".into(), &"TLSv1.3".into()), "{line}");
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(line["cipher"].as_str().unwrap().starts_with("TLS"), "{line}");
    assert!(line["certificate"].as_str().unwrap().starts_with("CN=DOE.ALICE.A.1234567890,"), "{line}");
    assert!(line["serial"].as_str().unwrap().len() == 32, "{line}");
    assert_eq!((&line["verdict"], &line["reason"]), (&"permitted".into(), &"by certificate".into()), "{line}");
    assert_eq!((&line["identity"], &line["messages"]), (&"alice".into(), &id.into()), "{line}");
    assert_eq!((&line["errors"], &line["end"]), (&0.into(), &"QUIT".into()), "{line}");
    let delivered = gateway.wait_for_log("the delivery", |line| message_is(line, "delivered"));
    assert_eq!((&delivered["id"], &delivered["to"]), (&id.into(), &"somebody@example.net".into()), "{delivered}");

    let before = gateway.log_length();
    let mut client = greeted(&gateway, &world.tls(None)).await.unwrap();
    client.authenticate(Credentials::Login("carol", "carol-password")).await.unwrap();
    drop(client);
    let line = session(before);
    assert_eq!((&line["verdict"], &line["reason"]), (&"permitted".into(), &"by AUTH LOGIN".into()), "{line}");
    assert_eq!((&line["identity"], &line["end"]), (&"carol".into(), &"client closed the connection".into()), "{line}");
    assert!(line["certificate"].is_null(), "{line}");

    let before = gateway.log_length();
    let mut client = greeted(&gateway, &world.tls(None)).await.unwrap();
    client.authenticate(Credentials::Plain("alice", "alice-password")).await.unwrap();
    client.quit().await.unwrap();
    let refused = gateway.wait_for_log_after(before, "the refusal", |line| message_is(line, "AUTH refused"));
    assert_eq!((&refused["user"], &refused["reason"]), (&"alice".into(), &"not allowed".into()), "{refused}");
    let line = session(before);
    assert_eq!((&line["verdict"], &line["errors"]), (&"refused".into(), &1.into()), "{line}");
    assert_eq!(line["refusal"], "535 5.7.8 Authentication credentials invalid", "{line}");
    assert!(line["identity"].is_null(), "{line}");

    // Every line is one JSON object in which no key stands twice.
    for line in gateway.log_lines() {
        let parsed: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in parsed.as_object().unwrap().keys() {
            assert_eq!(
                line.matches(&format!(",\"{key}\":")).count() + line.matches(&format!("{{\"{key}\":")).count(),
                1,
                "{line}"
            );
        }
    }
}

/// Whatever the level, whatever goes wrong, wherever it is typed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stay_out_of_the_log() {
    const SECRETS: [&str; 3] = ["carol-password", "alice-password", "a guess that is wrong"];
    let world = World::new().await;
    let gateway = world.start(&CONFIGURATION.replace("on_missing", "on_invalid = \"fallback\"\non_missing"));
    let mut encoded: Vec<String> = SECRETS.iter().map(|secret| (*secret).to_owned()).collect();
    for user in ["carol", "alice", "nobody"] {
        for secret in SECRETS {
            for credentials in [Credentials::Plain(user, secret), Credentials::Login(user, secret)] {
                let mut client = greeted(&gateway, &world.tls(None)).await.unwrap();
                client.authenticate(credentials).await.unwrap();
                client.quit().await.unwrap();
            }
            encoded.push(STANDARD.encode(format!("\0{user}\0{secret}")));
            encoded.push(STANDARD.encode(secret));
        }
    }
    // Typed where it does not belong: in the wrong order, without TLS, as a mechanism, broken.
    let secret = STANDARD.encode("\0carol\0carol-password");
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    for line in [format!("AUTH PLAIN {secret}"), "EHLO x".to_owned(), format!("AUTH PLAIN {secret}"), secret.clone()] {
        client.command(&line).await.unwrap();
    }
    let mut client = greeted(&gateway, &world.tls(None)).await.unwrap();
    for line in [
        format!("AUTH PLAIN {secret}!"),
        format!("AUTH FOO {secret}"),
        format!("AUTH PLAIN {secret} {secret}"),
        format!("AUTH {secret}"),
    ] {
        client.command(&line).await.unwrap();
    }
    client.quit().await.unwrap();
    gateway.signal("HUP");
    gateway.wait_for_log("the reload", |line| message_is(line, IN_USE));
    let lines = gateway.log_lines();
    assert!(gateway.stop().success());
    assert!(lines.iter().any(|line| line.contains("\"DEBUG\"")), "the test looks at the whole log");
    // The salts of stored hashes are no secrets that anybody typed, and have no place there either.
    encoded.push("argon2".to_owned());
    for line in &lines {
        for secret in &encoded {
            assert!(!line.contains(secret.as_str()), "{secret:?} is in {line}");
        }
    }
    assert!(!world.path("keylog").exists(), "SSLKEYLOGFILE has no effect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_keys_are_written_nowhere() {
    let world = World::new().await;
    let keys = world.path("keys.log");
    let mut command = Command::new(binary());
    command.env("SSLKEYLOGFILE", &keys);
    let listeners = crate::harness::world::listeners(CONFIGURATION);
    let gateway = Gateway::start_as(command, &world.configure(CONFIGURATION), &listeners);
    greeted(&gateway, &world.tls(Some("alice"))).await.unwrap();
    assert!(!keys.exists(), "SSLKEYLOGFILE has an effect");
}
