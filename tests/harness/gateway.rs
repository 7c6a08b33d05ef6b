//! The gateway's process: started, asked, signalled, and always ended.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// A running gateway. Dropping it kills it; a test that panics gets its log printed.
pub(crate) struct Gateway {
    child: Child,
    log: Arc<Log>,
    addresses: HashMap<String, SocketAddr>,
}

/// The lines of its standard error so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

/// The binary, beside the test's own. `POSTERN_BINARY` names another one.
pub(crate) fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("POSTERN_BINARY") {
        return binary.into();
    }
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/end_to_end-… → target/debug/postern
    let binary = test.parent().and_then(Path::parent).unwrap().join("postern");
    assert!(binary.is_file(), "{} is not there: cargo build -p postern, then again", binary.display());
    binary
}

impl Gateway {
    /// Starts `postern run` and waits until every one of the listeners listens.
    pub(crate) fn start(config: &Path, listeners: &[String]) -> Self {
        Self::start_as(Command::new(binary()), config, listeners)
    }

    /// The same, by a command that ends in running the binary with the arguments it is given.
    pub(crate) fn start_as(mut command: Command, config: &Path, listeners: &[String]) -> Self {
        let command = command.arg("run").arg("--config").arg(config).env_remove("RUST_LOG");
        // What the rule about SSLKEYLOGFILE is tested with, everywhere.
        let command = command.env("SSLKEYLOGFILE", config.with_file_name("keylog"));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("postern starts");
        let log = Arc::new(Log::default());
        let (stderr, writer) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                writer.lines().lines.push(line);
                writer.more.notify_all();
            }
            writer.lines().ended = true;
            writer.more.notify_all();
        });
        let mut gateway = Self { child, log, addresses: HashMap::new() };
        for listener in listeners {
            let line = gateway.wait_for_log(&format!("listener {listener} listening"), |line| {
                line["message"] == "listening" && line["listener"] == listener.as_str()
            });
            gateway.addresses.insert(listener.clone(), line["address"].as_str().unwrap().parse().unwrap());
        }
        gateway
    }

    /// Where a listener of this name listens.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        *self.addresses.get(listener).unwrap_or_else(|| panic!("no listener {listener}: {:?}", self.addresses))
    }

    /// The first log line, among all since the start, that is so; waits until it comes.
    pub(crate) fn wait_for_log(&self, what: &str, is_it: impl FnMut(&Value) -> bool) -> Value {
        self.wait_for_log_after(0, what, is_it)
    }

    /// The same, without the first so many lines.
    pub(crate) fn wait_for_log_after(&self, skip: usize, what: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = skip;
        let mut lines = self.log.lines();
        loop {
            for line in lines.lines.iter().skip(seen) {
                seen += 1;
                if let Some(line) = parse(line).filter(|line| is_it(line)) {
                    return line;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended || left.is_zero() {
                let why = if lines.ended { "the gateway ended" } else { "it took too long" };
                // Not while holding the lock: the log is printed on the way out.
                drop(lines);
                panic!("waited in vain for a log line: {what} ({why})");
            }
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// All log lines so far.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        self.log.lines().lines.clone()
    }

    /// How many log lines there are so far.
    /// The most memory it has used so far, KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn log_length(&self) -> usize {
        self.log.lines().lines.len()
    }

    /// `HUP`, `TERM` …
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// SIGKILL, and nothing of it is left.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(PATIENCE)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        let mut lines = self.log.lines();
        // Its standard error ends with it: no need to ask again and again.
        while !lines.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines);
                panic!("the gateway does not end");
            }
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
        drop(lines);
        self.child.wait().unwrap()
    }
}

impl Log {
    /// A test that panics while it looks at lines does not keep them from being printed.
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Log lines are JSON where standard error is no terminal; a panic's message would not be.
fn parse(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log");
            for line in &self.log.lines().lines {
                eprintln!("{line}");
            }
            eprintln!("---");
        }
    }
}
