//! Who guesses passwords waits, and is seen.

use std::time::{Duration, Instant};

use demo::{Client, Credentials, Security};

use crate::harness::{Gateway, World, until};
use crate::t08_commands::postern;

const LIMITS: &str =
    "\n[limits.failed_logins]\nfree = 2\nfirst_wait = \"400ms\"\nlongest_wait = \"800ms\"\nspraying = 4\n";

/// How-to 2 without its allowance, and without a load balancer: clients come from where they are.
fn configuration(more: &str) -> String {
    let configuration = super::at_home(include_str!("how-to-2-smtp-auth-with-allowance/postern.toml"));
    let lines = configuration.lines().filter(|line| !["proxy_", "allowance"].iter().any(|key| line.starts_with(key)));
    lines.collect::<Vec<_>>().join("\n").replace("10.0.0.0/8", "127.0.0.0/8") + more
}

/// What a login is answered, and after how long.
async fn login(world: &World, gateway: &Gateway, user: &str, password: &str) -> (u16, Duration) {
    let tls = world.tls(None);
    let security = Security::StartTls(&tls);
    let mut client = Client::connect(gateway.address("submission"), security).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(&tls).await.unwrap();
    client.ehlo().await.unwrap();
    let began = Instant::now();
    let reply = client.authenticate(Credentials::Plain(user, password)).await.unwrap().unwrap();
    (reply.code(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_waits_and_is_told_of() {
    let world = super::world().await;
    let gateway = world.start(&configuration(LIMITS));
    let (first, longest) = (Duration::from_millis(400), Duration::from_millis(800));
    for (user, password, code, least) in [
        // Two mistakes are everybody's.
        ("carol", "x", 535, Duration::ZERO),
        ("carol", "y", 535, Duration::ZERO),
        ("carol", "z", 535, Duration::ZERO),
        // Then a right password waits as a wrong one does: time tells nothing.
        ("carol", "carol-password", 235, first),
        ("alice", "x", 535, first),
        ("dave", "x", 535, longest),
        ("nobody", "x", 535, longest),
        ("dave", "dave-password", 235, longest),
    ] {
        let (answered, took) = login(&world, &gateway, user, password).await;
        assert_eq!(answered, code, "{user}");
        assert!(took >= least, "{user}: {took:?}");
    }
    let seen = gateway.wait_for_log("password spraying", |line| line["message"] == "password spraying");
    assert_eq!((seen["network"].as_str(), seen["accounts"].as_u64()), (Some("127.0.0.0"), Some(4)));

    // Many at a time: two longest waits are taken, the rest is told to come again.
    let again = || login(&world, &gateway, "carol", "carol-password");
    let ((a, _), (b, _), (c, _), (d, _), (e, _)) = tokio::join!(again(), again(), again(), again(), again());
    let codes = [a, b, c, d, e];
    assert!(codes.contains(&235) && codes.contains(&421), "{codes:?}");

    // Those who were told so can be explained, and judged again: no rule spoke to them.
    let sessions = || {
        let lines = gateway.log_lines();
        let ended = lines.iter().filter(|line| line.contains("\"message\":\"session\"")).cloned().collect::<Vec<_>>();
        (ended.len() >= 13).then_some(ended)
    };
    let sessions = until("every session in the log", async || sessions()).await;
    world.write("gateway.log", sessions.join("\n") + "\n");
    assert!(sessions.iter().any(|line| line.contains("421 4.7.0")), "{sessions:#?}");
    let said = postern(&world, &["simulate", "--config", "postern.toml", "--log", "gateway.log"]);
    assert_eq!(said.code, 0, "{}", said.text);

    // A reload forgets nothing, and takes new settings.
    world.configure(&configuration(&LIMITS.replace("800ms", "600ms")));
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, "reloaded", |line| line["message"] == "the new configuration is in use");
    let (code, took) = login(&world, &gateway, "dave", "dave-password").await;
    assert!(code == 235 && took >= Duration::from_millis(600), "{code} {took:?}");
}
