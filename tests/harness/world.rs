//! A temporary folder with all that a gateway needs: a PKI, people, a configuration; and a next hop beside it.
//!
//! Configurations are those an administrator would write. Two things in them are exchanged before they are used:
//! `127.0.0.1:2525` becomes the next hop's address, and listeners bind port 0 and say in the log which one they got.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use demo::ca::crl_pem;
use demo::pki::{ALICE, BOB, Holder};
use demo::{Ca, ClientTls, Identity, Issued, KeyKind, NextHop, Revoked, Template, TlsVersions};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::Gateway;
use super::delivered::Delivered;
use super::{PATIENCE, until};

/// What stands in configurations for the next hop's address.
pub(crate) const NEXT_HOP: &str = "127.0.0.1:2525";

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) struct World {
    /// Dropped last: the next hop writes into it.
    pub(crate) next_hop: NextHop,
    pub(crate) root: Ca,
    pub(crate) issuing: Ca,
    dir: TempDir,
}

/// A card as the demo's people have them.
pub(crate) fn card(holder: Holder) -> Template {
    Template::cac(holder.common_name, holder.email)
}

impl World {
    /// With `people.toml`, `pki/ca.pem`, `issuing.pem`, `crl.pem`, `server.*`, `alice.*`, `bob.*`, as in a demo's folder.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("postern-test-").tempdir().unwrap();
        fs::create_dir(dir.path().join("pki")).unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let next_hop = NextHop::start(&dir.path().join("delivered"), anywhere).await.unwrap();
        let root = Ca::new("Test Root CA").unwrap();
        let issuing = root.subordinate("Test ID CA-1").unwrap();
        let world = Self { next_hop, root, issuing, dir };
        world.write("pki/ca.pem", world.root.certificate_pem());
        world.write("pki/issuing.pem", world.issuing.certificate_pem());
        world.write("pki/issuing.key", world.issuing.key().private_pem());
        world.issue("server", &Template::server());
        world.issue("alice", &card(ALICE));
        world.issue("bob", &card(BOB));
        world.revoke(&[]);
        world.write("people.toml", include_str!("people.toml"));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, over what is there, in one step as a careful administrator does.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let partial = self.path(&format!("{name}.new"));
        fs::write(&partial, content).unwrap();
        fs::rename(&partial, self.path(name)).unwrap();
    }

    /// Issues `pki/NAME.pem` and `pki/NAME.key`.
    pub(crate) fn issue(&self, name: &str, template: &Template) -> Issued {
        let issued = self.issuing.issue(template).unwrap();
        self.keep(name, &issued);
        issued
    }

    /// Writes `pki/NAME.pem` and `pki/NAME.key`.
    pub(crate) fn keep(&self, name: &str, issued: &Issued) {
        self.write(&format!("pki/{name}.pem"), issued.chain_pem());
        self.write(&format!("pki/{name}.key"), issued.key.private_pem());
    }

    /// `pki/issuing.key`, for a responder that answers in the CA's name.
    pub(crate) fn issuing_key(&self) {
        self.write("pki/issuing.key", self.issuing.key().private_pem());
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// A new `pki/crl.pem`, of both CAs; of the issuing CA's certificates these are revoked.
    pub(crate) fn revoke(&self, revoked: &[&Issued]) {
        let revoked: Vec<Revoked> = revoked
            .iter()
            .map(|issued| Revoked {
                serial: issued.serial.clone(),
                at: SystemTime::now() - HOUR,
                reason: Some(demo::ca::KEY_COMPROMISE),
            })
            .collect();
        // Not older than the one before: its number is made of its time, and an older list is a replay.
        let (from, to) = (SystemTime::now(), SystemTime::now() + 24 * HOUR);
        let crls = [self.issuing.crl(&revoked, from, to).unwrap(), self.root.crl(&[], from, to).unwrap()];
        self.write("pki/crl.pem", crls.iter().map(crl_pem).collect::<String>());
    }

    /// The identity of `pki/NAME.pem` and `pki/NAME.key`.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let chain = CertificateDer::pem_file_iter(self.path(&format!("pki/{name}.pem"))).unwrap();
        Identity {
            chain: chain.collect::<Result<_, _>>().unwrap(),
            key: PrivateKeyDer::from_pem_file(self.path(&format!("pki/{name}.key"))).unwrap(),
        }
    }

    /// TLS with the certificate of this name, or none.
    pub(crate) fn tls(&self, certificate: Option<&str>) -> ClientTls {
        self.tls_as(certificate.map(|name| self.identity(name)), TlsVersions::Both)
    }

    /// TLS with this identity.
    pub(crate) fn tls_as(&self, identity: Option<Identity>, versions: TlsVersions) -> ClientTls {
        ClientTls::new(self.root.certificate().clone(), identity, versions).unwrap()
    }

    /// Writes `postern.toml`. All clients of a test come from one network, and try wrong passwords as nobody does: where
    /// that is not what is tested, they never wait.
    pub(crate) fn configure(&self, configuration: &str) -> PathBuf {
        let mut configuration = configuration.replace(NEXT_HOP, &self.next_hop.address().to_string());
        if !configuration.contains("failed_logins") {
            configuration.push_str("\n[limits.failed_logins]\nexempt = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"::1\"]\n");
        }
        self.write("postern.toml", configuration);
        self.path("postern.toml")
    }

    /// Writes `postern.toml` and starts the gateway on it.
    pub(crate) fn start(&self, configuration: &str) -> Gateway {
        let listeners = listeners(configuration);
        Gateway::start(&self.configure(configuration), &listeners)
    }

    /// The message at the next hop that has this text in it.
    pub(crate) async fn delivered(&self, text: &str) -> Delivered {
        let path = self.next_hop.wait_for(text, PATIENCE).await;
        Delivered::read(&path.unwrap_or_else(|| panic!("no message with {text:?} came to the next hop")))
    }

    /// Everything at the next hop so far.
    pub(crate) async fn all_delivered(&self) -> Vec<Delivered> {
        self.next_hop.messages().await.unwrap().iter().map(|path| Delivered::read(path)).collect()
    }

    /// Waits until there are so many messages at the next hop.
    pub(crate) async fn delivered_so_many(&self, count: usize) {
        let enough = async || (self.next_hop.messages().await.unwrap().len() >= count).then_some(());
        until(&format!("{count} messages at the next hop"), enough).await;
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The names of the listeners in a configuration.
pub(crate) fn listeners(configuration: &str) -> Vec<String> {
    let after = configuration.split("[[listener]]").skip(1);
    let name = |table: &str| table.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim().to_owned();
    after.map(|table| name(table).trim_matches('"').to_owned()).collect()
}

/// Keys by the names that tests and tables use.
pub(crate) const KEYS: [(&str, KeyKind); 5] = [
    ("rsa-2048", KeyKind::Rsa2048),
    ("p-256", KeyKind::EcdsaP256),
    ("p-384", KeyKind::EcdsaP384),
    ("p-521", KeyKind::EcdsaP521),
    ("ed25519", KeyKind::Ed25519),
];
