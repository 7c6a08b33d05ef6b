//! DKIM signatures, as dkimpy verifies them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use peers::scripted::Do::*;
use peers::scripted::Scripted;
use peers::{deliver_text, domain, envelope, lines, provider};
use postern_delivery::{Courier, DkimSettings, Means, Signers};
use tempfile::TempDir;

fn key(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let made = Command::new("openssl").arg("genpkey").args(arguments).arg("-out").arg(&file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    file
}

fn settings(domains: &str, selector: &str, key: &Path) -> DkimSettings {
    toml::from_str(&format!("domains = [{domains}]\nselector = '{selector}'\nkey = '{}'", key.display())).unwrap()
}

fn courier(keys: &[DkimSettings], route: &str) -> Courier {
    let signers = Signers::new(keys).unwrap();
    let means = Means { signers: Arc::new(signers), ..Means::alone(domain("gateway.example.org"), provider()) };
    Courier::new(&[peers::settings(route)], &means).unwrap()
}

/// What the next hop gets.
async fn sent(keys: &[DkimSettings], dkim: bool, text: &str) -> String {
    let script = [peers::scripted::hello("250-rude.example\n250 SIZE 1000000")];
    let rest = vec![
        Hear("MAIL"),
        Say("250 ok"),
        Hear("RCPT"),
        Say("250 ok"),
        Hear("DATA"),
        Say("354 go"),
        HearText,
        Say("250 ok"),
    ];
    let peer = Scripted::start(vec![[script.concat(), rest].concat()]).await;
    let courier = courier(keys, &format!("hosts = ['127.0.0.1:{}']\ntls = 'none'\ndkim = {dkim}", peer.port));
    let found = lines(&deliver_text(&courier, &envelope(&["bob@example.net"]), text.as_bytes()).await);
    assert_eq!(found, ["delivered 250 ok"]);
    let heard = peer.finish().await;
    let at = |begin: &str| heard.iter().position(|line| line.starts_with(begin)).unwrap();
    let stuffed = heard[at("DATA") + 1..heard.iter().rposition(|line| line == ".").unwrap()].iter();
    let message: String = stuffed.map(|line| format!("{}\r\n", line.strip_prefix('.').unwrap_or(line))).collect();
    let size = heard[at("MAIL")].split_once("SIZE=").unwrap().1;
    // The end of a last line that has none is added on the way.
    let added = if text.ends_with("\r\n") { 0 } else { 2 };
    assert_eq!(size, (message.len() - added).to_string(), "SIZE says what comes");
    message
}

/// What dkimpy says, the records being as they are published.
fn dkimpy(message: &str, keys: &[DkimSettings], count: usize) -> Vec<bool> {
    const SCRIPT: &str = r#"
import sys, re, dkim
records = {}
for line in open(sys.argv[1]):
    name, data = line.split(" IN TXT ", 1)
    records[name] = "".join(re.findall(r'"([^"]*)"', data)).encode()
message = sys.stdin.buffer.read()
verifier = dkim.DKIM(message, minkey=1024)
for index in range(int(sys.argv[2])):
    look_up = lambda name, timeout=5: records.get(name.decode() if isinstance(name, bytes) else name)
    try:
        print(verifier.verify(idx=index, dnsfunc=look_up))
    except dkim.ValidationError:
        print(False)
"#;
    let folder = TempDir::new().unwrap();
    let zone = folder.path().join("zone");
    let records: Vec<String> = keys.iter().flat_map(|key| key.records().unwrap()).collect();
    std::fs::write(&zone, records.join("\n") + "\n").unwrap();
    let output = peers::piped(
        Command::new("/usr/bin/python3").args(["-c", SCRIPT]).arg(&zone).arg(count.to_string()),
        message.as_bytes(),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(|line| line == "True").collect()
}

const TEXT: &str = "Received: by x\r\nFrom: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject:  folded\r\n  and  spaced \r\n\
                    Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\nHello \t world  \r\n.\r\n..dots\r\n\r\n\r\n";

#[tokio::test]
async fn others_verify_what_is_signed() {
    if !peers::has("/usr/bin/dkimverify") || !peers::has("/usr/bin/openssl") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let rsa = key(folder.path(), "rsa.pem", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let ed = key(folder.path(), "ed.pem", &["-algorithm", "ED25519"]);
    let keys = [
        settings("'example.org', 'example.com'", "r1", &rsa),
        settings("'example.org'", "e1", &ed),
        settings("'example.net'", "other", &ed),
    ];
    let large = format!("From: alice@example.org\r\n\r\n{}", "0123456789 \t 0123456789\r\n".repeat(20_000));
    for text in [TEXT, "From: alice@EXAMPLE.org\r\n\r\n", "From: a@example.org\r\n\r\nno end", &large] {
        let signed = sent(&keys, true, text).await;
        let fields = signed.matches("DKIM-Signature:").count();
        assert_eq!((fields, dkimpy(&signed, &keys, 2)), (2, vec![true, true]), "{}", &signed[..signed.len().min(3000)]);
        // Whatever is changed, added or taken away shows.
        for changed in [
            signed.replacen("\r\nFrom: ", "\r\nFrom: eve@example.org\r\nFrom: ", 1),
            signed.replacen("\r\nFrom: ", "\r\nSubject: added\r\nFrom: ", 1),
            signed.replacen("\r\n\r\n", "\r\n\r\nadded\r\n", 1),
        ] {
            assert_eq!(dkimpy(&changed, &keys, 2), [false, false], "{}", &changed[..changed.len().min(3000)]);
        }
    }
    assert!(!sent(&keys, false, TEXT).await.contains("DKIM-Signature"), "a route that does not sign");
    for text in [TEXT.replace("@example.org", "@example.edu"), TEXT.replace("From:", "X:")] {
        assert!(!sent(&keys, true, &text).await.contains("DKIM-Signature"), "{text}");
    }
}

#[test]
fn keys_that_will_not_do() {
    if !peers::has("/usr/bin/openssl") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let open = key(folder.path(), "open.pem", &["-algorithm", "ED25519"]);
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let short = key(folder.path(), "short.pem", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let curve = key(folder.path(), "ec.pem", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let good = key(folder.path(), "good.pem", &["-algorithm", "ED25519"]);
    for (domains, file, says) in [
        ("'a'", open, "chmod 640"),
        ("'a'", short, "2048 bits or more"),
        ("'a'", curve, "not a key for DKIM"),
        ("'a'", folder.path().join("none.pem"), "No such file"),
        ("", good, "domains is empty"),
    ] {
        let errors = Signers::new(&[settings(domains, "s", &file)]).unwrap_err();
        assert!(errors.len() == 1 && errors[0].to_string().contains(says), "{errors:?}");
        assert!(!errors[0].to_string().contains("BEGIN"), "{errors:?}");
    }
}
