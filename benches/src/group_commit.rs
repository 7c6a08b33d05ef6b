//! The floor of messages: writers hand octets to one thread, which takes all that wait, appends them to a file at once,
//! syncs once and tells everybody. No TLS, no SMTP, no format.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::Failure;
use crate::statistics::rate;

type Job = (Arc<[u8]>, oneshot::Sender<()>);

/// Messages per second that so many writers get onto the disk, each waiting for one before it hands over the next.
pub(crate) async fn measure(file: &Path, writers: usize, message: &[u8], length: Duration) -> Result<f64, Failure> {
    let log = File::create(file)?;
    let (jobs, waiting) = mpsc::channel::<Job>(writers);
    let committer = thread::spawn(move || commit(log, waiting));
    let message: Arc<[u8]> = message.into();
    let began = Instant::now();
    let writers: Vec<_> = (0..writers)
        .map(|_| {
            let (jobs, message) = (jobs.clone(), Arc::clone(&message));
            tokio::spawn(async move {
                let mut done = 0;
                while began.elapsed() < length {
                    let (durable, told) = oneshot::channel();
                    jobs.send((Arc::clone(&message), durable)).await?;
                    told.await?;
                    done += 1;
                }
                Ok::<u64, Failure>(done)
            })
        })
        .collect();
    drop(jobs);
    let mut done = 0;
    for writer in writers {
        done += writer.await??;
    }
    let time = began.elapsed();
    committer.join().map_err(|_| "the committing thread panicked")??;
    std::fs::remove_file(file)?;
    Ok(rate(done, time))
}

fn commit(mut log: File, mut waiting: mpsc::Receiver<Job>) -> std::io::Result<()> {
    let mut batch = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        batch.clear();
        let mut told = Vec::new();
        let mut next = Some(first);
        while let Some((message, durable)) = next {
            batch.extend_from_slice(&message);
            told.push(durable);
            next = waiting.try_recv().ok();
        }
        log.write_all(&batch)?;
        log.sync_data()?;
        for durable in told {
            // A writer that is gone has failed, and says so itself.
            let _ = durable.send(());
        }
    }
    Ok(())
}
