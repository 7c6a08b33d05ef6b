//! The next hop of measurements: Postfix's smtp-sink, which takes everything, throws it away and counts.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::process::Process;
use crate::stage::free_address;

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    taken: Arc<AtomicU64>,
    _process: Process,
}

impl Sink {
    /// `None` when there is no smtp-sink.
    pub(crate) async fn start() -> Result<Option<Self>, Failure> {
        let Some(program) = find("smtp-sink") else { return Ok(None) };
        let address = free_address()?;
        let mut child = Command::new(program)
            // It refuses to be root.
            .args(is_root()?.then_some(["-u", "nobody"]).into_iter().flatten())
            .args(["-c", &address.to_string(), "1024"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let taken = Arc::new(AtomicU64::new(0));
        if let Some(counters) = child.stdout.take() {
            let taken = Arc::clone(&taken);
            thread::spawn(move || follow(counters, &taken));
        }
        let mut process = Process(child);
        while TcpStream::connect(address).is_err() {
            if process.has_ended()? {
                return Err("smtp-sink does not start".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Self { address, taken, _process: process }))
    }

    /// Messages that it has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Waits until it has taken so many.
    pub(crate) async fn wait_for(&self, count: u64) -> Result<(), Failure> {
        const LONGEST: Duration = Duration::from_secs(300);
        let began = Instant::now();
        while self.taken() < count {
            if began.elapsed() > LONGEST {
                return Err(format!("of {count} messages {} came to the next hop", self.taken()).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Its counters come again and again, each time with a CR: `sess=1 quit=0 mesg=7`.
fn follow(counters: ChildStdout, taken: &AtomicU64) {
    for line in BufReader::new(counters).split(b'\r').map_while(Result::ok) {
        if let Some(count) = messages(&line) {
            taken.store(count, Ordering::Relaxed);
        }
    }
}

fn messages(line: &[u8]) -> Option<u64> {
    let (_, count) = std::str::from_utf8(line).ok()?.rsplit_once("mesg=")?;
    count.trim().parse().ok()
}

/// Whether this process is root's.
pub(crate) fn is_root() -> Result<bool, Failure> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// Debian keeps it where only root looks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        assert_eq!(messages(b"sess=1 quit=0 mesg=7"), Some(7));
        assert_eq!(messages(b"sess=1 quit=0 mesg="), None);
        assert_eq!(messages(b""), None);
    }
}
