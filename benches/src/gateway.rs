//! The gateway as a child process, configured as it would be in earnest, but for the limits of one client.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use demo::pki::{ALICE, BOB, Holder};

use crate::Failure;
use crate::process::Process;
use crate::stage::{Stage, free_address};

pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) implicit: SocketAddr,
    pub(crate) starttls: SocketAddr,
}

/// Until it listens: an empty spool is recovered at once.
const START: Duration = Duration::from_secs(20);

impl Gateway {
    /// Starts a gateway with an empty spool of its own, in a folder of this name.
    pub(crate) async fn start(stage: &Stage, name: &str, next_hop: SocketAddr) -> Result<Self, Failure> {
        Self::start_with(stage, name, next_hop, "").await
    }

    /// The same, with more settings.
    pub(crate) async fn start_with(
        stage: &Stage,
        name: &str,
        next_hop: SocketAddr,
        more: &str,
    ) -> Result<Self, Failure> {
        let folder = stage.dir().join(name);
        fs::create_dir(&folder)?;
        let (implicit, starttls) = (free_address()?, free_address()?);
        fs::write(folder.join("people.toml"), [ALICE, BOB].map(person).concat())?;
        fs::write(folder.join("postern.toml"), configuration(stage, implicit, starttls, next_hop) + more)?;
        let log = folder.join("postern.log");
        let child = Command::new(stage.postern())
            .args(["run", "--config"])
            .arg(folder.join("postern.toml"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut gateway = Self { process: Process(child), implicit, starttls };
        gateway.wait(log).await?;
        Ok(gateway)
    }

    async fn wait(&mut self, log: PathBuf) -> Result<(), Failure> {
        let began = Instant::now();
        for address in [self.implicit, self.starttls] {
            while TcpStream::connect(address).is_err() {
                if self.process.has_ended()? || began.elapsed() > START {
                    return Err(format!("the gateway does not start:\n{}", fs::read_to_string(log)?).into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

fn person(holder: Holder) -> String {
    let Holder { name, edipi, email, .. } = holder;
    format!("[[person]]\nuser_id = \"{name}\"\naddresses = [\"{email}\"]\ncertificate = {{ edipi = \"{edipi}\" }}\n\n")
}

fn configuration(stage: &Stage, implicit: SocketAddr, starttls: SocketAddr, next_hop: SocketAddr) -> String {
    let pki = stage.pki().dir().display();
    format!(
        r#"hostname = "localhost"
state_dir = "state"

[tls]
certificate = "{pki}/server.pem"
key = "{pki}/server.key"

[trust.cards]
anchors = ["{pki}/ca.pem"]
intermediates = ["{pki}/issuing.pem"]

[[crl.source]]
name = "cards"
primary = "file://{pki}/crl.pem"
schedule = "every 4h"

[directory.people]
kind = "file"
path = "people.toml"

[authentication.card]
certificate = {{ trust = "cards", directory = "people" }}
on_missing = "reject"
on_invalid = "reject"
on_no_match = "reject"

# All clients come from one address, and a few of them send everything.
[policy.relayed]
access = "relay"
tls = "required"
verify_client_certificate = true
smtp_auth = "required"
sender = "own-address"
max_messages_per_connection = 1000000000
max_connections_per_client = 1000000000

[[listener]]
name = "submissions"
bind = ["{implicit}"]
tls = "implicit"
authentication = "card"
default_policy = "relayed"

[[listener]]
name = "submission"
bind = ["{starttls}"]
tls = "starttls"
authentication = "card"
default_policy = "relayed"

# A message that cannot be delivered is tried once while the measurement lasts.
[spool]
retry_interval = "1h"

[[route]]
domains = ["*"]
hosts = ["{next_hop}"]
tls = "none"
"#
    )
}
