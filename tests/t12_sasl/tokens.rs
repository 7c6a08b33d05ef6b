//! OAUTHBEARER and XOAUTH2, with tokens that openssl signed or that the issuer is asked about, between the gateway and the
//! clients that bring such.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::peers::{self, Said, command, run, run_with_input};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("tokens/postern.toml");
const SECRET: &str = "s3cret: with a colon";

/// The issuer's process; it ends with this.
struct Issuer {
    child: Child,
    port: u16,
}

impl Issuer {
    fn start(world: &World) -> Self {
        let mut python = Command::new("python3");
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/t12_sasl/tokens/issuer.py"));
        python.arg(world.path("pki/server.pem")).arg(world.path("pki/server.key")).arg(SECRET);
        let mut child = python
            .current_dir(world.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What openssl does with a key of this name.
struct Signer<'w> {
    world: &'w World,
    name: &'static str,
}

impl<'w> Signer<'w> {
    fn new(world: &'w World, name: &'static str) -> Self {
        let mut openssl = command("openssl");
        openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]);
        let said = run(openssl.arg(world.path(name)));
        assert!(said.success, "{}", said.text);
        Self { world, name }
    }

    fn public(&self) -> Value {
        let said = run(command("openssl").args(["rsa", "-noout", "-modulus", "-in"]).arg(self.world.path(self.name)));
        let hex = said.text.lines().find_map(|line| line.strip_prefix("Modulus=")).unwrap().to_owned();
        let octets: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        json!({ "kty": "RSA", "use": "sig", "kid": self.name, "n": URL_SAFE_NO_PAD.encode(octets), "e": "AQAB" })
    }

