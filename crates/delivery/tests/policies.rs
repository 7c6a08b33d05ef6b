//! What other people's zones and policies ask for: DANE over signed and forged zones with a validating resolver, and
//! MTA-STS with policies from a real HTTPS server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;
#[path = "../../dns/tests/zones/mod.rs"]
mod zones;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use demo::{AltName, Ca, Issued, Template};
use peers::tls_server::TlsServer;
use peers::{deliver, envelope, line, means, settings};
use postern_delivery::{Courier, Means, Sessions, TlsTally};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zones::{PROGRAMS, Signed, Zone, Zones};

fn resolver(zones: &Zones) -> Arc<dns::Resolver> {
    let (server, anchor) = (zones.server.address, zones.anchor.display());
    let toml = format!("servers = ['{server}']\ntimeout = '3s'\ndnssec = 'validate'\ntrust_anchor = '{anchor}'");
    Arc::new(dns::Resolver::new(&toml::from_str(&toml).unwrap()).unwrap())
}

fn asking(zones: &Zones) -> Means {
    Means { resolver: Some(resolver(zones)), dnssec: true, ..means() }
}

fn issued(ca: &Ca, name: &str) -> Issued {
    ca.issue(&Template { names: vec![AltName::Dns(name.to_owned())], ..Template::server() }).unwrap()
}

fn sha256(octets: &[u8]) -> String {
    pki::Hash::Sha256.of(octets).iter().fold(String::new(), |mut hex, octet| {
        write!(hex, "{octet:02x}").unwrap();
        hex
    })
}

fn key(issued: &Issued) -> String {
    let own = CertificateDer::from_pem_slice(issued.chain_pem().as_bytes()).unwrap();
    sha256(pki::subject_public_key_info(&own).unwrap())
}

async fn outcome(toml: &str, means: &Means, to: &str) -> String {
    let courier = Courier::new(&[settings(toml)], means).unwrap();
    line(&deliver(&courier, &envelope(&[to])).await[0])
}

/// What is counted of a message to a mailbox: policies, sessions that succeeded and failed, and with what.
async fn tallied(toml: &str, means: &Means, to: &str) -> String {
    let tally = Arc::new(TlsTally::default());
    let courier = Courier::new(&[settings(toml)], means).unwrap().counting(Some(Arc::clone(&tally)));
    deliver(&courier, &envelope(&[to])).await;
    let mut rows = Vec::new();
    for (domain, sessions) in tally.snapshot().into_values().flatten() {
        assert_eq!(domain, to.split_once('@').unwrap().1);
        for Sessions { policy, summary, failure_details } in sessions {
            let (well, failed) = (summary.total_successful_session_count, summary.total_failure_session_count);
            let failures = failure_details.iter().map(|details| {
                let ends = [details.sending_mta_ip, details.receiving_ip];
                let there = if ends.iter().all(Option::is_some) { "" } else { " (no connection)" };
                format!(" {}*{}{there}", details.failed_session_count, details.result_type)
            });
            let failures: String = failures.collect();
            let (kind, of) = (policy.policy_type.as_str(), policy.policy_domain);
            rows.push(format!("{kind} {of} [{}] {well}+{failed}{failures}", policy.policy_string.join(" | ")));
        }
    }
    rows.join("; ")
}

