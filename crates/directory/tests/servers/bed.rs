//! Real servers, each with the people of `beds/common.sh`, and directories that ask them.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_directory::{CertificateMatch, Directory, Listed, Password, PasswordMatch, Settings, Token, Tokens};

use server::{Server, until_frozen};

#[path = "../../../../tests/beds/server.rs"]
mod server;

pub(crate) const SUFFIX: &str = "dc=example,dc=test";
/// When the tests' people are asked about: erin's emergency lasts, frank's is over, heidi's ended half an hour before.
pub(crate) const NOW: &str = "2026-11-24T00:00:00Z";

pub(crate) fn beds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/beds")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits for a condition, for longer than it ever takes.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// slapd, in a folder of its own.
pub(crate) struct Slapd {
    folder: Arc<tempfile::TempDir>,
    name: String,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    process: Option<Child>,
}

/// What differs from the usual.
#[derive(Default, Clone, Copy)]
pub(crate) struct Slant {
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

impl Slapd {
    pub(crate) fn start() -> Self {
        Self::slanted(Slant::default())
    }

    pub(crate) fn slanted(slant: Slant) -> Self {
        Self::beside(&Arc::new(tempfile::tempdir().unwrap()), "slapd", slant)
    }

    /// A second server of the same authority.
    pub(crate) fn another(&self) -> Self {
        Self::beside(&self.folder, "another", Slant::default())
    }

    fn beside(folder: &Arc<tempfile::TempDir>, name: &str, slant: Slant) -> Self {
        let making = Command::new(beds().join("openldap.sh"))
            .arg("make")
            .arg(folder.path().join(name))
            .env("PKI", folder.path().join("pki"))
            .envs(slant.environment.iter().copied())
            .output()
            .unwrap();
        assert!(making.status.success(), "{}", String::from_utf8_lossy(&making.stdout));
        let (port, tls_port) = (free_port(), free_port());
        let mut slapd = Self { folder: Arc::clone(folder), name: name.to_owned(), port, tls_port, process: None };
        slapd.run();
        slapd
    }

