//! Mail flow policies: who is let in by address and name, what each policy says and limits, and whom mail may reach.

mod access;
mod limits;
mod names;
mod recipients;

use serde_json::Value;

use crate::harness::{Gateway, World, dialogues};
use crate::t08_commands::{neutral, postern};

/// The log line of the session from this address and port.
fn session(gateway: &Gateway, client: &str) -> Value {
    gateway.wait_for_log(&format!("the session of {client}"), |line| {
        line["message"] == "session" && line["client"] == client
    })
}

/// Plays a dialogue behind a load balancer: the client's address comes first.
async fn from(world: &World, gateway: &Gateway, listener: &str, client: &str, script: &str) {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    let server = if client.contains(':') { "2001:db8::25" } else { "192.0.2.25" };
    let text = format!("#: listener {listener}\nC-RAW: PROXY {family} {client} {server} 40000 587\\r\\n\n{script}");
    let played = dialogues::play(&text, world, gateway).await;
    assert!(played.is_ok(), "{client}: {}", played.unwrap_err());
}

/// What `postern explain` says to each of these questions.
fn explained(world: &World, listener: &str, questions: &[&[&str]]) -> String {
    let mut transcript = String::new();
    for question in questions {
        let arguments = [&["explain", "--config", "postern.toml", "--listener", listener], *question].concat();
        let said = postern(world, &arguments);
        let exit = if said.success { "well" } else { "ill" };
        let text = neutral(world, &said.text);
        transcript.push_str(&format!("$ postern explain … {}\n{text}exit {exit}\n\n", question.join(" ")));
    }
    transcript
}
