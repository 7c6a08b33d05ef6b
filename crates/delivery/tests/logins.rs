//! AUTH towards next hops: Postfix that asks Dovecot for passwords, and servers that are not to be trusted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use std::path::{Path, PathBuf};

use demo::Pki;
use peers::dovecot::Dovecot;
use peers::postfix::Postfix;
use peers::scripted::Do::*;
use peers::scripted::{Do, Scripted};
use peers::{deliver, envelope, line};
use postern_delivery::Courier;
use tempfile::TempDir;

fn courier(toml: &str) -> Courier {
    peers::courier(&format!("{toml}\ntimeouts = {{ attempt = '2m' }}"))
}

fn password(folder: &Path, password: &str) -> PathBuf {
    let file = folder.join(format!("{}.password", password.len()));
    std::fs::write(&file, format!("{password}\n")).unwrap();
    file
}

#[tokio::test]
async fn postfix_lets_in_who_proves_a_password_by_each_mechanism() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let folder = TempDir::new().unwrap();
    let pki = Pki::create(folder.path()).unwrap();
    let settings = format!(
        "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}\nsmtpd_tls_auth_only = yes\n\
         mynetworks =\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject",
        dovecot.auth_socket().display()
    );
    let Some(postfix) = Postfix::start(&settings, &pki.path("server.pem"), &pki.path("server.key")).await else {
        return;
    };
    let (right, wrong) = (password(folder.path(), "correct horse"), password(folder.path(), "battery"));
    let route = |auth: &str| {
        let ca = pki.path("ca.pem");
        courier(&format!("hosts = ['localhost:{}']\nca = '{}'\n{auth}", postfix.port, ca.display()))
    };
    let found = line(&deliver(&route(""), &envelope(&["bob@example.net"])).await[0]);
    assert!(found.starts_with("failed 5.7.1"), "{found}");
    for mechanism in ["SCRAM-SHA-256", "PLAIN", "LOGIN"] {
        let auth = |file: &Path| {
            let file = file.display();
            format!("auth = {{ username = 'bob', password_file = '{file}', mechanisms = ['{mechanism}'] }}")
        };
        let courier = route(&auth(&right));
        for _ in 0..2 {
            let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
            assert!(found.starts_with("delivered"), "{mechanism}: {found}\n{}", dovecot.log());
        }
        assert_eq!(courier.counters().reused, 1, "logged in once");
        postfix.until_log_has(&format!("sasl_method={mechanism}, sasl_username=bob"), 2).await;
        let found = line(&deliver(&route(&auth(&wrong)), &envelope(&["bob@example.net"])).await[0]);
        let expected = format!("(in reply to AUTH {mechanism} as \"bob\")");
        assert!(found.starts_with("deferred 4.7.8") && found.contains(&expected), "{mechanism}: {found}");
        assert!(!found.contains("battery"), "{found}");
    }
    // By itself it takes the one that shows no password.
    let auth = format!("auth = {{ username = 'bob', password_file = '{}' }}", right.display());
    assert!(line(&deliver(&route(&auth), &envelope(&["bob@example.net"])).await[0]).starts_with("delivered"));
    postfix.until_log_has("sasl_method=SCRAM-SHA-256", 3).await;
    let found = line(&deliver(&route("auth = {}"), &envelope(&["bob@example.net"])).await[0]);
    assert!(found.starts_with("deferred 4.7.4") && found.contains("EXTERNAL"), "{found}");
}

fn greeted(mechanism: &'static str) -> Vec<Do> {
    vec![Say("220 hi"), Hear("EHLO"), Say(mechanism)]
}

#[tokio::test]
async fn who_does_not_know_the_password_gets_no_mail() {
    let folder = TempDir::new().unwrap();
    let file = password(folder.path(), "correct horse");
    let scram = || greeted("250-rude\n250 AUTH SCRAM-SHA-256");
    let plain = || greeted("250-rude\n250 AUTH PLAIN");
    let table: [(Vec<Do>, &str); 6] = [
        ([scram(), vec![Hear("AUTH SCRAM-SHA-256 "), Say("235 come in")]].concat(), "lets in whoever comes"),
        ([scram(), vec![Hear("AUTH"), Say("334 cj14LHM9QUFBQSxpPTQwOTY=")]].concat(), "nonce does not begin"),
        ([scram(), vec![Hear("AUTH"), Say("334 ???")]].concat(), "no base64"),
        ([plain(), vec![Hear("AUTH PLAIN AGJvYgBjb3JyZWN0IGhvcnNl"), Say("250 fine")]].concat(), "250 fine"),
        (
            [plain(), vec![Hear("AUTH PLAIN"), Say("535 5.7.8 what is AGJvYgBjb3JyZWN0IGhvcnNl?")]].concat(),
            "(the server repeats what it was sent)",
        ),
        (greeted("250-rude\n250 AUTH GSSAPI"), "offers none, but \"GSSAPI\""),
    ];
    for (script, expected) in table {
        let peer = Scripted::start(vec![script]).await;
        let auth = format!("auth = {{ username = 'bob', password_file = '{}' }}", file.display());
        let courier = peers::courier(&format!("hosts = ['127.0.0.1:{}']\ntls = 'none'\n{auth}", peer.port));
        let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
        assert!(found.starts_with("deferred 4.") && found.contains(expected), "{found}\n{expected}");
        assert!(!found.contains("AGJvYg") && !found.contains("horse"), "{found}");
        assert!(!peer.heard().iter().any(|line| line.starts_with("MAIL")), "{:?}", peer.heard());
    }
}
