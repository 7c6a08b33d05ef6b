//! Against Postfix with Cyrus SASL.

use std::sync::Arc;

use postern_auth::Forward;

use crate::cyrus::Cyrus;
use crate::{Logged, REFUSED, ask, ask_all, forward, told, until};

const USERS: [(&str, &str); 3] = [("alice", "alice-password"), ("bob", "Grüße, \\\"Bob\\\"!"), ("carol", "x")];

/// A busy machine is no fault of Postfix's.
fn at(cyrus: &Cyrus, servers: &str, more: &str) -> Forward {
    let ca = cyrus.path("ca.pem");
    let ca = if more.contains("ca = ") { String::new() } else { format!("ca = '{ca}'") };
    forward(&format!("servers = [{servers}]\ndomains = ['example.org']\ntimeout = '60s'\n{ca}\n{more}"))
}

#[tokio::test]
async fn right_and_wrong_by_starttls_and_implicit_tls() {
    let Some(cyrus) = Cyrus::start(&USERS, "").await else { return };
    for url in [
        format!("'smtp://localhost:{}'", cyrus.postfix.port),
        format!("'smtps://127.0.0.1:{}'", cyrus.postfix.implicit_port),
    ] {
        let forward = at(&cyrus, &url, "");
        for (user, password, expected) in [
            ("alice", "alice-password", "right alice"),
            ("alice@example.org", "alice-password", "right alice"),
            ("alice", "alice-passwor", REFUSED),
            ("alice", "alice-password ", REFUSED),
            ("bob", USERS[1].1, "right bob"),
            ("carol", "x", "right carol"),
            ("carol", "X", REFUSED),
            ("zoe", "alice-password", REFUSED),
            ("alice@example.com", "alice-password", REFUSED),
            ("alice", "", "wrong: empty password"),
        ] {
            assert_eq!(
                told(&ask(&forward, user, password).await),
                expected,
                "{url} {user} {password}\n{}",
                cyrus.postfix.log()
            );
        }
    }
    assert!(cyrus.postfix.log().contains("SASL PLAIN authentication failed"), "{}", cyrus.postfix.log());
}

#[tokio::test]
async fn by_login_alone() {
    let Some(cyrus) = Cyrus::start(&USERS, "smtpd_sasl_mechanism_filter = LOGIN, CRAM-MD5").await else { return };
    let forward = at(&cyrus, &format!("'smtp://localhost:{}'", cyrus.postfix.port), "");
    assert_eq!(told(&ask(&forward, "bob", USERS[1].1).await), "right bob");
    assert_eq!(told(&ask(&forward, "bob", "x").await), REFUSED);
    cyrus.postfix.until_log("SASL LOGIN authentication failed").await;
}

#[tokio::test]
async fn a_server_that_is_not_vouched_for_gets_no_password() {
    let Some(cyrus) = Cyrus::start(&USERS, "").await else { return };
    let (port, implicit) = (cyrus.postfix.port, cyrus.postfix.implicit_port);
    for (url, more, why) in [
        (
            format!("'smtps://localhost:{implicit}'"),
            format!("ca = '{}'", cyrus.path("stranger-ca.pem")),
            "UnknownIssuer",
        ),
        (format!("'smtp://localhost:{port}'"), format!("ca = '{}'", cyrus.path("stranger-ca.pem")), "UnknownIssuer"),
        // TLS where there is none yet, and none where there is.
        (format!("'smtps://localhost:{port}'"), String::new(), "TLS handshake failed"),
        (format!("'smtp://localhost:{implicit}'"), "timeout = '2s'".to_owned(), "no answer within the time"),
    ] {
        let forward = match more.contains("timeout") {
            true => forward(&format!("servers = [{url}]\nca = '{}'\n{more}", cyrus.path("ca.pem"))),
            false => at(&cyrus, &url, &more),
        };
        let (log, guard) = Logged::start();
        let fact = told(&ask(&forward, "alice", "alice-password").await);
        drop(guard);
        assert!(fact.starts_with("unavailable: ") && fact.contains(why), "{url}: {fact}");
        assert!(log.text().contains("the forwarding server cannot be asked"), "{url}: {}", log.text());
    }
    assert!(!cyrus.postfix.log().contains("sasl_username"), "{}", cyrus.postfix.log());
    // In clear text it takes none, and says so by not offering it.
    let clear = forward(&format!("servers = ['smtp://localhost:{port}']\nstarttls = false"));
    let fact = told(&ask(&clear, "alice", "alice-password").await);
    assert!(fact.contains("it does not offer AUTH"), "{fact}");
}

