//! Mail clients as people have them, each with every kind of key, over STARTTLS and implicit TLS, TLS 1.2 and 1.3.
//! A certificate alone is enough to send, and the trace fields tell how the message came.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use demo::pki::ALICE;

use crate::harness::peers::{self, Said, command, run, run_with_input};
use crate::harness::world::{KEYS, card};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");

/// One way to submit.
struct Way<'w> {
    implicit: bool,
    tls13: bool,
    address: SocketAddr,
    world: &'w World,
    /// `pki/KEY.pem` and `.key`.
    key: &'static str,
    message: String,
}

impl Way<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }

    fn certificate(&self) -> PathBuf {
        self.file(&format!("pki/{}.pem", self.key))
    }

    fn private_key(&self) -> PathBuf {
        self.file(&format!("pki/{}.key", self.key))
    }
}

/// Every way through the matrix, with this client; all failures are told at once.
async fn matrix(client: &str, programs: &[&str], submit: impl Fn(&Way<'_>) -> Said) {
    if !peers::has(programs) || !peers::has(&["openssl"]) {
        return;
    }
    let world = World::new().await;
    for (name, kind) in KEYS {
        world.issue(name, &card(ALICE).key(kind));
    }
    rsa_pss(&world);
    let gateway = world.start(CONFIGURATION);
    let mut failures = Vec::new();
    let (mut tried, mut submitted) = (0, 0);
    for key in KEYS.iter().map(|(name, _)| *name).chain(["rsa-pss"]) {
        for (implicit, tls13) in [(false, false), (false, true), (true, false), (true, true)] {
            let way = name(client, key, implicit, tls13);
            let said = submit(&Way {
                implicit,
                tls13,
                address: gateway.address(if implicit { "submissions" } else { "submission" }),
                world: &world,
                key,
                message: message(&way),
            });
            tried += 1;
            let outcome = match (impossible(client, key, tls13), said.success) {
                (false, true) => {
                    submitted += 1;
                    arrival(&world, &way, tls13).await
                }
                (false, false) => Err(said.text),
                (true, false) => Ok(()),
                (true, true) if client == "s_client" => not_asked_for(&said.text),
                (true, true) => Err("it was thought to be impossible: rejoice, and mend the test".to_owned()),
            };
            if let Err(failure) = outcome {
                failures.push(format!("--- {way}\n{failure}"));
            }
        }
    }
    assert_eq!(tried, 24);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    sessions_are_logged(&gateway, submitted);
}

/// What no setting of ours makes work.
fn impossible(client: &str, key: &str, tls13: bool) -> bool {
    match (key, tls13) {
        // rustls 0.23 leaves rsa_pss_pss_* out of TLS 1.2's CertificateRequest, so that clients have nothing to sign with.
        ("rsa-pss", false) => true,
        // GnuTLS finds no Ed25519 among TLS 1.2's client certificate types (RFC 8422 section 5.5 counts it as ECDSA).
        ("ed25519", false) => client == "msmtp",
        _ => false,
    }
}

/// `openssl s_client` ends well whatever the server says.
fn not_asked_for(text: &str) -> Result<(), String> {
    let refused = text.contains("554 5.7.0 A client certificate is required; none was presented");
    if refused { Ok(()) } else { Err(text.to_owned()) }
}

fn name(client: &str, key: &str, implicit: bool, tls13: bool) -> String {
    let (mode, version) = (if implicit { "implicit" } else { "starttls" }, if tls13 { "1.3" } else { "1.2" });
    format!("{client}-{key}-{mode}-{version}")
}

fn message(id: &str) -> String {
    format!(
        "From: Alice <alice@example.mil>\nTo: somebody@example.net\nSubject: {id}\nMessage-ID: <{id}@test>\n\
         \nOne line.\n.A line that begins with a dot.\n"
    )
}

/// At the next hop, with the trace fields that this way makes.
async fn arrival(world: &World, way: &str, tls13: bool) -> Result<(), String> {
    let delivered = world.delivered(&format!("<{way}@test>")).await;
    let received = &delivered.fields("Received")[0];
    let version = if tls13 { "(using TLSv1.3 with cipher TLS_" } else { "(using TLSv1.2 with cipher TLS_ECDHE_" };
    for part in [version, "by mail.example.mil with ESMTPSA id ", "([127.0.0.1])"] {
        if !received.contains(part) {
            return Err(format!("{part:?} is not in Received: {received}"));
        }
    }
    let results = delivered.field("Authentication-Results");
    if results != "mail.example.mil; auth=pass smtp.auth=alice" {
        return Err(format!("Authentication-Results: {results}"));
    }
    if !delivered.field("X-Envelope-From").starts_with("<alice@example.mil>") {
        return Err(delivered.text);
    }
    if delivered.body().replace("\r\n", "\n").trim_end() != "One line.\n.A line that begins with a dot." {
        return Err(format!("the body changed: {:?}", delivered.body()));
    }
    Ok(())
}

fn sessions_are_logged(gateway: &Gateway, submitted: usize) {
    // Some clients close before the goodbye; each session is logged all the same.
    let mut logged = 0;
    gateway.wait_for_log("a line for each session", |line| {
        if line["message"] == "session" && line["verdict"] == "permitted" {
            assert_eq!((&line["identity"], &line["reason"]), (&"alice".into(), &"by certificate".into()), "{line}");
            logged += 1;
        }
        logged == submitted
    });
}

/// A key that is for RSA-PSS only (id-RSASSA-PSS, RFC 4055), which OpenSSL can make and our library cannot.
fn rsa_pss(world: &World) {
    let (key, request) = (world.path("pki/rsa-pss.key"), world.path("rsa-pss.csr"));
    let (leaf, extensions) = (world.path("rsa-pss.pem"), world.path("rsa-pss.cnf"));
    world.write(
        "rsa-pss.cnf",
        "extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n",
    );
    let run = |command: &mut Command| {
        let said = run(command);
        assert!(said.success, "{}", said.text);
    };
    run(command("openssl")
        .args(["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"])
        .args([
            "-pkeyopt",
            "rsa_pss_keygen_md:sha256",
            "-pkeyopt",
            "rsa_pss_keygen_mgf1_md:sha256",
            "-pkeyopt",
            "rsa_pss_keygen_saltlen:32",
        ])
        .arg("-out")
        .arg(&key));
    let subject = format!("/C=US/O=U.S. Government/CN={}", ALICE.common_name);
    run(command("openssl").args(["req", "-new", "-subj", &subject, "-key"]).arg(&key).arg("-out").arg(&request));
    run(command("openssl")
        .args(["x509", "-req", "-days", "2", "-in"])
        .arg(&request)
        .arg("-CA")
        .arg(world.path("pki/issuing.pem"))
        .arg("-CAkey")
        .arg(world.path("pki/issuing.key"))
        .arg("-CAcreateserial")
        .arg("-extfile")
        .arg(extensions)
        .arg("-out")
        .arg(&leaf));
    let chain = std::fs::read_to_string(leaf).unwrap() + &world.issuing.certificate_pem();
    world.write("pki/rsa-pss.pem", chain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks() {
    matrix("swaks", &["swaks"], |way| {
        let mut swaks = command("swaks");
        swaks.args(["--server", "localhost", "--port", &way.address.port().to_string()]);
        swaks.args([if way.implicit { "--tls-on-connect" } else { "--tls" }, "--tls-verify", "--tls-ca-path"]);
        swaks.arg(way.file("pki/ca.pem"));
        swaks.args(["--tls-protocol", if way.tls13 { "tlsv1_3" } else { "tlsv1_2" }, "--tls-cert"]);
        swaks.arg(way.certificate()).arg("--tls-key").arg(way.private_key());
        swaks.args(["--from", "alice@example.mil", "--to", "somebody@example.net", "--data", "-"]);
        run_with_input(&mut swaks, &way.message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    matrix("curl", &["curl"], |way| {
        let scheme = if way.implicit { "smtps" } else { "smtp" };
        let mut curl = command("curl");
        curl.args(["--verbose", "--silent", "--show-error", "--ssl-reqd", "--crlf", "--upload-file", "-"]);
        curl.args(["--mail-from", "alice@example.mil", "--mail-rcpt", "somebody@example.net"]);
        curl.args(if way.tls13 { ["--tlsv1.3", "--tls-max", "1.3"] } else { ["--tlsv1.2", "--tls-max", "1.2"] });
        curl.arg("--cacert").arg(way.file("pki/ca.pem"));
        curl.arg("--cert").arg(way.certificate()).arg("--key").arg(way.private_key());
        curl.args(["--url", &format!("{scheme}://localhost:{}/client.example.mil", way.address.port())]);
        run_with_input(&mut curl, &way.message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msmtp() {
    matrix("msmtp", &["msmtp"], |way| {
        let version = if way.tls13 { "1.3" } else { "1.2" };
        let mut msmtp = command("msmtp");
        msmtp.args(["--file=/dev/null", "--host=localhost", &format!("--port={}", way.address.port())]);
        msmtp.args(["--tls=on", &format!("--tls-starttls={}", if way.implicit { "off" } else { "on" })]);
        msmtp.arg(format!("--tls-trust-file={}", way.file("pki/ca.pem").display()));
        msmtp.arg(format!("--tls-cert-file={}", way.certificate().display()));
        msmtp.arg(format!("--tls-key-file={}", way.private_key().display()));
        msmtp.arg(format!("--tls-priorities=NORMAL:-VERS-ALL:+VERS-TLS{version}"));
        msmtp.args(["--from=alice@example.mil", "--", "somebody@example.net"]);
        run_with_input(&mut msmtp, &way.message)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_smtplib() {
    matrix("smtplib", &["python3"], |way| {
        let mut python = command("python3");
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/t01_clients/submit.py"));
        python.arg(if way.implicit { "implicit" } else { "starttls" }).arg(way.address.port().to_string());
        python.arg(if way.tls13 { "TLSv1_3" } else { "TLSv1_2" }).arg(way.file("pki/ca.pem"));
        python.arg(way.certificate()).arg(way.private_key());
        run_with_input(&mut python, &way.message)
    })
    .await;
}

/// By hand, as an administrator who looks for a fault: commands typed ahead into `openssl s_client`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_s_client() {
    matrix("s_client", &["openssl"], |way| {
        let mut openssl = command("openssl");
        openssl.args(["s_client", "-quiet", "-crlf", "-verify_return_error", "-servername", "localhost"]);
        openssl.args(["-connect", &format!("localhost:{}", way.address.port()), "-CAfile"]);
        openssl.arg(way.file("pki/ca.pem")).arg(if way.tls13 { "-tls1_3" } else { "-tls1_2" });
        if !way.implicit {
            openssl.args(["-starttls", "smtp"]);
        }
        openssl.arg("-cert").arg(way.certificate()).arg("-cert_chain").arg(way.certificate());
        openssl.arg("-key").arg(way.private_key());
        let message = way.message.replace("\n.", "\n..");
        let typed = format!(
            "EHLO client.example.mil\nMAIL FROM:<alice@example.mil>\nRCPT TO:<somebody@example.net>\nDATA\n\
             {message}.\nQUIT\n"
        );
        run_with_input(&mut openssl, &typed)
    })
    .await;
}
