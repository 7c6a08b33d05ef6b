//! Disks that fail and clocks that jump, made so below the gateway: by a library that stands between it and the system.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use demo::{Client, Security};
use serde_json::Value;

use super::CONFIGURATION;
use crate::harness::gateway::binary;
use crate::harness::world::{NEXT_HOP, listeners};
use crate::harness::{Gateway, World, until};

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// Builds `faults.c`, once for all tests of this process.
fn library(world: &World) -> PathBuf {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let path = world.path("faults.so");
    let built = BUILT.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/t06_crash/faults.c");
        let mut cc = Command::new("cc");
        let built = cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&path).args([source, "-ldl"]).status();
        assert!(built.expect("a C compiler: cc").success());
        fs::read(&path).unwrap()
    });
    fs::write(&path, built).unwrap();
    path
}

/// A world whose gateways have faults.
struct Faulty {
    world: World,
    library: PathBuf,
}

impl Faulty {
    async fn new() -> Self {
        let world = World::new().await;
        fs::create_dir(world.path("faults")).unwrap();
        let library = library(&world);
        Self { world, library }
    }

    fn on(&self, fault: &str) {
        self.world.write(&format!("faults/{fault}"), "");
    }

    fn off(&self, fault: &str) {
        self.world.remove(&format!("faults/{fault}"));
    }

    /// The time of day is off by so many seconds.
    fn clock(&self, seconds: i64) {
        self.world.write("faults/clock", seconds.to_string());
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env("LD_PRELOAD", &self.library).env("POSTERN_FAULTS", self.world.path("faults"));
        command
    }

    /// With a next hop that takes everything, or one that is down.
    fn start(&self, next_hop: bool) -> Gateway {
        // Nobody listens at port 1.
        let configuration =
            if next_hop { CONFIGURATION.to_owned() } else { CONFIGURATION.replace(NEXT_HOP, "127.0.0.1:1") };
        Gateway::start_as(self.command(), &self.world.configure(&configuration), &listeners(CONFIGURATION))
    }

    /// So many messages come to the next hop, and no other: the ids, sorted.
    async fn delivered(&self, count: usize) -> Vec<String> {
        self.world.delivered_so_many(count).await;
        let all = self.world.all_delivered().await;
        let mut ids: Vec<_> =
            all.iter().map(|message| message.field("Message-ID").trim_matches(['<', '>']).to_owned()).collect();
        ids.sort();
        ids
    }
}

/// Submits a message, and gives the reply's code, enhanced code and all.
async fn submit(gateway: &Gateway, id: &str) -> String {
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    client.mail("alice@example.mil").await.unwrap();
    client.rcpt("somebody@example.net").await.unwrap();
    let message = format!("From: <alice@example.mil>\r\nMessage-ID: <{id}>\r\n\r\nThe body of {id}.\r\n");
    let reply = client.data(message.as_bytes()).await.unwrap();
    format!("{reply}")
}

/// Submits until it is accepted: a disk that failed is left alone for a moment. Gives the id that was accepted.
async fn submit_patiently(gateway: &Gateway, id: &str) -> String {
    let mut attempt = 0;
    until("a message accepted again", async || {
        attempt += 1;
        let id = format!("{id}-{attempt}");
        submit(gateway, &id).await.starts_with("250").then_some(id)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_is_never_taken_for_a_good_one() {
    let faulty = Faulty::new().await;
    let mut gateway = faulty.start(false);
    assert!(submit(&gateway, "before").await.starts_with("250"));
    let mut accepted = vec!["before".to_owned()];
    for round in 0..3 {
        faulty.on("sync");
        let refused = submit(&gateway, &format!("refused-{round}")).await;
        assert!(refused.starts_with("451 4.3.0"), "{refused}");
        // From here on each sync succeeds, of the same file too: its lost pages count as written.
        faulty.off("sync");
        accepted.push(submit_patiently(&gateway, &format!("after-{round}")).await);
    }
    gateway.wait_for_log("the failed sync", |line| {
        line["message"].as_str().is_some_and(|message| message.contains("writing to the spool failed"))
    });
    gateway.kill();
    // What is there is what was acknowledged, and nothing else.
    let gateway = faulty.start(true);
    accepted.sort();
    assert_eq!(faulty.delivered(accepted.len()).await, accepted);
    assert!(gateway.stop().success());
    assert_eq!(faulty.world.all_delivered().await.len(), accepted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_refuses_and_loses_nothing() {
    let faulty = Faulty::new().await;
    let mut gateway = faulty.start(false);
    assert!(submit(&gateway, "before").await.starts_with("250"));
    faulty.on("read-only");
    for attempt in 0..3 {
        let refused = submit(&gateway, &format!("refused-{attempt}")).await;
        assert!(refused.starts_with("451 4.3.0"), "{refused}");
    }
    // Nor does a gateway start on such a disk, and it says why.
    gateway.kill();
    let config = faulty.world.configure(CONFIGURATION);
    let started = faulty.command().args(["run", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("Read-only file system"), "{said}");
    faulty.off("read-only");
    let gateway = faulty.start(true);
    let after = submit_patiently(&gateway, "later").await;
    assert_eq!(faulty.delivered(2).await, ["before".to_owned(), after]);
}

/// Waits for so many attempts after now, and how long that takes.
fn attempts(gateway: &Gateway, count: usize) -> Duration {
    let began = Instant::now();
    let mut seen = 0;
    gateway.wait_for_log_after(gateway.log_length(), &format!("{count} attempts"), |line| {
        assert_ne!(line["message"], "given up", "{line}");
        seen += usize::from(line["message"] == "deferred");
        seen == count
    });
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_may_jump() {
    let faulty = Faulty::new().await;
    let gateway = faulty.start(false);
    assert!(submit(&gateway, "patient").await.starts_with("250"));
    attempts(&gateway, 1);
    // One message, one attempt a second: with the clock set forward beyond the message's life, and back before its birth.
    for days in [30, -60] {
        faulty.clock(days * DAY);
        let took = attempts(&gateway, 3);
        assert!(took > Duration::from_secs(1), "three attempts in {took:?} are a burst");
    }
    // Killed, and started again in the past: what had been put off until then is not put off for months.
    drop(gateway);
    let gateway = faulty.start(false);
    let clock: Value = gateway.wait_for_log("a line", |_| true);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(clock["timestamp"].as_str().is_some_and(|time| !time.is_empty()), "{clock} at {now}");
    attempts(&gateway, 2);
    // And messages that came in the past are delivered in the present.
    assert!(submit(&gateway, "past").await.starts_with("250"));
    drop(gateway);
    faulty.off("clock");
    let gateway = faulty.start(true);
    assert_eq!(faulty.delivered(2).await, ["past", "patient"]);
    drop(gateway);
}
