//! Certificates against records: ours beside OpenSSL's, as `tests/dane-decisions.txt` has it. `GOLDEN=write` writes it anew.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use demo::{AltName, Ca, Issued, Template};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const HOST: &str = "mx.example.org";

fn record(usage: u8, selector: u8, matching: u8, certificate: &[u8]) -> Tlsa {
    let selected = if selector == 1 { pki::subject_public_key_info(certificate).unwrap() } else { certificate };
    let data = match matching {
        0 => selected.to_vec(),
        1 => Hash::Sha256.of(selected).to_vec(),
        _ => Hash::Sha512.of(selected).to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

/// A server's chain, and what records may point to.
struct Server {
    name: &'static str,
    issued: Issued,
    own: Vec<u8>,
    ca: Vec<u8>,
    other: Vec<u8>,
}

impl Server {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.issued.chain_pem().as_bytes()).collect::<Result<_, _>>().unwrap()
    }
}

fn servers() -> Vec<Server> {
    let root = Ca::new("Dane Root").unwrap();
    let ca = root.subordinate("Dane CA-1").unwrap();
    let other = Ca::new("Other").unwrap();
    let now = SystemTime::now();
    let dns = |name: &str| Template { names: vec![AltName::Dns(name.to_owned())], ..Template::server() };
    let templates = [
        ("right", dns(HOST)),
        ("for the domain", dns("example.org")),
        ("another name", dns("mx.example.net")),
        ("expired", dns(HOST).valid(now - 9 * DAY, now - DAY)),
    ];
    let server = |(name, template): (&'static str, Template)| {
        let issued = ca.issue(&template).unwrap();
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(issued.chain_pem().as_bytes()).collect::<Result<_, _>>().unwrap();
        let own = chain[0].to_vec();
        Server { name, issued, own, ca: ca.certificate().to_vec(), other: other.certificate().to_vec() }
    };
    templates.into_iter().map(server).collect()
}

fn rows(server: &Server) -> Vec<(&'static str, Vec<Tlsa>)> {
    let Server { own, ca, other, .. } = server;
    let mut broken = record(3, 1, 1, own);
    broken.data.pop();
    vec![
        ("3 0 0 own", vec![record(3, 0, 0, own)]),
        ("3 0 1 own", vec![record(3, 0, 1, own)]),
        ("3 0 2 own", vec![record(3, 0, 2, own)]),
        ("3 1 0 own", vec![record(3, 1, 0, own)]),
        ("3 1 1 own", vec![record(3, 1, 1, own)]),
        ("3 1 2 own", vec![record(3, 1, 2, own)]),
        ("3 1 1 other", vec![record(3, 1, 1, other)]),
        ("3 1 1 ca", vec![record(3, 1, 1, ca)]),
        ("2 0 0 ca", vec![record(2, 0, 0, ca)]),
        ("2 0 1 ca", vec![record(2, 0, 1, ca)]),
        ("2 0 2 ca", vec![record(2, 0, 2, ca)]),
        ("2 1 0 ca", vec![record(2, 1, 0, ca)]),
        ("2 1 1 ca", vec![record(2, 1, 1, ca)]),
        ("2 1 2 ca", vec![record(2, 1, 2, ca)]),
        ("2 1 1 other", vec![record(2, 1, 1, other)]),
        ("2 1 1 own", vec![record(2, 1, 1, own)]),
        ("3 1 1 other, 3 1 1 own", vec![record(3, 1, 1, other), record(3, 1, 1, own)]),
        ("3 1 1 other, 2 1 1 ca", vec![record(3, 1, 1, other), record(2, 1, 1, ca)]),
        // Digest agility: the SHA-512 of the set counts, and the SHA-256 does not.
        ("3 1 2 other, 3 1 1 own", vec![record(3, 1, 2, other), record(3, 1, 1, own)]),
        ("3 1 2 own, 3 1 1 other", vec![record(3, 1, 2, own), record(3, 1, 1, other)]),
        ("3 0 2 other, 3 1 1 own", vec![record(3, 0, 2, other), record(3, 1, 1, own)]),
        ("0 0 1 ca", vec![record(0, 0, 1, ca)]),
        ("1 1 1 own", vec![record(1, 1, 1, own)]),
        ("1 1 1 own, 3 1 1 own", vec![record(1, 1, 1, own), record(3, 1, 1, own)]),
        ("3 1 1 own, cut", vec![broken]),
        ("4 1 1 own", vec![record(4, 1, 1, own)]),
        ("3 2 1 own", vec![Tlsa { selector: 2, ..record(3, 1, 1, own) }]),
        ("3 1 3 own", vec![Tlsa { matching: 3, ..record(3, 1, 1, own) }]),
    ]
}

fn ours(server: &Server, records: &[Tlsa]) -> String {
    let name = |text: &str| ServerName::try_from(text.to_owned()).unwrap();
    let Some(associations) = Associations::of(records, vec![name(HOST), name("example.org")]) else {
        return "unusable".to_owned();
    };
    let chain = server.chain();
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    match associations.judge(&chain, &name(HOST)) {
        Ok(()) => "good".to_owned(),
        Err(Mistrust { failure, .. }) => failure.to_string(),
    }
}

/// A running `openssl s_server`.
struct Openssl(Child, u16);

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn s_server(server: &Server, folder: &Path) -> Openssl {
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    std::fs::write(&chain, server.issued.chain_pem()).unwrap();
    std::fs::write(&key, server.issued.key.private_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-quiet", "-naccept", "10000", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
        .arg(&chain)
        .arg("-cert_chain")
        .arg(&chain)
        .arg("-key")
        .arg(&key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Openssl(command.spawn().unwrap(), port);
    for _ in 0..500 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return server;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("s_server does not listen");
}

fn openssl(port: u16, records: &[Tlsa]) -> &'static str {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-brief", "-connect", &format!("127.0.0.1:{port}"), "-dane_tlsa_domain", HOST]);
    // RFC 7672 section 3.1.1, and the second name of section 3.2.2.
    command.args(["-dane_ee_no_namechecks", "-verify_return_error"]);
    for Tlsa { usage, selector, matching, data } in records {
        let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
        command.args(["-dane_tlsa_rrdata", &format!("{usage} {selector} {matching} {hex}")]);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    match () {
        () if said.contains("Verification: OK") => "good",
        () if said.contains("verify error") || said.contains("Verification error") => "bad",
        () => "none usable",
    }
}

#[test]
fn certificates_by_records() {
    let has_openssl = Command::new("openssl").arg("version").output().is_ok();
    if !has_openssl {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut table =
        String::from("certificate     | TLSA records             | ours                      | openssl s_client\n");
    for server in servers() {
        let openssl_server = s_server(&server, folder.path());
        for (records_name, records) in rows(&server) {
            let (found, other) = (ours(&server, &records), openssl(openssl_server.1, &records));
            writeln!(table, "{:15} | {records_name:24} | {found:25} | {other}", server.name).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dane-decisions.txt");
    if std::env::var_os("GOLDEN").is_some_and(|golden| golden == "write") {
        std::fs::write(&file, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(&file).unwrap());
}
