//! To the next hop: a real Postfix, with and without TLS, in good and in bad temper; and back to the sender.

mod tls_reports;

use std::path::Path;

use demo::{Client, Security, Template};
use serde_json::Value;

use crate::harness::peers::{self, command, run};
use crate::harness::postfix::{self, Postfix};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");

/// The rest of the only route.
fn configuration(route: &str) -> String {
    CONFIGURATION.to_owned() + route
}

fn with_tls(world: &World, certificate: &str) -> String {
    let pki = world.path("pki");
    let pki = pki.display();
    format!(
        "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {pki}/{certificate}.key, {pki}/{certificate}.pem\n"
    )
}

async fn send(gateway: &Gateway, from: &str, to: &[&str], subject: &str) {
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    assert_eq!(client.mail(from).await.unwrap().code(), 250);
    for to in to {
        assert_eq!(client.rcpt(to).await.unwrap().code(), 250);
    }
    let message = format!("From: <{from}>\r\nTo: somebody\r\nSubject: {subject}\r\n\r\nThe body of {subject}.\r\n");
    let reply = client.data(message.as_bytes()).await.unwrap();
    assert_eq!(reply.code(), 250, "{reply}");
    client.quit().await.unwrap();
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// Waits until the log says that an attempt failed for now, and why.
fn put_off(gateway: &Gateway, why: &str) -> Value {
    gateway.wait_for_log(&format!("put off: {why}"), |line| {
        line["message"] == "deferred" && line["reply"].as_str().is_some_and(|reply| reply.contains(why))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verified_tls() {
    if !postfix::available() {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start(&with_tls(&world, "server"), "").await;
    let port = postfix.address().port();
    let verified = format!("hosts = [\"localhost:{port}\"]\ntls = \"verify\"\nca = \"pki/ca.pem\"\n");
    let gateway = world.start(&configuration(&verified));
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "verified").await;
    let received = read(&postfix.received("Subject: verified").await);
    assert!(received.contains("(using TLSv1.3 with cipher "), "{received}");
    assert!(received.contains("Return-Path: <alice@example.mil>"), "{received}");

    // Another authority, then another name: no delivery, until the configuration is mended.
    let stranger = demo::Ca::new("Somebody Else's CA").unwrap();
    world.write("pki/stranger-ca.pem", stranger.certificate_pem());
    for (subject, wrong, why) in [
        ("wrong authority", verified.replace("ca.pem", "stranger-ca.pem"), "unknown issuer"),
        ("wrong name", verified.replace("localhost", "mx.localhost"), "mx.localhost"),
    ] {
        world.configure(&configuration(&wrong));
        reload(&gateway);
        send(&gateway, "alice@example.mil", &["somebody@example.net"], subject).await;
        put_off(&gateway, why);
        assert!(postfix.mailbox().iter().all(|path| !read(path).contains(subject)));
        world.configure(&configuration(&verified));
        reload(&gateway);
        postfix.received(&format!("Subject: {subject}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maildir_on_this_machine() {
    let world = World::new().await;
    let mail = world.dir().canonicalize().unwrap().join("mail");
    let gateway = world.start(&configuration(&format!("maildir = {{ path = \"{}/{{local}}\" }}\n", mail.display())));
    send(&gateway, "alice@example.mil", &["bob@example.net"], "kept").await;
    let line = put_off(&gateway, "the mailbox is not there");
    assert!(!line.to_string().contains(mail.to_str().unwrap()), "{line}");
    for folder in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(mail.join("bob").join(folder)).unwrap();
    }
    gateway.wait_for_log("delivered", |line| line["message"] == "delivered");
    let files: Vec<_> = std::fs::read_dir(mail.join("bob/new")).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let text = read(file);
    assert!(text.starts_with("Return-Path: <alice@example.mil>\nDelivered-To: bob@example.net\nReceived: "), "{text}");
    assert!(text.ends_with("\n\nThe body of kept.\n"), "{text}");
}

fn reload(gateway: &Gateway) {
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, "the reload", |line| line["message"] == "the new configuration is in use");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_may_or_must_be() {
    if !postfix::available() {
        return;
    }
    let world = World::new().await;
    // For somebody else, from somebody else: good enough to keep listeners out.
    let stranger = demo::Ca::new("Somebody Else's CA").unwrap();
    let elsewhere = Template { names: vec![demo::AltName::Dns("mx.example.org".into())], ..Template::server() };
    world.keep("stranger", &stranger.issue(&elsewhere).unwrap());
    let postfix = Postfix::start(&with_tls(&world, "stranger"), "").await;
    let host = format!("hosts = [\"{}\"]\n", postfix.address());
    let gateway = world.start(&configuration(&(host.clone() + "tls = \"may\"\n")));
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "may, and can").await;
    let received = read(&postfix.received("Subject: may, and can").await);
    assert!(received.contains("(using TLSv1.3 with cipher "), "{received}");

    world.configure(&configuration(&(host.clone() + "tls = \"none\"\n")));
    reload(&gateway);
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "none").await;
    let received = read(&postfix.received("Subject: none").await);
    assert!(!received.contains("(using TLS"), "{received}");

    postfix.reconfigure("smtpd_tls_security_level = none\n");
    world.configure(&configuration(&(host.clone() + "tls = \"may\"\nkeep_open = \"0s\"\n")));
    reload(&gateway);
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "may, and cannot").await;
    let received = read(&postfix.received("Subject: may, and cannot").await);
    assert!(!received.contains("(using TLS"), "{received}");

    world.configure(&configuration(&(host + "tls = \"require\"\n")));
    reload(&gateway);
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "required").await;
    put_off(&gateway, "STARTTLS");
    postfix.reconfigure(&with_tls(&world, "stranger"));
    let received = read(&postfix.received("Subject: required").await);
    assert!(received.contains("(using TLSv1.3 with cipher "), "{received}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn implicit_tls_and_failover() {
    if !postfix::available() {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start(&with_tls(&world, "server"), "-o smtpd_tls_wrappermode=yes").await;
    // Nobody listens at the first.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let route = format!("hosts = [\"{dead}\", \"{}\"]\nimplicit_tls = true\nca = \"pki/ca.pem\"\n", postfix.address());
    let gateway = world.start(&configuration(&route));
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "second choice").await;
    let received = read(&postfix.received("Subject: second choice").await);
    assert!(received.contains("(using TLSv1.3 with cipher "), "{received}");
}

const TEMPER: &str = "smtpd_recipient_restrictions = check_recipient_access inline:{ \
     { later@example.net = 451 4.3.0 in a while } { never@example.net = 550 5.1.1 no such user } \
     { gone@example.net = 521 5.3.2 gone }}, reject_unauth_destination\n";

fn notice(path: &Path) -> Value {
    let said = run(command("python3").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/t05_delivery/bounce.py")).arg(path));
    serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{error}: {}\n{}", said.text, read(path)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_for_now_and_for_good() {
    if !postfix::available() || !peers::has(&["python3"]) {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start(TEMPER, "").await;
    let gateway = world
        .start(&configuration(&format!("hosts = [\"{}\"]\ntls = \"may\"\nkeep_open = \"0s\"\n", postfix.address())));
    let to = ["somebody@example.net", "later@example.net", "never@example.net"];
    send(&gateway, "alice@example.mil", &to, "mixed").await;
    let mixed = read(&postfix.received("The body of mixed.").await);
    assert!(mixed.contains("X-Original-To: somebody@example.net"), "{mixed}");

    // RFC 3464: machine-readable, and to the letter.
    let path = postfix.received("never@example.net").await;
    let notice = notice(&path);
    assert_eq!(notice["return_path"], "<>", "RFC 5321 section 6.1: a notice must not be answered by one");
    assert_eq!(notice["to"], "alice@example.mil");
    assert!(notice["from"].as_str().unwrap().contains("@mail.example.mil>"), "{notice}");
    assert!(notice["auto_submitted"].as_str().unwrap().starts_with("auto-replied"), "RFC 3834: {notice}");
    assert_eq!(notice["date"], true);
    assert_eq!(notice["message_id"], true);
    assert_eq!(notice["mime_version"], "1.0");
    assert_eq!((&notice["type"], &notice["report_type"]), (&"multipart/report".into(), &"delivery-status".into()));
    assert_eq!(notice["defects"], Value::Array(vec![]), "{notice}");
    let parts = notice["parts"].as_array().unwrap();
    assert_eq!((&parts[0], &parts[1]), (&"text/plain".into(), &"message/delivery-status".into()));
    assert!(["message/rfc822", "text/rfc822-headers"].contains(&parts[2].as_str().unwrap()), "{notice}");
    assert_eq!(notice["message"]["Reporting-MTA"], "dns; mail.example.mil");
    assert!(notice["message"]["Arrival-Date"].is_string(), "{notice}");
    let recipients = notice["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), 1, "the others are no failures: {notice}");
    assert_eq!(recipients[0]["Final-Recipient"], "rfc822; never@example.net");
    assert_eq!(recipients[0]["Action"], "failed");
    assert_eq!(recipients[0]["Status"], "5.1.1");
    let diagnostic = recipients[0]["Diagnostic-Code"].as_str().unwrap();
    assert!(diagnostic.starts_with("smtp; 550 5.1.1 ") && diagnostic.contains("no such user"), "{notice}");
    assert!(notice["text"].as_str().unwrap().contains("never@example.net"), "{notice}");
    assert!(notice["returned"].as_str().unwrap().contains("Subject: mixed"), "{notice}");

    // Later has come: a new connection meets the new settings.
    put_off(&gateway, "in a while");
    postfix.reconfigure("");
    let later = async || {
        let to_later = |path: &std::path::PathBuf| read(path).contains("X-Original-To: later@example.net");
        postfix.mailbox().into_iter().find(to_later)
    };
    let later = read(&crate::harness::until("the message that was put off", later).await);
    assert!(later.contains("Subject: mixed"), "{later}");
    // Each once: somebody's, later's, and the notice.
    assert_eq!(postfix.mailbox().len(), 3, "{}", postfix.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_notice_of_a_notice() {
    if !postfix::available() {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start(TEMPER, "").await;
    let gateway = world.start(&configuration(&format!("hosts = [\"{}\"]\ntls = \"may\"\n", postfix.address())));
    send(&gateway, "", &["never@example.net"], "from nobody").await;
    gateway.wait_for_log("the end of it", |line| {
        line["message"].as_str().is_some_and(|message| message.contains("failed"))
            && line.to_string().contains("never@")
    });
    // Asked not to be told (RFC 3461 section 4.1).
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client.mail("alice@example.mil").await.unwrap();
    client.command("RCPT TO:<gone@example.net> NOTIFY=NEVER").await.unwrap();
    assert_eq!(client.data(b"Subject: never tell\r\n\r\nx\r\n").await.unwrap().code(), 250);
    gateway.wait_for_log("the end of that", |line| line["message"] == "failed" && line["to"] == "gone@example.net");
    // What comes after them comes alone.
    send(&gateway, "alice@example.mil", &["somebody@example.net"], "the last").await;
    postfix.received("Subject: the last").await;
    assert_eq!(postfix.mailbox().len(), 1, "{}", postfix.log());
    assert!(gateway.stop().success());
    let spool =
        world.start(CONFIGURATION_AGAIN).wait_for_log("the spool", |line| line["message"] == "the spool is open");
    assert_eq!(spool["messages"], 0, "{spool}");
}

/// Only to look into the spool.
const CONFIGURATION_AGAIN: &str = concat!(include_str!("postern.toml"), "hosts = [\"127.0.0.1:2525\"]\n");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up() {
    if !postfix::available() || !peers::has(&["python3"]) {
        return;
    }
    let world = World::new().await;
    let postfix = Postfix::start(TEMPER, "").await;
    let route = format!("hosts = [\"{}\"]\ntls = \"may\"\n", postfix.address());
    let impatient = configuration(&route).replace("[spool]", "[spool]\ngive_up_after = \"2s\"");
    let gateway = world.start(&impatient);
    send(&gateway, "alice@example.mil", &["later@example.net"], "too late").await;
    let notice = notice(&postfix.received("later@example.net").await);
    let recipient = &notice["recipients"][0];
    assert_eq!(recipient["Action"], "failed", "{notice}");
    let status = recipient["Status"].as_str().unwrap();
    assert!(["4.3.0", "4.4.7", "5.4.7"].contains(&status), "{notice}");
    assert!(recipient["Diagnostic-Code"].as_str().unwrap().contains("in a while"), "{notice}");
}
