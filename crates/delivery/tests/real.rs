//! Against Postfix: its server, and its smtp-sink.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use demo::Pki;
use peers::postfix::Postfix;
use peers::sink::Sink;
use peers::{MESSAGE, deliver, deliver_text, envelope, line, lines};
use postern_delivery::Courier;
use tempfile::TempDir;

/// A busy machine is no fault of Postfix's: these routes wait for it.
fn courier(toml: &str) -> Courier {
    peers::courier(&format!("{toml}\ntimeouts = {{ attempt = '2m' }}"))
}

fn clear(ports: &[u16]) -> Courier {
    let hosts: Vec<String> = ports.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
    courier(&format!("hosts = [{}]\ntls = 'none'", hosts.join(", ")))
}

#[tokio::test]
async fn a_sink_takes_thousands_over_few_connections() {
    let Some(sink) = Sink::start(&[]).await else { return };
    let courier = clear(&[sink.port]);
    for _ in 0..1000 {
        assert!(lines(&deliver(&courier, &envelope(&["bob@example.net"])).await)[0].starts_with("delivered 250"));
    }
    let counters = courier.counters();
    assert_eq!((counters.connections, counters.reused), (10, 990), "100 messages over each connection");
}

#[tokio::test]
async fn a_connection_is_left_when_its_time_is_over() {
    let Some(sink) = Sink::start(&[]).await else { return };
    let hosts = format!("hosts = ['127.0.0.1:{}']\ntls = 'none'\nmax_time_per_connection = '0s'", sink.port);
    let courier = courier(&hosts);
    for _ in 0..3 {
        assert!(lines(&deliver(&courier, &envelope(&["bob@example.net"])).await)[0].starts_with("delivered 250"));
    }
    assert_eq!((courier.counters().connections, courier.counters().reused), (3, 0));
}

