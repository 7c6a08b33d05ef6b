//! What a directory server adds to a session with a client certificate: nothing asked, asked and remembered, asked each
//! time; and how fast the same server answers `ldapsearch` on one connection.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use demo::pki::ALICE;
use demo::{ClientTls, Security};

use crate::Failure;
use crate::gateway::Gateway;
use crate::process::Process;
use crate::sessions::{Round, conversation, prove_identity, run};
use crate::stage::{Stage, free_address};
use crate::statistics::{median, rate};
use crate::table::{self, Mark};

const ROUNDS: usize = 7;
const WARM_UP: Duration = Duration::from_millis(500);
/// People beside the one who logs in.
const PEOPLE: usize = 10_000;
/// Searches of one run of `ldapsearch`.
const SEARCHES: usize = 5_000;
/// Until slapd listens.
const START: Duration = Duration::from_secs(20);
/// A remembered answer may cost a twentieth of a session.
const MARK: Mark = Mark::AtLeast(0.95);

/// The listeners: what is asked of the directory, and how to call it.
const KINDS: [(&str, &str); 3] =
    [("silent", "no directory"), ("warm", "directory, remembered"), ("cold", "directory, asked each time")];

/// Measures and prints.
pub(crate) async fn measure(stage: &Stage, length: Duration) -> Result<(), Failure> {
    let slapd = Slapd::start(stage)?;
    let mut listeners = Vec::new();
    for _ in KINDS {
        listeners.push(free_address()?);
    }
    let more = configuration(&slapd, &listeners);
    let gateway = Gateway::start_with(stage, "logins", free_address()?, &more).await?;
    let tls = stage.client(ALICE.name)?;
    for address in listeners.iter().skip(1) {
        prove_identity(*address, &tls, ALICE.email).await?;
    }
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let length = if round == 0 { WARM_UP } else { length };
        let mut results = Vec::new();
        for address in &listeners {
            results.push(logins(&gateway, *address, &tls, length).await?);
        }
        let searches = slapd.searches()?;
        // The first one warms up.
        if round > 0 {
            rounds.push((results, searches));
        }
    }
    show(&rounds);
    Ok(())
}

async fn logins(gateway: &Gateway, address: SocketAddr, tls: &ClientTls, length: Duration) -> Result<Round, Failure> {
    let tls = tls.clone();
    let session = move || {
        let tls = tls.clone();
        async move { conversation(address, Security::Implicit(&tls)).await }
    };
    run(&gateway.process, session, length).await
}

/// Profiles and listeners beside those that every measurement has.
fn configuration(slapd: &Slapd, listeners: &[SocketAddr]) -> String {
    let mut text = String::new();
    for ((name, _), address) in KINDS.iter().zip(listeners) {
        let directory = if *name == "silent" { "" } else { &format!(", directory = \"{name}\"") };
        let span = if *name == "warm" { "1h" } else { "0s" };
        if *name != "silent" {
            let (url, secret) = (slapd.url(), slapd.folder.join("secret"));
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                r#"
[directory.{name}]
kind = "ldap"
servers = ["{url}"]
base = "{SUFFIX}"
bind_dn = "{ROOT}"
bind_password_file = "{secret}"
cache = {{ positive = "{span}", negative = "{span}" }}
certificate_query = {{ filter = "(employeeNumber={{edipi}})" }}
"#,
                secret = secret.display(),
            );
        }
        let _ = write!(
            text,
            r#"
[authentication.{name}]
certificate = {{ trust = "cards"{directory} }}

[[listener]]
name = "{name}"
bind = ["{address}"]
tls = "implicit"
authentication = "{name}"
default_policy = "relayed"
"#
        );
    }
    text
}

const SUFFIX: &str = "dc=example,dc=test";
const ROOT: &str = "cn=gateway,dc=example,dc=test";
const SECRET: &str = "bench-only";

/// OpenLDAP with some people, on the loopback interface.
struct Slapd {
    _process: Process,
    address: SocketAddr,
    folder: PathBuf,
}

