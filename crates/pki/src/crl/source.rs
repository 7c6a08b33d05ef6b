//! One configured source of lists: its file read when it has changed, and the newest good state of each list kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::crl::list::Crl;
use crate::crl::pem::PemBlocks;
use crate::crl::stream::StreamError;
use crate::der::tag;
use crate::error::Error;
use crate::pool::BySubject;
use crate::settings::{CrlFormat, CrlLocation, CrlSourceSettings};
use crate::time::Time;

/// A source and what is known from it.
pub(crate) struct Source {
    pub(crate) settings: CrlSourceSettings,
    /// The lists in use.
    pub(crate) lists: Vec<Arc<Crl>>,
    pub(crate) checked_at: Option<Time>,
    /// What went wrong at the last look: also that the primary failed where the secondary did not.
    pub(crate) last_error: Option<String>,
    /// The state of each file that was read last, and what was wrong with it.
    seen: HashMap<CrlLocation, (Stamp, Option<String>)>,
}

/// What tells that a file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

/// How a source's lists are read: the same for all sources of a store.
pub(crate) struct Reading<'a> {
    pub(crate) issuers: &'a BySubject,
    pub(crate) max_size: u64,
    pub(crate) grace: Duration,
    pub(crate) now: Time,
}

impl Source {
    pub(crate) fn new(settings: CrlSourceSettings) -> Self {
        Self { settings, lists: Vec::new(), checked_at: None, last_error: None, seen: HashMap::new() }
    }

    /// The same source under new settings: its lists stay, and files that were good are not read again.
    pub(crate) fn reconfigured(mut self, settings: CrlSourceSettings) -> Self {
        let same_format = self.settings.format == settings.format;
        self.seen.retain(|_, (_, error)| same_format && error.is_none());
        Self { settings, ..self }
    }

    /// When it must be looked at again.
    pub(crate) fn due(&self) -> Option<Time> {
        self.checked_at.map(|checked_at| checked_at.plus(self.settings.schedule.interval()))
    }

    /// Looks at the primary, and at the secondary if that fails; returns whether the lists in use have changed.
    pub(crate) fn look(&mut self, reading: &Reading<'_>) -> bool {
        self.checked_at = Some(reading.now);
        let locations: Vec<CrlLocation> =
            std::iter::once(&self.settings.primary).chain(&self.settings.secondary).cloned().collect();
        let (mut changed, mut errors) = (false, Vec::new());
        for location in locations {
            match self.look_at(&location, reading) {
                Ok(this_changed) => {
                    changed |= this_changed;
                    break;
                }
                Err(error) => errors.push(error),
            }
        }
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        // Once for each state of the files, not at every look.
        if let Some(error) = error.as_ref().filter(|error| self.last_error.as_ref() != Some(*error)) {
            tracing::warn!(source = self.settings.name, error, lists_kept = self.lists.len(), "CRL source failed");
        }
        self.last_error = error;
        changed
    }

    fn look_at(&mut self, location: &CrlLocation, reading: &Reading<'_>) -> Result<bool, String> {
        let path = location.path();
        let read = |source| Error::Read { path: path.to_owned(), source }.to_string();
        let mut file = File::open(path).map_err(read)?;
        let stamp = Stamp::of(&file.metadata().map_err(read)?);
        match self.seen.get(location) {
            Some((seen, error)) if *seen == stamp => return error.clone().map_or(Ok(false), Err),
            _ => {}
        }
        let outcome = self.read(&mut file, &stamp, path, reading).map_err(|error| error.to_string());
        self.seen.insert(location.clone(), (stamp, outcome.as_ref().err().cloned()));
        outcome
    }

    fn read(&mut self, file: &mut File, stamp: &Stamp, path: &Path, reading: &Reading<'_>) -> Result<bool, Error> {
        if stamp.size > reading.max_size {
            return Err(Error::TooLarge { path: path.to_owned(), limit: reading.max_size });
        }
        let lists = read_lists(file, reading.max_size, self.settings.format, path)?;
        for list in &lists {
            self.prove(list, reading.issuers, path)?;
        }
        self.take(lists, path, reading)
    }

    /// The signature, where a certificate of the issuer's name is known: once here, off the serving path.
    fn prove(&self, list: &Crl, issuers: &BySubject, path: &Path) -> Result<(), Error> {
        let candidates = issuers.named(list.issuer());
        if candidates.is_empty() {
            tracing::warn!(
                source = self.settings.name,
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

    /// Puts new lists in the place of older states of the same lists. Lists that the file no longer has stay until
    /// they are stale.
    ///
    /// # Errors
    /// One is older than the one in use: a replay, or a stale mirror. Then nothing of the file is taken.
    fn take(&mut self, lists: Vec<Crl>, path: &Path, reading: &Reading<'_>) -> Result<bool, Error> {
        for list in &lists {
            let newer =
                self.lists.iter().find(|current| current.is_of_the_same_kind(list) && list.is_older_than(current));
            if let Some(newer) = newer {
                let what = format!("{} against {}", list.describe(), newer.describe());
                return Err(Error::CrlReplay { path: path.to_owned(), issuer: list.issuer().to_string(), what });
            }
        }
        let fresh = |list: &Crl| list.next_update().is_none_or(|next| reading.now <= next.plus(reading.grace));
        self.lists.retain(|current| fresh(current) && !lists.iter().any(|list| list.is_of_the_same_kind(current)));
        for list in lists {
            log_use(&self.settings.name, &list);
            self.lists.push(Arc::new(list));
        }
        Ok(true)
    }
}

fn log_use(source: &str, list: &Crl) {
    tracing::info!(
        source,
        issuer = %list.issuer(),
        number = list.number().map(ToString::to_string),
        this_update = %list.this_update(),
        next_update = list.next_update().map(|time| time.to_string()),
        entries = list.entries(),
        "CRL in use"
    );
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(metadata),
        }
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
