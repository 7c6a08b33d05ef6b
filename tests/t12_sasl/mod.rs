//! SASL beyond PLAIN: SCRAM-SHA-256 with and without channel binding, between the gateway and the clients that speak it.

mod tokens;

use std::net::SocketAddr;
use std::process::Command;

use crate::harness::gateway::binary;
use crate::harness::peers::{self, Said, command, run, run_with_input};
use crate::harness::{Gateway, World, dialogues};

const CONFIGURATION: &str = include_str!("postern.toml");

/// A verifier as `postern password` makes it.
fn verifier(password: &str) -> String {
    let said = run_with_input(Command::new(binary()).args(["password", "--scram"]), &format!("{password}\n"));
    assert!(said.success, "{}", said.text);
    said.text.trim().to_owned()
}

/// One as GNU SASL makes it, which is as Dovecot keeps it.
fn gsasl_verifier(password: &str) -> String {
    let said = run(command("gsasl").args(["--mkpasswd", "-m", "SCRAM-SHA-256", "-p", password]));
    assert!(said.success, "{}", said.text);
    said.text.trim().to_owned()
}

/// carol: a verifier; ivy: one made elsewhere; kim: a hash beside it; leo: may not use a password; mia: closed; nora: no
/// verifier. Everybody's password is NAME-password.
async fn world() -> World {
    let world = World::new().await;
    let hash = run_with_input(Command::new(binary()).arg("password"), "kim-password\n").text;
    let person = |name: &str, password: &str, more: &str| {
        format!("[[person]]\nuser_id = {name:?}\naddresses = [\"{name}@example.mil\"]\npassword = {password}\n{more}\n")
    };
    let quoted = |text: &str| format!("{:?}", text.trim());
    let people = [
        person("carol", &quoted(&verifier("carol-password")), ""),
        person("kim", &format!("[{}, {}]", quoted(&hash), quoted(&verifier("kim-password"))), ""),
        person("leo", &quoted(&verifier("leo-password")), "attributes = { card-only = \"yes\" }"),
        person("mia", &quoted(&verifier("mia-password")), "disabled = true"),
        person("nora", &quoted(&hash), ""),
        person("grüße", &quoted(&verifier("Grüße")), ""),
    ];
    world.write("people.toml", people.concat());
    world
}

fn reason(gateway: &Gateway, skip: usize) -> String {
    let line = gateway.wait_for_log_after(skip, "the session's line", |line| line["message"] == "session");
    line["reason"].as_str().unwrap().to_owned()
}

