//! A private Exim. Debian has one mail server at a time installed, so `./test` unpacks this one beside them, and it sees a
//! user of its own that the machine does not have.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{free_port, until_listening};

pub struct Exim {
    pub port: u16,
    process: Child,
    folder: TempDir,
}

/// Where it is unpacked.
fn binary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/sbin/exim4")
}

impl Exim {
    /// `None` where it cannot run.
    pub async fn start() -> Option<Self> {
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let binary = binary();
        if !super::has(binary.to_str().unwrap()) || !root {
            eprintln!("SKIPPED: a private Exim needs ./test to have unpacked it, and root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_str().unwrap();
        let port = free_port();
        for name in ["spool", "mail", "log"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("conf"), conf(path, &binary.canonicalize().unwrap(), port)).unwrap();
        for (name, line) in [("passwd", "Debian-exim:x:65534:65534::/:/bin/false"), ("group", "Debian-exim:x:65534:")] {
            let known = fs::read_to_string(format!("/etc/{name}")).unwrap();
            fs::write(folder.path().join(name), format!("{}\n{line}\n", known.trim_end())).unwrap();
        }
        for folder in ["spool", "mail", "log"] {
            assert!(Command::new("chown").args(["nobody", &format!("{path}/{folder}")]).status().unwrap().success());
        }
        assert!(Command::new("chmod").args(["755", path]).status().unwrap().success());
        let start =
            "mount --bind passwd /etc/passwd && mount --bind group /etc/group && exec \"$0\" -C \"$PWD/conf\" -bdf";
        let process = Command::new("unshare")
            .args(["-m", "sh", "-c", start])
            .arg(binary.canonicalize().unwrap())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let exim = Self { port, process, folder };
        until_listening(port).await;
        Some(exim)
    }

    /// The mail that has come, once there are so many.
    pub async fn mail(&self, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            let files = fs::read_dir(self.folder.path().join("mail/box/new"));
            let files: Vec<PathBuf> =
                files.map(|files| files.map(|file| file.unwrap().path()).collect()).unwrap_or_default();
            if files.len() >= count {
                return files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the mail does not come; the log:\n{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log/mainlog")).unwrap_or_default()
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn conf(path: &str, binary: &Path, port: u16) -> String {
    format!(
        "exim_path = {}\nexim_user = nobody\nexim_group = nogroup\nprimary_hostname = exim.example.net\n\
         spool_directory = {path}/spool\nlog_file_path = {path}/log/%slog\npid_file_path = {path}/pid\n\
         local_interfaces = 127.0.0.1\ndaemon_smtp_ports = {port}\nkeep_environment =\nhost_lookup =\n\
         acl_smtp_rcpt = check\nacl_smtp_data = accept\nsmtputf8_advertise_hosts = *\ndsn_advertise_hosts = *\n\
         begin acl\ncheck:\n deny local_parts = bad\n  message = 5.1.1 nobody\n defer local_parts = busy\n  message = 4.2.1 busy\n accept\n\
         begin routers\nbox:\n driver = accept\n transport = box\n\
         begin transports\nbox:\n driver = appendfile\n directory = {path}/mail/box\n maildir_format\n create_directory\n\
          user = nobody\n group = nogroup\n envelope_to_add\n",
        binary.display()
    )
}
