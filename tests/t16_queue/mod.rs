//! The running gateway's queue by its commands: what swaks brings for a next hop that is away is listed, held, exported,
//! given up, and tried when the next hop is back.

mod notices;

use std::process::Stdio;

use serde_json::Value;

use crate::harness::gateway::binary;
use crate::harness::peers::{self, command, run};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");

struct Desk {
    world: World,
    gateway: Gateway,
}

impl Desk {
    /// Nobody is at the next hop.
    async fn new() -> Self {
        let world = World::new().await;
        let gateway = world.start(&(CONFIGURATION.to_owned() + "hosts = [\"127.0.0.1:1\"]\n"));
        Self { world, gateway }
    }

    /// The message's id.
    fn send(&self, to: &str) -> String {
        let server = self.gateway.address("submission").to_string();
        let before = self.gateway.log_length();
        let said = run(command("swaks").args(["--server", &server, "--from", "alice@example.mil", "--to", to]));
        assert!(said.success, "{}", said.text);
        let line = self.gateway.wait_for_log_after(before, "the attempt", |line| line["message"] == "deferred");
        line["id"].as_str().unwrap().to_owned()
    }

    /// `postern queue`: what it says, and whether it went well.
    fn queue(&self, arguments: &[&str]) -> (String, bool) {
        let mut command = std::process::Command::new(binary());
        command.arg("queue").args(arguments).arg("--config").arg(self.world.path("postern.toml"));
        let said = run(command.stdin(Stdio::null()));
        (said.text, said.success)
    }

    fn does(&self, arguments: &[&str]) -> String {
        let (text, well) = self.queue(arguments);
        assert!(well, "{arguments:?}: {text}");
        text
    }

    fn refuses(&self, arguments: &[&str], why: &str) {
        let (text, well) = self.queue(arguments);
        assert!(!well && text.contains(why), "{arguments:?}: {text}");
    }

    fn listed(&self, filter: &[&str]) -> Vec<Value> {
        let text = self.does(&[&["list", "--json"], filter].concat());
        text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// With names for what differs from one run to the next.
fn without_measures(text: &str, ids: &[&str]) -> String {
    let mut text = text.to_owned();
    for (at, id) in ids.iter().enumerate() {
        text = text.replace(id, &format!("MESSAGE-ID-{at}"));
    }
    let line = |line: &str| {
        let line = line.split_once("again in ").map_or(line.to_owned(), |(before, _)| format!("{before}again in TIME"));
        let line =
            line.split_once("the oldest: ").map_or(line.clone(), |(before, _)| format!("{before}the oldest: AGE"));
        match line.split_once(">  ").filter(|_| line.ends_with(" old") || line.ends_with(" old, held")) {
            Some((before, _)) => {
                let held = if line.ends_with("held") { ", held" } else { "" };
                format!("{before}>  SIZE octets, AGE old{held}")
            }
            None => line,
        }
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_commands_print() {
    if !peers::has(&["swaks"]) {
        return;
    }
    let desk = Desk::new().await;
    let (first, second) = (desk.send("a@example.net"), desk.send("b@example.net,c@example.org"));
    desk.does(&["hold", &second]);
    let ids = [first.as_str(), second.as_str()];
    for (name, arguments) in [("list", &["list"][..]), ("show", &["show", &first]), ("summary", &["summary"])] {
        let printed = without_measures(&desk.does(arguments), &ids);
        let differs = crate::harness::golden::differs(&format!("t16_queue/{name}.txt"), &printed);
        assert!(differs.is_none(), "{}", differs.unwrap_or_default());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_puts_the_queue_in_order() {
    if !peers::has(&["swaks"]) {
        return;
    }
    let desk = Desk::new().await;
    let (first, second, third) = (desk.send("a@example.net"), desk.send("b@example.net"), desk.send("c@example.org"));

    let all = desk.listed(&[]);
    assert_eq!(
        all.iter().map(|message| message["id"].as_str().unwrap()).collect::<Vec<_>>(),
        [&first, &second, &third]
    );
    assert_eq!(all[0]["sender"], "<alice@example.mil>");
    let waiting = &all[0]["recipients"][0];
    assert!(waiting["reason"].as_str().unwrap().contains("127.0.0.1:1: it cannot be connected to"), "{waiting}");
    assert_eq!(desk.listed(&["--domain", "example.net"]).len(), 2);
    assert_eq!(desk.listed(&["--recipient", "c@", "--sender", "alice"]).len(), 1);
    assert_eq!(desk.listed(&["--older-than", "1h"]).len(), 0);
    assert_eq!(desk.listed(&["--limit", "1"]).len(), 1);
    assert!(desk.does(&["list"]).contains("again in "), "{}", desk.does(&["list"]));
    assert!(desk.does(&["show", &first]).contains("attempts: 1"));
    let summary = desk.does(&["summary"]);
    assert!(summary.contains("messages: 3, deferred: 3, held: 0") && summary.contains("example.net"), "{summary}");

    // Held, over a restart of nothing but the routes.
    assert!(desk.does(&["hold", &first]).contains("done: 1, refused: 0"));
    desk.refuses(&["retry", &first], "release it first");
    assert_eq!(desk.listed(&["--held"]).len(), 1);
    let act = desk.gateway.wait_for_log("the order", |line| line["message"] == "an administrator's order: hold");
    assert!(act["uid"].is_u64() && act["id"] == first.as_str(), "{act}");

    // What cannot be undone is asked for, and everything only where it is said.
    desk.refuses(&["delete", &second], "--yes");
    desk.refuses(&["delete", "--yes"], "--all");
    desk.refuses(&["delete", "00000000000", "--yes"], "no such message");

    let dir = desk.world.path("exported");
    std::fs::create_dir(&dir).unwrap();
    desk.does(&["export", &second, "--dir", dir.to_str().unwrap()]);
    let text = std::fs::read_to_string(dir.join(format!("{second}.eml"))).unwrap();
    assert!(text.starts_with("Received: ") && text.ends_with("\r\n") && text.contains("To: b@example.net"), "{text}");
    let envelope = std::fs::read_to_string(dir.join(format!("{second}.envelope.json"))).unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    assert_eq!(envelope["recipients"], serde_json::json!(["b@example.net"]));
    desk.refuses(&["export", &second, "--dir", dir.to_str().unwrap()], "File exists");

    desk.does(&["delete", &second, "--yes"]);
    desk.does(&["bounce", "--domain", "example.org", "--yes"]);
    let notice = desk.world.delivered("taken out of the queue by an administrator").await;
    assert!(notice.text.contains("Final-Recipient: rfc822; c@example.org"), "{}", notice.text);

    // The next hop is back: what is released goes.
    let back = format!("hosts = [\"{}\"]\n", desk.world.next_hop.address());
    desk.world.configure(&(CONFIGURATION.to_owned() + &back));
    let before = desk.gateway.log_length();
    desk.gateway.signal("HUP");
    desk.gateway.wait_for_log_after(before, "the reload", |line| line["message"] == "the new configuration is in use");
    desk.does(&["release", "--held"]);
    desk.does(&["retry", "--all"]);
    desk.world.delivered("To: a@example.net").await;
    crate::harness::until("an empty queue", async || desk.listed(&[]).is_empty().then_some(())).await;
    desk.refuses(&["retry", "--all"], "no such message");
}
