//! What a policy lets a client do before anything else, in whose words it is told, and how TLS is made for it.

use demo::{Client, Security, TlsVersions};

use super::from;
use crate::harness::peers::{command, has, run_with_input};
use crate::harness::{World, dialogues};

const CONFIGURATION: &str = include_str!("access.toml");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejections_texts_and_senders_that_need_tls() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    dialogues::play_all("t11_policy/access", &world, &gateway).await;
    world.delivered("Subject: lifted by AUTH\r\n").await;
    // That is what a rejection is delayed for.
    let line = gateway.wait_for_log("the recipient of a rejection", |line| line["message"] == "RCPT refused");
    for (key, value) in [
        ("listener", "delayed"),
        ("group", "default"),
        ("policy", "delayed"),
        ("sender", "<intruder@example.com>"),
        ("recipient", "somebody@example.net"),
        ("refusal", "access denied by policy, delayed to the recipient"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
}

/// A mail program that authenticates is let through where the network is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_with_and_without_a_password() {
    if !has(&["swaks"]) {
        return;
    }
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let port = gateway.address("delayed").port().to_string();
    for (password, expected) in [
        (None, "550 5.7.1 Not from your network"),
        (Some("wrong"), "535 5.7.8 Authentication credentials invalid"),
        (Some("carol-password"), "250 2.0.0 Ok: queued as"),
    ] {
        let mut swaks = command("swaks");
        swaks.args(["--server", "127.0.0.1", "--port", &port, "--tls", "--data", "-"]);
        swaks.args(["--from", "carol@example.mil", "--to", "somebody@example.net"]);
        if let Some(password) = password {
            swaks.args(["--auth", "PLAIN", "--auth-user", "carol", "--auth-password", password]);
        }
        let said = run_with_input(&mut swaks, "From: carol@example.mil\nSubject: by swaks\n\nHello.\n");
        assert!(said.text.contains(expected), "{password:?}: {}", said.text);
    }
    world.delivered("Subject: by swaks\r\n").await;
}

/// The policy is known by the client's address before the handshake: its oldest version and its suites hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_by_the_policy() {
    let world = World::new().await;
    // Without a balancer the clients are all of the default policy; the group is ours in the second gateway.
    let plain = CONFIGURATION.replace("proxy_protocol_from = [\"127.0.0.1\"]\n", "");
    let old = plain.replace("10.2.0.0/16", "127.0.0.0/8");
    for (configuration, versions, agreed) in [
        (&plain, TlsVersions::Tls13, Some("TLS_CHACHA20_POLY1305_SHA256")),
        (&plain, TlsVersions::Both, Some("TLS_CHACHA20_POLY1305_SHA256")),
        (&plain, TlsVersions::Tls12, None),
        (&old, TlsVersions::Tls12, Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")),
        (&old, TlsVersions::Tls13, None),
    ] {
        let gateway = world.start(configuration);
        let tls = world.tls_as(None, versions);
        let client = Client::connect(gateway.address("implicit"), Security::Implicit(&tls)).await;
        assert_eq!(client.is_ok(), agreed.is_some(), "{versions:?}");
        if let Ok(mut client) = client {
            client.ehlo().await.unwrap();
            client.quit().await.unwrap();
        }
        let line = gateway.wait_for_log("the session", |line| line["message"] == "session");
        assert_eq!(line["cipher"].as_str(), agreed, "{versions:?}: {line}");
    }
}

/// Which policy that is, a PROXY header says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_by_the_policy_behind_a_balancer() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    for (client, versions) in [("10.2.3.4", "1.2"), ("10.3.3.4", "1.3")] {
        let script = format!("#: tls {versions}\nTLS\nS: 220 *\nC: QUIT\nS: 221 *\nCLOSED\n");
        from(&world, &gateway, "implicit", client, &script).await;
    }
}