#[tokio::test]
async fn a_certificate_of_another_name_gets_no_password() {
    let Some(cyrus) = Cyrus::start_as("alice", &USERS, "").await else { return };
    for url in [
        format!("'smtp://localhost:{}'", cyrus.postfix.port),
        format!("'smtps://localhost:{}'", cyrus.postfix.implicit_port),
    ] {
        let fact = told(&ask(&at(&cyrus, &url, ""), "alice", "alice-password").await);
        assert!(fact.contains("the TLS handshake failed: invalid peer certificate"), "{fact}");
    }
}

#[tokio::test]
async fn the_gateways_own_certificate_is_shown() {
    let Some(cyrus) = Cyrus::start(&USERS, "smtpd_tls_req_ccert = yes\nsmtpd_tls_security_level = encrypt").await
    else {
        return;
    };
    let url = format!("'smtps://localhost:{}'", cyrus.postfix.implicit_port);
    let fact = told(&ask(&at(&cyrus, &url, ""), "alice", "alice-password").await);
    assert!(fact.starts_with("unavailable: "), "{fact}");
    let (certificate, key) = (cyrus.path("alice.pem"), cyrus.path("alice.key"));
    let own = format!("client_certificate = {{ certificate = '{certificate}', key = '{key}' }}");
    assert_eq!(told(&ask(&at(&cyrus, &url, &own), "alice", "alice-password").await), "right alice");
    cyrus.postfix.until_log("Trusted TLS connection established from").await;
}

#[tokio::test]
async fn many_at_once_over_few_connections() {
    let Some(cyrus) = Cyrus::start(&USERS, "").await else { return };
    let forward = at(&cyrus, &format!("'smtps://localhost:{}'", cyrus.postfix.implicit_port), "connections = 4");
    let four = [("alice", "alice-password"), ("bob", USERS[1].1), ("carol", "x"), ("alice", "wrong-password")];
    let facts = ask_all(&Arc::new(forward), &four.repeat(50)).await;
    for expected in ["right alice", "right bob", "right carol", REFUSED] {
        assert_eq!(facts.iter().filter(|fact| *fact == expected).count(), 50, "{facts:?}");
    }
    // Four at a time, and perhaps those whose end Postfix has not written down yet.
    let connected = |log: &str| {
        let mut open = 0_i32;
        log.lines().fold(0, |most, line| {
            let step = i32::from(line.contains(": connect from ")) - i32::from(line.contains(": disconnect from "));
            open += step;
            most.max(open)
        })
    };
    assert!((1..=8).contains(&connected(&cyrus.postfix.log())), "{}", cyrus.postfix.log());
}

#[tokio::test]
async fn a_server_that_is_stopped_and_started_again() {
    let Some(cyrus) = Cyrus::start(&USERS, "").await else { return };
    let forward = at(&cyrus, &format!("'smtp://localhost:{}'", cyrus.postfix.port), "");
    assert_eq!(told(&ask(&forward, "alice", "alice-password").await), "right alice");
    cyrus.postfix.control("stop");
    until("it is away", async || told(&ask(&forward, "alice", "alice-password").await).starts_with("unavailable"))
        .await;
    cyrus.postfix.control("start");
    until("it is back", async || told(&ask(&forward, "alice", "alice-password").await) == "right alice").await;
    assert_eq!(told(&ask(&forward, "alice", "x").await), REFUSED);
}
