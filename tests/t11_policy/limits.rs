//! Recipients within an hour: of a client, whatever it says of itself, and of an identity, wherever it connects from.

use super::from;
use crate::harness::peers::{command, has, run_with_input};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("limits.toml");
const OK: &str = "S: 250 2.1.5 Recipient ok";
const CLIENT_FULL: &str = "S: 450 4.7.1 Too many recipients from this client within an hour, try again later";
const IDENTITY_FULL: &str = "S: 450 4.7.1 Too many recipients from this identity within an hour, try again later";

/// A transaction of so many recipients with these replies, broken off.
fn recipients(before: &str, replies: &[&str]) -> String {
    let rcpt: String = replies.iter().map(|reply| format!("C: RCPT TO:<somebody@example.net>\n{reply}\n")).collect();
    format!(
        "S: 220 *\nC: EHLO client.example.mil\nR: 250\n{before}C: MAIL FROM:<>\nS: 250 2.1.0 Sender ok\n{rcpt}\
         C: QUIT\nS: 221 *\nCLOSED\n"
    )
}

fn auth(user: &str) -> String {
    format!("C: AUTH PLAIN {{base64:\\0{user}\\0{user}-password}}\nS: 235 2.7.0 Authentication successful\n")
}

fn reload(gateway: &Gateway) {
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, "the reload", |line| line["message"] == "the new configuration is in use");
}

/// IPv6 clients are counted by their /64; what is refused is not counted; a reload forgets nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_client() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let machine = async |client: &str, replies: &[&str]| {
        from(&world, &gateway, "machines", client, &recipients("", replies)).await;
    };
    machine("10.1.2.3", &[OK, OK]).await;
    machine("10.1.2.3", &[OK, CLIENT_FULL, CLIENT_FULL]).await;
    machine("10.1.2.4", &[OK]).await;
    reload(&gateway);
    machine("10.1.2.3", &[CLIENT_FULL]).await;
    machine("10.1.2.4", &[OK, OK, CLIENT_FULL]).await;
    machine("2001:db8:1:2::1", &[OK, OK]).await;
    machine("2001:db8:1:2:ffff::7", &[OK, CLIENT_FULL]).await;
    machine("2001:db8:1:3::1", &[OK]).await;
    let line = gateway.wait_for_log("the limit", |line| line["message"] == "RCPT refused");
    assert_eq!(line["refusal"], "3 recipients of this client within the hour already", "{line}");
    assert_eq!(line["reason"], "3 of 3 recipients of this client within the hour", "{line}");
    assert_eq!((&line["client"], &line["policy"]), (&"10.1.2.3:40000".into(), &"machines".into()), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_identity() {
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let person = async |client: &str, user: &str, replies: &[&str]| {
        from(&world, &gateway, "people", client, &recipients(&auth(user), replies)).await;
    };
    person("10.1.2.3", "carol", &[OK]).await;
    person("10.1.2.4", "carol", &[OK, IDENTITY_FULL]).await;
    reload(&gateway);
    person("10.1.2.5", "carol", &[IDENTITY_FULL]).await;
    // Others on the same machine are others.
    person("10.1.2.5", "dave", &[OK, OK, IDENTITY_FULL]).await;
}

/// Recipients beyond a limit are no errors that end the session: those before it get their message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_beyond_the_limit_cost_the_others_nothing() {
    let world = World::new().await;
    let gateway = world.start(&CONFIGURATION.replace("_per_hour = 3", "_per_message = 3"));
    let full = "S: 452 4.5.3 Too many recipients in this message";
    let replies: Vec<&str> = [OK; 3].into_iter().chain([full; 60]).collect();
    let rcpt: String = replies.iter().map(|reply| format!("C: RCPT TO:<somebody@example.net>\n{reply}\n")).collect();
    let script = format!(
        "S: 220 *\nC: EHLO c.example.mil\nR: 250\nC: MAIL FROM:<>\nS: 250 *\n{rcpt}C: DATA\nS: 354 *\n\
         C: Subject: sixty too many\nC:\nC: Hello.\nC: .\nS: 250 *\nC: QUIT\nS: 221 *\nCLOSED\n"
    );
    from(&world, &gateway, "machines", "10.1.2.3", &script).await;
    assert_eq!(world.delivered("Subject: sixty too many\r\n").await.fields("X-Envelope-To").len(), 3);
    let told = gateway.log_lines().into_iter().filter(|line| line.contains("RCPT refused")).count();
    assert_eq!(told, 20, "the log tells of some");
}

/// A mail program sends what it may, and is told the rest in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_mail_program_meets_it() {
    if !has(&["swaks"]) {
        return;
    }
    let world = World::new().await;
    let gateway = world.start(CONFIGURATION);
    let port = gateway.address("direct").port().to_string();
    let mut swaks = command("swaks");
    swaks.args(["--server", "127.0.0.1", "--port", &port, "--from", "printer@example.mil", "--data", "-"]);
    swaks.args(["--to", "a@example.net,b@example.net,c@example.net,d@example.net"]);
    let said = run_with_input(&mut swaks, "Subject: three of four\n\nHello.\n");
    assert!(said.text.contains("450 4.7.1 Too many recipients from this client within an hour"), "{}", said.text);
    let delivered = world.delivered("Subject: three of four\r\n").await;
    assert_eq!(delivered.fields("X-Envelope-To").len(), 3, "{}", delivered.text);
}