    fn sign(&self, claims: &Value) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.name });
        let text = format!("{}.{}", part(&header), part(claims));
        let file = format!("token-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.world.write(&file, &text);
        let mut openssl = command("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(self.world.path(self.name));
        let output = openssl.arg(self.world.path(&file)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(output.stdout))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(email: &str) -> Value {
    let until = now() + 300;
    json!({ "iss": "https://login.example.mil", "aud": "postern", "exp": until, "email": email, "scope": "openid smtp.send" })
}

fn start(world: &World, issuer: u16) -> Gateway {
    world.write("secret", format!("{SECRET}\n"));
    world.start(&CONFIGURATION.replace("localhost:1/", &format!("localhost:{issuer}/")))
}

fn message(subject: &str) -> String {
    format!("From: Alice <alice@example.mil>\nTo: somebody@example.net\nSubject: {subject}\n\nOne line.\n")
}

fn smtplib(world: &World, address: SocketAddr, mechanism: &str, user: &str, token: &str, subject: &str) -> Said {
    let mut python = command("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/t12_sasl/tokens/submit.py"));
    python.arg(address.port().to_string()).arg(world.path("pki/ca.pem")).args([mechanism, user, token]);
    run_with_input(&mut python, &message(subject))
}

fn curl(world: &World, address: SocketAddr, mechanism: &str, user: &str, token: &str, subject: &str) -> Said {
    let mut curl = command("curl");
    curl.args(["--verbose", "--silent", "--show-error", "--ssl-reqd", "--crlf", "--upload-file", "-"]);
    curl.args(["--mail-from", "alice@example.mil", "--mail-rcpt", "somebody@example.net"]);
    curl.arg("--cacert").arg(world.path("pki/ca.pem"));
    curl.args(["--user", &format!("{user}:"), "--oauth2-bearer", token]);
    curl.args(["--login-options", &format!("AUTH={mechanism}")]);
    run_with_input(
        curl.args(["--url", &format!("smtp://localhost:{}/client.example.mil", address.port())]),
        &message(subject),
    )
}

fn msmtp(world: &World, address: SocketAddr, mechanism: &str, user: &str, token: &str, subject: &str) -> Said {
    let mut msmtp = command("msmtp");
    msmtp.args(["--file=/dev/null", "--host=localhost", "--tls=on", "--tls-starttls=on"]);
    msmtp.arg(format!("--port={}", address.port()));
    msmtp.arg(format!("--tls-trust-file={}", world.path("pki/ca.pem").display()));
    msmtp.args([&format!("--auth={}", mechanism.to_lowercase()), &format!("--user={user}")]);
    world.write("token", token);
    msmtp.arg(format!("--passwordeval=cat {}", world.path("token").display()));
    msmtp.args(["--from=alice@example.mil", "--", "somebody@example.net"]);
    run_with_input(&mut msmtp, &message(subject))
}

type Submit = fn(&World, SocketAddr, &str, &str, &str, &str) -> Said;

const CLIENTS: [(&str, Submit); 3] = [("smtplib", smtplib), ("curl", curl), ("msmtp", msmtp)];

/// A token that the log must not have.
fn is_secret(gateway: &Gateway, tokens: &[&str]) {
    let log = gateway.log_lines().join("\n");
    for token in tokens {
        assert!(!log.contains(token), "a token is in the log");
    }
    assert!(!log.contains(SECRET), "the secret is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_with_tokens() {
    if !peers::has(&["python3", "openssl", "curl", "msmtp"]) {
        return;
    }
    let world = World::new().await;
    let signer = Signer::new(&world, "first");
    world.write("keys.json", json!({ "keys": [signer.public()] }).to_string());
    world.write("tokens.json", "{}");
    let issuer = Issuer::start(&world);
    let gateway = start(&world, issuer.port);
    let address = gateway.address("submission");
    let good = signer.sign(&claims("dave@example.mil"));
    let mut failures = Vec::new();
    for (client, submit) in CLIENTS {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let subject = format!("{client} {mechanism}");
            let dave = |said: Said| said.text;
            let said = submit(&world, address, mechanism, "dave@example.mil", &good, &subject);
            // MAIL FROM is not dave's: let in, and held to his own addresses.
            if !said.text.contains("550") || said.text.contains("535") {
                failures.push(format!("--- {subject}\n{}", dave(said)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // alice has a card, and must use it; the emergency is over by her own address.
    let alice = signer.sign(&claims("alice@example.mil"));
    let said = smtplib(&world, address, "XOAUTH2", "alice@example.mil", &alice, "not allowed");
    assert!(!said.success && said.text.contains("535"), "{}", said.text);
    is_secret(&gateway, &[&good, &alice]);
}

/// carol's tokens, good and bad; what the client is told, and what the log says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_and_bad_tokens() {
    if !peers::has(&["python3", "openssl", "curl", "msmtp"]) {
        return;
    }
    let world = World::new().await;
    let people = std::fs::read_to_string(world.path("people.toml")).unwrap();
    // For everybody's MAIL FROM to be the same.
    world.write("people.toml", people.replace("\"carol@example.mil\"", "\"carol@example.mil\", \"alice@example.mil\""));
    let (signer, stranger) = (Signer::new(&world, "first"), Signer::new(&world, "stranger"));
    world.write("keys.json", json!({ "keys": [signer.public()] }).to_string());
    let issuer = Issuer::start(&world);
    let gateway = start(&world, issuer.port);
    let address = gateway.address("submission");
    let with = |changes: Value| {
        let mut all = claims("carol@example.mil");
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        signer.sign(&all)
    };
    let good = with(json!({}));
    for (client, submit) in CLIENTS {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let subject = format!("{client} {mechanism}");
            let said = submit(&world, address, mechanism, "carol@example.mil", &good, &subject);
            assert!(said.success, "{subject}: {}", said.text);
            let delivered = world.delivered(&format!("Subject: {subject}\r\n")).await;
            assert_eq!(delivered.field("Authentication-Results"), "mail.example.mil; auth=pass smtp.auth=carol");
        }
    }
    let mut failures = Vec::new();
    for (user, token, why) in [
        ("carol@example.mil", with(json!({ "exp": now() - 61 })), "it was good until"),
        ("carol@example.mil", with(json!({ "aud": "another" })), "it is for"),
        ("carol@example.mil", with(json!({ "iss": "https://login.example.com" })), "its issuer is"),
        ("carol@example.mil", with(json!({ "scope": "openid" })), "lacks the scope"),
        ("carol@example.mil", with(json!({ "email": "zoe@example.mil" })), "unknown user"),
        ("carol@example.mil", with(json!({ "email": "gina@example.mil" })), "disabled"),
        ("carol@example.mil", stranger.sign(&claims("carol@example.mil")), "none of the issuer's"),
        ("carol@example.mil", format!("{}x", good), "signature is wrong"),
        ("carol@example.mil", "opaque".to_owned(), "no signed token"),
        ("bob@example.mil", good.clone(), "it names"),
    ] {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let skip = gateway.log_length();
            let said = smtplib(&world, address, mechanism, user, &token, "never");
            let challenge =
                if mechanism == "XOAUTH2" { "\"schemes\":\"bearer\"" } else { "\"status\":\"invalid_token\"" };
            let scope = "\"scope\":\"smtp.send\"";
            if said.success || !["535", challenge, scope].iter().all(|part| said.text.contains(part)) {
                failures.push(format!("--- {mechanism} {why}\n{}", said.text));
            }
            gateway.wait_for_log_after(skip, why, |line| {
                line["message"] == "AUTH refused" && line["reason"].as_str().unwrap_or_default().contains(why)
            });
            is_secret(&gateway, &[&token].map(|token| if token.len() > 20 { token.as_str() } else { SECRET }));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Other clients take the refusal as what it is, too.
    for (client, submit) in CLIENTS {
        let said = submit(&world, address, "XOAUTH2", "carol@example.mil", &with(json!({ "exp": 5 })), "never");
        assert!(!said.success, "{client}: {}", said.text);
    }
    // A certificate's owner stays who they are (rule 4).
    let tls = world.tls(Some("bob"));
    let mut client = demo::Client::connect(address, demo::Security::StartTls(&tls)).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(&tls).await.unwrap();
    client.ehlo().await.unwrap();
    let response = STANDARD.encode(format!("user=\u{1}auth=Bearer {good}\u{1}\u{1}"));
    let challenged = client.command(&format!("AUTH XOAUTH2 {response}")).await.unwrap();
    assert_eq!(challenged.code(), 334);
    let refused = client.command("").await.unwrap();
    assert_eq!(refused.code(), 535);
}

/// The issuer changes its key, and goes away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_change_and_issuers_that_go() {
    if !peers::has(&["python3", "openssl"]) {
        return;
    }
    let world = World::new().await;
    let (old, new) = (Signer::new(&world, "old"), Signer::new(&world, "new"));
    world.write("keys.json", json!({ "keys": [old.public()] }).to_string());
    world.write("tokens.json", "{}");
    let issuer = Issuer::start(&world);
    let gateway = start(&world, issuer.port);
    let address = gateway.address("submission");
    let carol = claims("carol@example.mil");
    let by = |signer: &Signer<'_>| signer.sign(&carol);
    let ask = |token: &str| {
        let said = smtplib(&world, address, "XOAUTH2", "carol@example.mil", token, "any");
        ["550", "535", "454"].into_iter().find(|code| said.text.contains(code)).unwrap_or("").to_owned()
    };
    // MAIL FROM is another's: 550 is who was let in.
    assert_eq!(ask(&by(&old)), "550");
    world.write("keys.json", json!({ "keys": [new.public()] }).to_string());
    let token = by(&new);
    crate::harness::until("the new key", async || (ask(&token) == "550").then_some(())).await;
    assert_eq!(ask(&by(&old)), "535");
    drop(issuer);
    // Its keys are known for a while; of a key that is not known, nobody can say whose it is.
    assert_eq!(ask(&token), "550");
    let stranger = by(&old);
    crate::harness::until("a refusal that may pass", async || (ask(&stranger) == "454").then_some(())).await;
    assert_eq!(ask(&token), "550");
    drop(gateway);
    // Nobody knows any key.
    let gateway = start(&world, 1);
    let said = smtplib(&world, gateway.address("submission"), "OAUTHBEARER", "carol@example.mil", &token, "any");
    assert!(said.text.contains("454"), "{}", said.text);
    let said =
        smtplib(&world, gateway.address("asked"), "OAUTHBEARER", "carol@example.mil", "opaque-token-of-carol", "any");
    assert!(said.text.contains("454"), "{}", said.text);
    gateway.wait_for_log("why", |line| {
        line["message"] == "AUTH refused" && line["reason"].as_str().unwrap_or_default().contains("oauth asked: ")
    });
    is_secret(&gateway, &[&token, "opaque-token-of-carol"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_issuer_is_asked() {
    if !peers::has(&["python3"]) {
        return;
    }
    let world = World::new().await;
    world.write("keys.json", "{}");
    let tokens = json!({
        "of+carol/with=": { "active": true, "username": "carol", "exp": now() + 300 },
        "of-zoe": { "active": true, "username": "zoe" },
        "of-old-carol": { "active": true, "username": "carol", "exp": now() - 300 },
        "of-nobody": { "active": true },
        "of-odd": { "active": "true", "username": "carol" },
    });
    world.write("tokens.json", tokens.to_string());
    let issuer = Issuer::start(&world);
    let gateway = start(&world, issuer.port);
    let address = gateway.address("asked");
    for (token, expected) in [
        // MAIL FROM is another's: 550 is who was let in.
        ("of+carol/with=", "550"),
        ("of-zoe", "535"),
        ("of-old-carol", "535"),
        ("of-nobody", "535"),
        ("of-odd", "454"),
        ("never-seen", "535"),
    ] {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let said = smtplib(&world, address, mechanism, "carol", token, "any");
            assert!(said.text.contains(expected), "{token}: {}", said.text);
        }
    }
    world.write("tokens.json", "no JSON");
    let said = smtplib(&world, address, "XOAUTH2", "carol", "of-zoe", "any");
    assert!(said.text.contains("454"), "{}", said.text);
    // A wrong secret is the administrator's to mend, and no client's fault.
    drop(gateway);
    let gateway = start(&world, issuer.port);
    world.write("secret", "another\n");
    drop(gateway);
    let gateway = world.start(&CONFIGURATION.replace("localhost:1/", &format!("localhost:{}/", issuer.port)));
    let said = smtplib(&world, gateway.address("asked"), "XOAUTH2", "carol", "of+carol/with=", "any");
    assert!(said.text.contains("454"), "{}", said.text);
    is_secret(&gateway, &["of+carol", "of-zoe"]);
}
