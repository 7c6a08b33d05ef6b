//! A Postfix of our own: on loopback, with its own configuration, queue and mailbox. It wants to be started by root;
//! where the tests are not, by sudo.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::peers::{self, run};
use super::until;

pub(crate) struct Postfix {
    dir: TempDir,
    port: u16,
}

/// Every service that takes a message from smtpd or sendmail to a mailbox or to a relay.
const SERVICES: &str = "cleanup unix n - n - 0 cleanup
pickup unix n - n 60 1 pickup
smtp unix - - n - - smtp
relay unix - - n - - smtp
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// False, loudly, where no Postfix can be run.
pub(crate) fn available() -> bool {
    if !peers::has(&["postfix"]) {
        return false;
    }
    let may = is_root() || run(Command::new("sudo").args(["-n", "true"])).success;
    assert!(may || std::env::var("CI").as_deref() != Ok("true"), "Postfix needs root, or sudo without a password");
    if !may {
        eprintln!("\n!!! SKIPPED: Postfix needs root, or sudo without a password\n");
    }
    may
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).text.trim() == "0"
}

fn as_root(program: &str) -> Command {
    if is_root() {
        return peers::command(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "timeout", "60", program]);
    sudo
}

impl Postfix {
    /// Starts one that takes mail for example.net and example.mil into one mailbox; `settings` are more lines of its
    /// `main.cf`, `listener` more options of its smtpd.
    pub(crate) async fn start(settings: &str, listener: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("postern-postfix-").tempdir().unwrap();
        // Its processes are other users.
        let open = run(Command::new("chmod").arg("755").arg(dir.path()));
        assert!(open.success, "{}", open.text);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let postfix = Self { dir, port };
        for folder in ["queue", "data", "mail", "etc"] {
            fs::create_dir(postfix.path(folder)).unwrap();
        }
        fs::write(
            postfix.path("etc/master.cf"),
            format!("127.0.0.1:{port} inet n - n - - smtpd {listener}\n{SERVICES}"),
        )
        .unwrap();
        postfix.configure(settings);
        for (folder, owner) in [("data", "postfix"), ("mail", "nobody")] {
            let owned = run(as_root("chown").arg(owner).arg(postfix.path(folder)));
            assert!(owned.success, "{}", owned.text);
        }
        postfix.control("start");
        until("Postfix", async || std::net::TcpStream::connect(postfix.address()).ok()).await;
        postfix
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn configure(&self, settings: &str) {
        let root = self.dir.path().display();
        let configuration = format!(
            "compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = {root}
myhostname = mx.example.net
mydestination =
inet_interfaces = 127.0.0.1
mynetworks =
alias_maps =
local_transport = error:no local mail
virtual_mailbox_domains = example.net, example.mil
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
smtpd_tls_received_header = yes
smtpd_peername_lookup = no
smtputf8_enable = yes
{settings}\n"
        );
        fs::write(self.path("etc/main.cf"), configuration).unwrap();
    }

    /// Other settings, for connections to come.
    pub(crate) fn reconfigure(&self, settings: &str) {
        self.configure(settings);
        self.control("reload");
    }

    /// Its sendmail, for a message on the standard input.
    pub(crate) fn sendmail(&self) -> Command {
        let mut command = as_root("sendmail");
        command.arg("-C").arg(self.path("etc"));
        command
    }

    fn control(&self, what: &str) {
        let said = run(as_root("postfix").arg("-c").arg(self.path("etc")).arg(what));
        assert!(said.success, "postfix {what}: {}\n{}", said.text, self.log());
    }

    /// The messages in the mailbox, in no order.
    pub(crate) fn mailbox(&self) -> Vec<PathBuf> {
        let read = |dir: &Path| fs::read_dir(dir).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
        // Absent until the first message.
        read(&self.path("mail/box/new")).unwrap_or_default()
    }

    /// The message in the mailbox that has this text in it; waits until it comes.
    pub(crate) async fn received(&self, text: &str) -> PathBuf {
        let found = async || {
            let holds = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text);
            self.mailbox().into_iter().find(holds)
        };
        until(&format!("a message with {text:?} in Postfix's mailbox"), found).await
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Postfix's log\n{}---", self.log());
        }
        run(as_root("postfix").arg("-c").arg(self.path("etc")).arg("stop"));
        // Others' files in it.
        run(as_root("rm").arg("-rf").arg(self.dir.path()));
    }
}
