//! Before a rule goes live: tried out on real clients, watched, and enforced when it is safe.

mod monitor;
mod week;

use crate::harness::peers::{Said, command, run_with_input};
use crate::harness::{Gateway, World};

pub(crate) const CONFIGURATION: &str = include_str!("postern.toml");

/// A client of the office as somebody set it up.
#[derive(Default, Clone, Copy)]
struct Client<'c> {
    subject: &'c str,
    tls: bool,
    /// `pki/NAME.pem`
    certificate: Option<&'c str>,
    /// Their password is NAME-password.
    user: Option<&'c str>,
    from: Option<&'c str>,
    to: Option<&'c str>,
}

impl Client<'_> {
    /// Submits a message, by swaks.
    fn send(&self, world: &World, gateway: &Gateway, listener: &str) -> Said {
        let mut swaks = command("swaks");
        swaks.args(["--server", "127.0.0.1", "--port", &gateway.address(listener).port().to_string()]);
        if self.tls {
            swaks.arg("--tls");
        }
        if let Some(name) = self.certificate {
            swaks.arg("--tls-cert").arg(world.path(&format!("pki/{name}.pem")));
            swaks.arg("--tls-key").arg(world.path(&format!("pki/{name}.key")));
        }
        if let Some(user) = self.user {
            swaks.args(["--auth", "PLAIN", "--auth-user", user, "--auth-password", &format!("{user}-password")]);
        }
        swaks.args(["--from", self.from.unwrap_or("printer@example.mil"), "--to"]);
        swaks.args([self.to.unwrap_or("somebody@example.net"), "--data", "-"]);
        run_with_input(&mut swaks, &format!("Subject: {}\n\nHello.\n", self.subject))
    }
}

/// Without what is only tried out.
fn enforced(configuration: &str) -> String {
    let lines = configuration.lines().filter(|line| !line.starts_with("monitor = "));
    lines.fold(String::new(), |text, line| text + line + "\n").replace(", on_not_allowed = \"monitor\"", "")
}

fn reload(world: &World, gateway: &Gateway, configuration: &str) {
    world.configure(configuration);
    let before = gateway.log_length();
    gateway.signal("HUP");
    gateway.wait_for_log_after(before, "the reload", |line| line["message"] == "the new configuration is in use");
}
