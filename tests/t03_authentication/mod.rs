//! How a session becomes a person: the four how-tos of the manual as whole configurations with their dialogues, the
//! settings of mail flow policies, and every way in which a certificate may make room for a password.

mod forward;
mod guessing;

use std::time::{Duration, SystemTime};

use demo::pki::{ALICE, Holder};
use demo::{Client, Security};

use crate::harness::world::card;
use crate::harness::{Gateway, World, dialogues};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A world with certificates to be refused: `expired`, `revoked`, `nobody`, `several`.
pub(crate) async fn world() -> World {
    let world = World::new().await;
    let now = SystemTime::now();
    world.issue("expired", &card(ALICE).valid(now - 20 * DAY, now - DAY));
    let revoked = world.issue("revoked", &card(ALICE));
    world.revoke(&[&revoked]);
    world.issue("nobody", &card(Holder { common_name: "NIX.NEMO.N.9999999999", ..ALICE }));
    world.issue("several", &card(Holder { common_name: "FOE.HENRY.H.1234567895", ..ALICE }));
    world
}

/// An administrator's configuration, made at home in the test's folder: its paths, a free port on loopback for each
/// listener, behind a load balancer so that clients come from where the dialogue says, and our own next hop.
pub(crate) fn at_home(configuration: &str) -> String {
    let (before, _) = configuration.split_once("[[route]]").expect("a route at the end");
    let lines = before.replace("/etc/postern/", "").replace("/var/lib/postern", "state");
    let lines = lines.lines().map(|line| match line.starts_with("bind = ") {
        true => "bind = [\"127.0.0.1:0\"]\nproxy_protocol_from = [\"127.0.0.1\"]",
        false => line,
    });
    let route = "[[route]]\ndomains = [\"*\"]\nhosts = [\"127.0.0.1:2525\"]\ntls = \"none\"\n";
    lines.collect::<Vec<_>>().join("\n") + "\n" + route
}

