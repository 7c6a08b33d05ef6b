//! Who is spoken to, and what is shown: certificates of a private authority, lists, and real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use std::sync::Arc;
use std::time::SystemTime;

use demo::ca::{Ca, KEY_COMPROMISE, Revoked};
use demo::certificate::{AltName, CLIENT_AUTH, Template};
use demo::pki::Pki;
use peers::tls_server::TlsServer;
use peers::{deliver, envelope, line, means, settings};
use pki::{Certificate, Crl, CrlStore, Knowledge, OnUnknownStatus, RevocationMethod, Trust, TrustSettings};
use postern_delivery::{Courier, Means};

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// An authority with a private issuing CA below it.
struct Bed {
    root: Ca,
    issuing: Ca,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let root = Ca::new("Next Hops Root").unwrap();
        let issuing = root.subordinate("Next Hops CA-1").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), root.certificate_pem()).unwrap();
        Self { root, issuing, folder }
    }

    fn route(&self, port: u16, more: &str) -> String {
        format!("hosts = ['localhost:{port}']\n{more}\nca = '{}'", self.folder.path().join("ca.pem").display())
    }

    fn certificates(&self) -> Vec<Certificate> {
        [&self.root, &self.issuing].map(|ca| Certificate::from_der(ca.certificate()).unwrap()).to_vec()
    }

    fn lists(&self, revoked: &[Revoked]) -> Knowledge {
        let now = SystemTime::now();
        let list =
            |ca: &Ca, revoked: &[Revoked]| Crl::from_der(&ca.crl(revoked, now - DAY / 24, now + DAY).unwrap()).unwrap();
        let lists = vec![list(&self.issuing, revoked), list(&self.root, &[])];
        Knowledge::of_lists(CrlStore::of_lists("next hops", lists, self.certificates()))
    }
}

async fn outcome(toml: &str, means: &Means) -> String {
    let courier = Courier::new(&[settings(toml)], means).unwrap();
    line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0])
}

#[tokio::test]
async fn certificates_and_whether_they_will_do() {
    let bed = Bed::new();
    let now = SystemTime::now();
    let dns = |name: &str| Template { names: vec![AltName::Dns(name.to_owned())], ..Template::server() };
    let table: [(&str, Template, &Ca, &str); 7] = [
        ("its own", Template::server(), &bed.issuing, "delivered"),
        ("another host's", dns("mx.example.org"), &bed.issuing, "is not for localhost"),
        (
            "the name in CN only",
            Template { names: Vec::new(), ..Template::server() },
            &bed.issuing,
            "is not for localhost",
        ),
        ("expired", Template::server().valid(now - 9 * DAY, now - DAY), &bed.issuing, "expired"),
        ("not yet", Template::server().valid(now + DAY, now + 9 * DAY), &bed.issuing, "not yet valid"),
        (
            "a client's",
            Template { extended_key_usage: vec![CLIENT_AUTH], ..Template::server() },
            &bed.issuing,
            "is not for serverAuth",
        ),
        ("a stranger's", Template::server(), &Ca::new("Stranger").unwrap(), "unknown issuer"),
    ];
    for (name, template, ca, expected) in table {
        let server = TlsServer::start(&ca.issue(&template).unwrap()).await;
        let found = outcome(&bed.route(server.port, ""), &means()).await;
        let good = if expected == "delivered" { found.starts_with(expected) } else { found.contains(expected) };
        assert!(good && (expected == "delivered" || found.starts_with("deferred 4.7.5")), "{name}: {found}");
        let heard = server.heard();
        assert_eq!(heard.iter().any(|line| line.starts_with("MAIL")), expected == "delivered", "{name}: {heard:?}");
        // With whoever answers it would do.
        let server = TlsServer::start(&ca.issue(&template).unwrap()).await;
        let anybody = format!("hosts = ['localhost:{}']\ntls = 'require'", server.port);
        assert!(outcome(&anybody, &means()).await.starts_with("delivered"), "{name}");
    }
}

