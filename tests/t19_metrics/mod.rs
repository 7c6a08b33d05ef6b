//! What monitoring systems ask: metrics in a form that they read, and whether the gateway is ready.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use crate::harness::peers::{command, run};
use crate::harness::{Gateway, PATIENCE, World, until};

/// What Prometheus' own parser for Python makes of the text: each sample with its labels.
const READ: &str = r#"
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(json.dumps([[s.name, s.labels, s.value] for family in parse(sys.stdin.read()) for s in family.samples]))
"#;

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Status and body.
fn get(port: u16, path: &str) -> (String, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    let said = run(command("curl").args(["-s", "-w", "\n%{http_code}", &url]));
    let (body, status) = said.text.trim_end().rsplit_once('\n').unwrap_or(("", said.text.trim_end()));
    (status.to_owned(), body.to_owned())
}

fn samples(port: u16) -> Vec<Value> {
    let (status, text) = get(port, "/metrics");
    assert_eq!(status, "200", "{text}");
    let said = crate::harness::peers::run_with_input(command("/usr/bin/python3").args(["-c", READ]), &text);
    assert!(said.success, "{}\n{text}", said.text);
    serde_json::from_str(&said.text).unwrap()
}

/// The value of the sample with all of these labels.
fn value(samples: &[Value], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let is_it = |sample: &&Value| sample[0] == name && labels.iter().all(|(key, value)| sample[1][key] == *value);
    samples.iter().find(is_it).and_then(|sample| sample[2].as_f64())
}

fn configuration(world: &World, port: u16) -> String {
    format!(
        "{}[metrics]\nbind = [\"127.0.0.1:{port}\"]\n\n[[route]]\ndomains = [\"*\"]\nhosts = [\"{}\"]\ntls = \"none\"\n",
        include_str!("postern.toml"),
        world.next_hop.address()
    )
}

fn send(gateway: &Gateway, to: &str) -> bool {
    let server = gateway.address("submission").to_string();
    run(command("swaks").args(["--server", &server, "--from", "alice@example.mil", "--to", to])).success
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_them() {
    let world = World::new().await;
    let port = free_port();
    let gateway = world.start(&configuration(&world, port));
    until("the metrics", async || (get(port, "/live").0 == "200").then_some(())).await;
    assert!(send(&gateway, "bob@example.net"));
    world.next_hop.wait_for("bob@example.net", PATIENCE).await.unwrap();

    let found = until("the delivery is counted", async || {
        let found = samples(port);
        (value(&found, "postern_deliveries_total", &[("outcome", "delivered")]) == Some(1.0)).then_some(found)
    })
    .await;
    let of =
        |what| value(&found, "postern_events_total", &[("listener", "submission"), ("policy", "open"), ("what", what)]);
    assert_eq!(of("message"), Some(1.0), "{found:?}");
    assert_eq!(of("session"), Some(1.0), "{found:?}");
    assert_eq!(value(&found, "postern_queue_messages", &[]), Some(0.0), "{found:?}");
    assert_eq!(value(&found, "postern_queue_oldest_age_seconds", &[]), Some(0.0), "{found:?}");
    assert_eq!(value(&found, "postern_connections", &[]), Some(0.0), "{found:?}");
    assert!(value(&found, "postern_queue_disk_bytes", &[]).is_some_and(|octets| octets > 0.0), "{found:?}");
    assert!(!found.iter().any(|sample| sample.to_string().contains("alice")), "nobody's name: {found:?}");

    // A reload leaves the counts, and the address is taken over.
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, "metrics again", |line| line["message"] == "metrics can be asked for");
    let again = samples(port);
    assert_eq!(value(&again, "postern_deliveries_total", &[("outcome", "delivered")]), Some(1.0), "{again:?}");
}

/// The queue grows and gets old while the next hop is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_shows() {
    let world = World::new().await;
    let port = free_port();
    let away = configuration(&world, port).replace(&world.next_hop.address().to_string(), "127.0.0.1:1");
    let gateway = world.start(&away);
    assert!(send(&gateway, "bob@example.net") && send(&gateway, "carol@example.net"));
    until("two in the queue, the first a second old", async || {
        let found = samples(port);
        let old = value(&found, "postern_queue_oldest_age_seconds", &[]).is_some_and(|age| age > 1.0);
        let deferred =
            value(&found, "postern_deliveries_total", &[("outcome", "deferred")]).is_some_and(|count| count >= 2.0);
        (value(&found, "postern_queue_messages", &[]) == Some(2.0) && old && deferred).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_says_why_not() {
    let world = World::new().await;
    let port = free_port();
    let lists = "[trust.test]\nanchors = [\"pki/ca.pem\"]\n\n[[crl.source]]\nname = \"lost\"\n\
                 primary = \"http://127.0.0.1:1/crl\"\n\n";
    let _gateway =
        world.start(&configuration(&world, port).replacen("[metrics]", &(lists.to_owned() + "[metrics]"), 1));
    let (status, why) =
        until("an answer", async || Some(get(port, "/ready")).filter(|(status, _)| status != "000")).await;
    assert_eq!((status.as_str(), why.as_str()), ("503", "revocation list lost: none has been read\n"));
    assert_eq!(get(port, "/live").0, "200");
    let found = until("the failed look", async || {
        let found = samples(port);
        (value(&found, "postern_crl_failing", &[("source", "lost")]) == Some(1.0)).then_some(found)
    })
    .await;
    assert_eq!(value(&found, "postern_crl_entries", &[("source", "lost")]), Some(0.0));
    assert_eq!(get(port, "/other").0, "404");
    let posted = run(command("curl").args([
        "-s",
        "-X",
        "POST",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &format!("http://127.0.0.1:{port}/metrics"),
    ]));
    assert_eq!(posted.text.trim(), "405");
}
