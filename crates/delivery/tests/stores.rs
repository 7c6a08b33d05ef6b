//! Where mail stays: Dovecot by LMTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use peers::dovecot::Dovecot;
use peers::{courier, deliver, deliver_text, envelope, lines};

const WAIT: &str = "timeouts = { attempt = '2m' }";

#[tokio::test]
async fn dovecot_answers_for_each_recipient() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let courier = courier(&format!("hosts = ['127.0.0.1:{}']\nprotocol = 'lmtp'\ntls = 'none'\n{WAIT}", dovecot.port));
    let all = ["bob@example.net", "full@example.net", "nobody@example.net", "carol@example.net"];
    let found = lines(&deliver(&courier, &envelope(&all)).await);
    for (line, begins) in found.iter().zip(["delivered 250 2.0.0", "failed 5.2.2", "failed 5.1.1", "delivered 250"]) {
        assert!(line.starts_with(begins), "{found:?}\n{}", dovecot.log());
    }
    assert!(found[0].ends_with(" for good"), "RFC 3464 section 2.3.3: delivered, not relayed: {found:?}");
    assert!(found[1].contains("in reply to end of DATA") && found[2].contains("in reply to RCPT TO"), "{found:?}");
    // The connection goes on after replies of both kinds.
    assert!(lines(&deliver(&courier, &envelope(&["carol@example.net"])).await)[0].starts_with("delivered"));
    assert_eq!((courier.counters().connections, courier.counters().reused), (1, 1));
    assert_eq!((dovecot.mail("bob").len(), dovecot.mail("full").len(), dovecot.mail("carol").len()), (1, 0, 2));
    let mail = &dovecot.mail("bob")[0];
    assert!(mail.starts_with("Return-Path: <alice@example.org>") && mail.ends_with("Hello\n.\n..two\nend\n"), "{mail}");
    // As an IMAP server shows it.
    let seen = dovecot.doveadm(&["fetch", "-u", "bob", "hdr.subject", "mailbox", "INBOX"]);
    assert!(seen.contains("test"), "{seen}");
}

#[tokio::test]
async fn dovecot_takes_large_messages() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let courier = courier(&format!("hosts = ['127.0.0.1:{}']\nprotocol = 'lmtp'\ntls = 'none'\n{WAIT}", dovecot.port));
    let text = "Subject: large\r\n\r\n".to_owned() + &"0123456789012345678901234567890123456789\r\n".repeat(500_000);
    let found =
        lines(&deliver_text(&courier, &envelope(&["bob@example.net", "carol@example.net"]), text.as_bytes()).await);
    assert!(found.iter().all(|line| line.starts_with("delivered")), "{found:?}");
}
