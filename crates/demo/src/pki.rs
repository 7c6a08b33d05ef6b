//! A throw-away PKI as a folder of files. The layout is stable, so that other programs can be pointed at it:
//!
//! | file | what |
//! | --- | --- |
//! | `ca.pem` `ca.key` | the root CA: the trust anchor |
//! | `issuing.pem` `issuing.key` | the issuing CA below it, which issued everything that follows |
//! | `crl.pem` | the CRLs of both, good for 30 days |
//! | `server.pem` `server.key` | for `localhost`, `127.0.0.1`, `::1` |
//! | `alice.pem` `alice.key` | a good client certificate, [`ALICE`]'s |
//! | `bob.pem` `bob.key` | another, [`BOB`]'s, with an RSA key |
//! | `expired.pem` `expired.key` | Bob's former card, which ended a year ago |
//! | `revoked.pem` `revoked.key` | Alice's lost card, on the CRL with keyCompromise |
//! | `stranger.pem` `stranger.key` | all of Alice's names, from a CA that nobody trusts |
//! | `stranger-ca.pem` | that CA |
//! | `renew-after` | when [`Pki::open`] makes all of it anew; written last, so that half a folder is none |
//!
//! Each `NAME.pem` is the certificate followed by the issuing CA's, each key is PKCS #8, not encrypted, mode 0600.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::ca::{Ca, Identity, Issued, KEY_COMPROMISE, Revoked, crl_pem};
use crate::certificate::Template;
use crate::error::DemoError;
use crate::key::{Key, KeyKind};

/// A folder with the files above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    dir: PathBuf,
}

/// A person with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The user id, which is also the stem of the files.
    pub name: &'static str,
    /// The certificate's common name, as on a CAC.
    pub common_name: &'static str,
    /// The ten digits that end it.
    pub edipi: &'static str,
    /// The rfc822Name.
    pub email: &'static str,
}

/// Holds `alice.pem`; the names are also in `revoked.pem` and in `stranger.pem`.
pub const ALICE: Holder =
    Holder { name: "alice", common_name: "DOE.ALICE.A.1234567890", edipi: "1234567890", email: "alice@example.mil" };

/// Holds `bob.pem`; the names are also in `expired.pem`.
pub const BOB: Holder =
    Holder { name: "bob", common_name: "ROE.BOB.B.1234567891", edipi: "1234567891", email: "bob@example.mil" };

const FILES: [&str; 18] = [
    "ca.pem",
    "ca.key",
    "issuing.pem",
    "issuing.key",
    "crl.pem",
    "server.pem",
    "server.key",
    "alice.pem",
    "alice.key",
    "bob.pem",
    "bob.key",
    "expired.pem",
    "expired.key",
    "revoked.pem",
    "revoked.key",
    "stranger.pem",
    "stranger.key",
    "stranger-ca.pem",
];
const RENEW_AFTER: &str = "renew-after";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CRL_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A week before the CRLs end, which are the first to do so.
const FOLDER_LIFE: Duration = Duration::from_secs(23 * 24 * 60 * 60);

impl Pki {
    /// The PKI in this folder if it is whole and not near its end, else a new one.
    pub fn open(dir: &Path) -> Result<Self, DemoError> {
        let renew_after = fs::read_to_string(dir.join(RENEW_AFTER)).ok().and_then(|text| text.trim().parse().ok());
        let fresh = renew_after.is_some_and(|at: Timestamp| Timestamp::now() < at);
        if fresh && FILES.iter().all(|file| dir.join(file).is_file()) {
            Ok(Self { dir: dir.to_path_buf() })
        } else {
            Self::create(dir)
        }
    }

    /// Makes a new PKI in this folder, over what is there.
    pub fn create(dir: &Path) -> Result<Self, DemoError> {
        let pki = Self { dir: dir.to_path_buf() };
        fs::create_dir_all(dir).map_err(DemoError::file(dir))?;
        remove(&pki.path(RENEW_AFTER))?;
        let now = SystemTime::now();

        let root = Ca::new("Postern Demo Root CA")?;
        let issuing = root.subordinate("Postern Demo ID CA-1")?;
        let stranger_ca = Ca::new("Somebody Else's CA")?;
        let card = |holder: Holder| Template::cac(holder.common_name, holder.email);

        pki.write("ca.pem", &root.certificate_pem())?;
        pki.write_key("ca.key", root.key())?;
        pki.write("issuing.pem", &issuing.certificate_pem())?;
        pki.write_key("issuing.key", issuing.key())?;
        pki.write("stranger-ca.pem", &stranger_ca.certificate_pem())?;

        pki.write_issued("server", &issuing.issue(&Template::server())?)?;
        pki.write_issued("alice", &issuing.issue(&card(ALICE))?)?;
        pki.write_issued("bob", &issuing.issue(&card(BOB).key(KeyKind::Rsa2048))?)?;
        let former = card(BOB).valid(now - 730 * DAY, now - 365 * DAY);
        pki.write_issued("expired", &issuing.issue(&former)?)?;
        let lost = issuing.issue(&card(ALICE))?;
        pki.write_issued("revoked", &lost)?;
        pki.write_issued("stranger", &stranger_ca.issue(&card(ALICE))?)?;

        let revoked = Revoked { serial: lost.serial, at: now - DAY / 48, reason: Some(KEY_COMPROMISE) };
        // A little in the past, as a clock in another container may be behind.
        let (this_update, next_update) = (now - DAY / 48, now + CRL_LIFE);
        let crls = [issuing.crl(&[revoked], this_update, next_update)?, root.crl(&[], this_update, next_update)?];
        pki.write("crl.pem", &crls.iter().map(crl_pem).collect::<String>())?;

        let renew_after = Timestamp::try_from(now + FOLDER_LIFE).unwrap_or(Timestamp::UNIX_EPOCH);
        pki.write(RENEW_AFTER, &format!("{renew_after}\n"))?;
        Ok(pki)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of one of the files above.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// `NAME.pem` and `NAME.key`, read.
    pub fn identity(&self, name: &str) -> Result<Identity, DemoError> {
        let chain = read_certificates(&self.path(&format!("{name}.pem")))?;
        let path = self.path(&format!("{name}.key"));
        let key = PrivateKeyDer::from_pem_file(&path).map_err(|e| DemoError::Pem { path, what: e.to_string() })?;
        Ok(Identity { chain, key })
    }

    /// `ca.pem`, read.
    pub fn anchor(&self) -> Result<CertificateDer<'static>, DemoError> {
        let path = self.path("ca.pem");
        let certificates = read_certificates(&path)?;
        certificates.into_iter().next().ok_or(DemoError::Pem { path, what: "holds no certificate".to_owned() })
    }

    fn write_issued(&self, name: &str, issued: &Issued) -> Result<(), DemoError> {
        self.write(&format!("{name}.pem"), &issued.chain_pem())?;
        self.write_key(&format!("{name}.key"), &issued.key)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), DemoError> {
        write(&self.path(file), 0o644, text)
    }

    fn write_key(&self, file: &str, key: &Key) -> Result<(), DemoError> {
        write(&self.path(file), 0o600, &key.private_pem())
    }
}

/// A new file each time: the mode of an old one would stay, and whoever has it open would read on.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), DemoError> {
    remove(path)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(DemoError::file(path))
}

fn remove(path: &Path) -> Result<(), DemoError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DemoError::file(path)(error)),
        _ => Ok(()),
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DemoError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|e| DemoError::Pem { path: path.to_path_buf(), what: e.to_string() })
}