/// Zones, servers and what is to become of a message there.
#[tokio::test]
async fn dane_over_signed_zones() {
    if !zones::has(&PROGRAMS) {
        return;
    }
    // A root is not sent along.
    let ca = Ca::new("Dane Root").unwrap().subordinate("Dane CA-1").unwrap();
    let own = issued(&ca, "mx.signed");
    let stranger = issued(&Ca::new("Stranger").unwrap(), "mx.signed");
    let (chain, private) = (own.chain_pem(), own.key.private_pem());
    let server = TlsServer::start_at("127.0.0.1:0", &chain, &private, &["REQUIRETLS"]).await;
    // A man in the middle who takes the offer of STARTTLS away.
    let stripped = peers::sink::Sink::start(&[]).await;
    let Some(stripped) = stripped else { return };
    let (port, clear) = (server.port, stripped.port);
    let (right, wrong) = (key(&own), key(&stranger));
    let authority = sha256(ca.certificate());
    let record = |label: &str, port: u16, record: &str| format!("_{port}._tcp.{label} TLSA {record}\n");
    let records = [
        "right A 127.0.0.1\nwrong A 127.0.0.1\nnone A 127.0.0.1\nta A 127.0.0.1\nmx A 127.0.0.1\nodd A 127.0.0.1\n"
            .to_owned(),
        "alias CNAME right\nforged A 127.0.0.1\n@ MX 10 right\nbad MX 10 wrong\nabroad MX 10 right.plain.\n".to_owned(),
        record("right", port, &format!("3 1 1 {right}")),
        record("right", clear, &format!("3 1 1 {right}")),
        record("wrong", port, &format!("3 1 1 {wrong}")),
        record("mx", port, &format!("2 0 1 {authority}")),
        record("ta", port, &format!("2 0 1 {authority}")),
        record("odd", port, &format!("1 1 1 {wrong}")),
        record("odd", clear, &format!("1 1 1 {wrong}")),
    ];
    let records = records.concat();
    let forged = Box::leak(wrong.clone().into_boxed_str());
    let zones = Zones::start(&[
        Zone::new("signed.", Signed::Nsec, &records),
        Zone::new("hashed.", Signed::Nsec3, &records),
        Zone::new("plain.", Signed::No, &records),
        Zone {
            forged: Some((forged, Box::leak(right.clone().into_boxed_str()))),
            ..Zone::new("forged.", Signed::Nsec, &records)
        },
    ]);
    let means = asking(&zones);
    let table = [
        ("right.signed", port, "delivered"),
        ("right.hashed", port, "delivered"),
        ("alias.signed", port, "delivered"),
        ("wrong.signed", port, "deferred 4.7.5"),
        ("mx.signed", port, "delivered"),
        // DANE-TA, and the certificate has another name.
        ("ta.signed", port, "deferred 4.7.5"),
        ("odd.signed", port, "delivered"),
        ("none.signed", port, "delivered"),
        ("none.signed", clear, "delivered"),
        ("none.hashed", clear, "delivered"),
        // The offer is gone, and TLS is needed: never in clear text.
        ("right.signed", clear, "deferred 4.7.4"),
        ("odd.signed", clear, "deferred 4.7.4"),
        // Not signed: as if there were none.
        ("wrong.plain", port, "delivered"),
        ("right.plain", clear, "delivered"),
        // Signed, and then changed: nobody knows.
        ("wrong.forged", port, "deferred 4.7.5"),
    ];
    for (host, port, expected) in table {
        let found = outcome(&format!("hosts = ['{host}:{port}']\ntls = 'dane'"), &means, "bob@example.net").await;
        assert!(found.starts_with(expected), "{host}:{port}: {found}");
    }
    // By MX: a signed one leads to a host that is verified; one that is not signed leads anywhere.
    for (domain, port, expected) in [
        ("signed", port, "delivered"),
        ("bad.signed", port, "deferred 4.7.5"),
        ("signed", clear, "deferred 4.7.4"),
        ("bad.plain", port, "delivered"),
        ("plain", clear, "delivered"),
        ("abroad.signed", clear, "delivered"),
    ] {
        let found = outcome(&format!("hosts = ['mx:{port}']\ntls = 'dane'"), &means, &format!("bob@{domain}")).await;
        assert!(found.starts_with(expected), "MX of {domain}, {port}: {found}");
    }
    // What is reported of it: RFC 8460.
    let (own_key, other_key) = (format!("3 1 1 {right}"), format!("3 1 1 {wrong}"));
    for (domain, port, expected) in [
        ("signed", port, format!("tlsa right.signed [{own_key}] 1+0")),
        ("signed", clear, format!("tlsa right.signed [{own_key}] 0+1 1*starttls-not-supported")),
        ("bad.signed", port, format!("tlsa wrong.signed [{other_key}] 0+1 1*certificate-not-trusted")),
        ("plain", port, "no-policy-found plain [] 1+0".to_owned()),
        ("plain", clear, "no-policy-found plain [] 0+1 1*starttls-not-supported".to_owned()),
        ("odd.signed", port, format!("tlsa odd.signed [1 1 1 {wrong}] 0+1 1*tlsa-invalid (no connection)")),
        ("wrong.forged", port, "tlsa wrong.forged [] 0+1 1*dnssec-invalid (no connection)".to_owned()),
    ] {
        let toml = format!("hosts = ['mx:{port}']\ntls = 'dane'");
        assert_eq!(tallied(&toml, &means, &format!("bob@{domain}")).await, expected, "{domain}:{port}");
        // Where the administrator says what is needed, nobody else is told.
        let toml = format!("hosts = ['mx:{port}']\ntls = 'may'");
        assert_eq!(tallied(&toml, &means, &format!("bob@{domain}")).await, "", "{domain}:{port}");
    }
    // The sender does not want it held up: RFC 8689 section 5.
    let courier =
        Courier::new(&[settings(&format!("hosts = ['right.signed:{clear}']\ntls = 'dane'"))], &means).unwrap();
    let text = b"TLS-Required: No\r\n\r\nHello\r\n";
    let found = line(&peers::deliver_text(&courier, &envelope(&["bob@example.net"]), text).await[0]);
    assert!(found.starts_with("delivered"), "{found}");
    // TLSA records vouch for REQUIRETLS; without them nothing does.
    for (host, expected) in [("right.signed", "delivered"), ("none.signed", "failed 5.7.30")] {
        let courier = Courier::new(&[settings(&format!("hosts = ['{host}:{port}']\ntls = 'dane'"))], &means).unwrap();
        let envelope = protocol::Envelope { require_tls: true, ..envelope(&["bob@example.net"]) };
        let found = line(&deliver(&courier, &envelope).await[0]);
        assert!(found.starts_with(expected), "{host}: {found}");
    }
    // No answer is no "there is none".
    let fresh = asking(&zones);
    drop(zones);
    let found = outcome(&format!("hosts = ['right.signed:{clear}']\ntls = 'dane'"), &fresh, "bob@example.net").await;
    assert!(found.starts_with("deferred 4."), "{found}");
}