#[tokio::test]
async fn a_revoked_next_hop_gets_nothing() {
    let bed = Bed::new();
    let issued = bed.issuing.issue(&Template::server()).unwrap();
    let revoked = Revoked { serial: issued.serial.clone(), at: SystemTime::now() - DAY, reason: Some(KEY_COMPROMISE) };
    let with = |knowledge, check_revocation| Means { knowledge, check_revocation, ..means() };
    let strict = TrustSettings {
        on_unknown_status: OnUnknownStatus::Temporary,
        revocation: vec![RevocationMethod::Crl],
        ..TrustSettings::with_anchors(Vec::new())
    };
    let anchors = vec![bed.certificates().remove(0)];
    // It is for clients by default, and for servers here.
    let trust = Arc::new(Trust::new("partners", &strict, anchors, Vec::new()).unwrap());
    let trusting = |means: Means| Means { trusts: [("partners".to_owned(), trust.clone())].into(), ..means };
    let none = || Knowledge::of_lists(CrlStore::empty());
    let by_ca = |port| bed.route(port, "");
    let by_trust = |port: u16| format!("hosts = ['localhost:{port}']\ntrust = 'partners'");
    type Row<'a> = (&'a str, Means, &'a dyn Fn(u16) -> String, &'a str);
    let table: [Row<'_>; 7] = [
        ("listed", with(bed.lists(std::slice::from_ref(&revoked)), true), &by_ca, "was revoked at"),
        ("not looked at", with(bed.lists(std::slice::from_ref(&revoked)), false), &by_ca, "delivered"),
        ("not listed", with(bed.lists(&[]), true), &by_ca, "delivered"),
        ("no list, and none needed", with(none(), true), &by_ca, "delivered"),
        ("no list, and one needed", trusting(with(none(), true)), &by_trust, "whether it is revoked cannot be told"),
        ("one needed, and there", trusting(with(bed.lists(&[]), true)), &by_trust, "delivered"),
        ("none needed", trusting(with(none(), false)), &by_trust, "delivered"),
    ];
    for (name, means, route, expected) in table {
        let server = TlsServer::start(&issued).await;
        let found = outcome(&route(server.port), &means).await;
        assert!(found.contains(expected), "{name}: {found}");
        assert_eq!(server.heard().iter().any(|line| line.starts_with("MAIL")), expected == "delivered", "{name}");
    }
}

#[tokio::test]
async fn postfix_asks_for_a_certificate_and_gets_the_routes_own() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::create(folder.path()).unwrap();
    let asks = format!(
        "smtpd_tls_ask_ccert = yes\nsmtpd_tls_req_ccert = yes\nsmtpd_tls_security_level = encrypt\nsmtpd_tls_CAfile = {}",
        pki.path("ca.pem").display()
    );
    let Some(postfix) = peers::postfix::Postfix::start(&asks, &pki.path("server.pem"), &pki.path("server.key")).await
    else {
        return;
    };
    let route = |own: &str| {
        format!(
            "hosts = ['localhost:{}']\nca = '{}'\n{own}\ntimeouts = {{ attempt = '2m' }}",
            postfix.port,
            pki.path("ca.pem").display()
        )
    };
    let own = format!(
        "client_certificate = {{ certificate = '{}', key = '{}' }}",
        pki.path("alice.pem").display(),
        pki.path("alice.key").display()
    );
    let found = outcome(&route(&own), &means()).await;
    assert!(found.starts_with("delivered"), "{found}");
    postfix.until_log("Trusted TLS connection established").await;
    let found = outcome(&route(""), &means()).await;
    assert!(found.starts_with("deferred"), "{found}");
}

#[tokio::test]
async fn requiretls_is_passed_on_or_the_message_fails() {
    let bed = Bed::new();
    let issued = bed.issuing.issue(&Template::server()).unwrap();
    let (chain, key) = (issued.chain_pem(), issued.key.private_pem());
    let verified = |port| bed.route(port, "");
    let anybody = |port: u16| format!("hosts = ['localhost:{port}']\ntls = 'require'");
    let clear = |port: u16| format!("hosts = ['localhost:{port}']\ntls = 'may'");
    type Row<'a> = (&'a str, &'a dyn Fn(u16) -> String, &'a [&'a str], &'a str);
    let table: [Row<'_>; 4] = [
        ("offered and verified", &verified, &["REQUIRETLS"], "delivered"),
        ("not offered", &verified, &["DSN"], "failed 5.7.30 localhost"),
        ("offered by whoever answers", &anybody, &["REQUIRETLS"], "failed 5.7.30 localhost"),
        ("opportunistic", &clear, &["REQUIRETLS"], "failed 5.7.30 localhost"),
    ];
    for (name, route, extensions, expected) in table {
        let server = TlsServer::start_at("127.0.0.1:0", &chain, &key, extensions).await;
        let courier = Courier::new(&[settings(&route(server.port))], &means()).unwrap();
        let envelope = protocol::Envelope { require_tls: true, ..envelope(&["bob@example.net"]) };
        let found = line(&deliver(&courier, &envelope).await[0]);
        assert!(found.starts_with(expected), "{name}: {found}");
        let mail = server.heard().into_iter().find(|line| line.starts_with("MAIL"));
        let passed_on = mail.is_some_and(|mail| mail == "MAIL FROM:<alice@example.org> REQUIRETLS");
        assert_eq!(passed_on, expected == "delivered", "{name}");
    }
    // A next hop that cannot be verified today may be tomorrow.
    let stranger = Ca::new("Stranger").unwrap().issue(&Template::server()).unwrap();
    let server = TlsServer::start(&stranger).await;
    let courier = Courier::new(&[settings(&verified(server.port))], &means()).unwrap();
    let envelope = protocol::Envelope { require_tls: true, ..envelope(&["bob@example.net"]) };
    let found = line(&deliver(&courier, &envelope).await[0]);
    assert!(found.starts_with("deferred 4.7.5"), "{found}");
}
