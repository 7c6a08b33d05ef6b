//! Passwords that another server knows: asked by SMTP AUTH, away for a while, back again.

use crate::harness::gateway::binary;
use crate::harness::peers::{command, has, run};
use crate::harness::{Gateway, World, dialogues, until};

use super::{at_home, world};

const FRONT: &str = include_str!("forward/postern.toml");
const MAILBOXES: &str = include_str!("forward/mailboxes.toml");
const SERVERS: &str = "[\"smtps://mx1.example.mil\", \"smtp://mx2.example.mil\"]";

/// The server with the passwords, and the gateway that asks it.
async fn start() -> (World, Gateway, Gateway) {
    let world = world().await;
    let mailboxes = world.start(MAILBOXES);
    let servers = format!("[\"smtps://localhost:{}\"]", mailboxes.address("submissions").port());
    let front = world.start(&at_home(FRONT).replace(SERVERS, &servers));
    (world, mailboxes, front)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_of_a_mail_server() {
    let (world, mailboxes, front) = start().await;
    dialogues::play_all("t03_authentication/forward", &world, &front).await;
    let delivered = world.delivered("Subject: forward, a password\r\n").await;
    assert_eq!(delivered.field("Authentication-Results"), "mail.example.mil; auth=pass smtp.auth=carol");
    // The log has the server's words, and no password.
    front.wait_for_log("what the server said of Carol's guess", |line| {
        line["message"] == "the forwarding server refuses the password"
            && line["user"] == "carol"
            && line["reply"] == "535 5.7.8 Authentication credentials invalid"
    });
    let log = front.log_lines().join("\n");
    assert!(!log.contains("a guess") && !log.contains("-password"), "{log}");
    // It was asked for nothing but that, and no empty password came to it.
    let asked = mailboxes.log_lines().join("\n");
    assert!(!asked.contains("empty password"), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_before_anybody_signs_in() {
    let world = world().await;
    let mailboxes = world.start(MAILBOXES);
    let port = mailboxes.address("submissions").port();
    world.write("pki/other.pem", demo::Ca::new("Other CA").unwrap().certificate_pem());
    let check = |servers: &str, ca: &str| {
        let configuration = at_home(FRONT).replace(SERVERS, servers);
        world.configure(&configuration.replace("ca = \"pki/ca.pem\"", &format!("ca = {ca:?}\ntimeout = \"2s\"")));
        let mut check = std::process::Command::new(binary());
        run(check.args(["check", "--connect", "--config", "postern.toml"]).current_dir(world.dir()))
    };
    let good = format!("[\"smtps://localhost:{port}\"]");
    let said = check(&good, "pki/ca.pem");
    let told = format!("forward.mailboxes: smtps://localhost:{port}: takes passwords");
    assert!(said.success && said.text.contains(&told), "{}", said.text);
    for (servers, ca, what) in [
        (good.as_str(), "pki/other.pem", "UnknownIssuer"),
        (&format!("[\"smtp://localhost:{port}\"]"), "pki/ca.pem", "the greeting"),
        ("[\"smtps://localhost:1\"]", "pki/ca.pem", "it cannot be connected to"),
    ] {
        let said = check(servers, ca);
        assert!(!said.success && said.text.contains(what), "{what}: {}", said.text);
        assert!(said.text.contains("error: forward.mailboxes.servers: smtp"), "{}", said.text);
        assert!(said.text.contains("\n  mend: "), "{}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_away_and_comes_back() {
    if !has(&["swaks"]) {
        return;
    }
    let (world, mut mailboxes, front) = start().await;
    let server = mailboxes.address("submissions");
    let plain = at_home(FRONT).replace("proxy_protocol_from = [\"127.0.0.1\"]\n", "");
    let servers = format!("[\"smtps://localhost:{}\"]", server.port());
    drop(front);
    let front = world.start(&plain.replace(SERVERS, &servers));
    let swaks = |subject: &str| {
        let mut swaks = command("swaks");
        swaks.args(["--server", "localhost", "--port", &front.address("submission").port().to_string(), "--tls"]);
        swaks.args(["--auth", "PLAIN", "--auth-user", "carol", "--auth-password", "carol-password"]);
        swaks.args(["--from", "carol@example.mil", "--to", "somebody@example.net", "--h-Subject", subject]);
        run(&mut swaks)
    };
    let said = swaks("before");
    assert!(said.success, "{}", said.text);
    world.delivered("Subject: before\r\n").await;

    mailboxes.kill();
    let said = swaks("meanwhile");
    assert!(!said.success && said.text.contains("454 4.7.0 Temporary authentication failure"), "{}", said.text);
    let line = front.wait_for_log("that the server is away", |line| {
        line["message"] == "the forwarding server cannot be asked" && line["forward"] == "mailboxes"
    });
    assert_eq!(line["server"], format!("smtps://localhost:{}", server.port()));

    let again = MAILBOXES.replace("127.0.0.1:0", &server.to_string());
    let _mailboxes = world.start(&again);
    until("the server is asked again", async || swaks("after").success.then_some(())).await;
    world.delivered("Subject: after\r\n").await;
    front.wait_for_log("that the server is back", |line| line["message"] == "the forwarding server can be asked again");
}
