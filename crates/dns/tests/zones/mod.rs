//! A little DNS of its own on loopback: a root and zones below it, signed or not, served by NSD; and Unbound, which
//! validates. Shared by the tests of other crates (`#[path]`), none of which uses all of it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What these servers need.
pub const PROGRAMS: [&str; 4] = ["nsd", "ldns-keygen", "ldns-signzone", "setpriv"];

/// False, loudly, when one of them is missing here; in CI nothing may be missing.
pub fn has(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "missing in CI: {missing:?}");
    eprintln!("\n!!! SKIPPED: {missing:?} not found; ./test installs it\n");
    false
}

/// Debian keeps some where only root looks.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    No,
    Nsec,
    Nsec3,
}

/// A zone directly below the root, without SOA and NS.
pub struct Zone {
    /// With its dot: `example.`
    pub name: &'static str,
    pub signed: Signed,
    /// Lines of a zone file; names without a dot at the end are below the zone's.
    pub records: String,
    /// What is replaced after signing.
    pub forged: Option<(&'static str, &'static str)>,
}

impl Zone {
    pub fn new(name: &'static str, signed: Signed, records: &str) -> Self {
        Self { name, signed, records: records.to_owned(), forged: None }
    }
}

/// A running server, killed when dropped, or with this process.
pub struct Running {
    process: Child,
    pub address: SocketAddr,
    dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Running {
    fn start(dir: TempDir, address: SocketAddr, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(find(program).unwrap()).args(arguments);
        let log = fs::File::create(dir.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let running = Self { process: command.spawn().unwrap(), address, dir };
        let log = || fs::read_to_string(running.dir.path().join("log")).unwrap();
        let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        asker.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // The root's SOA.
        let question = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
        let began = Instant::now();
        loop {
            asker.send_to(&question, running.address).unwrap();
            if asker.recv(&mut [0; 512]).is_ok() {
                return running;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{program} does not answer: {}", log());
        }
    }
}

/// The zones, and the key that their root is signed with.
pub struct Zones {
    pub server: Running,
    /// DNSKEY records for `trust_anchor`.
    pub anchor: PathBuf,
}

impl Zones {
    pub fn start(zones: &[Zone]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let head = "@ 300 IN SOA ns. hostmaster. 1 3600 600 86400 60\n@ 300 IN NS ns.\n";
        let mut root = format!("$ORIGIN .\n$TTL 300\n{head}ns. A 127.0.0.1\n");
        let mut served = Vec::new();
        for zone in zones {
            let name = zone.name.trim_end_matches('.');
            fs::write(at.join(name), format!("$ORIGIN {}\n$TTL 300\n{head}{}\n", zone.name, zone.records)).unwrap();
            root += &format!("{} NS ns.\n", zone.name);
            let mut file = name.to_owned();
            if zone.signed != Signed::No {
                let key = sign(at, name, zone.name, zone.signed);
                file += ".signed";
                root += &fs::read_to_string(at.join(format!("{key}.ds"))).unwrap();
                if let Some((from, to)) = zone.forged {
                    let text = fs::read_to_string(at.join(&file)).unwrap();
                    assert!(text.contains(from), "{text}");
                    fs::write(at.join(&file), text.replace(from, to)).unwrap();
                }
            }
            served.push((zone.name, file));
        }
        fs::write(at.join("root"), root).unwrap();
        let key = sign(at, "root", ".", Signed::Nsec);
        let anchor = at.join(format!("{key}.key"));
        served.push((".", "root.signed".to_owned()));
        let port = free_port();
        let mut configuration = format!(
            "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n database: \"\"\n \
             zonesdir: {0}\n xfrdfile: {0}/xfrd\n zonelistfile: {0}/list\n xfrdir: {0}\n rrl-ratelimit: 0\n server-count: 1\n\
             remote-control:\n control-enable: no\n",
            at.display()
        );
        for (name, file) in served {
            configuration += &format!("zone:\n name: \"{name}\"\n zonefile: {file}\n");
        }
        let file = at.join("nsd.conf");
        fs::write(&file, configuration).unwrap();
        let server =
            Running::start(dir, (Ipv4Addr::LOCALHOST, port).into(), "nsd", &["-d", "-c", file.to_str().unwrap()]);
        Self { server, anchor }
    }

    /// A validating resolver for these zones.
    pub fn unbound(&self) -> Running {
        self.unbound_at((Ipv4Addr::LOCALHOST, free_port()).into())
    }

    /// The same at an address of its own, for who reads `resolv.conf`, which knows no ports.
    pub fn unbound_at(&self, address: SocketAddr) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let (ip, port) = (address.ip(), address.port());
        let configuration = format!(
            "server:\n interface: {ip}@{port}\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n directory: {}\n \
             use-syslog: no\n do-daemonize: no\n do-not-query-localhost: no\n do-ip6: no\n trust-anchor-file: {}\n \
             module-config: \"validator iterator\"\n val-clean-additional: yes\n\
             remote-control:\n control-enable: no\n\
             forward-zone:\n name: \".\"\n forward-addr: {}\n",
            dir.path().display(),
            self.anchor.display(),
            self.server.address.to_string().replace(':', "@"),
        );
        let file = dir.path().join("unbound.conf");
        fs::write(&file, configuration).unwrap();
        Running::start(dir, address, "unbound", &["-d", "-p", "-c", file.to_str().unwrap()])
    }
}

/// One key does for all; its name.
fn sign(dir: &Path, file: &str, zone: &str, how: Signed) -> String {
    let key = run(dir, "ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", zone]);
    let key = key.trim().to_owned();
    let nsec3: &[&str] = if how == Signed::Nsec3 { &["-n", "-t", "0"] } else { &[] };
    run(dir, "ldns-signzone", &[nsec3, &["-o", zone, "-f", &format!("{file}.signed"), file, &key]].concat());
    key
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(find(program).unwrap()).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A port that is free for TCP; UDP's are as good as certain to be too.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
