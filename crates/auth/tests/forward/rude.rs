//! A server that misbehaves at each step: never a yes that was none, never a password where it does not belong, and always
//! an end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_auth::Forward;

use crate::scripted::*;
use crate::{Logged, REFUSED, ask, ask_all, forward, free_port, told, until};

/// `\0alice\0secret-word`
const ALICE: &str = "AUTH PLAIN AGFsaWNlAHNlY3JldC13b3Jk";
const SECRET: &str = "secret-word";
const OFFERS_PLAIN: &str = "250-rude.example\n250 AUTH PLAIN LOGIN";

/// In clear text to these ports.
fn clear(ports: &[u16], more: &str) -> Forward {
    let servers: Vec<String> = ports.iter().map(|port| format!("'smtp://127.0.0.1:{port}'")).collect();
    let timeout = if more.contains("timeout") { "" } else { "timeout = '10s'" };
    forward(&format!(
        "servers = [{}]\nstarttls = false\ndomains = ['example.org']\n{timeout}\n{more}",
        servers.join(", ")
    ))
}

/// Greeting, EHLO with AUTH, and Alice's password with this answer.
fn login(answer: &'static str) -> Vec<Do> {
    [hello(OFFERS_PLAIN), vec![Hear(ALICE), Say(answer)]].concat()
}

async fn one(script: Vec<Do>, more: &str) -> (String, Vec<String>) {
    let server = Scripted::start(vec![script]).await;
    let forward = clear(&[server.port], more);
    let fact = told(&ask(&forward, "alice", SECRET).await);
    drop(forward);
    (fact, server.finish().await)
}

#[tokio::test]
async fn what_answers_come_to() {
    for (answer, expected) in [
        ("235 2.7.0 Authentication successful", "right alice"),
        ("235 yes", "right alice"),
        ("535 5.7.8 Authentication credentials invalid", REFUSED),
        ("535-5.7.8 no\n535 5.7.8 see https://example.net/", REFUSED),
        ("534 5.7.9 Please log in with your web browser", REFUSED),
        ("525 5.7.13 User account disabled", "disabled"),
        ("454 4.7.0 Temporary authentication failure", "unavailable: forward mx: 454 4.7.0 Temporary authent"),
        ("421 4.3.2 Shutting down", "unavailable: forward mx: 421 4.3.2 Shutting down"),
        ("451 4.3.0 Try later", "unavailable: forward mx: 451"),
        ("503 5.5.1 AUTH not available", "unavailable: forward mx: 503"),
        ("504 5.5.4 Unrecognized authentication type", "unavailable: forward mx: 504"),
        ("538 5.7.11 Encryption required", "unavailable: forward mx: 538"),
        ("554 5.7.1 Access denied", "unavailable: forward mx: 554"),
        // No other success is one.
        ("250 2.0.0 Ok", "unavailable: forward mx: 250"),
        ("220 yes", "unavailable: forward mx: 220"),
        ("334 bW9yZQ==", "unavailable: forward mx: 334"),
        ("235-yes\n535 no", "unavailable: forward mx: smtp://127.0.0.1:"),
        ("yes", "unavailable: forward mx: smtp://127.0.0.1:"),
        ("", "unavailable: forward mx: smtp://127.0.0.1:"),
    ] {
        let (fact, _) = one(login(answer), "").await;
        assert!(fact.starts_with(expected), "{answer}: {fact}");
    }
}

#[tokio::test]
async fn after_a_login_the_server_is_left() {
    let script = [login("235 2.7.0 yes"), vec![Hear("QUIT"), Say("221 bye")]].concat();
    let (fact, heard) = one(script, "").await;
    assert_eq!(fact, "right alice");
    assert_eq!(heard, ["EHLO gateway.example.org", ALICE, "QUIT"]);
}

#[tokio::test]
async fn what_more_a_server_asks_for_is_refused() {
    let script = [login("334 bW9yZQ=="), vec![Hear("*"), Say("501 5.7.0 cancelled"), Hear("QUIT")]].concat();
    let (fact, _) = one(script, "").await;
    assert!(fact.starts_with("unavailable"), "{fact}");
}