/// `openssl s_server -HTTP` over a folder: a policy's server.
struct PolicyServer(std::process::Child);

impl PolicyServer {
    async fn start(folder: &Path, port: u16, issued: &Issued) -> Self {
        let (chain, key) = (folder.join("policy.pem"), folder.join("policy.key"));
        std::fs::write(&chain, issued.chain_pem()).unwrap();
        std::fs::write(&key, issued.key.private_pem()).unwrap();
        let mut command = std::process::Command::new("openssl");
        command.current_dir(folder).args(["s_server", "-HTTP", "-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&chain).arg("-cert_chain").arg(&chain).arg("-key").arg(&key);
        let null = std::process::Stdio::null;
        let child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
        peers::until_listening(port).await;
        Self(child)
    }
}

impl Drop for PolicyServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn mta_sts_policies_found_kept_and_obeyed() {
    if !zones::has(&PROGRAMS) {
        return;
    }
    let ca = Ca::new("Web Root").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.certificate_pem()).unwrap();
    let (own, web) = (issued(&ca, "mx.plain"), issued(&ca, "mta-sts.plain"));
    let stranger = issued(&Ca::new("Stranger").unwrap(), "mx.plain");
    let good = TlsServer::start(&own).await;
    let bad = TlsServer::start(&stranger).await;
    let Some(clear) = peers::sink::Sink::start(&[]).await else { return };
    let zones = Zones::start(&[Zone::new(
        "plain.",
        Signed::No,
        "mx A 127.0.0.1\nother A 127.0.0.1\nmta-sts A 127.0.0.1\n_mta-sts TXT \"v=STSv1; id=1;\"\n",
    )]);
    let port = zones::free_port();
    std::fs::create_dir_all(folder.path().join(".well-known")).unwrap();
    let publish = |mode: &str| {
        let text = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nversion: STSv1\r\nmode: {mode}\r\nmx: mx.plain\r\nmax_age: 86400\r\n"
        );
        std::fs::write(folder.path().join(".well-known/mta-sts.txt"), text).unwrap();
    };
    let fetch: pki::FetchSettings = toml::from_str(&format!("ca = ['{}']", ca_file.display())).unwrap();
    let kept = folder.path().join("kept");
    let means = || Means {
        fetcher: pki::Fetcher::new(&fetch).unwrap(),
        policy_port: port,
        policy_folder: Some(kept.clone()),
        ..asking(&zones)
    };
    let ca_line = format!("ca = '{}'", ca_file.display());
    let route = |host: &str, port: u16| format!("hosts = ['{host}:{port}']\ntls = 'mta-sts'\n{ca_line}");
    let rows = |mode: &'static str| {
        let strict = mode == "enforce";
        let held = |status: &'static str| if strict { status } else { "delivered" };
        [
            ("mx.plain", good.port, "delivered"),
            ("mx.plain", bad.port, held("deferred 4.7.5")),
            ("mx.plain", clear.port, held("deferred 4.7.4")),
            ("other.plain", good.port, held("deferred 4.7.5")),
        ]
    };
    for mode in ["enforce", "testing", "none"] {
        let _ = std::fs::remove_dir_all(&kept);
        publish(mode);
        let server = PolicyServer::start(folder.path(), port, &web).await;
        let fresh = means();
        for (host, port, expected) in rows(mode) {
            let found = outcome(&route(host, port), &fresh, "bob@plain").await;
            assert!(found.starts_with(expected), "{mode} {host}:{port}: {found}");
        }
        assert!(std::fs::read_to_string(kept.join("plain")).unwrap().contains(&format!("mode: {mode}")));
        let policy = match mode {
            "none" => "no-policy-found plain []".to_owned(),
            mode => format!("sts plain [version: STSv1 | mode: {mode} | mx: mx.plain | max_age: 86400]"),
        };
        for (host, port, expected) in [
            ("mx.plain", good.port, "1+0"),
            ("mx.plain", bad.port, "0+1 1*certificate-not-trusted"),
            ("mx.plain", clear.port, "0+1 1*starttls-not-supported"),
            ("other.plain", good.port, "0+1 1*validation-failure (no connection)"),
        ] {
            // With "none" nobody is asked for a certificate, or has to be listed.
            let expected = if mode == "none" && port != clear.port { "1+0" } else { expected };
            let found = tallied(&route(host, port), &fresh, "bob@plain").await;
            assert_eq!(found, format!("{policy} {expected}"), "{mode} {host}:{port}");
        }
        // The server is gone, and the gateway has started anew: what is known holds.
        drop(server);
        for (host, port, expected) in rows(mode) {
            let found = outcome(&route(host, port), &means(), "bob@plain").await;
            assert!(found.starts_with(expected), "{mode}, kept, {host}:{port}: {found}");
        }
    }
    // A domain without a policy, and one whose policy cannot be fetched and never was: as by `may`.
    let _ = std::fs::remove_dir_all(&kept);
    for to in ["bob@other.plain", "bob@plain"] {
        let found = outcome(&route("mx.plain", clear.port), &means(), to).await;
        assert!(found.starts_with("delivered"), "{to}: {found}");
    }
    for (to, expected) in [
        ("bob@other.plain", "no-policy-found other.plain [] 1+0"),
        ("bob@plain", "sts plain [] 0+1 1*sts-policy-fetch-error (no connection)"),
    ] {
        assert_eq!(tallied(&route("mx.plain", good.port), &means(), to).await, expected);
    }
    // A server that cannot show that it is the domain's changes nothing.
    publish("enforce");
    let _server = PolicyServer::start(folder.path(), port, &stranger).await;
    let found = outcome(&route("mx.plain", clear.port), &means(), "bob@plain").await;
    assert!(found.starts_with("delivered") && !kept.join("plain").exists(), "{found}");
    let found = tallied(&route("mx.plain", good.port), &means(), "bob@plain").await;
    assert_eq!(found, "sts plain [] 0+1 1*sts-webpki-invalid (no connection)");
}
