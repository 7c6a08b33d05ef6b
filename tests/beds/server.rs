//! A directory server as a bed's script makes it: in a folder of its own, at an address of loopback that no other
//! process's server has. What tests of several packages share, by `#[path]`.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than it ever takes to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, or one that was killed. Dropping it takes its folder away.
pub(crate) struct Server {
    script: PathBuf,
    folder: tempfile::TempDir,
    info: Vec<(String, String)>,
    process: Option<Child>,
    began: Instant,
}

#[allow(dead_code, reason = "each package uses its own part")]
impl Server {
    /// Made by this script of `beds`, and not started yet. `number` tells the servers of one process apart; `people` is LDIF
    /// with more of them, in the place of the bed's crowd.
    pub(crate) fn make(script: &Path, number: u8, people: Option<&Path>) -> Self {
        assert!(number < 3);
        let began = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        // A process's number has 22 bits.
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{middle}.{low}", 64 * (number + 1) + high);
        let mut make = Command::new(script);
        make.arg("make").arg(folder.path().join("bed")).arg(&address);
        if let Some(people) = people {
            // Those who are there for their number only may stay away.
            make.env("PEOPLE", people).env("BULK", "0");
        }
        let making = make.output().unwrap();
        let said = [making.stdout, making.stderr].concat();
        assert!(making.status.success(), "{}", String::from_utf8_lossy(&said));
        let info = std::fs::read_to_string(folder.path().join("bed/info")).unwrap();
        let info = info.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let server = Self { script: script.to_owned(), info: info.collect(), folder, process: None, began };
        server.step("made");
        server
    }

    /// Says how far the test got, and when.
    pub(crate) fn step(&self, name: &str) {
        eprintln!("{:6.2} s  {name}", self.began.elapsed().as_secs_f64());
    }

    /// Starts it, also again. It ends with the thread that does so.
    pub(crate) fn run(&mut self) {
        let log_file = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(&log_file).unwrap();
        // Should this process be killed, or the thread end, the server goes with it: by the signal, or by the end of its input.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.script)
            .arg("run")
            .arg(self.path(""))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let process = self.process.insert(process);
        let known = |key: &str| self.info.iter().find(|known| known.0 == key).unwrap().1.as_str();
        let ports = ["PORT", "LDAPS_PORT"].map(|key| known(key).parse::<u16>().unwrap());
        let listens = || ports.iter().all(|port| TcpStream::connect((known("ADDRESS"), *port)).is_ok());
        let end = Instant::now() + PATIENCE;
        while !listens() {
            let said = || std::fs::read_to_string(&log_file).unwrap();
            assert!(process.try_wait().unwrap().is_none() && Instant::now() < end, "it does not start: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.step("listens");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        let mut process = self.process.take().unwrap();
        // Of a server that sudo started, sudo is left.
        drop(process.stdin.take());
        process.wait().unwrap();
    }

    /// Connections stay, and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        until_frozen(&self.id());
    }

    /// The end of [`Server::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn id(&self) -> String {
        std::fs::read_to_string(self.path("pid")).unwrap().trim().to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.id();
        let send = |with: &[&str]| {
            let mut command = Command::new(with[0]);
            command.args(&with[1..]).args([&format!("-{name}"), &id]);
            command.output().is_ok_and(|said| said.status.success())
        };
        assert!(send(&["kill"]) || send(&["sudo", "-n", "kill"]), "kill -{name} {id}");
    }

    /// What the bed's `info` says.
    pub(crate) fn info(&self, key: &str) -> &str {
        self.info.iter().find(|known| known.0 == key).map_or("", |known| known.1.as_str())
    }

    /// A file of the bed.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("bed").join(name)
    }

    /// A file of the bed's PKI.
    pub(crate) fn pki(&self, name: &str) -> PathBuf {
        self.path("pki").join(name)
    }

    /// A file beside the bed.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        // What only root may remove, too.
        let _ = Command::new(&self.script).arg("remove").arg(self.path("")).output();
    }
}

/// After SIGSTOP each thread takes its time to stop, and may answer until then.
pub(crate) fn until_frozen(process: &str) {
    let threads = format!("/proc/{process}/task");
    let stopped = |thread: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status"));
        status.is_ok_and(|status| status.contains("State:\tT"))
    };
    let end = Instant::now() + PATIENCE;
    while !std::fs::read_dir(&threads).unwrap().all(stopped) {
        assert!(Instant::now() < end, "it does not freeze");
        std::thread::sleep(Duration::from_millis(1));
    }
}
