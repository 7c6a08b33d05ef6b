//! How fast the spool is beside the floor of the machine, and what a long queue costs.
//!
//! ```text
//! cargo run --release -p postern-spool --example spool_speed -- commit FOLDER [WRITERS] [SECONDS]
//! cargo run --release -p postern-spool --example spool_speed -- queue FOLDER [MESSAGES] [OCTETS]
//! ```
//!
//! `commit` takes messages of 10 kB from so many writers at a time, and then does the floor the same way: one thread
//! that appends what is waiting to one file and calls fdatasync. `queue` fills a spool, opens it again, and says how
//! long that takes and how much memory the process has for each message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auth::{Attempt, CertificateFact, Facts, ProfileRules, Transport};
use policy::{MailFlowPolicy, Permit, PolicySettings};
use postern_spool::{Settings, Spool};
use protocol::header::HeaderSection;
use protocol::{Body, Domain, Envelope, Mailbox, Recipient, ReversePath};
use tokio::sync::{mpsc, oneshot};

const MESSAGE: usize = 10 * 1024;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    match (arguments.first().map(String::as_str), arguments.get(1)) {
        (Some("commit"), Some(folder)) => commit(Path::new(folder), number(2, 64), number(3, 5)).await,
        (Some("queue"), Some(folder)) => queue(Path::new(folder), number(2, 1_000_000), number(3, 1024)).await,
        _ => eprintln!("spool_speed commit FOLDER [WRITERS] [SECONDS] | queue FOLDER [MESSAGES] [OCTETS]"),
    }
}

/// The permit of a client whom the policy lets in without a name.
fn permit() -> Permit {
    let settings = "access = 'relay'\ntls = 'off'\nsmtp_auth = 'off'\nsender = 'any'";
    let settings: PolicySettings = toml::from_str(settings).expect("a policy");
    let policy = MailFlowPolicy::new("bench", &settings, |_, problem| panic!("{problem}"));
    let profile = ProfileRules { certificate: None, password: None, recheck_after: Duration::from_secs(300) };
    let facts =
        Facts { transport: Transport::Plain, certificate: CertificateFact::NotRequested, attempt: Attempt::None };
    let clearance = policy::judge(&facts, &policy, &profile).mail.expect("anybody may send");
    clearance.permit(ReversePath::Null).expect("from nobody")
}

fn envelope() -> Envelope {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    Envelope {
        reverse_path: ReversePath::Mailbox(mailbox("alice@example.org")),
        recipients: vec![Recipient { mailbox: mailbox("bob@example.net"), notify: None, original: None }],
        body: Body::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    }
}

async fn open(folder: &Path) -> Spool {
    let hostname = Domain::parse("gateway.example.org").unwrap();
    let (spool, report) = Spool::open(&Settings::default(), folder, &hostname).await.unwrap();
    report.problems.iter().for_each(|problem| println!("PROBLEM: {problem}"));
    spool
}

async fn accept(spool: &Spool, permit: &Permit, text: &[u8]) {
    let mut transaction = spool.begin(permit, "submission", "office", envelope());
    transaction.write(text).await.unwrap();
    transaction.commit(&permit.authorize(&HeaderSection::default()).expect("by nobody")).await.unwrap();
}

async fn commit(folder: &Path, writers: usize, seconds: usize) {
    let time = Duration::from_secs(seconds as u64);
    // In turns, so that a disk that changes its mind does so for both.
    let mut rounds = Vec::new();
    for round in 0..3 {
        let spool = spool_speed(&folder.join(format!("speed-{round}")), writers, time).await;
        let floor = floor_speed(&folder.join(format!("floor-{round}")), writers, time).await;
        println!("round {round}: spool {spool:.0}/s, floor {floor:.0}/s, ratio {:.2}", spool / floor);
        rounds.push(spool / floor);
    }
    rounds.sort_by(f64::total_cmp);
    println!("{writers} writers, {MESSAGE} octets: median ratio {:.2}", rounds[1]);
}

async fn spool_speed(folder: &Path, writers: usize, time: Duration) -> f64 {
    let spool = open(folder).await;
    let permit = Arc::new(permit());
    let text: Arc<[u8]> = vec![b'x'; MESSAGE].into();
    let bench = spool.clone();
    let rate = rate(writers, time, move || {
        let (spool, permit, text) = (bench.clone(), permit.clone(), text.clone());
        async move { accept(&spool, &permit, &text).await }
    })
    .await;
    spool.close().await;
    std::fs::remove_dir_all(folder).unwrap();
    rate
}

/// Append what is waiting, fdatasync, tell all: nothing else.
async fn floor_speed(folder: &Path, writers: usize, time: Duration) -> f64 {
    std::fs::create_dir_all(folder).unwrap();
    let (jobs, mut queue) = mpsc::channel::<(Arc<[u8]>, oneshot::Sender<()>)>(256);
    let path: PathBuf = folder.join("log");
    let writer = std::thread::spawn(move || {
        let mut file = File::create(path).unwrap();
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(job) = queue.try_recv() {
                batch.push(job);
            }
            let octets: Vec<u8> = batch.iter().flat_map(|(text, _)| text.iter().copied()).collect();
            file.write_all(&octets).unwrap();
            file.sync_data().unwrap();
            batch.into_iter().for_each(|(_, done)| done.send(()).unwrap_or_default());
        }
    });
    let text: Arc<[u8]> = vec![b'x'; MESSAGE].into();
    let rate = rate(writers, time, move || {
        let (jobs, text) = (jobs.clone(), text.clone());
        async move {
            let (done, answer) = oneshot::channel();
            jobs.send((text, done)).await.unwrap();
            answer.await.unwrap();
        }
    })
    .await;
    writer.join().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    rate
}

/// Messages in a second, from so many writers.
async fn rate<F, G>(writers: usize, time: Duration, one: F) -> f64
where
    F: Fn() -> G + Clone + Send + 'static,
    G: Future<Output = ()> + Send,
{
    let (stop, start) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (stop, one) = (stop.clone(), one.clone());
            tokio::spawn(async move {
                let mut count = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    one().await;
                    count += 1;
                }
                count
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Octets of memory the process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

async fn queue(folder: &Path, messages: usize, octets: usize) {
    if !folder.join("spool").exists() {
        let spool = open(folder).await;
        let start = Instant::now();
        let (permit, text): (Arc<Permit>, Arc<[u8]>) = (Arc::new(permit()), vec![b'x'; octets].into());
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (spool, permit, text) = (spool.clone(), permit.clone(), text.clone());
                tokio::spawn(async move {
                    for _ in 0..messages / 100 {
                        accept(&spool, &permit, &text).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        println!("filled with {} messages in {:.1?}; now run it again", spool.len(), start.elapsed());
        spool.close().await;
        return;
    }
    let before = resident();
    let start = Instant::now();
    let spool = open(folder).await;
    let (opened, memory) = (start.elapsed(), resident() - before);
    let count = spool.len() as u64;
    println!("{count} messages: opened in {opened:.1?}, {} octets of memory each", memory / count);
    spool.close().await;
}