impl Slapd {
    fn start(stage: &Stage) -> Result<Self, Failure> {
        let (folder, address) = (stage.dir().join("slapd"), free_address()?);
        fs::create_dir_all(folder.join("db"))?;
        fs::write(folder.join("secret"), SECRET)?;
        fs::write(folder.join("slapd.conf"), slapd_conf(&folder))?;
        fs::write(folder.join("people.ldif"), people())?;
        fs::write(folder.join("numbers"), numbers())?;
        let conf = folder.join("slapd.conf");
        let mut fill = Command::new("slapadd");
        fill.arg("-q").arg("-f").arg(&conf).arg("-l").arg(folder.join("people.ldif"));
        let filled = output(&mut fill, "slapadd (Debian: slapd)")?;
        if !filled.status.success() {
            return Err(format!("slapadd: {}", String::from_utf8_lossy(&filled.stderr)).into());
        }
        let child = Command::new("slapd")
            .arg("-f")
            .arg(&conf)
            .args(["-h", &format!("ldap://{address}"), "-d", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("slapd.log"))?)
            .spawn()?;
        let mut process = Process(child);
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if process.has_ended()? || began.elapsed() > START {
                return Err(format!("slapd does not start: {}", fs::read_to_string(folder.join("slapd.log"))?).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { _process: process, address, folder })
    }

    fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// Searches per second of `ldapsearch`, one after the other on one connection.
    fn searches(&self) -> Result<f64, Failure> {
        let began = Instant::now();
        let mut search = Command::new("ldapsearch");
        search.args(["-x", "-LLL", "-H", &self.url(), "-D", ROOT, "-w", SECRET, "-b", SUFFIX, "-f"]);
        search.arg(self.folder.join("numbers")).args(["(employeeNumber=%s)", "uid", "mail"]);
        let found = output(&mut search, "ldapsearch (Debian: ldap-utils)")?;
        let took = began.elapsed();
        let entries = found.stdout.windows(5).filter(|window| window == b"\nuid:").count();
        match entries == SEARCHES {
            true => Ok(rate(SEARCHES as u64, took)),
            false => Err(format!("ldapsearch found {entries} of {SEARCHES} people").into()),
        }
    }
}

fn output(command: &mut Command, what: &str) -> Result<std::process::Output, Failure> {
    command.output().map_err(|error| format!("{what}: {error}").into())
}

fn slapd_conf(folder: &Path) -> String {
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         database mdb\n\
         suffix {SUFFIX}\n\
         rootdn {ROOT}\n\
         rootpw {SECRET}\n\
         directory {}\n\
         maxsize 268435456\n\
         index employeeNumber eq\n",
        folder.join("db").display()
    )
}

fn people() -> String {
    let mut ldif =
        format!("dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n");
    let holder = (ALICE.name.to_owned(), ALICE.edipi.to_owned(), ALICE.email.to_owned());
    let bulk = (0..PEOPLE).map(|n| (format!("person{n}"), number(n), format!("person{n}@example.test")));
    for (uid, number, mail) in std::iter::once(holder).chain(bulk) {
        // Writing to a String cannot fail.
        let _ = write!(
            ldif,
            "dn: uid={uid},{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
             employeeNumber: {number}\nmail: {mail}\n\n"
        );
    }
    ldif
}

fn number(person: usize) -> String {
    format!("9{person:09}")
}

fn numbers() -> String {
    (0..SEARCHES).map(|n| number(n) + "\n").collect()
}

fn show(rounds: &[(Vec<Round>, f64)]) {
    let column = |at: usize| rounds.iter().filter_map(move |(results, _)| results.get(at));
    let searches = median(rounds.iter().map(|(_, searches)| *searches));
    let mut rows: Vec<Vec<String>> = KINDS
        .iter()
        .enumerate()
        .map(|(at, (_, name))| {
            let speed = median(column(at).map(|round| round.speed));
            let thrift = median(column(at).map(|round| round.thrift));
            // Each round against the sessions without a directory, and the searches, of the same round.
            let ratio = median(column(at).zip(column(0)).map(|(round, silent)| round.thrift / silent.thrift));
            let beside = median(column(at).zip(rounds).map(|(round, (_, searches))| round.speed / searches));
            let mark = if at == 1 { MARK.judge(ratio) } else { String::new() };
            let numbers =
                [format!("{speed:.0}"), format!("{thrift:.0}"), format!("{ratio:.2}"), format!("{beside:.2}")];
            std::iter::once((*name).to_owned()).chain(numbers).chain([mark]).collect()
        })
        .collect();
    let ldapsearch = ["ldapsearch, one connection", &format!("{searches:.0}"), "", "", "1", ""];
    rows.push(ldapsearch.map(str::to_owned).to_vec());
    table::print(
        &format!("Logins by certificate, {PEOPLE} people in slapd, medians of {ROUNDS} rounds"),
        &["", "per second", "per server CPU second", "to no directory", "to ldapsearch", "mark"],
        &rows,
    );
}
