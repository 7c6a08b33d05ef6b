//! The way of the manual: a directory is tried before anybody depends on it, then mail programs send.

use std::process::Command;

use super::how_tos::Beds;
use super::people::password;
use crate::harness::gateway::binary;
use crate::harness::peers::{Said, command, run, run_with_input};
use crate::harness::{Gateway, World};

/// A certificate, or a password for whom the allowance lets.
const HOW_TO: &str = include_str!("../t03_authentication/how-to-3-certificate-or-smtp-auth/postern.toml");

pub(super) async fn all(beds: &Beds) {
    let configuration = beds.with_allowance(HOW_TO, true);
    beds.world.configure(&configuration);
    tried(beds);
    audited(beds);
    let gateway = beds.world.start(&configuration);
    mail_programs(beds, &gateway).await;
}

fn postern(world: &World, arguments: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.arg("60").arg(binary()).args(arguments).args(["--config", "postern.toml"]);
    run(command.current_dir(world.dir()).env_remove("RUST_LOG"))
}

/// What is asked, how the command ends, and what it says among other things.
fn tried(beds: &Beds) {
    let questions: [(&[&str], i32, &str); 12] = [
        (&["check", "--connect"], 0, ""),
        (&["directory", "test", "people"], 0, "its schema has every attribute that is named"),
        (&["directory", "test", "people", "--certificate", "pki/anna.pem"], 0, "anna.too@example.mil"),
        (&["directory", "test", "people", "--certificate", "pki/boris.pem"], 0, "boris.too@example.mil"),
        (&["directory", "test", "people", "--certificate", "pki/nobody.pem"], 2, "nobody"),
        (&["directory", "test", "people", "--certificate", "pki/hanna.pem"], 2, "several"),
        (&["directory", "test", "people", "--user", "chris"], 0, "accepted as chris"),
        (&["directory", "test", "people", "--user", "diana"], 0, "accepted as diana"),
        (&["directory", "test", "people", "--user", "emil"], 0, "accepted as emil"),
        (&["directory", "test", "people", "--user", "fiona"], 2, "allowance"),
        (&["directory", "test", "people", "--user", "gustav"], 2, "gustav"),
        (&["directory", "test", "people", "--user", "zoe"], 2, "nobody"),
    ];
    for (question, code, said) in questions {
        let answer = postern(&beds.world, question);
        assert!(
            answer.code == code && answer.text.contains(said),
            "{question:?}: exit {}\n{}",
            answer.code,
            answer.text
        );
    }
    beds.step("directory test");
}

fn audited(beds: &Beds) {
    let said = postern(&beds.world, &["directory", "audit", "people", "--trust", "dod", "--csv", "audit.csv"]);
    let lines = std::fs::read_to_string(beds.world.path("audit.csv")).unwrap_or_default();
    assert_eq!(said.code, 2, "{}", said.text);
    for (user_id, state) in [
        ("anna", "good"),
        ("boris", "good"),
        ("hanna", "ambiguous"),
        ("hans", "ambiguous"),
        ("julia", "expired"),
        ("karl", "revoked"),
    ] {
        let is_so = |line: &str| line.starts_with(&format!("{user_id},{state},"));
        assert!(lines.lines().any(is_so), "{user_id} is not {state}: {}\n{lines}", said.text);
    }
    beds.step("directory audit");
}

/// With a card, with a password, with what does not do.
async fn mail_programs(beds: &Beds, gateway: &Gateway) {
    for (card, login, sender, expected) in [
        (Some("anna"), None, "anna@example.mil", Ok("anna")),
        (Some("anna"), None, "anna.too@example.mil", Ok("anna")),
        (Some("boris"), None, "boris@example.mil", Ok("boris")),
        (None, Some("chris"), "chris.too@example.mil", Ok("chris")),
        (Some("julia"), Some("diana"), "diana@example.mil", Ok("diana")),
        (Some("anna"), None, "boris@example.mil", Err("550 5.7.1 Sender address is not yours")),
        (None, Some("anna"), "anna@example.mil", Err("535 5.7.8 Authentication credentials invalid")),
        (None, None, "chris@example.mil", Err("530 5.7.0 Authentication required")),
    ] {
        let subject = format!("swaks {card:?} {login:?} {sender}");
        let said = swaks(beds, gateway, card, login, sender, &subject);
        match expected {
            Err(reply) => assert!(!said.success && said.text.contains(reply), "{subject}: {}", said.text),
            Ok(user_id) => {
                assert!(said.success, "{subject}: {}", said.text);
                let delivered = beds.world.delivered(&format!("Subject: {subject}\r\n")).await;
                let expected = format!("mail.example.mil; auth=pass smtp.auth={user_id}");
                assert_eq!(delivered.field("Authentication-Results"), expected, "{subject}");
            }
        }
    }
    beds.step("mail programs");
}

fn swaks(beds: &Beds, gateway: &Gateway, card: Option<&str>, login: Option<&str>, sender: &str, subject: &str) -> Said {
    let port = gateway.address("submission").port().to_string();
    let mut swaks = command("swaks");
    swaks.args(["--server", "localhost", "--port", &port, "--proxy", "TCP4 10.1.2.3 192.0.2.25 40000 587"]);
    swaks.args(["--tls", "--tls-verify", "--tls-ca-path"]).arg(beds.world.path("pki/ca.pem"));
    if let Some(card) = card {
        swaks.arg("--tls-cert").arg(beds.world.path(&format!("pki/{card}.pem")));
        swaks.arg("--tls-key").arg(beds.world.path(&format!("pki/{card}.key")));
    }
    if let Some(user) = login {
        swaks.args(["--auth", "PLAIN", "--auth-user", user, "--auth-password", &password(user)]);
    }
    swaks.args(["--from", sender, "--to", "somebody@example.net", "--data", "-"]);
    run_with_input(&mut swaks, &format!("From: {sender}\nSubject: {subject}\n\nHello.\n"))
}
