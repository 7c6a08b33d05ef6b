//! A private Postfix on a loopback port: real TLS, real DSN, real SMTPUTF8, a real mailbox.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{free_port, until_listening};

pub struct Postfix {
    pub port: u16,
    /// A port with TLS from the first octet.
    pub implicit_port: u16,
    folder: TempDir,
}

impl Postfix {
    /// `None` where it cannot run. `settings` are lines of main.cf; certificate and key are PEM files.
    pub async fn start(settings: &str, certificate: &Path, key: &Path) -> Option<Self> {
        Self::start_with(settings, certificate, key, None).await
    }

    /// The same, with the file that tells it how Cyrus SASL finds passwords.
    pub async fn start_with(settings: &str, certificate: &Path, key: &Path, sasl: Option<&str>) -> Option<Self> {
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        if !super::has("/usr/sbin/postfix") || !root {
            eprintln!("SKIPPED: a private Postfix needs postfix installed, and root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let dir = folder.path();
        let run = |program: &str, arguments: &[&str]| {
            assert!(Command::new(program).args(arguments).status().unwrap().success(), "{program} {arguments:?}");
        };
        let path = dir.to_str().unwrap();
        run("chmod", &["755", path]);
        for name in ["config", "queue", "data", "mail"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        run("chown", &["postfix", &format!("{path}/data")]);
        run("chown", &["nobody", &format!("{path}/mail")]);
        let (port, implicit_port) = (free_port(), free_port());
        fs::write(dir.join("config/main.cf"), main_cf(path, settings, certificate, key)).unwrap();
        fs::write(dir.join("config/master.cf"), master_cf(port, implicit_port)).unwrap();
        if let Some(sasl) = sasl {
            // Debian's looks nowhere else, whatever cyrus_sasl_config_path says.
            fs::create_dir(dir.join("config/sasl")).unwrap();
            fs::write(dir.join("config/sasl/smtpd.conf"), sasl).unwrap();
        }
        let config = format!("{path}/config");
        let output = Command::new("/usr/sbin/postfix").args(["-c", &config, "start"]).output().unwrap();
        assert!(output.status.success(), "postfix start: {}", String::from_utf8_lossy(&output.stderr));
        let postfix = Self { port, implicit_port, folder };
        until_listening(port).await;
        Some(postfix)
    }

    /// The mail that has come, once there are so many.
    pub async fn mail(&self, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            let new = self.folder.path().join("mail/box/new");
            let mut files: Vec<PathBuf> = fs::read_dir(new)
                .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
                .unwrap_or_default();
            if files.len() >= count {
                files.sort();
                return files
                    .iter()
                    .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned())
                    .collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the mail does not come; the log:\n{}", self.log());
    }

    pub async fn until_log(&self, text: &str) {
        self.until_log_has(text, 1).await;
    }

    pub async fn until_log_has(&self, text: &str, times: usize) {
        for _ in 0..1000 {
            if self.log().matches(text).count() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{text} is not {times} times in the log:\n{}", self.log());
    }

    /// `stop`, `start` …
    pub fn control(&self, what: &str) {
        let config = self.folder.path().join("config");
        let output = Command::new("/usr/sbin/postfix").arg("-c").arg(config).arg(what).output().unwrap();
        assert!(output.status.success(), "postfix {what}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("maillog")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let config = self.folder.path().join("config");
        let _ = Command::new("/usr/sbin/postfix").arg("-c").arg(config).arg("stop").output();
    }
}

fn main_cf(path: &str, settings: &str, certificate: &Path, key: &Path) -> String {
    format!(
        "compatibility_level = 3.6\nqueue_directory = {path}/queue\ndata_directory = {path}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         mail_owner = postfix\nsetgid_group = postdrop\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         myhostname = next.example.net\nmydestination =\nmynetworks = 127.0.0.0/8\n\
         virtual_mailbox_domains = example.net\nvirtual_mailbox_base = {path}/mail\nvirtual_mailbox_maps = static:box/\n\
         virtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
         default_transport = discard\nmaillog_file_prefixes = {path}\nmaillog_file = {path}/maillog\n\
         smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_security_level = may\nsmtpd_tls_loglevel = 1\n\
         smtputf8_enable = yes\nalias_maps =\n{settings}\n",
        certificate.display(),
        key.display(),
    )
}

fn master_cf(port: u16, implicit_port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd\n\
         127.0.0.1:{implicit_port} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\nverify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\n\
         proxymap unix - - n - - proxymap\nshowq unix n - n - - showq\nerror unix - - n - - error\n\
         retry unix - - n - - error\ndiscard unix - - n - - discard\nvirtual unix - n n - - virtual\n\
         anvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
    )
}
