//! 250 means durable: the gateway is killed with SIGKILL again and again under load, and every message it acknowledged
//! is at the next hop in the end. At least once: repeats are counted, and bounded by the attempts that a kill can cut.

mod faults;
mod verify;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use demo::{Client, Security};
use tokio::sync::{Mutex, watch};

use crate::harness::{Delivered, Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");
/// How often it is killed; `POSTERN_CRASH_KILLS` says another number.
const KILLS: usize = 50;
const CLIENTS: usize = 12;
/// `max_connections` of the route: how many attempts a kill can cut off between the next hop's reply and our record.
const UNDER_WAY: usize = 8;

/// Numbers that nobody planned, but that can be had again: `POSTERN_CRASH_SEED`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
        let seed =
            std::env::var("POSTERN_CRASH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(u64::from(now));
        eprintln!("POSTERN_CRASH_SEED={seed}");
        Self(seed | 1)
    }

    /// xorshift64
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Default)]
struct Load {
    number: AtomicU64,
    acknowledged: Mutex<HashSet<String>>,
}

/// The body can be told from the id alone, so that every octet of it can be checked.
fn body(id: &str) -> String {
    let number: usize = id.trim_start_matches("crash-").parse().unwrap();
    // Mostly small; some cross several of the spool's blocks.
    let lines = if number.is_multiple_of(16) { 4000 } else { 20 };
    (0..lines).map(|line| format!("Line {line} of {id}.\r\n")).collect()
}

/// Submits messages, each on a connection of its own or several on one, until told to stop; remembers what was
/// acknowledged.
async fn submit(load: Arc<Load>, address: watch::Receiver<Option<SocketAddr>>) {
    loop {
        let now = *address.borrow();
        let Some(now) = now else { return };
        if several(&load, now).await.is_err() {
            // Killed; soon up again.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn several(load: &Load, address: SocketAddr) -> Result<(), demo::DemoError> {
    let mut client = Client::connect(address, Security::Plain).await?;
    client.ehlo().await?;
    for _ in 0..5 {
        let id = format!("crash-{}", load.number.fetch_add(1, Ordering::Relaxed));
        client.mail("alice@example.mil").await?;
        client.rcpt("somebody@example.net").await?;
        let message = format!("From: <alice@example.mil>\r\nMessage-ID: <{id}>\r\n\r\n{}", body(&id));
        if client.data(message.as_bytes()).await?.code() == 250 {
            load.acknowledged.lock().await.insert(id);
        }
    }
    client.quit().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_message_arrives() {
    let mut random = Random::new();
    let world = World::new().await;
    let load = Arc::new(Load::default());
    let began = Instant::now();
    let kills = std::env::var("POSTERN_CRASH_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let mut killed_at = Vec::new();
    let mut gateway = world.start(CONFIGURATION);
    let (address, watched) = watch::channel(Some(gateway.address("submission")));
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(submit(Arc::clone(&load), watched.clone()))).collect();
    for _ in 0..kills {
        // Soon after the start, when it still recovers, as well as in full swing.
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
        gateway.kill();
        killed_at.push(SystemTime::now());
        gateway = tokio::task::block_in_place(|| world.start(CONFIGURATION));
        recovered_whole(&gateway);
        address.send_replace(Some(gateway.address("submission")));
    }
    address.send_replace(None);
    for client in clients {
        client.await.unwrap();
    }
    let acknowledged = load.acknowledged.lock().await.clone();
    let copies = arrived(&world, &acknowledged).await;
    let repeats: usize = copies.values().map(|copies| copies.len() - 1).sum();
    let unasked = copies.keys().filter(|id| !acknowledged.contains(*id)).count();
    eprintln!(
        "{kills} kills in {:.0} s: {} messages acknowledged, all arrived; {repeats} repeats; {unasked} arrived whose \
         acknowledgement was cut off",
        began.elapsed().as_secs_f32(),
        acknowledged.len(),
    );
    assert!(acknowledged.len() > kills, "hardly a load: {}", acknowledged.len());
    assert!(unasked <= kills * CLIENTS, "{unasked} arrived without an acknowledgement");
    repeated_by_kills_alone(&copies, &killed_at);
    // And nothing stays behind.
    assert!(gateway.stop().success());
    let line = world.start(CONFIGURATION).wait_for_log("the spool", |line| line["message"] == "the spool is open");
    assert_eq!(line["messages"], 0, "{line}");
}

/// A kill tears nothing that was acknowledged: what is torn lies at the end, and is nobody's.
fn recovered_whole(gateway: &Gateway) {
    let quarantined = gateway.log_lines().into_iter().find(|line| line.contains("damaged"));
    assert_eq!(quarantined, None);
}

/// A message comes again only when a kill has cut off its attempt, between the next hop's reply and our record of it: no
/// life of the gateway leaves more such copies than it had attempts under way.
fn repeated_by_kills_alone(copies: &HashMap<String, Vec<SystemTime>>, killed_at: &[SystemTime]) {
    let mut left = vec![0; killed_at.len() + 1];
    for times in copies.values() {
        let mut lives: Vec<_> = times.iter().map(|time| killed_at.partition_point(|kill| kill < time)).collect();
        lives.sort_unstable();
        lives.iter().rev().skip(1).for_each(|&life| left[life] += 1);
    }
    // What the next hop had received, and wrote a moment after the kill, counts for the next life.
    assert!(left.iter().all(|&copies| copies <= 2 * UNDER_WAY), "too many repeats of one life's messages: {left:?}");
}

/// Waits until all are there, and compares every octet; when each copy came.
async fn arrived(world: &World, acknowledged: &HashSet<String>) -> HashMap<String, Vec<SystemTime>> {
    let ids = async || -> Vec<String> {
        let paths = world.next_hop.messages().await.unwrap();
        let id = |path: &std::path::PathBuf| {
            path.file_stem().unwrap().to_str().unwrap().split_once('-').unwrap().1.to_owned()
        };
        paths.iter().map(id).collect()
    };
    let missing = async || {
        let there: HashSet<String> = ids().await.into_iter().collect();
        acknowledged.difference(&there).cloned().collect::<Vec<_>>()
    };
    let all = async || missing().await.is_empty().then_some(());
    if tokio::time::timeout(Duration::from_secs(60), until_patiently(all)).await.is_err() {
        let missing = missing().await;
        panic!("{} acknowledged messages are lost: {missing:?}", missing.len());
    }
    let mut copies: HashMap<String, Vec<SystemTime>> = HashMap::new();
    for path in world.next_hop.messages().await.unwrap() {
        let delivered = Delivered::read(&path);
        let id = delivered.field("Message-ID").trim_matches(['<', '>']).to_owned();
        assert!(delivered.body() == body(&id), "{} is not what was sent", path.display());
        copies.entry(id).or_default().push(path.metadata().unwrap().modified().unwrap());
    }
    copies
}

async fn until_patiently(mut ask: impl AsyncFnMut() -> Option<()>) {
    while ask().await.is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
