//! The peers, as processes that end with their test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::Pki;

/// Is this command there? Where it is not the test is skipped, loudly, but never in CI.
pub(crate) fn is_there(command: &str, probe: &[&str]) -> bool {
    let there = Command::new(command).args(probe).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI must have {command}");
    if !there {
        eprintln!("SKIPPED: there is no {command} here");
    }
    there
}

/// A process that is killed when the test ends.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Starts a process that says its port on the first line that `port_of` can read it from.
    fn start(command: &mut Command, port_of: impl Fn(&str) -> Option<u16>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| port_of(&line.unwrap())).expect("a port");
        // Whatever else it says must not stop it.
        std::thread::spawn(move || lines.count());
        Self { child, port }
    }

    /// Starts a process that listens on this port of loopback, and waits until it does.
    pub(crate) fn at(command: &mut Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let peer = Self { child, port };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "nobody listens on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        peer
    }

    /// The web server of `server.py` over a folder; with a certificate by https.
    pub(crate) fn web(folder: &Path, tls: Option<(&Path, &Path)>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/server.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(folder);
        if let Some((certificate, key)) = tls {
            command.arg(certificate).arg(key);
        }
        Self::start(&mut command, |line| line.trim().parse().ok())
    }

    /// `openssl ocsp` answering from `index.txt` for the CA `ca`, signing as `signer`.
    pub(crate) fn responder(pki: &Pki, ca: &str, signer: &str, more: &[&str]) -> Self {
        let file = |name: &str, kind: &str| pki.path(&format!("{name}.{kind}"));
        let mut command = Command::new("openssl");
        command.arg("ocsp").arg("-index").arg(pki.path("index.txt")).arg("-CA").arg(file(ca, "pem"));
        command.arg("-rsigner").arg(file(signer, "pem")).arg("-rkey").arg(file(signer, "key"));
        command.args(["-port", "0", "-ignore_err"]).args(more);
        Self::start(&mut command, |line| {
            line.strip_prefix("ACCEPT ")?.split_whitespace().next()?.rsplit(':').next()?.parse().ok()
        })
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

/// A port that nobody listens on.
pub(crate) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a web server was asked, a line each.
pub(crate) fn requests(folder: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("requests.log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

/// Waits until it is so; fails after a while.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it never came to be: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
