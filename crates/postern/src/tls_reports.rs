//! Reports about TLS to the domains that mail was sent to (RFC 8460): once a day (UTC), for the day that has ended.

mod asked_for;
mod report;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use delivery::{Sessions, TlsTally};
use dns::{Missing, Resolver};
use pki::Fetcher;
use protocol::{Body, Domain, Envelope, Mailbox, Recipient, ReversePath};
use serde::Deserialize;
use spool::Spool;
use tokio::task::JoinSet;

use crate::state_file;
use asked_for::{Destination, destinations};
use report::Report;

/// How often counts are written at most, and days that have ended looked for.
const INTERVAL: Duration = Duration::from_secs(30);
/// Section 4.1: reports of all senders must not come at midnight.
const SPREAD: u64 = 4 * 60 * 60;
/// A report that could not be sent is tried again after so long …
const RETRY: Duration = Duration::from_secs(60 * 60);
/// … and for so many days.
const MAX_AGE: u64 = 3;
/// Domains at a time.
const AT_A_TIME: usize = 16;
/// For a report to be posted.
const POST_TIME: Duration = Duration::from_secs(60);
const DAY: u64 = 24 * 60 * 60;

/// `[tls_reports]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Who reports: `organization-name`.
    pub(crate) organization: String,
    /// Who answers questions about reports; `from` unless it is said.
    pub(crate) contact: Option<String>,
    /// Who sends them by mail. Its domain is the submitter.
    pub(crate) from: Mailbox,
}

/// What reports are made and sent with.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(crate) settings: Settings,
    pub(crate) hostname: Domain,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) fetcher: Fetcher,
}

/// What came of one domain's report.
enum Sent {
    /// Taken, not wanted, or too old: it is dealt with.
    Done,
    /// The same may work later.
    NotYet,
}

/// Where counts are kept.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("tls-reports.json")
}

/// Goes on from what was counted. A file that cannot be read is put aside.
pub(crate) fn restore(tally: &TlsTally, state_dir: &Path) {
    match state_file::read(&path(state_dir)) {
        Ok(None) => {}
        Ok(Some(days)) => tally.restore(days),
        Err(error) => state_file::put_aside(&path(state_dir), "counts of TLS sessions", &error),
    }
}

/// Writes what has changed.
pub(crate) async fn save(tally: &Arc<TlsTally>, state_dir: &Path) {
    let (tally, path) = (Arc::clone(tally), path(state_dir));
    let written = tokio::task::spawn_blocking(move || match tally.take_changed() {
        true => state_file::write(&path, &tally.snapshot()),
        false => Ok(()),
    });
    if let Err(error) = written.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        tracing::error!(%error, "counts of TLS sessions cannot be written");
    }
}

/// `2026-11-24`, of days since 1970.
pub(crate) fn date(day: u64) -> String {
    report::timestamp(day.saturating_mul(DAY)).strftime("%Y-%m-%d").to_string()
}

/// Writes counts and sends reports, for as long as it is polled.
pub(crate) async fn run(reports: Option<Reports>, tally: &Arc<TlsTally>, spool: &Spool, state_dir: &Path) {
    let Some(reports) = reports else { return };
    let reports = Arc::new(reports);
    let mut times = tokio::time::interval(INTERVAL);
    let mut tried: HashMap<(u64, String), Instant> = HashMap::new();
    loop {
        times.tick().await;
        let now = jiff::Timestamp::now().as_second();
        let now = u64::try_from(now).unwrap_or_default();
        tried.retain(|_, at| at.elapsed() < RETRY);
        let mut due = reports.due(tally, now);
        due.retain(|(day, domain, _)| !tried.contains_key(&(*day, domain.clone())));
        let mut sending = JoinSet::new();
        for (day, domain, sessions) in due {
            if sending.len() >= AT_A_TIME {
                dealt_with(sending.join_next().await, tally, &mut tried);
            }
            let (reports, spool) = (Arc::clone(&reports), spool.clone());
            sending.spawn(async move {
                let sent = match day.saturating_add(MAX_AGE) < now / DAY {
                    true => Sent::Done,
                    false => reports.send(day, &domain, &sessions, &spool).await,
                };
                (day, domain, sent)
            });
        }
        while let Some(ended) = sending.join_next().await {
            dealt_with(Some(ended), tally, &mut tried);
        }
        save(tally, state_dir).await;
    }
}