#[tokio::test]
async fn login_where_nothing_else_is_offered() {
    let login = || vec![Hear("AUTH LOGIN"), Say("334 VXNlcm5hbWU6"), Hear("YWxpY2U="), Say("334 UGFzc3dvcmQ6")];
    let hello = || hello("250-rude.example\n250-AUTH=LOGIN\n250 AUTH LOGIN GSSAPI");
    let script = [hello(), login(), vec![Hear("c2VjcmV0LXdvcmQ="), Say("235 yes")]].concat();
    assert_eq!(one(script, "").await.0, "right alice");
    // Refused by the name already: the password stays here.
    let script = [hello(), login()[..3].to_vec(), vec![Say("535 5.7.8 nobody of this name"), Stall]].concat();
    let (fact, heard) = one(script, "").await;
    assert_eq!(fact, REFUSED);
    assert!(!heard.iter().any(|line| line.contains("c2VjcmV0")), "{heard:?}");
}

#[tokio::test]
async fn a_long_password_goes_in_a_line_of_its_own() {
    let long = "p".repeat(500);
    let script = [hello(OFFERS_PLAIN), vec![Hear("AUTH PLAIN"), Say("334 "), Hear("AGFsaWNlAHBwcHBw"), Say("235 yes")]];
    let server = Scripted::start(vec![script.concat()]).await;
    let forward = clear(&[server.port], "");
    assert_eq!(told(&ask(&forward, "alice", &long).await), "right alice");
    let heard = server.finish().await;
    assert_eq!(heard[1], "AUTH PLAIN");
}

/// Whoever strips STARTTLS or AUTH gets no password, and whoever speaks before TLS is not believed.
#[tokio::test]
async fn no_password_where_it_does_not_belong() {
    let tls = |more: &str| format!("domains = ['example.org']\ntimeout = '10s'\n{more}");
    for (script, more, why) in [
        (hello(OFFERS_PLAIN), "", "it does not offer STARTTLS, and TLS is required"),
        (hello("250-rude.example\n250-XXXXXXXA\n250 AUTH PLAIN"), "", "it does not offer STARTTLS"),
        (
            [hello("250-rude.example\n250-STARTTLS\n250 AUTH PLAIN"), vec![Hear("STARTTLS"), Say("454 not now")]]
                .concat(),
            "",
            "it refuses STARTTLS, and TLS is required",
        ),
        (
            [
                hello("250-rude.example\n250 STARTTLS"),
                vec![Hear("STARTTLS"), Raw(b"220 go\r\n250-rude.example\r\n250 AUTH PLAIN\r\n235 yes\r\n")],
            ]
            .concat(),
            "",
            "it sent more than its reply to STARTTLS",
        ),
        (
            [
                hello("250-rude.example\n250 STARTTLS"),
                vec![Hear("STARTTLS"), Say("220 go"), HearSome(5), Raw(b"this is no TLS")],
            ]
            .concat(),
            "",
            "the TLS handshake failed",
        ),
        (hello(PLAIN), "starttls = false", "it does not offer AUTH"),
        (hello("250-rude.example\n250 AUTH GSSAPI CRAM-MD5"), "starttls = false", "none is PLAIN or LOGIN"),
        // HELO has no extensions.
        (
            [vec![Say("220 rude.example"), Hear("EHLO"), Say("502 no"), Hear("HELO"), Say("250 rude.example")]]
                .concat(),
            "starttls = false",
            "it does not offer AUTH",
        ),
        (vec![Say("554 5.7.1 not for you")], "starttls = false", "554 5.7.1 not for you (in reply to connecting)"),
        (vec![Say("235 yes")], "starttls = false", "closed"),
    ] {
        let server = Scripted::start(vec![script]).await;
        let ca = if more.is_empty() { some_authorities() } else { String::new() };
        let forward = forward(&format!("servers = ['smtp://127.0.0.1:{}']\n{ca}\n{}", server.port, tls(more)));
        let (log, guard) = Logged::start();
        let fact = told(&ask(&forward, "alice", SECRET).await);
        drop(guard);
        assert!(fact.starts_with("unavailable: ") && fact.contains(why), "{why}: {fact}");
        let log = log.text();
        assert!(log.contains("the forwarding server cannot be asked") && log.contains("mend="), "{log}");
        let heard = server.finish().await;
        assert!(!heard.iter().any(|line| line.starts_with("AUTH") || line.contains("AGFsaWNl")), "{heard:?}");
    }
}

