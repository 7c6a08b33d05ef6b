//! A private Dovecot: LMTP on a port and on a socket, mail in Maildirs, and passwords for whoever asks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_port, until_listening};

pub struct Dovecot {
    /// LMTP.
    pub port: u16,
    process: Child,
    folder: TempDir,
}

/// With a password each; the mailbox of `full` has room for nothing.
const USERS: &str = "\
bob:{PLAIN}correct horse:65534:65534::MAIL/bob::
carol:{PLAIN}battery:65534:65534::MAIL/carol::
full:{PLAIN}staple:65534:65534::MAIL/full::userdb_quota_rule=*:bytes=10
";

impl Dovecot {
    /// `None` where it cannot run.
    pub async fn start() -> Option<Self> {
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        if !super::has("/usr/lib/dovecot/lmtp") || !root {
            eprintln!("SKIPPED: a private Dovecot needs dovecot-lmtpd installed, and root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_str().unwrap();
        let port = free_port();
        for name in ["mail", "run", "state"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for (what, arguments) in [("chmod", ["755", path]), ("chown", ["nobody", &format!("{path}/mail")])] {
            assert!(Command::new(what).args(arguments).status().unwrap().success());
        }
        fs::write(folder.path().join("users"), USERS.replace("MAIL", &format!("{path}/mail"))).unwrap();
        let file = folder.path().join("dovecot.conf");
        fs::write(&file, conf(path, port)).unwrap();
        let process = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c", file.to_str().unwrap()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let dovecot = Self { port, process, folder };
        until_listening(port).await;
        Some(dovecot)
    }

    /// Where LMTP is spoken without a port.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/lmtp")
    }

    /// Where Postfix asks for passwords.
    pub fn auth_socket(&self) -> PathBuf {
        self.folder.path().join("run/auth-postfix")
    }

    /// With a folder for each user.
    pub fn mail_folder(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    /// The texts in somebody's Maildir.
    pub fn mail(&self, user: &str) -> Vec<String> {
        let new = self.folder.path().join(format!("mail/{user}/Maildir/new"));
        let files = fs::read_dir(new).map(|entries| entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>());
        files.unwrap_or_default().iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// `doveadm` about this one.
    pub fn doveadm(&self, arguments: &[&str]) -> String {
        let output = Command::new("/usr/bin/doveadm").arg("-c").arg(self.file()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self) -> PathBuf {
        Path::new(self.folder.path()).join("dovecot.conf")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its own way of stopping takes its children along.
        let _ = Command::new("/usr/sbin/dovecot").arg("-c").arg(self.file()).arg("stop").output();
        let _ = self.process.wait();
    }
}

fn conf(path: &str, port: u16) -> String {
    format!(
        "base_dir = {path}/run\nstate_dir = {path}/state\nlog_path = {path}/log\nprotocols = lmtp\nlisten = 127.0.0.1\n\
         ssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain login scram-sha-256\n\
         auth_username_format = %n\nmail_location = maildir:~/Maildir\nfirst_valid_uid = 1\nmail_plugins = quota\n\
         hostname = store.example.net\npostmaster_address = postmaster@example.net\n\
         passdb {{\n driver = passwd-file\n args = username_format=%n {path}/users\n}}\n\
         userdb {{\n driver = passwd-file\n args = username_format=%n {path}/users\n}}\n\
         plugin {{\n quota = maildir:User quota\n quota_grace = 0\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n port = {port}\n }}\n unix_listener lmtp {{\n mode = 0666\n }}\n}}\n\
         service auth {{\n unix_listener auth-postfix {{\n mode = 0666\n }}\n}}\n\
         service stats {{\n unix_listener stats-writer {{\n mode = 0666\n }}\n}}\n"
    )
}
