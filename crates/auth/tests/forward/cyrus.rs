//! A Postfix that asks for passwords: Cyrus SASL over a database of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use demo::Pki;
use tempfile::TempDir;

use crate::has;
use crate::postfix::Postfix;

const SASLPASSWD: &str = "/usr/sbin/saslpasswd2";

/// With its users and the demo's PKI.
pub(crate) struct Cyrus {
    pub(crate) postfix: Postfix,
    pub(crate) pki: Pki,
    folder: TempDir,
}

impl Cyrus {
    /// `None` where it cannot run. Everybody is of example.org.
    pub(crate) async fn start(users: &[(&str, &str)], settings: &str) -> Option<Self> {
        Self::start_as("server", users, settings).await
    }

    /// With this certificate of the demo's.
    pub(crate) async fn start_as(certificate: &str, users: &[(&str, &str)], settings: &str) -> Option<Self> {
        if !has(SASLPASSWD) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let dir = folder.path();
        let pki = Pki::create(dir).unwrap();
        for (user, password) in users {
            add(dir, user, password);
        }
        let database = dir.join("sasldb2");
        let sasl = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN CRAM-MD5\n",
            database.display()
        );
        // Its processes are other users.
        let open = Command::new("chmod").args(["-R", "a+rX"]).arg(dir).status().unwrap();
        assert!(open.success());
        let settings = format!(
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_path = smtpd\n\
             smtpd_sasl_local_domain = example.org\nsmtpd_tls_auth_only = yes\n\
             smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = {}\nsmtpd_tls_received_header = yes\n{settings}",
            pki.path("ca.pem").display(),
        );
        let [certificate, key] = ["pem", "key"].map(|kind| pki.path(&format!("{certificate}.{kind}")));
        let postfix = Postfix::start_with(&settings, &certificate, &key, Some(&sasl)).await?;
        Some(Self { postfix, pki, folder })
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.pki.path(name).display().to_string()
    }
}

fn add(dir: &Path, user: &str, password: &str) {
    let mut child = Command::new(SASLPASSWD)
        .arg("-f")
        .arg(dir.join("sasldb2"))
        .args(["-c", "-p", "-u", "example.org", "--", user])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{user}");
}
