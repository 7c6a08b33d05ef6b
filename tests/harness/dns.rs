//! A DNS server beside the gateway: dnsmasq with a test's own records. And one that never answers.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::peers::find;

/// A running dnsmasq, killed when dropped. It knows its own records and nothing else: other names do not exist.
pub(crate) struct Dns {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Dns {
    /// With these options of dnsmasq, such as `--ptr-record=3.2.1.10.in-addr.arpa,mail.example.mil`.
    pub(crate) fn start(records: &[&str]) -> Self {
        // A port that is free for TCP is tried for UDP by dnsmasq itself, which ends if it is not.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        // Should this process be killed, dnsmasq goes with it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(find("dnsmasq").expect("dnsmasq"));
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=", "--group="]);
        command.args([
            "--no-resolv",
            "--no-hosts",
            "--cache-size=0",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
        ]);
        command.args([
            "--log-facility=-",
            "--local=/mil/",
            "--local=/com/",
            "--local=/arpa/",
            &format!("--port={port}"),
        ]);
        let mut process = command.args(records).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let started = lines.by_ref().map_while(Result::ok).any(|line| line.contains("started"));
        assert!(started, "dnsmasq does not start");
        std::thread::spawn(move || lines.count());
        Self { process, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Takes questions and keeps silent.
pub(crate) struct SilentDns {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl SilentDns {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while socket.recv(&mut question).is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, asked }
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
