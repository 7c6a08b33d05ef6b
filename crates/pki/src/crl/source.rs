//! One configured source of lists: its file read when it has changed, and the newest good state of each list kept.

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
    pub(crate) last_error: Option<String>,
    /// The state of the file that was read last, good or bad.
    seen: Option<Stamp>,
}

/// What tells that a file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    location: CrlLocation,
    size: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl Source {
    pub(crate) fn new(settings: CrlSourceSettings) -> Self {
        Self { settings, lists: Vec::new(), checked_at: None, last_error: None, seen: None }
    }

    /// When it must be looked at again.
    pub(crate) fn due(&self) -> Option<Time> {
        self.checked_at.map(|checked_at| checked_at.plus(self.settings.schedule.interval()))
    }

    /// Forgets which file was read, so that the next look reads it whatever its date.
    pub(crate) fn forget_stamp(&mut self) {
        self.seen = None;
    }

    /// Looks at the primary, and at the secondary if that fails; returns whether the lists in use have changed.
    pub(crate) fn look(&mut self, issuers: &BySubject, max_size: u64, grace: Duration, now: Time) -> bool {
        self.checked_at = Some(now);
        let locations: Vec<CrlLocation> =
            std::iter::once(&self.settings.primary).chain(&self.settings.secondary).cloned().collect();
        let mut errors = Vec::new();
        for location in locations {
            match self.read(&location, issuers, max_size) {
                Ok(None) => return false,
                Ok(Some(lists)) => {
                    let (changed, replays) = self.take(lists, location.path(), grace, now);
                    self.last_error = if replays.is_empty() { None } else { Some(replays.join("; ")) };
                    return changed;
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        let error = errors.join("; ");
        // Once for each state of the file, not at every look.
        if self.last_error.as_ref() != Some(&error) {
            tracing::warn!(source = self.settings.name, error, lists_kept = self.lists.len(), "CRL source failed");
        }
        self.last_error = Some(error);
        false
    }

    /// `None`: the file is as it was.
    fn read(&mut self, location: &CrlLocation, issuers: &BySubject, max_size: u64) -> Result<Option<Vec<Crl>>, Error> {
        let path = location.path();
        let read = |source| Error::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        let stamp = Stamp::of(location, &metadata);
        if self.seen.as_ref() == Some(&stamp) && self.last_error.is_none() {
            return Ok(None);
        }
        if metadata.len() > max_size {
            return Err(Error::TooLarge { path: path.to_owned(), limit: max_size });
        }
        // A file that grows meanwhile ends here all the same, and fails as cut short.
        let lists = read_lists(&mut file, max_size, self.settings.format, path)?;
        for list in &lists {
            self.prove(list, issuers, path)?;
        }
        self.seen = Some(stamp);
        Ok(Some(lists))
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

    /// Puts new lists in the place of older states of the same lists. Older ones than those in use are replays:
    /// refused, and returned as errors. Lists that the file no longer has stay until they are stale.
    fn take(&mut self, lists: Vec<Crl>, path: &Path, grace: Duration, now: Time) -> (bool, Vec<String>) {
        let before = self.lists.len();
        let fresh = |list: &Crl| list.next_update().is_none_or(|next| now <= next.plus(grace));
        self.lists.retain(|current| fresh(current) || lists.iter().any(|list| list.is_of_the_same_kind(current)));
        let mut changed = self.lists.len() != before;
        let mut replays = Vec::new();
        for list in lists {
            let issuer = list.issuer().to_string();
            match self.lists.iter_mut().find(|current| current.is_of_the_same_kind(&list)) {
                Some(current) if list.is_older_than(current) => {
                    let what = format!("{} against {}", list.describe(), current.describe());
                    let error = Error::CrlReplay { path: path.to_owned(), issuer, what };
                    tracing::warn!(source = self.settings.name, %error, "CRL refused");
                    replays.push(error.to_string());
                }
                Some(current) => {
                    log_use(&self.settings.name, &list);
                    *current = Arc::new(list);
                    changed = true;
                }
                None => {
                    log_use(&self.settings.name, &list);
                    self.lists.push(Arc::new(list));
                    changed = true;
                }
            }
        }
        (changed, replays)
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
    fn of(location: &CrlLocation, metadata: &std::fs::Metadata) -> Self {
        Self {
            location: location.clone(),
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
