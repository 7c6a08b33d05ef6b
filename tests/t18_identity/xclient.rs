//! XCLIENT towards a real Postfix, which then speaks of our clients as of its own.

use std::net::{Ipv4Addr, SocketAddr};

use demo::{Client, Credentials, Security, Submission, Transport, submit};

use crate::harness::postfix::{self, Postfix};
use crate::harness::{Gateway, World};
use crate::t17_inline::scripted::{Do, Hear, Say, Scripted, Stall};

use super::CONFIGURATION;

const AUTHORIZED: &str = "smtpd_authorized_xclient_hosts = 127.0.0.1\nsmtpd_sasl_authenticated_header = yes\n";

/// Everything to this Postfix, by XCLIENT; clients come through a proxy that says where they are.
fn configuration(mode: &str, next_hop: SocketAddr) -> String {
    let (before, _) = CONFIGURATION.split_once("[trace]").unwrap();
    let listener = "tls = \"starttls\"\nproxy_protocol_from = [\"127.0.0.1\"]\n";
    let open = "[policy.open]\naccess = \"relay\"\nsmtp_auth = \"off\"\n\n[[listener]]\nname = \"relays\"\nbind = [\"127.0.0.1:0\"]\n\
                tls = \"starttls\"\ndefault_policy = \"open\"\n\n";
    format!(
        "{}{open}[relay]\nmode = \"{mode}\"\n\n[[route]]\ndomains = [\"*\"]\nhosts = [\"{}\"]\ntls = \"none\"\nxclient = true\nmax_connections = 1\n",
        before.replace("tls = \"starttls\"\n", listener),
        next_hop
    )
}

/// By somebody at this address.
async fn send(world: &World, gateway: &Gateway, address: &str, who: &str, subject: &str) -> Client {
    let tls = world.tls(None);
    let mut transport = Transport::connect(gateway.address("submission")).await.unwrap();
    let family = if address.contains(':') { "TCP6" } else { "TCP4" };
    let here = if address.contains(':') { "::1" } else { "127.0.0.1" };
    let line = format!("PROXY {family} {address} {here} 50123 587\r\n");
    transport.send("PROXY", line.as_bytes()).await.unwrap();
    let mut client = Client::over(transport, Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(&tls).await.unwrap();
    client.ehlo().await.unwrap();
    let reply = client.authenticate(Credentials::Plain(who, &format!("{who}-password"))).await.unwrap().unwrap();
    assert_eq!(reply.code(), 235, "{reply}");
    assert_eq!(client.mail(&format!("{who}@example.mil")).await.unwrap().code(), 250);
    assert_eq!(client.rcpt("bob@example.net").await.unwrap().code(), 250);
    let message = format!("From: {who}@example.mil\r\nSubject: {subject}\r\n\r\nbody\r\n");
    assert_eq!(client.data(message.as_bytes()).await.unwrap().code(), 250);
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postfix_knows_the_client() {
    if !postfix::available() {
        return;
    }
    for mode in ["queued", "inline"] {
        let world = World::new().await;
        let postfix = Postfix::start(AUTHORIZED, "").await;
        let gateway = world.start(&configuration(mode, postfix.address()));
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        // Over one connection: each under its own name, the last under none.
        for (who, address, shown) in [
            ("carol", "192.0.2.7", "[192.0.2.7]"),
            ("dave", "2001:db8::7", "[IPv6:2001:db8::7]"),
            ("carol", "192.0.2.8", "[192.0.2.8]"),
        ] {
            let subject = format!("{who} at {address}");
            send(&world, &gateway, address, who, &subject).await.quit().await.unwrap();
            let message = read(postfix.received(&subject).await);
            assert!(message.contains(&format!("(Authenticated sender: {who})")), "{message}");
            let (received, _) = message.split_once("by mx.example.net").unwrap();
            assert!(received.contains("from client.example.mil") && received.contains(shown), "{message}");
        }
        let submission = Submission {
            from: "guest@example.mil",
            to: &["bob@example.net"],
            message: b"Subject: nobody\r\n\r\nbody\r\n",
            credentials: Credentials::None,
        };
        let said = submit(gateway.address("relays"), Security::Plain, &submission).await.unwrap();
        assert!(said.accepted, "{}", said.decisive);
        let message = read(postfix.received("Subject: nobody").await);
        assert!(!message.contains("Authenticated sender"), "{message}");
        let log = postfix.log();
        assert!(log.contains("client=unknown[192.0.2.7]"), "{log}");
        assert!(log.contains("sasl_username=carol"), "{log}");
    }
}

/// A host that offers it and refuses it gets no mail, and the log says where to look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_for_now() {
    let world = World::new().await;
    let refuses: Vec<Do> = [
        vec![Say("220 rude.example"), Hear("EHLO"), Say("250-rude.example\n250 XCLIENT addr LOGIN")],
        vec![Hear("XCLIENT ADDR=127.0.0.1 LOGIN=[UNAVAILABLE]"), Say("550 5.7.0 insufficient authorization"), Stall],
    ]
    .concat();
    let scripted = Scripted::start(vec![refuses]).await;
    let gateway = world.start(&configuration("inline", (Ipv4Addr::LOCALHOST, scripted.port).into()));
    let mut client = Client::connect(gateway.address("relays"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    assert_eq!(client.mail("guest@example.mil").await.unwrap().code(), 250);
    let said = client.rcpt("bob@example.net").await.unwrap();
    assert_eq!(said.code(), 451, "{said}");
    let told = |line: &serde_json::Value| {
        line["level"] == "ERROR"
            && line["mend"].as_str().is_some_and(|mend| mend.contains("smtpd_authorized_xclient_hosts"))
    };
    gateway.wait_for_log("what to do", told);
}

/// Where it is not offered, nothing is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postfix_does_not_offer_it() {
    if !postfix::available() {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start("", "").await;
    let gateway = world.start(&configuration("queued", postfix.address()));
    send(&world, &gateway, "192.0.2.7", "carol", "not offered").await.quit().await.unwrap();
    postfix.received("Subject: not offered").await;
    assert!(postfix.log().contains("client=unknown[127.0.0.1]"), "{}", postfix.log());
}
