//! Postfix's smtp-sink: a real server's side of the protocol, with refusals to order.

use std::process::{Child, Command, Stdio};

use super::{free_port, until_listening};

const PROGRAM: &str = "/usr/sbin/smtp-sink";

pub struct Sink {
    pub port: u16,
    child: Child,
}

impl Sink {
    /// `None` where it is not installed.
    pub async fn start(options: &[&str]) -> Option<Self> {
        if !super::has(PROGRAM) {
            return None;
        }
        let port = free_port();
        let mut command = Command::new(PROGRAM);
        // As root it insists on another user.
        if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.args(["-u", "nobody"]);
        }
        command.args(options).arg(format!("127.0.0.1:{port}")).arg("100").stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let sink = Self { port, child };
        until_listening(port).await;
        Some(sink)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
