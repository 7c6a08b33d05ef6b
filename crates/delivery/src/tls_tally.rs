//! TLS sessions, counted for reports to the domains that they were for (RFC 8460): by day, recipient domain and policy, in
//! the words of the report.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use client::{Ends, TlsFailure};
use serde::{Deserialize, Serialize};

/// Octets that all counts may take, about; beyond, only what is known already is counted.
const MAX_SIZE: usize = 32 * 1024 * 1024;
/// What an entry takes beside its strings, about.
const ENTRY: usize = 256;
/// Kinds of failures told apart under one policy; others are in its sum.
const MAX_FAILURES: usize = 100;

/// Section 4.4: `policy-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// An MTA-STS policy.
    Sts,
    /// TLSA records.
    Tlsa,
    /// What the route asks for was not there.
    NoPolicyFound,
}

impl PolicyType {
    /// The RFC's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Tlsa => "tlsa",
            Self::NoPolicyFound => "no-policy-found",
        }
    }
}

/// A policy that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AppliedPolicy {
    /// Its kind.
    pub policy_type: PolicyType,
    /// Its lines, or records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    /// Whose it is: the recipient's domain, or of TLSA records their base domain.
    pub policy_domain: String,
    /// Patterns of hosts that an MTA-STS policy lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx_host: Vec<String>,
}

/// Sessions under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sessions {
    /// Under which.
    pub policy: AppliedPolicy,
    /// How many.
    pub summary: Summary,
    /// What failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_details: Vec<FailureDetails>,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Summary {
    /// Encrypted, and as the policy has it.
    pub total_successful_session_count: u64,
    /// Not so, whether or not the message went on.
    pub total_failure_session_count: u64,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailureDetails {
    /// Section 4.3.
    pub result_type: String,
    /// This side's address, where there was a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_mta_ip: Option<IpAddr>,
    /// The next hop's name.
    pub receiving_mx_hostname: String,
    /// Its address, where there was a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<IpAddr>,
    /// How many sessions failed so.
    pub failed_session_count: u64,
}

/// All counts: by day since 1970-01-01 (UTC), and recipient domain in A-labels.
pub type TlsDays = BTreeMap<u64, BTreeMap<String, Vec<Sessions>>>;

/// Counts sessions. One for the whole gateway, whatever becomes of its routes.
#[derive(Debug, Default)]
pub struct TlsTally {
    counts: Mutex<Counts>,
    changed: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    days: TlsDays,
    /// Octets, about.
    size: usize,
}

/// What a session is counted under.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) policy: AppliedPolicy,
    /// What is wrong with the policy itself, though mail goes on.
    pub(crate) shortcoming: Option<TlsFailure>,
}

/// What came of a session: nothing where it succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    pub(crate) failure: TlsFailure,
    /// Between whom, where there was a connection.
    pub(crate) ends: Option<&'a Ends>,
}

impl TlsTally {
    /// Goes on from what was counted earlier.
    pub fn restore(&self, days: TlsDays) {
        *self.lock() = Counts { size: size(&days), days };
    }

    /// All there is.
    #[must_use]
    pub fn snapshot(&self) -> TlsDays {
        self.lock().days.clone()
    }