fn gsasl(world: &World, address: SocketAddr, mechanism: &str, user: &str, password: &str, tls: &str) -> Said {
    let mut gsasl = command("gsasl");
    gsasl.args(["--smtp", "--starttls", "-m", mechanism, "-a", user, "-p", password]);
    gsasl.arg("--x509-ca-file").arg(world.path("pki/ca.pem"));
    gsasl.args(["--priority", &format!("NORMAL:-VERS-ALL:+VERS-TLS{tls}")]);
    // It takes no mechanism without channel binding where it could bind.
    if !mechanism.ends_with("-PLUS") {
        gsasl.arg("--no-cb");
    }
    run(gsasl.arg(format!("--connect=localhost:{}", address.port())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gnu_sasl() {
    if !peers::has(&["gsasl"]) {
        return;
    }
    let world = world().await;
    let ivy =
        format!("[[person]]\nuser_id = \"ivy\"\naddresses = []\npassword = {:?}\n", gsasl_verifier("ivy-password"));
    world.write("people.toml", std::fs::read_to_string(world.path("people.toml")).unwrap() + &ivy);
    let gateway = world.start(CONFIGURATION);
    let (bare, plus) = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS");
    let mut failures = Vec::new();
    for (mechanism, user, password, tls, expected) in [
        (plus, "carol", "carol-password", "1.3", "235"),
        (bare, "carol", "carol-password", "1.3", "235"),
        (bare, "carol", "carol-password", "1.2", "235"),
        ("PLAIN", "carol", "carol-password", "1.2", "235"),
        ("PLAIN", "carol", "carol-passwort", "1.3", "535"),
        (plus, "carol@example.mil", "carol-password", "1.3", "235"),
        (plus, "ivy", "ivy-password", "1.3", "235"),
        (plus, "kim", "kim-password", "1.3", "235"),
        ("PLAIN", "kim", "kim-password", "1.3", "235"),
        (bare, "grüße", "Grüße", "1.3", "235"),
        (plus, "carol", "carol-passwort", "1.3", "535"),
        (bare, "carol", "ivy-password", "1.2", "535"),
        // Nobody learns whether it was the name, the password, the account or the allowance.
        (plus, "zoe", "zoe-password", "1.3", "535"),
        (plus, "nora", "kim-password", "1.3", "535"),
        (plus, "mia", "mia-password", "1.3", "535"),
        (plus, "leo", "leo-password", "1.3", "535"),
        (plus, "leo", "leo-passwort", "1.3", "535"),
    ] {
        let skip = gateway.log_length();
        let said = gsasl(&world, gateway.address("submission"), mechanism, user, password, tls);
        let case = format!("{mechanism} {user} {password} {tls}");
        let challenges = said.text.lines().filter(|line| line.starts_with("334 ")).count();
        // Empty, the salt, the server's own proof: which is for whom is let in.
        let steps = if mechanism == "PLAIN" { 1 } else { 2 + usize::from(expected == "235") };
        let answered = said.text.lines().any(|line| line.starts_with(expected));
        if said.success != (expected == "235") || !answered || challenges != steps {
            failures.push(format!("--- {case}: {challenges} challenges\n{}", said.text));
        }
        let expected = match expected {
            "235" => format!("by AUTH {mechanism}"),
            _ => "authentication required".to_owned(),
        };
        assert_eq!(reason(&gateway, skip), expected, "{case}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for (user, reason) in [
        ("zoe", "unknown user"),
        ("nora", "no SCRAM-SHA-256 verifier"),
        ("mia", "disabled"),
        ("leo", "not allowed"),
        ("carol", "wrong password"),
    ] {
        let told = |line: &String| line.contains(&format!("\"user\":\"{user}\"")) && line.contains(reason);
        assert!(gateway.log_lines().iter().any(told), "{user}: {reason}");
    }
    let log = gateway.log_lines().join("\n");
    assert!(!log.contains("-password") && !log.contains("-passwort"), "a password is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msmtp_sends_mail() {
    if !peers::has(&["msmtp"]) {
        return;
    }
    let world = world().await;
    let gateway = world.start(CONFIGURATION);
    let submit = |password: &str, subject: &str| {
        let mut msmtp = command("msmtp");
        msmtp.args(["--file=/dev/null", "--host=localhost", "--tls=on", "--tls-starttls=on"]);
        msmtp.arg(format!("--port={}", gateway.address("submission").port()));
        msmtp.arg(format!("--tls-trust-file={}", world.path("pki/ca.pem").display()));
        msmtp.args(["--auth=scram-sha-256", "--user=carol", &format!("--passwordeval=echo {password}")]);
        msmtp.args(["--from=carol@example.mil", "--", "somebody@example.net"]);
        run_with_input(&mut msmtp, &format!("Subject: {subject}\n\nOne line.\n"))
    };
    let said = submit("carol-password", "by SCRAM");
    assert!(said.success, "{}", said.text);
    let delivered = world.delivered("Subject: by SCRAM\r\n").await;
    assert_eq!(delivered.field("Authentication-Results"), "mail.example.mil; auth=pass smtp.auth=carol");
    let said = submit("carol-passwort", "by nobody");
    assert!(!said.success && said.text.contains("535"), "{}", said.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_proof_is_answered_by_nothing() {
    if !peers::has(&["python3"]) {
        return;
    }
    let world = world().await;
    let gateway = world.start(CONFIGURATION);
    for (password, last, expected) in [
        ("carol-password", "", "235 2.7.0 Authentication successful\n250 "),
        // The client does not believe that this is its server, or says what nobody asked for: nobody is let in.
        ("carol-password", "*", "501 5.7.0 Authentication cancelled\n530 "),
        ("carol-password", "dj1hYmM=", "535 5.7.8 Authentication credentials invalid\n530 "),
        ("carol-passwort", "", "535 5.7.8 Authentication credentials invalid\n530 "),
    ] {
        let mut python = command("python3");
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/t12_sasl/scram.py"));
        python.arg(gateway.address("submission").port().to_string()).arg(world.path("pki/ca.pem"));
        let said = run(python.args(["carol", password, last]));
        assert!(said.success && said.text.starts_with(expected), "{password} {last:?}: {}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialogues_of_scram() {
    let world = world().await;
    let gateway = world.start(CONFIGURATION);
    dialogues::play_all("t12_sasl/scram", &world, &gateway).await;
    let told = gateway.wait_for_log("that somebody is between", |line| {
        line["message"] == "AUTH refused" && line["reason"].as_str().unwrap_or_default().contains("-PLUS is offered")
    });
    assert_eq!(told["mechanism"], "SCRAM-SHA-256");
}

/// What the server says first tells nobody who is there: always the same salt, of the same length, for the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn salts_do_not_tell_who_is_there() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let world = world().await;
    let gateway = world.start(CONFIGURATION);
    let ask = async |user: &str| {
        let tls = world.tls(None);
        let address = gateway.address("submission");
        let mut client = demo::Client::connect(address, demo::Security::StartTls(&tls)).await.unwrap();
        client.ehlo().await.unwrap();
        client.starttls(&tls).await.unwrap();
        client.ehlo().await.unwrap();
        let first = STANDARD.encode(format!("n,,n={user},r=x"));
        let reply = client.command(&format!("AUTH SCRAM-SHA-256 {first}")).await.unwrap().to_string();
        let challenge =
            String::from_utf8(STANDARD.decode(reply.strip_prefix("334 ").unwrap().trim()).unwrap()).unwrap();
        challenge.split_once(",s=").unwrap().1.to_owned()
    };
    let carol = ask("carol").await;
    assert_eq!(ask("CAROL@example.mil").await, carol);
    let mut seen = vec![carol.clone()];
    for user in ["zoe", "zed", "nora", "mia", "leo"] {
        let told = ask(user).await;
        assert_eq!(ask(&format!("{}@example.mil", user.to_uppercase())).await, told, "{user}");
        assert_eq!(told.split_once(",i="), Some((&told[..24], "100000")), "{user}: {told}");
        assert_eq!(told.len(), carol.len(), "{user}");
        assert!(!seen.contains(&told), "{user}");
        seen.push(told);
    }
}

/// A session's own certificate and another's password: rule 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificates_owner_stays_who_they_are() {
    if !peers::has(&["gsasl"]) {
        return;
    }
    let world = world().await;
    let alice = "certificate = { edipi = \"1234567890\" }\n";
    let people = std::fs::read_to_string(world.path("people.toml")).unwrap();
    let alice = format!("[[person]]\nuser_id = \"alice\"\npassword = {:?}\n{alice}", verifier("alice-password"));
    world.write("people.toml", format!("{people}\n{alice}"));
    let gateway = world.start(CONFIGURATION);
    for (user, expected) in [("alice", "235"), ("carol", "535")] {
        let mut gsasl = command("gsasl");
        gsasl.args(["--smtp", "--starttls", "-m", "SCRAM-SHA-256-PLUS", "-a", user]);
        gsasl.args(["-p", &format!("{user}-password")]).arg("--x509-ca-file").arg(world.path("pki/ca.pem"));
        gsasl.arg("--x509-cert-file").arg(world.path("pki/alice.pem"));
        gsasl.arg("--x509-key-file").arg(world.path("pki/alice.key"));
        gsasl.arg(format!("--connect=localhost:{}", gateway.address("submission").port()));
        let said = run(&mut gsasl);
        assert!(said.text.lines().any(|line| line.starts_with(expected)), "{user}: {}", said.text);
    }
}

/// Both ends are ours: a route's `auth` against the gateway that is its next hop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_logs_in_at_another() {
    let (near, far) = (World::new().await, world().await);
    let next_hop = far.start(CONFIGURATION);
    near.write("password", "carol-password\n");
    let (port, ca) = (next_hop.address("submission").port(), far.path("pki/ca.pem"));
    let auth = "{ username = \"carol\", password_file = \"password\", mechanisms = [\"SCRAM-SHA-256-PLUS\"] }";
    let gateway = near.start(&format!(
        "{}hosts = [\"localhost:{port}\"]\ntls = \"verify\"\nca = \"{}\"\nauth = {auth}\n",
        include_str!("../t05_delivery/postern.toml"),
        ca.display()
    ));
    let mut client = demo::Client::connect(gateway.address("submission"), demo::Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    assert_eq!(client.mail("carol@example.mil").await.unwrap().code(), 250);
    assert_eq!(client.rcpt("bob@example.net").await.unwrap().code(), 250);
    let message = b"From: <carol@example.mil>\r\nSubject: twice ours\r\n\r\nHello\r\n";
    assert_eq!(client.data(message).await.unwrap().code(), 250);
    far.delivered("Subject: twice ours").await;
}
