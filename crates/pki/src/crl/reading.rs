//! From the octets of a source to lists that may be used: read, signature verified, no older than those in use. Blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::crl::keep::Keep;
use crate::crl::list::Crl;
use crate::crl::pem::PemBlocks;
use crate::crl::state::{Stamp, State};
use crate::crl::stream::StreamError;
use crate::der::tag;
use crate::error::Error;
use crate::fetch::fetcher::NamedBy;
use crate::location::Location;
use crate::pool::BySubject;
use crate::settings::CrlFormat;

/// One look at one source: all that it needs, so that nothing is locked while it lasts.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) name: String,
    pub(crate) format: CrlFormat,
    pub(crate) named_by: NamedBy,
    /// In the order of trying.
    pub(crate) locations: Vec<Location>,
    pub(crate) seen: HashMap<Location, Seen>,
    /// What was read last is on disk for a restart.
    pub(crate) kept: bool,
    /// The lists in use.
    pub(crate) current: Vec<Arc<Crl>>,
    pub(crate) issuers: Arc<BySubject>,
    pub(crate) max_size: u64,
}

/// The state of a location when it was last read, and what was wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) state: State,
    pub(crate) error: Option<String>,
}

/// What a look at a source came to.
#[derive(Default)]
pub(crate) struct Report {
    /// The locations that failed, with the state they were in where that is known.
    pub(crate) failures: Vec<(Location, Option<State>, String)>,
    pub(crate) success: Option<Success>,
}

/// A location that did not fail.
pub(crate) struct Success {
    pub(crate) location: Location,
    pub(crate) state: State,
    /// `None`: it is as it was.
    pub(crate) lists: Option<Vec<Crl>>,
    pub(crate) octets: u64,
    /// It is on disk for a restart.
    pub(crate) kept: bool,
}

impl Report {
    pub(crate) fn fail(&mut self, location: &Location, state: Option<State>, error: impl std::fmt::Display) {
        self.failures.push((location.clone(), state, error.to_string()));
    }
}

