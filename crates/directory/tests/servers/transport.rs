//! TLS and binds: what is trusted, and as whom the gateway asks.

use crate::bed::{SUFFIX, Slapd};
use crate::proxy::Proxy;

async fn alice(slapd: &Slapd, url: &str, more: &str) -> String {
    slapd.asked_at(&[url], more, "").password("alice", "alice-pw").await
}

#[tokio::test]
async fn ldaps_and_starttls() {
    let slapd = Slapd::start();
    assert_eq!(alice(&slapd, &slapd.url(), "").await, "alice NotConfigured");
    assert_eq!(alice(&slapd, &slapd.plain_url(), "starttls = true").await, "alice NotConfigured");
    assert_eq!(
        alice(&slapd, &slapd.plain_url().replace("127.0.0.1", "localhost"), "starttls = true").await,
        "alice NotConfigured"
    );
    // This server takes no passwords in clear text.
    let answer = alice(&slapd, &slapd.plain_url(), "").await;
    assert!(answer.starts_with("unavailable") && answer.contains("confidentialityRequired"), "{answer}");
    // TLS spoken to the wrong port, either way round.
    let crossed = [
        (format!("ldaps://127.0.0.1:{}", slapd.port), ""),
        (format!("ldap://127.0.0.1:{}", slapd.tls_port), "starttls = true"),
    ];
    for (url, more) in crossed {
        let answer = alice(&slapd, &url, more).await;
        assert!(answer.starts_with("unavailable"), "{url}: {answer}");
    }
}

#[tokio::test]
async fn the_servers_certificate_must_be_vouched_for_and_name_it() {
    let slapd = Slapd::start();
    let elsewhere = Proxy::at("127.0.0.2", slapd.tls_port).await;
    for (url, more, expected) in [
        (slapd.url(), format!("ca = {:?}", slapd.pki("stranger.pem")), "UnknownIssuer"),
        // This machine by an address that is not in the certificate: through a wire, since slapd listens elsewhere.
        (elsewhere.url("ldaps"), String::new(), "not valid for name"),
        (elsewhere.url("ldaps"), format!("ca = {:?}", slapd.pki("stranger.pem")), "UnknownIssuer"),
    ] {
        let answer = alice(&slapd, &url, &more).await;
        assert!(answer.starts_with("unavailable") && answer.contains(expected), "{url}: {answer}");
    }
}

#[tokio::test]
async fn by_certificate_anonymously_and_with_wrong_secrets() {
    let slapd = Slapd::start();
    let own = format!(
        "bind = \"external\"\nclient_certificate = {{ certificate = {:?}, key = {:?} }}",
        slapd.pki("gateway.pem"),
        slapd.pki("gateway.key")
    );
    assert_eq!(alice(&slapd, &slapd.url(), &own).await, "alice NotConfigured");
    assert_eq!(alice(&slapd, &slapd.plain_url(), &format!("{own}\nstarttls = true")).await, "alice NotConfigured");
    assert!(slapd.logged("BIND dn=\"cn=gateway,ou=services,dc=example,dc=test\" mech=EXTERNAL") >= 1);
    // A certificate of nobody whom this directory knows searches as nobody it lets read.
    let others = own.replace("gateway.pem", "alice.pem").replace("gateway.key", "alice.key");
    let answer = alice(&slapd, &slapd.url(), &others).await;
    assert!(answer.starts_with("unavailable"), "{answer}");

    // Anonymous searches are refused here: by code 50 or 48, and never "nobody".
    let answer = alice(&slapd, &slapd.url(), "bind = \"anonymous\"").await;
    assert!(answer.starts_with("unavailable"), "{answer}");

    let wrong = slapd.path("wrong");
    std::fs::write(&wrong, "not it\n").unwrap();
    let more =
        format!("bind = \"simple\"\nbind_dn = \"cn=gateway,ou=services,{SUFFIX}\"\nbind_password_file = {wrong:?}");
    let bed = slapd.asked_at(&[&slapd.url()], &more, "");
    let answer = bed.password("alice", "alice-pw").await;
    assert!(
        answer.starts_with("unavailable") && answer.contains("the gateway's own bind: invalidCredentials"),
        "{answer}"
    );
    // The secret is put right while the gateway runs.
    std::fs::write(&wrong, "Svc-Pass-1").unwrap();
    let mut answer = String::new();
    for _ in 0..500 {
        answer = bed.password("alice", "alice-pw").await;
        if !answer.starts_with("unavailable") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(answer, "alice NotConfigured");
}

/// Directories lock accounts after a few wrong passwords, the gateway's own too: one in a file is shown once.
#[tokio::test]
async fn a_refused_password_of_the_gateway_is_not_tried_again_and_again() {
    let slapd = Slapd::start();
    let file = slapd.path("wrong");
    std::fs::write(&file, "not it\n").unwrap();
    let more =
        format!("bind = \"simple\"\nbind_dn = \"cn=gateway,ou=services,{SUFFIX}\"\nbind_password_file = {file:?}");
    let bed = slapd.asked_at(&[&slapd.url()], &more, "");
    let ask = async |until: &dyn Fn(&str) -> bool| {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let answer = bed.password("alice", "alice-pw").await;
            if until(&answer) {
                return answer;
            }
            assert!(answer.starts_with("unavailable") && std::time::Instant::now() < end, "{answer}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let wrong = || slapd.logged("RESULT tag=97 err=49");
    ask(&|_| bed.0.health()[0].failures >= 4).await;
    assert_eq!(wrong(), 1);
    let answer = bed.password("alice", "alice-pw").await;
    assert!(answer.contains("the same password is not tried again for 15 min"), "{answer}");
    // Another one is.
    std::fs::write(&file, "nor this\n").unwrap();
    ask(&|_| wrong() == 2).await;
    std::fs::write(&file, "Svc-Pass-1").unwrap();
    assert_eq!(ask(&|answer| !answer.starts_with("unavailable")).await, "alice NotConfigured");
    assert_eq!(wrong(), 2);
}
