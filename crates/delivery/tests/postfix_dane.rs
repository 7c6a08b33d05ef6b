//! DANE as Postfix does it, beside ours: the same servers and zones, what `posttls-finger` says of them, and what becomes of a
//! message here. `postfix-dane-report.txt` has the table, and what the differences are; `GOLDEN=write` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;
#[path = "../../dns/tests/zones/mod.rs"]
mod zones;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use demo::{AltName, Ca, Issued, Template};
use peers::tls_server::TlsServer;
use peers::{deliver, envelope, line, means, settings};
use postern_delivery::{Courier, Means};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zones::{PROGRAMS, Running, Signed, Zone, Zones};

const DAY: Duration = Duration::from_secs(86_400);

/// As a zone file writes it.
fn record(usage: u8, selector: u8, matching: u8, certificate: &[u8]) -> String {
    let selected = if selector == 1 { pki::subject_public_key_info(certificate).unwrap() } else { certificate };
    let data = match matching {
        0 => selected.to_vec(),
        1 => pki::Hash::Sha256.of(selected),
        _ => pki::Hash::Sha512.of(selected),
    };
    let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{usage} {selector} {matching} {hex}")
}

/// Records, by what they are called; those of the server, of its authority and of another.
fn rows(own: &[u8], ca: &[u8], other: &[u8]) -> Vec<(&'static str, Vec<String>)> {
    vec![
        ("none", vec![]),
        ("3 0 1 own", vec![record(3, 0, 1, own)]),
        ("3 1 0 own", vec![record(3, 1, 0, own)]),
        ("3 1 1 own", vec![record(3, 1, 1, own)]),
        ("3 1 2 own", vec![record(3, 1, 2, own)]),
        ("3 1 1 other", vec![record(3, 1, 1, other)]),
        ("2 0 0 ca", vec![record(2, 0, 0, ca)]),
        ("2 0 1 ca", vec![record(2, 0, 1, ca)]),
        ("2 1 1 ca", vec![record(2, 1, 1, ca)]),
        ("2 1 1 other", vec![record(2, 1, 1, other)]),
        ("2 1 1 own", vec![record(2, 1, 1, own)]),
        ("3 1 1 other, 3 1 1 own", vec![record(3, 1, 1, other), record(3, 1, 1, own)]),
        ("3 1 1 other, 2 1 1 ca", vec![record(3, 1, 1, other), record(2, 1, 1, ca)]),
        ("3 1 2 other, 3 1 1 own", vec![record(3, 1, 2, other), record(3, 1, 1, own)]),
        ("0 0 1 ca", vec![record(0, 0, 1, ca)]),
        ("1 1 1 own", vec![record(1, 1, 1, own)]),
        ("1 1 1 own, 3 1 1 own", vec![record(1, 1, 1, own), record(3, 1, 1, own)]),
        ("3 1 1 own, cut", vec![{
            let whole = record(3, 1, 1, own);
            whole[..whole.len() - 2].to_owned()
        }]),
        ("3 1 3 own", vec![record(3, 1, 1, own).replacen("3 1 1", "3 1 3", 1)]),
    ]
}

/// A resolver of its own for one program.
struct Resolved {
    _unbound: Running,
    _folder: tempfile::TempDir,
    file: std::path::PathBuf,
}

impl Resolved {
    /// `None`, loudly, where no mount namespace can be made.
    fn start(zones: &Zones) -> Option<Self> {
        let allowed = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
        if !allowed.is_ok_and(|status| status.success()) {
            eprintln!("\n!!! SKIPPED: a resolv.conf of its own needs root, and a mount namespace\n");
            return None;
        }
        // One of many addresses of loopback, so that tests do not meet.
        let [.., third, last] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 53, third, last.clamp(1, 254));
        let unbound = zones.unbound_at(SocketAddr::from((address, 53)));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        std::fs::write(&file, format!("nameserver {address}\noptions edns0 trust-ad\n")).unwrap();
        Some(Self { _unbound: unbound, _folder: folder, file })
    }

    fn finger(&self, host: &str, port: u16) -> String {
        let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(&self.file);
        command.args(["timeout", "20", "/usr/sbin/posttls-finger", "-c", "-l", "dane", "-L", "summary,untrusted"]);
        let output = command.arg(format!("[{host}]:{port}")).stdin(Stdio::null()).output().unwrap();
        [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat()
    }
}

/// What the report says of Postfix's words.
fn verdict(said: &str) -> String {
    said.to_owned()
}

fn issued(ca: &Ca, names: Vec<String>, expired: bool) -> Issued {
    let template = Template { names: names.into_iter().map(AltName::Dns).collect(), ..Template::server() };
    let now = SystemTime::now();
    let template = if expired { template.valid(now - 9 * DAY, now - DAY) } else { template };
    ca.issue(&template).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dane_beside_postfix() {
    if !zones::has(&PROGRAMS) || !zones::has(&["unbound", "unshare", "posttls-finger"]) {
        return;
    }
    let root = Ca::new("Dane Root").unwrap();
    let ca = root.subordinate("Dane CA-1").unwrap();
    let other = Ca::new("Other").unwrap();
    let hosts = |of: &str| (0..rows(ca.certificate(), ca.certificate(), ca.certificate()).len()).map(|row| format!("{of}{row}.signed")).collect::<Vec<_>>();
    let certificates = [
        ("right", issued(&ca, hosts("right"), false)),
        ("another", issued(&ca, vec!["elsewhere.signed".to_owned()], false)),
        ("expired", issued(&ca, hosts("expired"), true)),
    ];
    let (mut records, mut servers) = (String::new(), Vec::new());
    for (name, issued) in &certificates {
        let server = TlsServer::start(issued).await;
        let own = CertificateDer::from_pem_slice(issued.chain_pem().as_bytes()).unwrap();
        for (at, (_, row)) in rows(&own, ca.certificate(), other.certificate()).iter().enumerate() {
            writeln!(records, "{name}{at} A 127.0.0.1").unwrap();
            for record in row {
                writeln!(records, "_{}._tcp.{name}{at} TLSA {record}", server.port).unwrap();
            }
        }
        servers.push((*name, own, server));
    }
    let zones = Zones::start(&[Zone::new("signed.", Signed::Nsec, &records)]);
    let Some(resolved) = Resolved::start(&zones) else { return };
    let (address, anchor) = (zones.server.address, zones.anchor.display());
    let toml = format!("servers = ['{address}']\ntimeout = '3s'\ndnssec = 'validate'\ntrust_anchor = '{anchor}'");
    let resolver = Arc::new(dns::Resolver::new(&toml::from_str(&toml).unwrap()).unwrap());
    let means = Means { resolver: Some(resolver), dnssec: true, ..means() };
    let mut table = String::from("certificate | TLSA records             | ours                    | Postfix\n");
    for (name, own, server) in &servers {
        for (at, (row, _)) in rows(own, ca.certificate(), other.certificate()).iter().enumerate() {
            let host = format!("{name}{at}.signed");
            let postfix = verdict(&resolved.finger(&host, server.port));
            let route = format!("hosts = ['{host}:{}']\ntls = 'dane'", server.port);
            let courier = Courier::new(&[settings(&route)], &means).unwrap();
            let ours = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
            let ours: String = ours.split(' ').take(2).collect::<Vec<_>>().join(" ");
            writeln!(table, "{name:11} | {row:24} | {ours:23} | {postfix}").unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postfix-dane-report.txt");
    if std::env::var_os("GOLDEN").is_some_and(|golden| golden == "write") {
        std::fs::write(&file, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(&file).unwrap());
}