impl Errand {
    /// Looks at a file: into `report` goes what came of it; returns the file where it was read and its lists are good.
    pub(crate) fn look_at_file(&self, location: &Location, path: &Path, report: &mut Report) -> Option<File> {
        let unreadable = |source| Error::Read { path: path.to_owned(), source };
        let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, Stamp::of(&metadata))));
        let (mut file, stamp) = match opened.map_err(unreadable) {
            Ok(opened) => opened,
            Err(error) => {
                report.fail(location, None, error);
                return None;
            }
        };
        let state = State::File(stamp.clone());
        match self.seen.get(location).filter(|seen| seen.state == state) {
            Some(Seen { error: Some(error), .. }) => {
                report.fail(location, Some(state), error);
                return None;
            }
            Some(Seen { error: None, .. }) => {
                let octets = stamp.size;
                report.success =
                    Some(Success { location: location.clone(), state, lists: None, octets, kept: self.kept });
                return None;
            }
            None => {}
        }
        self.read_into(report, location, &mut file, state, stamp.size).then_some(file)
    }

    /// The same, and keeps a copy of what is good and not kept yet.
    pub(crate) fn look_at_file_and_keep(
        &self,
        location: &Location,
        path: &Path,
        keep: Option<&Keep>,
        report: &mut Report,
    ) {
        let file = self.look_at_file(location, path, report);
        let (Some(success), Some(keep)) = (&mut report.success, keep) else { return };
        let file = match file {
            Some(file) => Ok(file),
            None if self.kept => return,
            None => File::open(path),
        };
        let kept = file.and_then(|mut file| keep.copy(&self.name, &mut file, location, &success.state));
        success.kept = self.tell_not_kept(kept);
    }

    /// A full disk must not keep a new list from being used.
    pub(crate) fn tell_not_kept(&self, outcome: io::Result<()>) -> bool {
        if let Err(error) = &outcome {
            tracing::error!(source = self.name, %error, "the new CRL is in use, but could not be kept for a restart");
        }
        outcome.is_ok()
    }

    /// Reads lists, and says in `report` what came of it; returns whether they are good.
    pub(crate) fn read_into(
        &self,
        report: &mut Report,
        location: &Location,
        file: &mut File,
        state: State,
        octets: u64,
    ) -> bool {
        match self.read(location, file, octets) {
            Ok(lists) => {
                report.success =
                    Some(Success { location: location.clone(), state, lists: Some(lists), octets, kept: false });
                true
            }
            Err(error) => {
                report.fail(location, Some(state), error);
                false
            }
        }
    }

    /// The lists of a file that came from `location`.
    ///
    /// # Errors
    /// It holds no list, one that nobody signed, or one older than the one in use: a replay, or a stale mirror. Then
    /// nothing of it is taken.
    pub(crate) fn read(&self, location: &Location, file: &mut File, octets: u64) -> Result<Vec<Crl>, Error> {
        // What errors name: the file, or where it came from.
        let path: PathBuf = location.to_string().into();
        if octets > self.max_size {
            return Err(Error::TooLarge { path, limit: self.max_size });
        }
        let lists = read_lists(file, self.max_size, self.format, &path)?;
        for list in &lists {
            self.prove(list, &path)?;
            self.check_newer(list, &path)?;
        }
        Ok(lists)
    }

    /// The signature, where a certificate of the issuer's name is known: once here, off the serving path.
    fn prove(&self, list: &Crl, path: &Path) -> Result<(), Error> {
        let candidates = self.issuers.named(list.issuer());
        if candidates.is_empty() {
            tracing::warn!(
                source = self.name,
                issuer = %list.issuer(),
                "no trust has a certificate of this CRL's issuer: the list counts only for chains that bring one"
            );
            return Ok(());
        }
        // Every key is tried, not only the first that fits: the outcomes are remembered, and serving needs them.
        let proofs = candidates.iter().filter(|candidate| list.is_signed_by(candidate)).count();
        if proofs > 0 {
            return Ok(());
        }
        Err(Error::CrlSignature { path: path.to_owned(), issuer: list.issuer().to_string() })
    }

    fn check_newer(&self, list: &Crl, path: &Path) -> Result<(), Error> {
        let newer =
            self.current.iter().find(|current| current.is_of_the_same_kind(list) && list.is_older_than(current));
        let Some(newer) = newer else { return Ok(()) };
        let what = format!("{} against {}", list.describe(), newer.describe());
        Err(Error::CrlReplay { path: path.to_owned(), issuer: list.issuer().to_string(), what })
    }
}

/// Every list of a file: one in DER, or any number in PEM.
fn read_lists(file: &mut File, max_size: u64, format: CrlFormat, path: &Path) -> Result<Vec<Crl>, Error> {
    let io = |source| Error::Read { path: path.to_owned(), source };
    let fail = |error| match error {
        StreamError::Malformed(problem) => Error::Crl { path: path.to_owned(), problem },
        StreamError::Io(source) => io(source),
    };
    let mut first = [0];
    let read = file.read(&mut first).map_err(io)?;
    let begins = first.get(..read).unwrap_or_default();
    let input = begins.chain(file).take(max_size);
    let is_der = match format {
        CrlFormat::Asn1 => true,
        CrlFormat::Pem => false,
        CrlFormat::Auto => begins == [tag::SEQUENCE],
    };
    if is_der {
        return Ok(vec![Crl::from_stream(input).map_err(fail)?]);
    }
    let mut blocks = PemBlocks::new(BufReader::with_capacity(256 * 1024, input));
    let mut lists = Vec::new();
    while blocks.next_block().map_err(io)? {
        lists.push(Crl::from_stream(&mut blocks).map_err(fail)?);
    }
    if lists.is_empty() {
        let problem = "holds no block `BEGIN X509 CRL`; is it the right file?".to_owned();
        return Err(Error::Pem { path: path.to_owned(), problem });
    }
    Ok(lists)
}