    /// Starts it, also again on the same ports.
    pub(crate) fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("slapd.log")).unwrap();
        let urls = format!("ldap://127.0.0.1:{} ldaps://127.0.0.1:{}", self.port, self.tls_port);
        // Should this process be killed, slapd goes with it.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/slapd", "-F"])
            .arg(self.path("config"))
            .args(["-h", &urls, "-d", "stats"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let ports = [self.port, self.tls_port];
        until("slapd", || ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()));
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(&self.name).join(file)
    }

    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.folder.path().join("pki").join(file)
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Connections stay, and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
        until_frozen(&self.process.as_ref().unwrap().id().to_string());
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Lines of its log that hold this.
    pub(crate) fn logged(&self, text: &str) -> usize {
        let log = std::fs::read(self.path("slapd.log")).unwrap();
        String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn plain_url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls_port)
    }

    /// Settings that reach it by ldaps, with `more` in the table and `tables` behind it.
    pub(crate) fn settings(&self, servers: &[&str], more: &str, tables: &str) -> String {
        let secret = self.folder.path().join("secret");
        std::fs::write(&secret, "Svc-Pass-1\n").unwrap();
        let given = |key: &str| more.lines().any(|line| line.trim_start().starts_with(key));
        let mut text = format!("kind = \"ldap\"\nservers = {servers:?}\n");
        if !given("base ") {
            text.push_str(&format!("base = \"ou=people,{SUFFIX}\"\n"));
        }
        if !given("bind ") {
            text.push_str(&format!("bind_dn = \"cn=gateway,ou=services,{SUFFIX}\"\nbind_password_file = {secret:?}\n"));
        }
        if !given("ca ") {
            text.push_str(&format!("ca = {:?}\n", self.pki("ca.pem")));
        }
        format!("{text}{more}\n{tables}\n")
    }

    pub(crate) fn directory(&self, more: &str, tables: &str) -> Bed {
        self.asked_at(&[&self.url()], more, tables)
    }

    pub(crate) fn asked_at(&self, servers: &[&str], more: &str, tables: &str) -> Bed {
        Bed::new(&self.settings(servers, more, tables))
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A directory under test.
pub(crate) struct Bed(pub(crate) Arc<Directory>);

impl Bed {
    pub(crate) fn new(settings: &str) -> Self {
        let settings: Settings = toml::from_str(settings).unwrap_or_else(|error| panic!("{error}\n{settings}"));
        Self(Arc::new(Directory::open("test", &settings).unwrap()))
    }

    /// In a word or two: the user id, or what else came of it.
    pub(crate) async fn certificate(&self, values: &[(Token, &[u8])]) -> String {
        let mut tokens = Tokens::new();
        values.iter().for_each(|(token, value)| tokens.set(*token, *value));
        let answer = self.0.certificate_query(|_: &BTreeSet<Token>| tokens).await;
        match answer {
            CertificateMatch::One(person) => person.user_id,
            CertificateMatch::Nobody { why } => format!("nobody: {why}"),
            CertificateMatch::Several => "several".to_owned(),
            CertificateMatch::Unavailable(why) => format!("unavailable: {why}"),
        }
    }

    /// By common name.
    pub(crate) async fn by_name(&self, name: &str) -> String {
        self.certificate(&[(Token::CommonName, name.as_bytes())]).await
    }

    /// Asks until the server is back; all that comes before must be a temporary failure.
    pub(crate) async fn comes_back(&self, name: &str, user_id: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.by_name(name).await;
            if answer == user_id {
                return;
            }
            assert!(answer.starts_with("unavailable") && Instant::now() < end, "{answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn everybody(&self) -> Vec<Listed> {
        let mut walk = self.0.walk(None, None).await.unwrap();
        let mut people = Vec::new();
        while let Some(page) = walk.next_page().await.unwrap() {
            people.extend(page);
        }
        people
    }

    pub(crate) async fn password(&self, user: &str, password: &str) -> String {
        self.password_at(user, password, NOW).await
    }

    pub(crate) async fn password_at(&self, user: &str, password: &str, now: &str) -> String {
        told(self.0.password_query(user, &Password::new(password), now.parse().unwrap()).await)
    }

    /// Octets of salt, iterations, and what a proof would come to; each asked twice, and the same.
    pub(crate) async fn scram(&self, user: &str) -> (usize, u32, String) {
        let one = self.0.scram_query(user, NOW.parse().unwrap()).await.unwrap();
        let two = self.0.scram_query(user, NOW.parse().unwrap()).await.unwrap();
        assert_eq!(one.verifier, two.verifier, "{user}");
        (one.verifier.salt().len(), one.verifier.iterations().get(), told(one.proved))
    }

    pub(crate) async fn token(&self, user: &str) -> String {
        told(self.0.token_query(user, NOW.parse().unwrap()).await)
    }

    pub(crate) async fn presume(&self, user: &str) -> String {
        told(self.0.presume(user, NOW.parse().unwrap()).await)
    }
}

fn told(answer: PasswordMatch) -> String {
    match answer {
        PasswordMatch::Right { person, allowance } => format!("{} {allowance:?}", person.user_id),
        PasswordMatch::Wrong(why) => why.to_string(),
        PasswordMatch::Disabled => "disabled".to_owned(),
        PasswordMatch::Unavailable(why) => format!("unavailable: {why}"),
    }
}

/// A server that its family's script makes.
pub(crate) struct Family(Server);

impl Deref for Family {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Family {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl Family {
    pub(crate) fn start(script: &str) -> Self {
        let mut server = Server::make(&beds().join(script), 0, None);
        server.run();
        Self(server)
    }

    pub(crate) fn settings(&self, more: &str, tables: &str) -> String {
        let secret = self.beside("secret");
        std::fs::write(&secret, self.info("BIND_PW")).unwrap();
        let given = |key: &str| more.lines().any(|line| line.trim_start().starts_with(&format!("{key} ")));
        let mut text = "kind = \"ldap\"\n".to_owned();
        for (key, value) in [
            ("servers", format!("[{:?}]", self.info("LDAPS_URL"))),
            ("ca", format!("{:?}", self.info("CA"))),
            ("base", format!("{:?}", self.info("PEOPLE"))),
            ("bind_dn", format!("{:?}", self.info("BIND_DN"))),
            ("bind_password_file", format!("{secret:?}")),
        ] {
            let in_other_words = key.starts_with("bind") && given("bind");
            if !given(key) && !in_other_words {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        format!("{text}{more}\n{tables}\n")
    }

    pub(crate) fn directory(&self, more: &str, tables: &str) -> Bed {
        Bed::new(&self.settings(more, tables))
    }
}
