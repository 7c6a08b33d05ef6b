//! A Postfix of our own, beside which the gateway is measured: submissions over implicit TLS, relayed for whoever shows a
//! certificate of our CA; its queue on the disk that is measured, its limits out of the way.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::process::Process;
use crate::sink::{find, is_root};
use crate::stage::{Stage, free_address};

pub(crate) struct Postfix {
    /// Its start; master descends from it, and all others from master.
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    program: PathBuf,
    folder: PathBuf,
}

/// Until it listens.
const START: Duration = Duration::from_secs(20);

/// What stands behind smtpd. Counting clients (anvil) is off by settings.
const SERVICES: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
";

impl Postfix {
    /// Starts one that queues for the next hop, or, `inline`, hands on while the client waits (`smtpd_proxy_filter`).
    pub(crate) async fn start(stage: &Stage, name: &str, next_hop: SocketAddr, inline: bool) -> Result<Self, Failure> {
        let program = find("postfix").ok_or("there is no Postfix here")?;
        if !is_root()? {
            return Err("Postfix wants to be started by root".into());
        }
        let folder = stage.dir().join(name);
        // Its processes are other users.
        fs::set_permissions(stage.dir(), fs::Permissions::from_mode(0o755))?;
        for part in ["", "queue", "data", "etc"] {
            fs::create_dir(folder.join(part))?;
        }
        let owned = Command::new("chown").arg("postfix").arg(folder.join("data")).status()?;
        if !owned.success() {
            return Err("there is no user postfix".into());
        }
        let address = free_address()?;
        let filter = if inline { format!(" -o smtpd_proxy_filter={next_hop}") } else { String::new() };
        fs::write(folder.join("etc/master.cf"), format!("{address} inet n - n - - smtpd{filter}\n{SERVICES}"))?;
        fs::write(folder.join("etc/main.cf"), configuration(stage, &folder, next_hop))?;
        let child = Command::new(&program)
            .arg("-c")
            .arg(folder.join("etc"))
            .arg("start-fg")
            // The master ends all of its group.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut postfix = Self { process: Process(child), address, program, folder };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if postfix.process.has_ended()? || began.elapsed() > START {
                let log = fs::read_to_string(postfix.folder.join("log")).unwrap_or_default();
                return Err(format!("Postfix does not start:\n{log}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(postfix)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // What does not end so goes with the master.
        let _ = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder.join("etc"))
            .arg("stop")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn configuration(stage: &Stage, folder: &Path, next_hop: SocketAddr) -> String {
    let (pki, root) = (stage.pki().dir().display(), folder.display());
    let (host, port) = (next_hop.ip(), next_hop.port());
    format!(
        "compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = {root}
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
alias_maps =
local_transport = error:no local mail
message_size_limit = 52428800
relayhost = [{host}]:{port}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none

smtpd_tls_wrappermode = yes
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {pki}/server.key, {pki}/server.pem
smtpd_tls_CAfile = {pki}/ca.pem
smtpd_tls_req_ccert = yes
smtpd_relay_restrictions = permit_tls_all_clientcerts, reject
smtpd_recipient_restrictions =
smtpd_peername_lookup = no

# As for the gateway: all clients come from one address, and a few of them send everything.
default_process_limit = 200
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
"
    )
}
