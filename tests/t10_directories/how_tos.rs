//! The four how-tos with people in OpenLDAP, 389 Directory Server and Active Directory, by the manual's own recipes: who
//! gets in, and what happens to mail while directory servers die, fall silent, come back, or were configured wrong.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use demo::{Client, ClientTls, Security, Transport};

use super::{decisions, faults, people, walk};
use crate::harness::World;
use crate::harness::peers::has;
use crate::harness::server::Server;

/// Of directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OpenLdap,
    Ds389,
    ActiveDirectory,
}

impl Kind {
    fn script(self) -> PathBuf {
        let name = match self {
            Self::OpenLdap => "openldap.sh",
            Self::Ds389 => "389ds.sh",
            Self::ActiveDirectory => "samba.sh",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("beds").join(name)
    }

    fn base(self) -> &'static str {
        match self {
            Self::OpenLdap | Self::Ds389 => "dc=example,dc=test",
            Self::ActiveDirectory => "DC=ad,DC=example,DC=test",
        }
    }

    /// The manual's recipe.
    fn recipe(self) -> String {
        let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/directories.md");
        let manual = std::fs::read_to_string(manual).unwrap();
        let name = match self {
            Self::OpenLdap | Self::Ds389 => "corporate",
            Self::ActiveDirectory => "ad",
        };
        let (_, after) = manual.split_once(&format!("```toml\n[directory.{name}]")).expect("a recipe in the manual");
        let (recipe, _) = after.split_once("```").unwrap();
        format!("[directory.{name}]{recipe}").replace(&format!("[directory.{name}"), "[directory.people")
    }
}

/// Two servers of a kind with the same people, and all that a gateway needs beside them.
pub(super) struct Beds {
    pub(super) kind: Kind,
    pub(super) world: World,
    pub(super) servers: [Server; 2],
}

impl Beds {
    async fn start(kind: Kind) -> Self {
        let world = people::world().await;
        world.write("people.ldif", people::ldif(kind, kind.base(), &world));
        let (script, ldif) = (kind.script(), world.path("people.ldif"));
        let make = |number| Server::make(&script, number, Some(&ldif));
        let mut servers = std::thread::scope(|scope| {
            let other = scope.spawn(|| make(1));
            [make(0), other.join().unwrap()]
        });
        servers.iter_mut().for_each(Server::run);
        let beds = Self { kind, world, servers };
        beds.right_ca();
        beds.right_secret();
        beds
    }

    pub(super) fn step(&self, name: &str) {
        self.servers[0].step(name);
    }

    pub(super) fn right_ca(&self) {
        let ca = |server: &Server| std::fs::read_to_string(server.info("CA")).unwrap();
        self.world.write("ldap-ca.pem", self.servers.iter().map(ca).collect::<String>());
    }

    pub(super) fn right_secret(&self) {
        self.world.write("ldap.secret", self.servers[0].info("BIND_PW").to_owned() + "\n");
    }

    /// The recipe as this site writes it: its own servers, names and files.
    fn recipe(&self) -> String {
        let urls = self.servers.each_ref().map(|server| server.info("LDAPS_URL"));
        let bind_dn = match self.kind {
            Kind::OpenLdap | Kind::Ds389 => self.servers[0].info("BIND_DN"),
            // As the recipe has it: by the name of the account.
            Kind::ActiveDirectory => "gateway@ad.example.test",
        };
        let line = |line: &str| match line.split(" = ").next() {
            Some("servers") => format!("servers = {urls:?}\n"),
            Some("ca") => "ca = \"ldap-ca.pem\"\n".to_owned(),
            Some("bind_dn") => format!("bind_dn = {bind_dn:?}\n"),
            Some("bind_password_file") => "bind_password_file = \"ldap.secret\"\n".to_owned(),
            _ => line.replace("dc=example,dc=mil", self.kind.base()) + "\n",
        };
        self.kind.recipe().lines().map(line).collect()
    }

    /// A how-to of the manual with its people in these servers; the recipe's allowance where the how-to has one.
    pub(super) fn how_to(&self, configuration: &str) -> String {
        self.with_allowance(configuration, configuration.contains("\nallowance = "))
    }

    pub(super) fn with_allowance(&self, configuration: &str, allowance: bool) -> String {
        let (before, _) = configuration.split_once("[directory.people]").unwrap();
        let (_, after) = configuration.split_once("[authentication.").unwrap();
        let recipe = self.recipe();
        let lines = recipe.lines().filter(|line| allowance || !line.starts_with("allowance"));
        let recipe: String = lines.map(|line| line.to_owned() + "\n").collect();
        crate::t03_authentication::at_home(&format!("{before}{recipe}\n[authentication.{after}"))
    }
}

/// Programs of the beds.
fn available(kind: Kind) -> bool {
    match kind {
        Kind::OpenLdap => has(&["openssl", "swaks", "slapd"]),
        Kind::Ds389 => has(&["openssl", "swaks", "ns-slapd", "certutil", "pk12util"]),
        Kind::ActiveDirectory => has(&["openssl", "swaks", "samba", "python3"]),
    }
}

/// A client whom a load balancer passes on, up to the greeting.
async fn connect(address: SocketAddr, from: &str, security: Security<'_>) -> Client {
    let mut transport = Transport::connect(address).await.unwrap();
    let header = format!("PROXY TCP4 {from} 192.0.2.25 40000 587\r\n");
    transport.send("PROXY header", header.as_bytes()).await.unwrap();
    Client::over(transport, security).await.unwrap()
}

/// A client after EHLO inside TLS, or the refusal that it met.
pub(super) async fn greeted(address: SocketAddr, from: &str, tls: &ClientTls) -> Result<Client, String> {
    let mut client = connect(address, from, Security::StartTls(tls)).await;
    client.ehlo().await.unwrap();
    client.starttls(tls).await.unwrap();
    let reply = client.ehlo().await.unwrap();
    if reply.is_positive() { Ok(client) } else { Err(reply.to_string()) }
}

/// Sends one message; the reply that decides.
pub(super) async fn send(client: &mut Client, sender: &str, subject: &str) -> String {
    for command in [format!("MAIL FROM:<{sender}>"), "RCPT TO:<somebody@example.net>".to_owned()] {
        let reply = client.command(&command).await.unwrap();
        if !reply.is_positive() {
            return reply.to_string();
        }
    }
    let message = format!("From: <{sender}>\r\nSubject: {subject}\r\n\r\nHello.\r\n");
    client.data(message.as_bytes()).await.unwrap().to_string()
}

async fn with(kind: Kind) {
    if !available(kind) {
        return;
    }
    let mut beds = Beds::start(kind).await;
    walk::all(&beds).await;
    decisions::all(&beds).await;
    faults::all(&mut beds).await;
    beds.step("done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openldap() {
    with(Kind::OpenLdap).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_server_389() {
    with(Kind::Ds389).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn active_directory() {
    with(Kind::ActiveDirectory).await;
}
