//! How sources are looked at while the gateway serves: fetched without blocking, read on threads that may block, and
//! swapped in as a whole.

use std::sync::Arc;

use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::crl::keep::Keep;
use crate::crl::reading::{Errand, Report, Success};
use crate::crl::state::State;
use crate::crl::store::{CrlStore, Means};
use crate::fetch::FetchError;
use crate::fetch::fetcher::{Fetched, Limits, Object, Validators};
use crate::location::Location;
use crate::time::Time;

impl CrlStore {
    /// Looks at every source whenever it is due, for as long as it is polled, and keeps what is good for the next start.
    pub async fn run(&self) {
        self.begin_keeping().await;
        loop {
            let next = self.refresh_due(Time::now()).await;
            // No longer than a minute: sources may have come, and the clock may have been set.
            let pause = next.map_or(MAX_PAUSE, |next| next.since(Time::now()).min(MAX_PAUSE));
            tokio::time::sleep(pause.max(MIN_PAUSE)).await;
        }
    }

    /// Looks at every source that is due, and returns when the next one will be.
    pub async fn refresh_due(&self, now: Time) -> Option<Time> {
        self.look(self.due(now), now).await;
        self.next_look()
    }

    /// Looks at every source now, or at the one of this name; returns whether there was any. The outcome is in the status.
    pub async fn refresh(&self, only: Option<&str>) -> bool {
        let names = self.names(only);
        let any = !names.is_empty();
        self.look(names, Time::now()).await;
        any
    }

    /// Adds a source that a certificate names, and looks at it once.
    pub(crate) async fn follow(&self, location: Location) {
        let store = self.clone();
        let name = location.to_string();
        let adding = tokio::task::spawn_blocking(move || store.add_followed(location)).await;
        match adding {
            // What was kept from before is good enough to go on with: `run` looks for a newer one.
            Ok(true) => self.look(vec![name], Time::now()).await,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a distribution point could not be followed"),
        }
    }

    /// From now on what is good is written to the folder: the gateway's to do, and not that of a tool beside it.
    async fn begin_keeping(&self) {
        let Some(keep) = self.folder() else { return };
        let folder = keep.folder().to_owned();
        match tokio::task::spawn_blocking(move || keep.prepare()).await {
            Ok(Ok(())) => self.keep_from_now_on(),
            Ok(Err(error)) => {
                tracing::error!(folder = %folder.display(), %error, "CRLs can't be kept for a restart: make the folder writable");
            }
            Err(error) => tracing::error!(%error, "CRLs can't be kept for a restart"),
        }
    }

    async fn look(&self, names: Vec<String>, now: Time) {
        let mut looks = JoinSet::new();
        for name in names {
            let store = self.clone();
            looks.spawn(async move {
                let (this, key) = (store.clone(), name.clone());
                let work = async move {
                    if let Some(errand) = this.errand(&name) {
                        let report = look(errand, this.means()).await;
                        this.take(&name, report, now);
                    }
                };
                store.flights().join(key, work).await;
            });
        }
        while looks.join_next().await.is_some() {}
    }
}

const MIN_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
const MAX_PAUSE: std::time::Duration = std::time::Duration::from_secs(60);

/// Looks at the primary, and at the secondary if that fails.
async fn look(errand: Errand, means: Means) -> Report {
    let errand = Arc::new(errand);
    let mut report = Report::default();
    for location in &errand.locations {
        report = match look_at(&errand, location.clone(), &means, report).await {
            Ok(report) => report,
            Err(lost) => {
                let mut report = Report::default();
                report.fail(location, None, format!("{location}: reading it failed: {lost}"));
                report
            }
        };
        if report.success.is_some() {
            break;
        }
    }
    report
}

async fn look_at(
    errand: &Arc<Errand>,
    location: Location,
    means: &Means,
    mut report: Report,
) -> Result<Report, tokio::task::JoinError> {
    let errand = Arc::clone(errand);
    let keep = means.keep.clone();
    let readings = Arc::clone(&means.readings);
    if let Location::File(path) = location.clone() {
        let reading = readings.acquire_owned().await;
        return at_leisure(move || {
            let _reading = reading;
            errand.look_at_file_and_keep(&location, &path, keep.as_deref(), &mut report);
            report
        })
        .await;
    }
    match download(&errand, &location, means).await {
        Ok(Download::NotModified(state)) => {
            report.success = Some(Success { location, state, lists: None, octets: 0, kept: errand.kept });
            Ok(report)
        }
        Ok(Download::File(download, state)) => {
            let reading = readings.acquire_owned().await;
            at_leisure(move || {
                let _reading = reading;
                take_download(&errand, &location, download, state, keep.as_deref(), &mut report);
                report
            })
            .await
        }
        Err(error) => {
            report.fail(&location, None, format!("{location}: {error}"));
            Ok(report)
        }
    }
}

enum Download {
    NotModified(State),
    File(NamedTempFile, State),
}

async fn download(errand: &Errand, location: &Location, means: &Means) -> Result<Download, FetchError> {
    let known = errand.seen.get(location).filter(|seen| seen.error.is_none() && !errand.current.is_empty());
    let known: Option<Validators> = known.and_then(|seen| match &seen.state {
        State::Server(validators) => Some(validators.clone()),
        State::File(_) => None,
    });
    let file = match &means.keep {
        Some(keep) => keep.download(),
        None => NamedTempFile::new(),
    };
    let file = file.map_err(|error| FetchError::io(&error))?;
    let mut sink = tokio::fs::File::from_std(file.reopen().map_err(|error| FetchError::io(&error))?);
    let limits = Limits { size: errand.max_size, time: means.fetcher.timeout() };
    let fetching = means.fetcher.get(location, errand.named_by, Object::Crl, limits, known.as_ref(), &mut sink);
    Ok(match fetching.await? {
        Fetched::NotModified => Download::NotModified(State::Server(known.unwrap_or_default())),
        Fetched::Body(validators) => Download::File(file, State::Server(validators)),
    })
}

fn take_download(
    errand: &Errand,
    location: &Location,
    download: NamedTempFile,
    state: State,
    keep: Option<&Keep>,
    report: &mut Report,
) {
    let opened = download.reopen().and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
    let (mut file, octets) = match opened {
        Ok(opened) => opened,
        Err(error) => return report.fail(location, None, format!("{location}: {error}")),
    };
    // The state of a bad download is not remembered: the server may mend it without saying so.
    let good = errand.read_into(report, location, &mut file, state.clone(), octets);
    if let Some(failure) = report.failures.last_mut().filter(|(failed, _, _)| !good && failed == location) {
        failure.1 = None;
    }
    if let (Some(keep), Some(success), true) = (keep, &mut report.success, good) {
        success.kept = errand.tell_not_kept(keep.keep(&errand.name, download, location, &state));
    }
}

/// How much a reading stands back behind the threads that serve: 0 is their level, 19 the lowest.
const NICENESS: i32 = 10;

/// Reads a list on a thread of its own: a million of entries is a quarter of a second of work, and sessions come first.
async fn at_leisure<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || {
        let reader = std::thread::spawn(move || {
            // On Linux the niceness is the thread's. Where it cannot be changed, reading goes on at the common level.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            read()
        });
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
    .await
}
