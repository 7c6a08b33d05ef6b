//! The protocol to the letter, as dialogues: one file a question. Beside them, what a dialogue cannot show: what came
//! to the next hop, and what is left when a client vanishes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use demo::{Client, Security};

use crate::harness::{Gateway, PATIENCE, World, dialogues};

const CONFIGURATION: &str = include_str!("postern.toml");

async fn play(folder: &str, configuration: &str) -> (World, Gateway) {
    let world = World::new().await;
    let gateway = world.start(configuration);
    dialogues::play_all(&format!("t04_dialogues/{folder}"), &world, &gateway).await;
    (world, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol() {
    let (world, gateway) = play("protocol", CONFIGURATION).await;
    let envelope = |text: &str| -> Vec<String> {
        text.lines().take_while(|line| line.starts_with("X-Envelope-")).map(|line| line.trim().to_owned()).collect()
    };

    let first = world.delivered("Subject: protocol 1\r\n").await;
    assert_eq!(first.body(), ".One dot more.\r\nLast.\r\n");
    assert!(first.fields("Received")[0].contains("by mail.example.mil with ESMTP id "), "{}", first.text);
    assert!(first.field("X-Envelope-From").starts_with("<a@example.org>"), "{}", first.text);
    assert_eq!(first.fields("X-Envelope-To"), ["<b@example.net>", "<c@example.net>"]);

    let helo = world.delivered("Subject: protocol 2\r\n").await;
    assert!(helo.fields("Received")[0].contains("by mail.example.mil with SMTP id "), "{}", helo.text);

    let pipelined = world.delivered("Subject: protocol 4\r\n").await;
    assert_eq!(pipelined.fields("X-Envelope-To"), ["<b@example.net>", "<c@example.net>"]);

    let eight_bit = world.delivered("Subject: protocol 9\r\n").await;
    assert!(envelope(&eight_bit.text)[0].contains("BODY=8BITMIME"), "{}", eight_bit.text);
    assert!(eight_bit.text.contains("Grüße, \u{fffd}.\r\n"), "{}", eight_bit.text);

    let utf8 = world.delivered("Subject: protocol 10\r\n").await;
    assert!(envelope(&utf8.text)[0].starts_with("X-Envelope-From: <grün@example.org>"), "{}", utf8.text);
    assert!(envelope(&utf8.text)[0].contains("SMTPUTF8"), "{}", utf8.text);
    assert!(envelope(&utf8.text)[1].starts_with("X-Envelope-To: <blåbær@exämple.net>"), "{}", utf8.text);
    assert!(utf8.fields("Received")[0].contains("with UTF8SMTP id "), "{}", utf8.text);

    let chunked = world.delivered("Subject: protocol 11\r\n").await;
    assert_eq!(chunked.body(), "AB\r\n.\r\nC\r\n");

    let after_tls = world.delivered("Subject: protocol 26\r\n").await;
    assert!(after_tls.fields("Received")[0].contains("with ESMTPS id "), "{}", after_tls.text);

    // One for each "queued" above, and not one more: none was smuggled.
    world.delivered_so_many(8).await;
    assert!(gateway.stop().success());
    let all = world.all_delivered().await;
    assert!(all.iter().all(|message| !message.text.contains("smuggle")), "{all:#?}");
    assert_eq!(all.len(), 8, "{all:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits() {
    let (world, gateway) = play("limits", CONFIGURATION).await;
    let recipients = world.delivered("Subject: limits 4\r\n").await;
    assert_eq!(recipients.fields("X-Envelope-To").len(), 3);
    let long = world.delivered("Subject: limits 9\r\n").await;
    assert_eq!(long.body(), "y".repeat(3000) + "\r\n");
    an_endless_line(&gateway).await;
    world.delivered_so_many(5).await;
    assert!(gateway.stop().success());
    assert_eq!(world.all_delivered().await.len(), 5);
}

/// A line that does not end is not waited for beyond a mebibyte.
async fn an_endless_line(gateway: &Gateway) {
    let before = gateway.log_length();
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    let sent = async { while client.send(&[b'x'; 64 * 1024]).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, sent).await.expect("the gateway reads for ever");
    let line = gateway.wait_for_log_after(before, "the session", |line| line["message"] == "session");
    assert_eq!(line["end"], "bare CR or LF, or a line without end", "{line}");
}

/// Connections at a time: of one client, of one listener, and in all. A place that comes free is given to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections() {
    let world = World::new().await;
    let per_client =
        CONFIGURATION.replace("smtp_auth = \"off\"", "smtp_auth = \"off\"\nmax_connections_per_client = 2");
    let in_all = CONFIGURATION.to_owned() + "\n[limits]\nmax_connections = 2\n";
    let of_listener = CONFIGURATION.replacen("tls = \"starttls\"\n", "tls = \"starttls\"\nmax_connections = 2\n", 1);
    for (configuration, whose) in [(per_client, " from your address"), (of_listener, " to this service"), (in_all, "")]
    {
        let gateway = world.start(&configuration);
        let connect = async || Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
        let (first, _second, third) = (connect().await, connect().await, connect().await);
        assert_eq!(third.transcript()[0].reply.to_string(), format!("421 4.7.0 Too many connections{whose}"));
        drop(first);
        crate::harness::until("a place that came free", async || {
            (connect().await.transcript()[0].reply.code() == 220).then_some(())
        })
        .await;
        assert!(gateway.stop().success());
    }
}

const TIMES: &str = "
[limits]
idle_timeout = \"1s\"
handshake_timeout = \"1s\"
message_timeout = \"2s\"
session_timeout = \"4s\"

[directory.people]
kind = \"file\"
path = \"people.toml\"

[authentication.password]
password = { directory = \"people\" }

[policy.clear-text]
access = \"relay\"
require_tls_to_offer_auth = false

[[listener]]
name = \"auth\"
bind = [\"127.0.0.1:0\"]
tls = \"starttls\"
authentication = \"password\"
default_policy = \"clear-text\"

[[listener]]
name = \"proxied\"
bind = [\"127.0.0.1:0\"]
tls = \"starttls\"
proxy_protocol_from = [\"127.0.0.1\"]
default_policy = \"open\"
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times() {
    let (world, gateway) = play("times", &(CONFIGURATION.to_owned() + TIMES)).await;

    // Never silent, and still too slow: a message in drops, a session of NOOPs.
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client.mail("a@example.org").await.unwrap();
    client.rcpt("b@example.net").await.unwrap();
    assert_eq!(client.command("DATA").await.unwrap().code(), 354);
    let drip = async {
        loop {
            client.send(b"drip\r\n").await?;
            if let Ok(reply) = tokio::time::timeout(Duration::from_millis(200), client.reply()).await {
                return reply;
            }
        }
    };
    let reply = tokio::time::timeout(PATIENCE, drip).await.expect("the message is cut off").unwrap();
    assert_eq!(reply.to_string(), "421 4.4.2 Timed out");

    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    let reply = tokio::time::timeout(PATIENCE, async {
        loop {
            let reply = client.command("NOOP").await?;
            if !reply.is_positive() {
                return Ok::<_, demo::DemoError>(reply);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert_eq!(reply.await.expect("the session is cut off").unwrap().to_string(), "421 4.4.2 Timed out");
    assert!(gateway.stop().success());
    assert!(world.all_delivered().await.is_empty());
}

const PROXIED: &str = "
[policy.blocked]
access = \"reject\"

[[listener]]
name = \"proxied\"
bind = [\"127.0.0.1:0\"]
tls = \"starttls\"
proxy_protocol_from = [\"127.0.0.1\"]
sender_groups = [{ name = \"OURS\", clients = [\"10.0.0.0/8\", \"2001:db8::/32\"], policy = \"open\" }]
default_policy = \"blocked\"

[[listener]]
name = \"proxied-implicit\"
bind = [\"127.0.0.1:0\"]
tls = \"implicit\"
proxy_protocol_from = [\"127.0.0.1\"]
default_policy = \"open\"
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy() {
    let (_world, gateway) = play("proxy", &(CONFIGURATION.to_owned() + PROXIED)).await;
    gateway.wait_for_log("the client's address behind the balancer", |line| {
        line["message"] == "session" && line["client"] == "[2001:db8::7]:40000" && line["group"] == "OURS"
    });
}

/// A balancer sends its header and the first octets of the client's handshake in one segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_header_and_client_hello_in_one_segment() {
    let world = World::new().await;
    let gateway = world.start(&(CONFIGURATION.to_owned() + PROXIED));
    let balancer = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, behind) = (balancer.local_addr().unwrap(), gateway.address("proxied-implicit"));
    std::thread::spawn(move || {
        let (mut client, _) = balancer.accept().unwrap();
        let mut segment = b"PROXY TCP4 10.1.2.3 192.0.2.25 40000 465\r\n".to_vec();
        let mut hello = [0; 4096];
        let length = client.read(&mut hello).unwrap();
        segment.extend(&hello[..length]);
        let mut server = TcpStream::connect(behind).unwrap();
        server.write_all(&segment).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    });
    let tls = world.tls(None);
    let mut client = Client::connect(address, Security::Implicit(&tls)).await.unwrap();
    assert_eq!(client.ehlo().await.unwrap().code(), 250);
    client.quit().await.unwrap();
}

/// Whether by DATA or by BDAT, before or after the first flush to disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_leaves_nothing() {
    let world = World::new().await;
    let gateway = world.start(&CONFIGURATION.replace("64KiB", "10MiB"));
    let big = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(8 * 1024);
    for (command, content) in [
        ("DATA", "Subject: half\r\n\r\nHello."),
        ("DATA", big.as_str()),
        // All but the LF of the last line.
        ("DATA", "Subject: all but\r\n\r\nHello.\r\n.\r"),
        ("BDAT 1000 LAST", "Subject: half a chunk\r\n\r\n"),
        ("BDAT 9", "Subject: "),
        ("BDAT 1000000 LAST", big.as_str()),
    ] {
        let before = gateway.log_length();
        let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
        client.ehlo().await.unwrap();
        client.mail("a@example.org").await.unwrap();
        client.rcpt("b@example.net").await.unwrap();
        client.send(format!("{command}\r\n").as_bytes()).await.unwrap();
        if command == "DATA" {
            assert_eq!(client.reply().await.unwrap().code(), 354);
        }
        client.send(content.as_bytes()).await.unwrap();
        drop(client);
        let line = gateway.wait_for_log_after(before, "the session", |line| line["message"] == "session");
        assert_eq!((&line["end"], &line["messages"]), (&"client closed the connection".into(), &"".into()), "{line}");
    }
    assert!(gateway.stop().success());
    let gateway = world.start(CONFIGURATION);
    let line = gateway.wait_for_log("the spool", |line| line["message"] == "the spool is open");
    assert_eq!(line["messages"], 0, "{line}");
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client.mail("a@example.org").await.unwrap();
    client.rcpt("b@example.net").await.unwrap();
    client.data(b"Subject: the only one\r\n\r\nHello.\r\n").await.unwrap();
    world.delivered("Subject: the only one").await;
    assert!(gateway.stop().success());
    assert_eq!(world.all_delivered().await.len(), 1);
}
