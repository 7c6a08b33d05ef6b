//! What a long queue costs: its start, its memory, and accepting beside its delivery.
//!
//! ```text
//! cargo run --release -p postern-spool --example spool_scale -- fill FOLDER [MESSAGES] [OCTETS]
//! cargo run --release -p postern-spool --example spool_scale -- open FOLDER
//! cargo run --release -p postern-spool --example spool_scale -- drain FOLDER [OCTETS]
//! cargo run --release -p postern-spool --example spool_scale -- verify FOLDER
//! ```
//!
//! `fill` takes messages in. `open` forgets what the system has cached of the disk, where it may, opens the spool, and
//! then runs it for a while with a next hop that is down: how long the start takes, and by how much the process grows.
//! `drain` accepts as fast as it can, alone, and then beside the delivery of all there is to a next hop that takes
//! everything; it says each five seconds how both go. `verify` reads and checks everything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use delivery::{Courier, Means, RouteSettings};
use postern_spool::{Finding, Spool};
use protocol::Domain;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use common::{accept, open, permit};

/// Messages on their way in at a time.
const WRITERS: usize = 64;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = arguments.get(1).map(Path::new);
    match (arguments.first().map(String::as_str), folder) {
        (Some("fill"), Some(folder)) => fill(folder, number(2, 1_000_000), number(3, 1024)).await,
        (Some("open"), Some(folder)) => start(folder).await,
        (Some("drain"), Some(folder)) => drain(folder, number(2, 1024)).await,
        (Some("verify"), Some(folder)) => verify(folder),
        _ => eprintln!(
            "spool_scale fill FOLDER [MESSAGES] [OCTETS] | open FOLDER | drain FOLDER [OCTETS] | verify FOLDER"
        ),
    }
}

/// Octets of memory the process has, without what it has mapped of files.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn text(octets: usize) -> Arc<[u8]> {
    vec![b'x'; octets].into()
}

async fn fill(folder: &Path, messages: usize, octets: usize) {
    let spool = open(folder).await;
    let (began, permit, text) = (Instant::now(), Arc::new(permit()), text(octets));
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (spool, permit, text) = (spool.clone(), permit.clone(), text.clone());
            tokio::spawn(async move {
                for _ in 0..messages / WRITERS + usize::from(writer < messages % WRITERS) {
                    accept(&spool, &permit, &text).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("filled: {}, {:.0} messages a second", there(&spool), messages as f64 / seconds);
    spool.close().await;
}

fn there(spool: &Spool) -> String {
    let counters = spool.counters();
    let megabytes = |octets: u64| octets / 1_000_000;
    let (disk, live) = (megabytes(counters.disk_octets), megabytes(counters.live_octets));
    format!("{} messages, {disk} MB on disk, {live} MB live, {} segments", counters.messages, counters.segments)
}

/// Opens the spool, and runs it against nobody.
async fn start(folder: &Path) {
    let cold = std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
    let before = resident();
    let began = Instant::now();
    let spool = open(folder).await;
    let (took, memory, count) = (began.elapsed(), resident() - before, spool.len().max(1) as u64);
    let cache = if cold { "nothing cached" } else { "perhaps cached" };
    println!("opened ({cache}) in {took:.2?}: {}; {} octets of memory a message", there(&spool), memory / count);
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(spool.clone(), port, stop.clone()));
    // Until every message has been looked at, and waits for the next hop.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        println!(
            "running against a next hop that is down: {} octets of memory a message",
            (resident() - before) / count
        );
    }
    stop.cancel();
    running.await.unwrap();
    spool.close().await;
}

