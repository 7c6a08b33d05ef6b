//! How fast the spool is beside the floor of the machine.
//!
//! ```text
//! cargo run --release -p postern-spool --example spool_speed -- FOLDER [WRITERS] [SECONDS]
//! ```
//!
//! It takes messages of 10 kB from so many writers at a time, and then does the floor the same way: one thread that
//! appends what is waiting to one file and calls fdatasync.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use common::{accept, open, permit};

const MESSAGE: usize = 10 * 1024;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    match arguments.first() {
        Some(folder) => commit(Path::new(folder), number(1, 64), number(2, 5)).await,
        None => eprintln!("spool_speed FOLDER [WRITERS] [SECONDS]"),
    }
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