/// Some authority, which nothing here is vouched for by.
fn some_authorities() -> String {
    let folder = tempfile::tempdir().unwrap().keep();
    let pki = demo::Pki::create(&folder).unwrap();
    format!("ca = '{}'", pki.path("ca.pem").display())
}

#[tokio::test]
async fn silence_ends_in_time() {
    for script in [
        vec![Stall],
        vec![Drip],
        vec![Babble],
        vec![Say("220 rude.example"), Hear("EHLO"), Babble],
        [hello(OFFERS_PLAIN), vec![Hear(ALICE), Stall]].concat(),
        [hello(OFFERS_PLAIN), vec![Hear(ALICE), Drip]].concat(),
        [hello(OFFERS_PLAIN), vec![Hear(ALICE), Babble]].concat(),
    ] {
        let label = format!("{script:?}");
        let began = Instant::now();
        let (fact, _) = one(script, "timeout = '1s'").await;
        assert!(fact.starts_with("unavailable: "), "{label}: {fact}");
        assert!(began.elapsed() < Duration::from_secs(6), "{label}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_dies_gives_one_more_server_a_try() {
    let dies = || [hello(OFFERS_PLAIN), vec![Hear(ALICE)]].concat();
    let first = Scripted::start(vec![dies()]).await;
    let second = Scripted::start(vec![login("235 yes")]).await;
    let forward = clear(&[first.port, second.port], "");
    assert_eq!(told(&ask(&forward, "alice", SECRET).await), "right alice");
    first.finish().await;
    second.finish().await;

    // And no third one gets to see the password.
    let first = Scripted::start(vec![dies()]).await;
    let second = Scripted::start(vec![login("454 4.3.0 later")]).await;
    let third = Scripted::start(vec![]).await;
    let forward = clear(&[first.port, second.port, third.port], "");
    let fact = told(&ask(&forward, "alice", SECRET).await);
    assert!(fact.contains("the connection was closed (AUTH); 454 4.3.0 later"), "{fact}");
    first.finish().await;
    second.finish().await;
}

#[tokio::test]
async fn a_no_is_a_no_and_no_other_server_is_asked() {
    let first = Scripted::start(vec![login("535 no")]).await;
    let second = Scripted::start(vec![vec![]]).await;
    let forward = clear(&[first.port, second.port], "");
    assert_eq!(told(&ask(&forward, "alice", SECRET).await), REFUSED);
    assert_eq!(second.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_does_not_come_about_leaves_time_for_the_next() {
    for script in [vec![Stall], vec![Drip], vec![]] {
        let (first, second) = (Scripted::start(vec![script]).await, Scripted::start(vec![login("235 yes")]).await);
        let forward = clear(&[first.port, second.port], "timeout = '4s'");
        assert_eq!(told(&ask(&forward, "alice", SECRET).await), "right alice");
        second.finish().await;
    }
    // A port where nobody listens.
    let second = Scripted::start(vec![login("235 yes")]).await;
    let forward = clear(&[free_port(), second.port], "");
    assert_eq!(told(&ask(&forward, "alice", SECRET).await), "right alice");
}

#[tokio::test]
async fn a_connection_serves_again_after_a_no_and_not_for_ever() {
    let no = || vec![Hear(ALICE), Say("535 5.7.8 no")];
    let noop = || vec![Hear("NOOP"), Say("250 2.0.0 Ok")];
    let first = [hello(OFFERS_PLAIN), no(), noop(), no(), noop(), no(), vec![Hear("QUIT")]].concat();
    let server = Scripted::start(vec![first, login("535 5.7.8 no")]).await;
    let forward = clear(&[server.port], "");
    for _ in 0..4 {
        assert_eq!(told(&ask(&forward, "alice", SECRET).await), REFUSED);
    }
    server.finish().await;
}

/// The next login must not get an answer that was not given to it.
#[tokio::test]
async fn answers_that_nobody_asked_for_reach_nobody() {
    for unasked in [
        vec![Hear(ALICE), Raw(b"535 no\r\n235 yes\r\n")],
        vec![Hear(ALICE), Say("535 no"), Say("235 yes"), Stall],
        vec![Hear(ALICE), Say("535 no"), Hear("NOOP"), Raw(b"250 Ok\r\n235 yes\r\n")],
        vec![Hear(ALICE), Say("535 no"), Hear("NOOP"), Say("235 yes")],
        vec![Hear(ALICE), Say("535 no"), Hear("NOOP"), Say("421 bye")],
        // Closed, and half-open.
        vec![Hear(ALICE), Say("535 no")],
        vec![Hear(ALICE), Say("535 no"), Hear("NOOP"), Stall],
    ] {
        let label = format!("{unasked:?}");
        let server = Scripted::start(vec![[hello(OFFERS_PLAIN), unasked].concat(), login("535 no again")]).await;
        let forward = clear(&[server.port], "");
        for _ in 0..2 {
            assert_eq!(told(&ask(&forward, "alice", SECRET).await), REFUSED, "{label}");
        }
        server.finish().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_left_alone_and_comes_back() {
    let port = free_port();
    let forward = clear(&[port], "");
    let (log, guard) = Logged::start();
    for _ in 0..5 {
        let fact = told(&ask(&forward, "alice", SECRET).await);
        assert!(fact.contains("it cannot be connected to"), "{fact}");
    }
    assert_eq!(log.text().matches("the forwarding server cannot be asked").count(), 1, "{}", log.text());
    // Scripted servers choose their port: this one is led to.
    let server = Scripted::start(vec![login("235 yes")]).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
    });
    until("the server is asked again", async || told(&ask(&forward, "alice", SECRET).await) == "right alice").await;
    assert!(log.text().contains("the forwarding server can be asked again"), "{}", log.text());
    drop(guard);
}

/// Logins that come thick find a connection that was made ready while the one before said goodbye.
#[tokio::test]
async fn a_successor_waits_for_the_next_login() {
    let goodbye = || vec![Hear("QUIT"), Say("221 bye")];
    let cold = || [login("235 yes"), goodbye()].concat();
    let ready = || [hello(OFFERS_PLAIN), vec![Hear("NOOP"), Say("250 Ok"), Hear(ALICE), Say("235 yes")], goodbye()];
    // The first login has none before it; the second one's successor serves the third, and so on.
    let server = Scripted::start(vec![cold(), cold(), ready().concat(), ready().concat()]).await;
    let forward = clear(&[server.port], "connections = 1");
    for _ in 0..4 {
        assert_eq!(told(&ask(&forward, "alice", SECRET).await), "right alice");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_look_tells_which_server_is_of_use() {
    let quit = vec![Hear("QUIT"), Say("221 bye")];
    let good = Scripted::start(vec![[hello(OFFERS_PLAIN), quit.clone()].concat()]).await;
    let bad = Scripted::start(vec![[hello(PLAIN), quit].concat()]).await;
    let away = free_port();
    let looks = clear(&[good.port, bad.port, away], "").look().await;
    let faults: Vec<Option<&str>> = looks.iter().map(|look| look.fault.as_ref().map(|(why, _)| why.as_str())).collect();
    assert_eq!(faults[..2], [None, Some("it does not offer AUTH")]);
    assert!(faults[2].unwrap().starts_with("it cannot be connected to"), "{faults:?}");
    assert_eq!(looks[2].server, format!("smtp://127.0.0.1:{away}"));
    for server in [good, bad] {
        assert!(!server.finish().await.iter().any(|line| line.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn waiting_has_bounds() {
    let server = Scripted::start(vec![[hello(OFFERS_PLAIN), vec![Hear(ALICE), Stall]].concat()]).await;
    let forward = Arc::new(clear(&[server.port], "timeout = '1s'\nconnections = 1"));
    let began = Instant::now();
    let facts = ask_all(&forward, &[("alice", SECRET); 1100]).await;
    let count = |text: &str| facts.iter().filter(|fact| fact.contains(text)).count();
    assert_eq!(count("too many logins wait for it"), 100);
    assert_eq!((count("(AUTH)"), count("unavailable")), (1, 1100));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_no_server_needs_to_see() {
    let server = Scripted::start(vec![]).await;
    let forward = clear(&[server.port], "");
    let long = "x".repeat(5000);
    for (user, password, expected) in [
        ("alice", "", "wrong: empty password"),
        ("alice", "a\0b", REFUSED),
        ("alice", long.as_str(), REFUSED),
        ("", SECRET, "wrong: unknown user"),
        ("alice\r\nMAIL FROM:<>", SECRET, "wrong: unknown user"),
        ("alice\0admin", SECRET, "wrong: unknown user"),
        (" alice", SECRET, "wrong: unknown user"),
        (long.as_str(), SECRET, "wrong: unknown user"),
    ] {
        assert_eq!(told(&ask(&forward, user, password).await), expected, "{user:?}");
    }
    assert_eq!(server.heard(), Vec::<String>::new());
}

/// Line ends in a password are octets like others.
#[tokio::test]
async fn a_password_cannot_end_its_line() {
    let script = [hello(OFFERS_PLAIN), vec![Hear("AUTH PLAIN AGFsaWNlAHgNClFVSVQNCg=="), Say("535 no"), Hear("QUIT")]];
    let server = Scripted::start(vec![script.concat()]).await;
    let forward = clear(&[server.port], "");
    assert_eq!(told(&ask(&forward, "alice", "x\r\nQUIT\r\n").await), REFUSED);
    assert_eq!(server.heard().len(), 2, "{:?}", server.heard());
}

/// Some servers quote what they do not understand.
#[tokio::test]
async fn no_secret_comes_back_in_a_reply() {
    for answer in [
        "500 5.5.1 Command unrecognized: \"AUTH PLAIN AGFsaWNlAHNlY3JldC13b3Jk\"",
        "535 5.7.8 wrong: AGFsaWNlAHNlY3JldC13b3...",
        "535 5.7.8 'secret-word' is not the password",
    ] {
        let (log, guard) = Logged::start();
        let (fact, _) = one(login(answer), "").await;
        drop(guard);
        let log = log.text();
        assert!(log.contains("(the server repeats what it was sent)"), "{answer}: {log}");
        for text in [fact, log] {
            assert!(!text.contains(SECRET) && !text.contains("AHNlY3JldC13b3"), "{answer}: {text}");
        }
    }
}

#[tokio::test]
async fn the_log_tells_who_said_what_and_what_to_do() {
    for (answer, lines) in [
        ("535 5.7.8 Not today", &["INFO", "refuses the password", "user=\"alice\"", "reply=535 5.7.8 Not today"][..]),
        ("538 5.7.11 Encryption required", &["WARN", "does not judge", "it wants TLS: write smtps://"]),
        ("454 4.7.0 LDAP is away", &["WARN", "reply=454 4.7.0 LDAP is away", "try again later"]),
        ("502 5.5.2 What?", &["WARN", "announces AUTH and does not do it"]),
    ] {
        let (log, guard) = Logged::start();
        let _ = one(login(answer), "").await;
        drop(guard);
        let log = log.text();
        let line = log.lines().find(|line| line.contains("the password")).unwrap_or_else(|| panic!("{answer}: {log}"));
        assert!(lines.iter().all(|part| line.contains(part)), "{answer}: {line}");
        assert!(line.contains("forward=\"mx\" server=smtp://127.0.0.1:"), "{line}");
    }
}
