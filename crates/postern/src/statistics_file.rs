//! What was counted, on disk: read when the gateway starts, written while it runs and when it stops.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use session::{Snapshot, Statistics};

use crate::state_file;

/// How often it is written at most: what a crash costs.
const INTERVAL: Duration = Duration::from_secs(30);

/// Its place.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("statistics.json")
}

/// What an earlier gateway counted; `None` where there was none.
pub(crate) fn read(state_dir: &Path) -> io::Result<Option<Snapshot>> {
    state_file::read(&path(state_dir))
}

/// Goes on from what was counted. A file that cannot be read is put aside.
pub(crate) fn restore(statistics: &Statistics, state_dir: &Path) {
    let restored = read(state_dir).and_then(|snapshot| match snapshot {
        None => Ok(()),
        Some(snapshot) => statistics.restore(&snapshot).map_err(io::Error::other),
    });
    if let Err(error) = restored {
        state_file::put_aside(&path(state_dir), "the statistics", &error);
    }
}

/// Writes what has changed.
pub(crate) async fn save(statistics: &Arc<Statistics>, state_dir: &Path, days: u16) {
    let (statistics, state_dir) = (Arc::clone(statistics), state_dir.to_owned());
    let written = tokio::task::spawn_blocking(move || match statistics.take_changed() {
        true => state_file::write(&path(&state_dir), &statistics.snapshot(days)),
        false => Ok(()),
    });
    let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    if let Err(error) = written {
        tracing::error!(%error, "the statistics cannot be written");
    }
}

/// Writes it from time to time, for as long as it is polled.
pub(crate) async fn keep(statistics: &Arc<Statistics>, state_dir: &Path, days: u16) {
    let mut times = tokio::time::interval(INTERVAL);
    loop {
        times.tick().await;
        save(statistics, state_dir, days).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn it_is_written_when_something_changed_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        let statistics = Arc::new(Statistics::default());
        save(&statistics, dir.path(), 90).await;
        assert!(!path(dir.path()).exists(), "nothing changed");
        let rules = [policy::Rule::Auth].into_iter().collect();
        statistics.monitor([("submission", "office", rules)]);
        save(&statistics, dir.path(), 90).await;
        let again = Statistics::default();
        restore(&again, dir.path());
        assert_eq!(again.snapshot(90), statistics.snapshot(90));
        assert_eq!(again.snapshot(90).ledgers.len(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_read_is_put_aside() {
        for bad in ["", "{}", "{\"version\":9,\"ledgers\":[]}", "no JSON"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(path(dir.path()), bad).unwrap();
            let statistics = Statistics::default();
            restore(&statistics, dir.path());
            assert_eq!(statistics.snapshot(90).ledgers, []);
            assert_eq!(fs::read_to_string(dir.path().join("statistics.unreadable.json")).unwrap(), bad);
            assert!(!path(dir.path()).exists());
        }
    }
}
