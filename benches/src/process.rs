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

    /// The most memory that was in use at once since [`Self::forget_peak`], in kB of 1024 octets: code that was paged in, too.
    pub(crate) fn peak_memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        kilobytes(&status, "VmHWM:").ok_or_else(|| io::Error::other("/proc/PID/status cannot be read"))
    }

    /// The peak begins anew with what is in use now (proc_pid_clear_refs(5)).
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5")
    }

    /// User and system time so far of the process and of all that descends from it, what has ended included.
    pub(crate) fn family_cpu_time(&self) -> io::Result<Duration> {
        let times = self.family()?.into_iter().filter_map(|id| {
            // One that has ended meanwhile is in its parent's count, read before: it is missed by this look only.
            family_cpu_time(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
        });
        Ok(times.sum())
    }

    /// Memory in use now by the process and all that descends from it, in kB of 1024 octets; what they share is counted once (Pss).
    pub(crate) fn family_memory(&self) -> io::Result<u64> {
        let used = self
            .family()?
            .into_iter()
            .filter_map(|id| kilobytes(&fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?, "Pss:"));
        Ok(used.sum())
    }

    /// The process and all that descends from it.
    fn family(&self) -> io::Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // It may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            parents.extend(parent(&stat).map(|parent| (id, parent)));
        }
        Ok(descendants(self.0.id(), &parents))
    }

    /// Waits until the process and its descendants do nothing any more: until their CPU time stands still.
    pub(crate) async fn settle(&self) -> io::Result<()> {
        const LOOK: Duration = Duration::from_millis(100);
        const QUIET: u32 = 5;
        const LONGEST: Duration = Duration::from_secs(60);
        let (began, mut quiet, mut last) = (Instant::now(), 0, self.family_cpu_time()?);
        while quiet < QUIET {
            if began.elapsed() > LONGEST {
                return Err(io::Error::other("a server does not come to rest"));
            }
            tokio::time::sleep(LOOK).await;
            let now = self.family_cpu_time()?;
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
    Some(times(stat)?.take(2).sum())
}

/// cutime and cstime, of children that were waited for, follow.
fn family_cpu_time(stat: &str) -> Option<Duration> {
    Some(times(stat)?.take(4).sum())
}

fn times(stat: &str) -> Option<impl Iterator<Item = Duration>> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u32> = fields.split_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.into_iter().map(|ticks| TICK * ticks))
}

/// The process itself first.
fn descendants(ancestor: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut family = vec![ancestor];
    let mut seen = 0;
    while let Some(&of) = family.get(seen) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| id));
        seen += 1;
    }
    family
}

/// Field 4.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

fn memory(status: &str) -> Option<u64> {
    kilobytes(status, "RssAnon:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
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
        assert_eq!(family_cpu_time(stat), Some(Duration::from_millis(2150)));
        assert_eq!(parent(stat), Some(1));
        assert_eq!(descendants(5, &[(7, 6), (6, 5), (8, 4), (9, 5)]), [5, 6, 9, 7]);
        assert_eq!(cpu_time("42 (a) S 1"), None);
        assert_eq!(memory("VmRSS:\t  9 kB\nRssAnon:\t    1234 kB\n"), Some(1234));
        assert_eq!(memory("VmRSS:\t  9 kB\n"), None);
    }
}
