//! The demo's folder: what is in it is documented in `docs/src/demo.md`, and stays where it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use directory::{Password, hash_password};

use super::Failure;

/// Whoever uses passwords in the demo.
pub(super) const CAROL: (&str, &str) = ("carol", "carol-password");
/// Alice has a card, so her password is not good enough.
pub(super) const ALICE: (&str, &str) = ("alice", "alice-password");

/// Where the parts listen.
pub(super) struct Ports {
    pub(super) starttls: u16,
    pub(super) implicit: u16,
    pub(super) next_hop: u16,
}

/// Says whose the folder is, and comes first: a real gateway's folder has a `postern.toml` and a `pki/ca.pem` too.
const MARK: &str = ".postern-demo";

pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, or takes one that a demo made. Others' folders are not written to.
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let foreign = match fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_some() && !dir.join(MARK).is_file(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(format!("{}: {error}", dir.display()).into()),
        };
        if foreign {
            return Err(
                format!("{} is not empty, and not a demo's: name another folder with --dir", dir.display()).into()
            );
        }
        fs::create_dir_all(dir)?;
        fs::write(dir.join(MARK), "")?;
        Ok(Self(dir.canonicalize()?))
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The people file, the configuration, and a message to play with.
    pub(super) fn write(&self, ports: &Ports) -> Result<(), Failure> {
        fs::write(self.path("people.toml"), people()?)?;
        fs::write(self.path("postern.toml"), self.configuration(ports))?;
        fs::write(self.path("message.eml"), MESSAGE)?;
        Ok(())
    }

    fn configuration(&self, ports: &Ports) -> String {
        let Ports { starttls, implicit, next_hop } = ports;
        let root = self.0.display();
        format!(
            r#"# Written by `postern demo`. Try `postern check --config` on it, or `postern run`.
hostname = "localhost"
state_dir = "{root}/state"

[tls]
certificate = "{root}/pki/server.pem"
key = "{root}/pki/server.key"

[trust.demo]
anchors = ["{root}/pki/ca.pem"]
intermediates = ["{root}/pki/issuing.pem"]

[[crl.source]]
name = "demo"
primary = "file://{root}/pki/crl.pem"
schedule = "every 2s"

[directory.people]
kind = "file"
path = "{root}/people.toml"

# Who has a card must use it: a password is for those without one, and for emergencies.
[directory.people.smtp_auth_query]
allowance = "(&(uid={{u}})(|(!(caccn=*))(cacexempt=*)(cacemergency>={{t}})))"

[authentication.card]
certificate = {{ trust = "demo", directory = "people" }}
password = {{ directory = "people", mechanisms = ["PLAIN", "LOGIN"] }}
on_missing = "fallback"
on_invalid = "reject"
on_no_match = "reject"

[policy.relayed]
access = "relay"
tls = "required"
verify_client_certificate = true
smtp_auth = "required"
sender = "own-address"

[[listener]]
name = "submission"
bind = ["127.0.0.1:{starttls}"]
tls = "starttls"
authentication = "card"
default_policy = "relayed"

[[listener]]
name = "submissions"
bind = ["127.0.0.1:{implicit}"]
tls = "implicit"
authentication = "card"
default_policy = "relayed"

# The next hop of the demo keeps what it gets in delivered/.
[[route]]
domains = ["*"]
hosts = ["127.0.0.1:{next_hop}"]
tls = "none"
"#
        )
    }

    /// Lines to paste into a shell.
    pub(super) fn paste_lines(&self, ports: &Ports) -> String {
        let Ports { starttls, implicit, .. } = ports;
        let root = shell_quoted(&self.0);
        let (carol, password) = CAROL;
        let postern = std::env::current_exe().map_or_else(|_| "postern".to_owned(), |exe| shell_quoted(&exe));
        format!(
            "Try it yourself (Ctrl-C stops the demo; everything is in {root}):

cd {root}

# with Alice's certificate, over STARTTLS
swaks --server localhost:{starttls} --tls --tls-cert pki/alice.pem --tls-key pki/alice.key \\
      --from alice@example.mil --to somebody@example.net
# with her revoked one
swaks --server localhost:{starttls} --tls --tls-cert pki/revoked.pem --tls-key pki/revoked.key \\
      --from alice@example.mil --to somebody@example.net
# without a certificate: Carol has no card and may use a password
swaks --server localhost:{starttls} --tls --auth PLAIN --auth-user {carol} --auth-password {password} \\
      --from carol@example.mil --to somebody@example.net
# with Bob's certificate, over implicit TLS
curl --url smtps://localhost:{implicit} --cacert pki/ca.pem --cert pki/bob.pem --key pki/bob.key \\
     --mail-from bob@example.mil --mail-rcpt somebody@example.net --upload-file message.eml
# by hand
openssl s_client -connect localhost:{starttls} -starttls smtp -CAfile pki/ca.pem \\
     -cert pki/alice.pem -key pki/alice.key -quiet -crlf

# what would be decided, and why
{postern} explain --config postern.toml --listener submission --client 127.0.0.1 --certificate pki/revoked.pem

Delivered messages are in delivered/, the log is postern.log."
        )
    }
}

fn people() -> Result<String, Failure> {
    let hash = |(_, password): (&str, &str)| hash_password(&Password::new(password));
    let card = |holder: demo::pki::Holder| {
        let demo::pki::Holder { name, common_name, edipi, email } = holder;
        format!(
            "[[person]]\nuser_id = \"{name}\"\naddresses = [\"{email}\"]\ncertificate = {{ edipi = \"{edipi}\" }}\n\
             attributes = {{ caccn = \"{common_name}\" }}\n"
        )
    };
    let password_only = |(user, password): (&str, &str), attributes: &str| -> Result<String, Failure> {
        Ok(format!(
            "[[person]]\nuser_id = \"{user}\"\naddresses = [\"{user}@example.mil\"]\npassword = \"{}\"\n{attributes}",
            hash((user, password))?
        ))
    };
    let next_week = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(7 * 24);
    let emergency = next_week.strftime("%Y%m%d%H%M%SZ");
    let parts = [
        "# Written by `postern demo`. Each password is the user id and \"-password\".\n\
         # Alice and Bob have cards, so a password is not good enough for them.\n"
            .to_owned(),
        card(demo::pki::ALICE),
        format!("password = \"{}\"\n\n", hash(ALICE)?),
        card(demo::pki::BOB),
        "\n# Carol has none, and may use her password.\n".to_owned(),
        password_only(CAROL, "")?,
        "\n# Dave left his card at home: until next week his password will do.\n".to_owned(),
        password_only(
            ("dave", "dave-password"),
            &format!("attributes = {{ caccn = \"POE.DAVE.D.1234567893\", cacemergency = \"{emergency}\" }}\n"),
        )?,
        "\n# Erin's device reads no cards: she is exempt.\n".to_owned(),
        password_only(
            ("erin", "erin-password"),
            "attributes = { caccn = \"MOE.ERIN.E.1234567894\", cacexempt = \"yes\" }\n",
        )?,
    ];
    Ok(parts.concat())
}

fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

const MESSAGE: &str = "From: Bob <bob@example.mil>\r\nTo: Somebody <somebody@example.net>\r\nSubject: Hello from curl\r\n\
                       \r\nSent through the front door of the Postern demo.\r\n";