async fn how_to(folder: &str, configuration: &str) -> (World, Gateway) {
    let world = world().await;
    let gateway = world.start(&at_home(configuration));
    dialogues::play_all(&format!("t03_authentication/{folder}"), &world, &gateway).await;
    (world, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_to_1_client_certificate() {
    let (world, _gateway) =
        how_to("how-to-1-client-certificate", include_str!("how-to-1-client-certificate/postern.toml")).await;
    for subject in ["how-to 1", "how-to 1, implicit", "how-to 1, EXTERNAL"] {
        let delivered = world.delivered(&format!("Subject: {subject}\r\n")).await;
        assert_eq!(delivered.field("Authentication-Results"), "mail.example.mil; auth=pass smtp.auth=alice");
        let received = &delivered.fields("Received")[0];
        // The client's own address, not the load balancer's.
        assert!(received.starts_with("from client.example.mil ([10.1.2.3]) (using TLSv1.3 with cipher "), "{received}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_to_2_smtp_auth_with_allowance() {
    let (world, gateway) =
        how_to("how-to-2-smtp-auth-with-allowance", include_str!("how-to-2-smtp-auth-with-allowance/postern.toml"))
            .await;
    let delivered = world.delivered("Subject: how-to 2\r\n").await;
    assert_eq!(delivered.field("Authentication-Results"), "mail.example.mil; auth=pass smtp.auth=carol");
    // What clients are not told apart, the log tells apart.
    let refused = |line: &str| line.contains("AUTH refused");
    let reasons: Vec<String> = gateway.log_lines().into_iter().filter(|line| refused(line)).collect();
    for (user, reason) in [("carol", "wrong"), ("alice", "not allowed"), ("frank", "not allowed"), ("gina", "disabled")]
    {
        let told = reasons.iter().any(|line| line.contains(reason) && line.contains(&format!("\"user\":\"{user}\"")));
        assert!(told, "{user}, {reason} is not among {reasons:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_to_3_certificate_or_smtp_auth() {
    let (world, _gateway) =
        how_to("how-to-3-certificate-or-smtp-auth", include_str!("how-to-3-certificate-or-smtp-auth/postern.toml"))
            .await;
    for (subject, user) in [("certificate", "alice"), ("password", "carol"), ("expired", "alice")] {
        let delivered = world.delivered(&format!("Subject: how-to 3, {subject}\r\n")).await;
        let expected = format!("mail.example.mil; auth=pass smtp.auth={user}");
        assert_eq!(delivered.field("Authentication-Results"), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_to_4_by_client_address() {
    let (world, _gateway) =
        how_to("how-to-4-by-client-address", include_str!("how-to-4-by-client-address/postern.toml")).await;
    for (subject, user) in [("card", "alice"), ("password", "carol")] {
        let delivered = world.delivered(&format!("Subject: how-to 4, {subject}\r\n")).await;
        let expected = format!("mail.example.mil; auth=pass smtp.auth={user}");
        assert_eq!(delivered.field("Authentication-Results"), expected);
    }
}

/// What clients are known to do, from public reports: each dialogue says where.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_as_they_are() {
    let world = world().await;
    let google = demo::Ca::new("GTS CA").unwrap().issue(&demo::Template::server()).unwrap();
    world.keep("google", &google);
    let gateway = world.start(&at_home(include_str!("clients/postern.toml")));
    dialogues::play_all("t03_authentication/clients", &world, &gateway).await;
    for (subject, user) in [("without AUTH", "alice"), ("EXTERNAL, another", "alice"), ("Gmail", "alice")] {
        let delivered = world.delivered(&format!("Subject: clients, {subject}\r\n")).await;
        let expected = format!("mail.example.mil; auth=pass smtp.auth={user}");
        assert_eq!(delivered.field("Authentication-Results"), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_policies() {
    let (world, gateway) = how_to("policies", include_str!("policies/postern.toml")).await;
    let delivered = world.delivered("Subject: clear text\r\n").await;
    assert!(delivered.fields("Received")[0].contains("by mail.example.mil with ESMTPA id "), "{}", delivered.text);
    let delivered = world.delivered("Subject: anonymous\r\n").await;
    assert!(delivered.fields("Received")[0].contains("by mail.example.mil with ESMTPS id "), "{}", delivered.text);
    assert_eq!(delivered.field("Authentication-Results"), "mail.example.mil; none");
    gateway.wait_for_log("that somebody was let through whom the allowance does not allow", |line| {
        line["listener"] == "monitored" && line["message"] == "would be refused" && line["rule"] == "allowance"
    });
}

/// `on_missing`, `on_invalid`, `on_no_match`: each opens the password for its own kind of problem and for no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fallbacks() {
    const KINDS: [(Option<&str>, usize); 5] =
        [(None, 0), (Some("expired"), 1), (Some("revoked"), 1), (Some("nobody"), 2), (Some("several"), 2)];
    let world = world().await;
    let base = at_home(include_str!("how-to-3-certificate-or-smtp-auth/postern.toml"))
        .replace("proxy_protocol_from = [\"127.0.0.1\"]", "")
        .replace("\"10.0.0.0/8\"", "\"127.0.0.1\"")
        .replace("tls = \"preferred\"", "tls = \"required\"")
        .replace("on_missing = \"fallback\"\non_invalid = \"fallback\"\n", "@@@");
    let mut failures = Vec::new();
    for open in 0..8_usize {
        let settings = ["on_missing", "on_invalid", "on_no_match"].iter().enumerate();
        let opens = |problem: usize| open & (1 << problem) != 0;
        let settings: String = settings
            .map(|(at, setting)| format!("{setting} = \"{}\"\n", if opens(at) { "fallback" } else { "reject" }))
            .collect();
        let gateway = world.start(&base.replace("@@@", &settings));
        for (certificate, problem) in KINDS {
            let expected = if opens(problem) { "235" } else { "554" };
            let got = password(&world, &gateway, certificate).await;
            if !got.starts_with(expected) {
                failures.push(format!("{settings}{certificate:?}: {got}, not {expected}"));
            }
        }
        assert_eq!(password(&world, &gateway, Some("alice")).await.split(' ').next(), Some("535"), "another's card");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What Carol's password comes to beside this certificate.
async fn password(world: &World, gateway: &Gateway, certificate: Option<&str>) -> String {
    let tls = world.tls(certificate);
    let mut client = Client::connect(gateway.address("submission"), Security::StartTls(&tls)).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(&tls).await.unwrap();
    client.ehlo().await.unwrap();
    let credentials = demo::Credentials::Plain("carol", "carol-password");
    client.authenticate(credentials).await.unwrap().unwrap().to_string()
}