#[tokio::test]
async fn many_recipients_in_transactions_of_a_hundred() {
    let Some(sink) = Sink::start(&[]).await else { return };
    let courier = clear(&[sink.port]);
    let recipients: Vec<String> = (0..1234).map(|number| format!("user{number}@example.net")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let outcomes = deliver(&courier, &envelope(&recipients)).await;
    assert!(outcomes.iter().all(|outcome| line(outcome).starts_with("delivered")));
    assert_eq!((courier.counters().connections, courier.counters().reused), (1, 12));
}

#[tokio::test]
async fn a_sink_without_extensions() {
    // No ESMTP at all; and no pipelining.
    for options in [&["-e"][..], &["-p"]] {
        let Some(sink) = Sink::start(options).await else { return };
        let outcomes = deliver(&clear(&[sink.port]), &envelope(&["a@example.net", "b@example.net"])).await;
        assert!(lines(&outcomes).iter().all(|line| line.starts_with("delivered")), "{options:?}: {outcomes:?}");
    }
}

#[tokio::test]
async fn refusals_at_each_command() {
    // -r: 4xx replies, -f: 5xx replies, -q: disconnect, at the named command.
    for (command, reply) in [("mail", "MAIL FROM"), ("rcpt", "RCPT TO"), ("data", "DATA"), (".", "end of DATA")] {
        for (option, expected) in [("-r", "deferred 4."), ("-f", "failed 5.")] {
            let Some(sink) = Sink::start(&[option, command]).await else { return };
            let found = line(&deliver(&clear(&[sink.port]), &envelope(&["bob@example.net"])).await[0]);
            assert!(
                found.starts_with(expected) && found.contains(&format!("in reply to {reply}")),
                "{option} {command}: {found}"
            );
        }
        let Some(sink) = Sink::start(&["-q", command]).await else { return };
        let found = line(&deliver(&clear(&[sink.port]), &envelope(&["bob@example.net"])).await[0]);
        assert!(found.starts_with("deferred 4."), "-q {command}: {found}");
    }
}

#[tokio::test]
async fn a_large_message_streams() {
    let Some(sink) = Sink::start(&[]).await else { return };
    let text = "Subject: large\r\n\r\n".to_owned() + &"0123456789012345678901234567890123456789\r\n".repeat(1_000_000);
    let outcomes = deliver_text(&clear(&[sink.port]), &envelope(&["bob@example.net"]), text.as_bytes()).await;
    assert!(lines(&outcomes)[0].starts_with("delivered"), "{outcomes:?}");
}

/// Postfix with the demo's server certificate.
async fn postfix(settings: &str) -> Option<(Postfix, Pki, TempDir)> {
    let folder = TempDir::new().unwrap();
    let pki = Pki::create(folder.path()).unwrap();
    let postfix = Postfix::start(settings, &pki.path("server.pem"), &pki.path("server.key")).await?;
    Some((postfix, pki, folder))
}

#[tokio::test]
async fn postfix_takes_mail_over_verified_tls_and_files_it_unchanged() {
    let Some((postfix, pki, _folder)) = postfix("smtpd_tls_security_level = encrypt").await else { return };
    let ca = pki.path("ca.pem");
    let verified = courier(&format!("hosts = ['localhost:{}']\ntls = 'verify'\nca = '{}'", postfix.port, ca.display()));
    for _ in 0..2 {
        let found = lines(&deliver(&verified, &envelope(&["bob@example.net"])).await);
        assert!(found[0].starts_with("delivered 250 2.0.0 Ok: queued"), "{found:?}");
    }
    assert_eq!(verified.counters().reused, 1);
    let implicit = format!(
        "hosts = ['127.0.0.1:{}']\ntls = 'verify'\nimplicit_tls = true\nca = '{}'",
        postfix.implicit_port,
        ca.display()
    );
    let found = lines(&deliver(&courier(&implicit), &envelope(&["bob@example.net"])).await);
    assert!(found[0].starts_with("delivered"), "{found:?}");
    let mail = postfix.mail(3).await;
    // Postfix adds to the header, and leaves the body alone.
    let text = MESSAGE.replace("\r\n", "\n").replace("Subject: test", "");
    assert!(mail.iter().all(|mail| mail.ends_with(&text) && mail.contains("Subject: test")), "{mail:?}");
    assert!(postfix.log().contains("TLSv1.3"), "{}", postfix.log());
}

#[tokio::test]
async fn postfix_with_a_certificate_that_is_not_trusted_gets_nothing() {
    let Some((postfix, pki, _folder)) = postfix("").await else { return };
    let deferred = [
        // Another authority; the right one and another name; the system's authorities.
        format!(
            "hosts = ['localhost:{}']\ntls = 'verify'\nca = '{}'",
            postfix.port,
            pki.path("stranger-ca.pem").display()
        ),
        format!("hosts = ['127.0.0.2:{}']\ntls = 'verify'\nca = '{}'", postfix.port, pki.path("ca.pem").display()),
        format!("hosts = ['localhost:{}']\ntls = 'verify'", postfix.port),
    ];
    for toml in &deferred[..] {
        // Without authorities on this system there is nothing to test in the last.
        let Ok(courier) = postern_delivery::Courier::new(&[peers::settings(toml)], &peers::means()) else {
            continue;
        };
        let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
        assert!(found.starts_with("deferred 4."), "{toml}: {found}");
    }
    for mode in ["may", "require"] {
        let courier = courier(&format!("hosts = ['localhost:{}']\ntls = '{mode}'", postfix.port));
        let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
        assert!(found.starts_with("delivered"), "{mode}: {found}");
    }
    postfix.until_log_has("Anonymous TLS connection established", 2).await;
}

#[tokio::test]
async fn postfix_speaks_tls_1_2() {
    let Some((postfix, pki, _folder)) =
        postfix("smtpd_tls_mandatory_protocols = TLSv1.2\nsmtpd_tls_protocols = TLSv1.2").await
    else {
        return;
    };
    let courier = courier(&format!(
        "hosts = ['localhost:{}']\ntls = 'verify'\nca = '{}'",
        postfix.port,
        pki.path("ca.pem").display()
    ));
    let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
    assert!(found.starts_with("delivered"), "{found}");
    postfix.until_log("TLSv1.2").await;
}

#[tokio::test]
async fn postfix_refuses_and_is_understood() {
    let settings = "smtpd_recipient_restrictions = check_recipient_access inline:{ { bad@example.net = 550 5.1.1 nobody } \
                    { busy@example.net = 450 4.2.1 busy } }, permit_mynetworks, reject\nmessage_size_limit = 100000";
    let Some((postfix, _pki, _folder)) = postfix(settings).await else { return };
    let courier = clear(&[postfix.port]);
    let outcomes = deliver(&courier, &envelope(&["bad@example.net", "bob@example.net", "busy@example.net"])).await;
    let found = lines(&outcomes);
    assert!(found[0].starts_with("failed 5.1.1"), "{found:?}");
    assert!(found[1].starts_with("delivered 250"), "{found:?}");
    assert!(found[2].starts_with("deferred 4.2.1"), "{found:?}");
    let large = deliver_text(&courier, &envelope(&["bob@example.net"]), &vec![b'x'; 200_000]).await;
    assert!(line(&large[0]).starts_with("failed 5.3.4"), "{large:?}");
    assert_eq!(postfix.mail(1).await.len(), 1);
}

#[tokio::test]
async fn postfix_takes_international_mail_and_dsn_parameters() {
    let Some((postfix, _pki, _folder)) = postfix("").await else { return };
    let mut envelope = envelope(&["jörg@example.net"]);
    envelope.smtputf8 = true;
    envelope.body = protocol::Body::EightBitMime;
    envelope.envid = Some("Q+3D1".parse().unwrap());
    envelope.ret = Some(protocol::Return::Full);
    envelope.recipients[0].notify = Some(protocol::Notify { success: true, failure: false, delay: false });
    envelope.recipients[0].original = Some("rfc822;old@example.net".parse().unwrap());
    let found =
        line(&deliver_text(&clear(&[postfix.port]), &envelope, "Subject: Größe\r\n\r\nÄ\r\n".as_bytes()).await[0]);
    assert!(found.starts_with("delivered") && found.ends_with(" dsn"), "{found}");
    let mail = postfix.mail(1).await;
    assert!(mail[0].contains("Subject: Größe") && mail[0].contains("Delivered-To: jörg@example.net"), "{}", mail[0]);
    // Success was asked for, and it is Postfix that tells of it.
    postfix.until_log("sender delivery status notification").await;
}

#[tokio::test]
async fn exim_takes_mail_refuses_and_is_understood() {
    let Some(exim) = peers::exim::Exim::start().await else { return };
    let courier = clear(&[exim.port]);
    let found = lines(&deliver(&courier, &envelope(&["bad@example.net", "bob@example.net", "busy@example.net"])).await);
    for (line, begins) in found.iter().zip(["failed 5.1.1", "delivered 250", "deferred 4.2.1"]) {
        assert!(line.starts_with(begins), "{found:?}\n{}", exim.log());
    }
    let mut international = envelope(&["jörg@example.net"]);
    (international.smtputf8, international.body) = (true, protocol::Body::EightBitMime);
    let text = "Subject: Größe\r\n\r\nÄ\r\n.\r\n..two\r\n";
    let found = line(&deliver_text(&courier, &international, text.as_bytes()).await[0]);
    assert!(found.starts_with("delivered"), "{found}\n{}", exim.log());
    assert_eq!((courier.counters().connections, courier.counters().reused), (1, 1));
    let mail = exim.mail(2).await;
    let ends = |text: &str| mail.iter().any(|mail| mail.ends_with(text));
    assert!(ends("\n\nHello\n.\n..two\nend\n") && ends("\n\nÄ\n.\n..two\n"), "{mail:?}");
}
