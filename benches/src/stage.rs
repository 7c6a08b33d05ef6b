//! What all measurements share: the gateway's binary, a folder on the disk that is measured, and certificates.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use demo::{ClientTls, Pki, TlsVersions};
use tempfile::TempDir;

use crate::Failure;

pub(crate) struct Stage {
    postern: PathBuf,
    dir: TempDir,
    pki: Pki,
}

impl Stage {
    /// Builds the gateway unless there is one to take, and makes certificates in a folder that goes with this value.
    pub(crate) fn set(postern: Option<PathBuf>, dir: Option<PathBuf>) -> Result<Self, Failure> {
        let target = target_folder()?;
        let postern = match postern {
            Some(file) => file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?,
            None => build(&target)?,
        };
        let parent = dir.unwrap_or(target);
        fs::create_dir_all(&parent)?;
        let dir = tempfile::Builder::new().prefix("postern-benches-").tempdir_in(&parent)?;
        let pki = Pki::create(&dir.path().join("pki"))?;
        Ok(Self { postern, dir, pki })
    }

    pub(crate) fn postern(&self) -> &Path {
        &self.postern
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// A client that shows and proves the certificate of this name.
    pub(crate) fn client(&self, name: &str) -> Result<ClientTls, Failure> {
        Ok(ClientTls::new(self.pki.anchor()?, Some(self.pki.identity(name)?), TlsVersions::Both)?)
    }

    /// Ratios are what to look at; this is for those who compare the rest.
    pub(crate) fn machine(&self) -> String {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown CPU");
        let model = model.trim_start_matches([' ', '\t', ':']);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        format!("{cores} × {model}; spool and its floor in {}", self.dir.path().display())
    }
}

/// `target/`, seen from this binary in `target/PROFILE/`.
fn target_folder() -> Result<PathBuf, Failure> {
    let binary = env::current_exe()?;
    Ok(binary.parent().and_then(Path::parent).ok_or("this binary is in no build folder")?.to_owned())
}

/// What is measured is what would be installed, whatever this command was built as.
fn build(target: &Path) -> Result<PathBuf, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--package", "postern", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    match built.success() {
        true => Ok(target.join("release/postern")),
        false => Err("the gateway could not be built: name one with --postern".into()),
    }
}

/// An address on the loopback interface where nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
