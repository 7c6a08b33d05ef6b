//! OpenLDAP's slapd beside the gateway: the bed of `tests/beds`, in the world's folder, with people of a test's own.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use demo::Issued;

use super::PATIENCE;
use super::peers::{command, run};
use super::world::World;

/// A running slapd, killed when dropped. Its people of [`Slapd::start`] are below `ou=cards,dc=example,dc=test`.
pub(crate) struct Slapd {
    config: std::path::PathBuf,
    log: std::path::PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Slapd {
    /// With these people; the world gets `pki/directory-ca.pem` and `ldap.secret`, to reach it with.
    pub(crate) fn start(world: &World, people: &str) -> Self {
        let folder = world.path("slapd");
        let beds = Path::new(env!("CARGO_MANIFEST_DIR")).join("beds");
        let making = run(Command::new(beds.join("openldap.sh")).arg("make").arg(&folder));
        assert!(making.success, "{}", making.text);
        let ou = "dn: ou=cards,dc=example,dc=test\nobjectClass: organizationalUnit\nou: cards\n\n";
        world.write("cards.ldif", format!("{ou}{people}"));
        let adding = run(command("slapadd")
            .args(["-q", "-n", "1", "-F"])
            .arg(folder.join("config"))
            .arg("-l")
            .arg(world.path("cards.ldif")));
        assert!(adding.success, "{}", adding.text);
        world.write("pki/directory-ca.pem", fs::read(folder.join("pki/ca.pem")).unwrap());
        world.write("ldap.secret", "Svc-Pass-1\n");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut slapd = Self { config: folder.join("config"), log: folder.join("slapd.log"), port, process: None };
        slapd.run();
        slapd
    }

    /// Starts it, also again, on the same port.
    pub(crate) fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(&self.log).unwrap();
        // Should this process be killed, slapd goes with it.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/slapd", "-d", "stats", "-h", &format!("{}/", self.url()), "-F"])
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < end, "slapd does not start: {}", fs::read_to_string(&self.log).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.port)
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A person in LDIF: with the password UID-pw, these attributes, and these certificates.
pub(crate) fn person(uid: &str, attributes: &[(&str, &str)], certificates: &[&Issued]) -> String {
    let mut ldif = format!(
        "dn: uid={uid},ou=cards,dc=example,dc=test\nobjectClass: inetOrgPerson\nobjectClass: cacPerson\nuid: {uid}\n\
         cn: {uid}\nsn: {uid}\nmail: {uid}@example.mil\nuserPassword: {uid}-pw\n"
    );
    for (name, value) in attributes {
        writeln!(ldif, "{name}: {value}").unwrap();
    }
    for issued in certificates {
        writeln!(ldif, "userCertificate;binary:: {}", STANDARD.encode(&issued.chain[0])).unwrap();
    }
    ldif + "\n"
}