    /// Whether something has changed since the last call.
    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Drops what one domain's report of this day is made of.
    pub fn forget(&self, day: u64, domain: &str) {
        let mut counts = self.lock();
        if let Some(domains) = counts.days.get_mut(&day) {
            domains.remove(domain);
            if domains.is_empty() {
                counts.days.remove(&day);
            }
        }
        counts.size = size(&counts.days);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Counts a session of today.
    pub(crate) fn count(&self, domain: &str, applied: &Applied, host: &str, failed: Option<Failed<'_>>) {
        self.count_on(today(), domain, applied, host, failed);
    }

    fn count_on(&self, day: u64, domain: &str, applied: &Applied, host: &str, failed: Option<Failed<'_>>) {
        let mut counts = self.lock();
        let room = counts.size < MAX_SIZE;
        let known = counts.days.get(&day).and_then(|domains| domains.get(domain));
        let known = known.and_then(|all| all.iter().position(|one| one.policy == applied.policy));
        if known.is_none() && !room {
            return;
        }
        let all = counts.days.entry(day).or_default().entry(domain.to_owned()).or_default();
        let at = known.unwrap_or(all.len());
        let mut grown = 0;
        if known.is_none() {
            let sessions =
                Sessions { policy: applied.policy.clone(), summary: Summary::default(), failure_details: Vec::new() };
            grown = sessions.size().saturating_add(domain.len());
            all.push(sessions);
        }
        if let Some(sessions) = all.get_mut(at) {
            grown += sessions.count(host, failed, room);
        }
        counts.size = counts.size.saturating_add(grown);
        self.changed.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Octets more than before, about.
    fn count(&mut self, host: &str, failed: Option<Failed<'_>>, room: bool) -> usize {
        let Some(Failed { failure, ends }) = failed else {
            self.summary.total_successful_session_count += 1;
            return 0;
        };
        self.summary.total_failure_session_count += 1;
        let details = FailureDetails {
            result_type: failure.result_type().to_owned(),
            sending_mta_ip: ends.map(|ends| ends.local),
            receiving_mx_hostname: host.to_owned(),
            receiving_ip: ends.map(|ends| ends.peer),
            failed_session_count: 0,
        };
        let same = |known: &&mut FailureDetails| {
            let failed_session_count = known.failed_session_count;
            **known == FailureDetails { failed_session_count, ..details.clone() }
        };
        if let Some(known) = self.failure_details.iter_mut().find(same) {
            known.failed_session_count += 1;
            return 0;
        }
        if !room || self.failure_details.len() >= MAX_FAILURES {
            return 0;
        }
        self.failure_details.push(FailureDetails { failed_session_count: 1, ..details });
        ENTRY.saturating_add(host.len())
    }

    fn size(&self) -> usize {
        let strings = self.policy.policy_string.iter().chain(&self.policy.mx_host).map(|text| text.len() + ENTRY / 8);
        let failures = self.failure_details.iter().map(|details| details.receiving_mx_hostname.len() + ENTRY);
        strings.chain(failures).fold(ENTRY, usize::saturating_add)
    }
}

fn size(days: &TlsDays) -> usize {
    let domains = days.values().flatten();
    domains.map(|(domain, all)| all.iter().map(Sessions::size).fold(domain.len(), usize::saturating_add)).sum()
}

/// Days since 1970-01-01 (UTC).
fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / (24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(kind: PolicyType) -> Applied {
        let policy = AppliedPolicy {
            policy_type: kind,
            policy_string: vec!["3 1 1 ab".to_owned()],
            policy_domain: "mx.example.org".to_owned(),
            mx_host: Vec::new(),
        };
        Applied { policy, shortcoming: None }
    }

    fn failed(failure: TlsFailure) -> Option<Failed<'static>> {
        Some(Failed { failure, ends: None })
    }

    #[test]
    fn sessions_are_counted_by_day_domain_policy_and_failure() {
        let tally = TlsTally::default();
        let (tlsa, nothing) = (applied(PolicyType::Tlsa), applied(PolicyType::NoPolicyFound));
        assert!(!tally.take_changed());
        for (day, domain, applied, result) in [
            (1, "a", &tlsa, None),
            (1, "a", &tlsa, failed(TlsFailure::CertificateExpired)),
            (1, "a", &tlsa, failed(TlsFailure::CertificateExpired)),
            (1, "a", &tlsa, failed(TlsFailure::StarttlsNotSupported)),
            (1, "a", &nothing, None),
            (1, "b", &tlsa, None),
            (2, "a", &tlsa, None),
        ] {
            tally.count_on(day, domain, applied, "mx.example.org", result);
        }
        let days = tally.snapshot();
        let summaries = |day: u64, domain: &str| -> Vec<(u64, u64)> {
            let counted = days[&day][domain].iter().map(|sessions| sessions.summary);
            counted.map(|sum| (sum.total_successful_session_count, sum.total_failure_session_count)).collect()
        };
        assert_eq!(summaries(1, "a"), [(1, 3), (1, 0)]);
        assert_eq!(summaries(1, "b"), [(1, 0)]);
        assert_eq!(summaries(2, "a"), [(1, 0)]);
        let details = |sessions: &Sessions| {
            let details = sessions.failure_details.iter();
            details.map(|one| (one.result_type.clone(), one.failed_session_count)).collect::<Vec<_>>()
        };
        let expected = [("certificate-expired".to_owned(), 2), ("starttls-not-supported".to_owned(), 1)];
        assert_eq!(details(&days[&1]["a"][0]), expected);
        assert!(tally.take_changed() && !tally.take_changed());
        tally.forget(1, "a");
        tally.forget(2, "a");
        assert_eq!(tally.snapshot().keys().collect::<Vec<_>>(), [&1]);
        // As it is kept.
        let again = TlsTally::default();
        again.restore(serde_json::from_str(&serde_json::to_string(&tally.snapshot()).unwrap()).unwrap());
        assert_eq!(again.snapshot(), tally.snapshot());
    }

    #[test]
    fn who_asks_for_many_domains_fills_no_memory() {
        let tally = TlsTally::default();
        let long = "x".repeat(100_000);
        for number in 0..2_000 {
            let mut applied = applied(PolicyType::Sts);
            applied.policy.policy_string = vec![long.clone()];
            tally.count_on(1, &format!("{number}.example.org"), &applied, "mx", None);
        }
        let known = tally.snapshot()[&1].len();
        assert!((200..400).contains(&known), "{known}");
        let failures = TlsTally::default();
        for number in 0..200 {
            let applied = applied(PolicyType::Tlsa);
            failures.count_on(1, "a", &applied, &format!("mx{number}"), failed(TlsFailure::ValidationFailure));
        }
        let sessions = &failures.snapshot()[&1]["a"][0];
        assert_eq!((sessions.failure_details.len(), sessions.summary.total_failure_session_count), (MAX_FAILURES, 200));
        // What is known is counted on.
        tally.count_on(
            1,
            "0.example.org",
            &Applied { policy: tally.snapshot()[&1]["0.example.org"][0].policy.clone(), shortcoming: None },
            "mx",
            None,
        );
        assert_eq!(tally.snapshot()[&1]["0.example.org"][0].summary.total_successful_session_count, 2);
    }
}