fn dealt_with(
    ended: Option<Result<(u64, String, Sent), tokio::task::JoinError>>,
    tally: &TlsTally,
    tried: &mut HashMap<(u64, String), Instant>,
) {
    match ended {
        Some(Ok((day, domain, Sent::Done))) => tally.forget(day, &domain),
        Some(Ok((day, domain, Sent::NotYet))) => drop(tried.insert((day, domain), Instant::now())),
        Some(Err(error)) => tracing::error!(%error, "a report about TLS ended abnormally"),
        None => {}
    }
}

impl Reports {
    /// Days that have ended, and since when it is this gateway's turn.
    fn due(&self, tally: &TlsTally, now: u64) -> Vec<(u64, String, Vec<Sessions>)> {
        let mut due = Vec::new();
        for (day, domains) in tally.snapshot() {
            let end = day.saturating_add(1).saturating_mul(DAY);
            for (domain, sessions) in domains {
                let turn = u64::from(crc32fast::hash(format!("{} {domain}", self.hostname).as_bytes())) % SPREAD;
                if end.saturating_add(turn) <= now {
                    due.push((day, domain, sessions));
                }
            }
        }
        due
    }

    /// Section 3: to whoever the domain says; one that takes it is enough.
    async fn send(&self, day: u64, domain: &str, sessions: &[Sessions], spool: &Spool) -> Sent {
        let records = match self.resolver.texts(&format!("_smtp._tls.{domain}")).await {
            Ok(answer) => answer.records,
            Err(Missing::Name | Missing::Records) => return Sent::Done,
            Err(Missing::Unknown(why)) => {
                tracing::info!(domain, why, "whether reports about TLS are wanted cannot be looked up");
                return Sent::NotYet;
            }
        };
        let destinations = destinations(&records);
        if destinations.is_empty() {
            return Sent::Done;
        }
        let report = Report { settings: &self.settings, hostname: &self.hostname, day, domain, sessions };
        let mut sent = Sent::NotYet;
        for destination in destinations {
            let tried = match &destination {
                Destination::Mail(to) => self.mail(&report, to, spool).await,
                Destination::Post(url) => self.post(&report, url).await,
            };
            match tried {
                Ok(()) => {
                    tracing::info!(domain, day = date(day), to = %destination, "a report about TLS is sent");
                    sent = Sent::Done;
                }
                Err(why) => {
                    tracing::warn!(domain, day = date(day), to = %destination, why, "a report about TLS cannot be sent");
                }
            }
        }
        sent
    }

    async fn mail(&self, report: &Report<'_>, to: &Mailbox, spool: &Spool) -> Result<(), String> {
        let id = spool.next_id();
        let text = report.message(to, &id.to_string()).map_err(|error| error.to_string())?;
        // A report that cannot be delivered is worth no notice, and must not be answered by one.
        let envelope = Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![Recipient { mailbox: to.clone(), notify: None, original: None }],
            body: Body::SevenBit,
            smtputf8: false,
            require_tls: false,
            ret: None,
            envid: None,
        };
        spool.accept_own(id, envelope, text.as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn post(&self, report: &Report<'_>, url: &pki::HttpUrl) -> Result<(), String> {
        let host = url.host();
        let at = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => self.resolver.addresses(host).await.map_err(|error| error.to_string())?.records,
        };
        let content = report.gzip().map_err(|error| error.to_string())?;
        let posted = self.fetcher.post_at(url, &at, (report::GZIP, &content), POST_TIME).await;
        posted.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
