//! Where mail stays: Dovecot by LMTP, and Maildirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use peers::dovecot::Dovecot;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use peers::{courier, deliver, deliver_text, envelope, line, lines};

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

/// What Python's standard library finds in a Maildir: each message's fields and text.
fn read_by_python(maildir: &Path) -> String {
    let script = "import mailbox, sys\nfor message in mailbox.Maildir(sys.argv[1], create=False):\n \
                  print(message['Return-Path'], message['Delivered-To'], message['Subject'], \
                  repr(message.get_payload(decode=True)))";
    let output = Command::new("python3").args(["-c", script]).arg(maildir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_maildir_for_each_recipient() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("mail");
    let path = format!("path = '{}/{{domain}}/{{local}}'", at.display());
    let making = courier(&format!("maildir = {{ {path}, create = true, subaddress = '+' }}"));
    let all = ["Bob@Example.NET", "carol+lists@example.net", "\"../../bob\"@example.net", "\".\"@example.net"];
    for _ in 0..2 {
        let found = lines(&deliver(&making, &envelope(&all)).await);
        for (line, begins) in found.iter().zip(["delivered 250 2.0.0", "delivered 250", "failed 5.1.3", "failed 5.1.3"])
        {
            assert!(line.starts_with(begins), "{found:?}");
        }
        assert!(found[0].ends_with(" for good"), "{found:?}");
    }
    assert_eq!((count(folder.path()), count(&at), count(&at.join("example.net"))), (1, 1, 2));
    let bob = at.join("example.net/bob");
    let read = read_by_python(&bob);
    let expected = "<alice@example.org> Bob@Example.NET test b'Hello\\n.\\n..two\\nend\\n'\n";
    assert_eq!(read, expected.repeat(2));
    assert!(read_by_python(&at.join("example.net/carol")).contains("carol+lists@example.net"));
    assert_eq!((count(&bob.join("tmp")), count(&bob.join("new")), count(&bob.join("cur"))), (0, 2, 0));
    for entry in fs::read_dir(bob.join("new")).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.file_name().to_str().unwrap().ends_with(".gateway.example.org"), "{entry:?}");
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(entry.path()).unwrap().contains('\r'));
    }
    // Nobody makes one for whom there is none; one that is broken holds the mail up, and nothing is left of the attempt.
    let keeping = courier(&format!("maildir = {{ {path} }}"));
    fs::remove_dir(bob.join("cur")).unwrap();
    fs::remove_dir_all(at.join("example.net/carol/new")).unwrap();
    let found =
        lines(&deliver(&keeping, &envelope(&["bob@example.net", "carol@example.net", "dave@example.net"])).await);
    for (line, begins) in found.iter().zip(["delivered 250", "deferred 4.2.0", "deferred 4.2.0"]) {
        assert!(line.starts_with(begins) && !line.contains(folder.path().to_str().unwrap()), "{found:?}");
    }
    assert_eq!((count(&at.join("example.net")), count(&at.join("example.net/carol/tmp"))), (2, 0));
}

#[tokio::test]
async fn dovecot_reads_what_a_maildir_got() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let path = format!("{}/{{local}}/Maildir", dovecot.mail_folder().display());
    let courier = courier(&format!("maildir = {{ path = '{path}', create = true }}"));
    let text = "Subject: large\r\n\r\n".to_owned() + &"0123456789012345678901234567890123456789\r\n".repeat(50_000);
    let found = line(&deliver_text(&courier, &envelope(&["bob@example.net"]), text.as_bytes()).await[0]);
    assert!(found.starts_with("delivered"), "{found}");
    let owned = Command::new("chown").args(["-R", "nobody"]).arg(dovecot.mail_folder()).status().unwrap();
    assert!(owned.success());
    let seen =
        dovecot.doveadm(&["fetch", "-u", "bob", "hdr.subject hdr.delivered-to size.virtual", "mailbox", "INBOX"]);
    let fields = "Return-Path: <alice@example.org>\r\nDelivered-To: bob@example.net\r\n";
    assert!(seen.contains("large") && seen.contains("bob@example.net"), "{seen}");
    assert!(seen.contains(&(text.len() + fields.len()).to_string()), "{seen}");
}