async fn run(spool: Spool, port: u16, stop: CancellationToken) {
    let route = format!("domains = ['*']\nhosts = ['127.0.0.1:{port}']\ntls = 'none'\nmax_connections = 20\n");
    let routes: Vec<RouteSettings> = vec![toml::from_str(&route).unwrap()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let courier =
        Courier::new(&routes, &Means::alone(Domain::parse("gateway.example.org").unwrap(), provider)).unwrap();
    spool.run(courier, stop).await;
}

#[derive(Default)]
struct Pace {
    accepted: AtomicU64,
    /// How long each took.
    waits: Mutex<Vec<Duration>>,
    stop: AtomicBool,
}

async fn accepting(spool: Spool, pace: Arc<Pace>, text: Arc<[u8]>) {
    let permit = permit();
    while !pace.stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        accept(&spool, &permit, &text).await;
        pace.waits.lock().unwrap().push(began.elapsed());
        pace.accepted.fetch_add(1, Ordering::Relaxed);
    }
}

async fn drain(folder: &Path, octets: usize) {
    let spool = open(folder).await;
    println!("opened: {}", there(&spool));
    let (pace, text) = (Arc::new(Pace::default()), text(octets));
    let writers: Vec<_> =
        (0..WRITERS).map(|_| tokio::spawn(accepting(spool.clone(), pace.clone(), text.clone()))).collect();
    for _ in 0..2 {
        five_seconds(&spool, &pace, "alone").await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_everything(stream));
        }
    });
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(spool.clone(), port, stop.clone()));
    for _ in 0..8 {
        five_seconds(&spool, &pace, "beside delivery").await;
    }
    pace.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    while !spool.is_empty() {
        five_seconds(&spool, &pace, "delivery alone").await;
    }
    println!("drained: {}", there(&spool));
    stop.cancel();
    running.await.unwrap();
    spool.close().await;
}

async fn five_seconds(spool: &Spool, pace: &Pace, what: &str) {
    pace.waits.lock().unwrap().clear();
    let (accepted, delivered, began) =
        (pace.accepted.load(Ordering::Relaxed), spool.counters().delivered, Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seconds = began.elapsed().as_secs_f64();
    let a_second = |now: u64, before: u64| (now - before) as f64 / seconds;
    let mut waits = std::mem::take(&mut *pace.waits.lock().unwrap());
    waits.sort_unstable();
    let wait = |of_hundred: usize| waits.get(waits.len() * of_hundred / 100).copied().unwrap_or_default();
    println!(
        "{what}: accepted {:.0} a second (median {:.1?}, p99 {:.1?}, longest {:.1?}), delivered {:.0} a second; {}",
        a_second(pace.accepted.load(Ordering::Relaxed), accepted),
        wait(50),
        wait(99),
        waits.last().copied().unwrap_or_default(),
        a_second(spool.counters().delivered, delivered),
        there(spool)
    );
}

/// A next hop that takes everything and keeps nothing.
async fn take_everything(stream: TcpStream) {
    // Each reply leaves at once: else the client waits for the system's delayed acknowledgements.
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await.unwrap();
    let (mut line, mut text) = (Vec::new(), false);
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        let reply: &[u8] = match (text, line.as_slice()) {
            (true, b".\r\n") => {
                text = false;
                b"250 taken\r\n"
            }
            (true, _) => b"",
            (false, command) if command.starts_with(b"DATA") => {
                text = true;
                b"354 go on\r\n"
            }
            (false, command) if command.starts_with(b"EHLO") => b"250-sink\r\n250 PIPELINING\r\n",
            (false, command) if command.starts_with(b"QUIT") => b"221 bye\r\n",
            (false, _) => b"250 yes\r\n",
        };
        if stream.write_all(reply).await.is_err() {
            return;
        }
        line.clear();
    }
}

fn verify(folder: &Path) {
    let began = Instant::now();
    let tell = |finding| {
        if let Finding::Damage(damage) = finding {
            println!("DAMAGED: {damage}");
        }
    };
    let found = postern_spool::verify(folder, tell).unwrap();
    println!("verified in {:.2?}, {} MB of memory: {found:?}", began.elapsed(), resident() / 1_000_000);
}
