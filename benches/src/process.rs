//! What the kernel says about a process, and processes that end with their owner.

use std::fs;
use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

/// Linux counts CPU time for user space in hundredths of a second (`USER_HZ`), whatever it does inside.
const TICK: Duration = Duration::from_millis(10);

/// A child that is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// User and system time so far.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        cpu_time(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat cannot be read"))
    }

    /// Memory in use that is of no file, in kB of 1024 octets: heap and stacks, without code that was paged in.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        memory(&status).ok_or_else(|| io::Error::other("/proc/PID/status cannot be read"))
    }

    /// Waits until the process does nothing any more: until its CPU time stands still.
    pub(crate) async fn settle(&self) -> io::Result<()> {
        const LOOK: Duration = Duration::from_millis(100);
        const QUIET: u32 = 5;
        const LONGEST: Duration = Duration::from_secs(60);
        let (began, mut quiet, mut last) = (Instant::now(), 0, self.cpu_time()?);
        while quiet < QUIET {
            if began.elapsed() > LONGEST {
                return Err(io::Error::other("a server does not come to rest"));
            }
            tokio::time::sleep(LOOK).await;
            let now = self.cpu_time()?;
            quiet = if now > last + TICK { 0 } else { quiet + 1 };
            last = now;
        }
        Ok(())
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// proc_pid_stat(5): the command's name, which may hold anything, ends with the last parenthesis; utime is field 14.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let (user, system) = (ticks()?, ticks()?);
    Some(TICK * user.saturating_add(system))
}

fn memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Most files that this process may have open.
pub(crate) fn open_files_limit() -> io::Result<u64> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft.and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_and_status() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 100 200 300";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time("42 (a) S 1"), None);
        assert_eq!(memory("VmRSS:\t  9 kB\nRssAnon:\t    1234 kB\n"), Some(1234));
        assert_eq!(memory("VmRSS:\t  9 kB\n"), None);
    }
}
