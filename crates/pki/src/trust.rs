//! A trust: its anchors and rules, loaded and checked, and the judgement of chains under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cache::VerdictCache;
use crate::certificate::Certificate;
use crate::crl::store::CrlStore;
use crate::error::Error;
use crate::knowledge::{Evidence, Knowledge, Lack};
use crate::name::Name;
use crate::path::build::{Pools, Search};
use crate::path::rules::Rules;
use crate::pool::BySubject;
use crate::revocation::{self, Inquest};
use crate::settings::{OnUnknownStatus, TrustSettings};
use crate::time::Time;
use crate::verdict::{PathError, Revocation, ValidPath, Verdict};

/// A trust, ready to judge; cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

struct Inner {
    name: String,
    generation: u64,
    settings: TrustSettings,
    anchors: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    anchors_by_subject: BySubject,
    intermediates_by_subject: BySubject,
    rules: Rules,
    /// When anchors and intermediates begin or end to be valid, in order.
    boundaries: Vec<Time>,
    cache: VerdictCache,
}

static GENERATION: AtomicU64 = AtomicU64::new(1);

impl Trust {
    /// Reads a trust's files and checks its settings.
    ///
    /// # Errors
    /// [`Error`] names the file or key, and what to do.
    pub fn load(name: &str, settings: &TrustSettings) -> Result<Self, Error> {
        let read = |paths: &[std::path::PathBuf]| {
            let files = paths.iter().map(|path| Certificate::from_file(path)).collect::<Result<Vec<_>, _>>();
            files.map(|files| files.into_iter().flatten().collect::<Vec<_>>())
        };
        let anchors = read(&settings.anchors)?;
        let intermediates = read(&settings.intermediates)?;
        for certificate in anchors.iter().chain(&intermediates).filter(|one| one.not_after() < Time::now()) {
            tracing::warn!(trust = name, %certificate, "has expired: nothing below it is valid");
        }
        if settings.revocation.is_empty() {
            tracing::warn!(trust = name, "revocation is not checked: revoked certificates are accepted");
        }
        Self::new(name, settings, anchors, intermediates)
    }

    /// A trust over certificates that are read already; the files of `settings` are not touched.
    ///
    /// # Errors
    /// As [`Trust::load`].
    pub fn new(
        name: &str,
        settings: &TrustSettings,
        anchors: Vec<Certificate>,
        intermediates: Vec<Certificate>,
    ) -> Result<Self, Error> {
        if anchors.is_empty() {
            return Err(Error::NoAnchors { trust: name.to_owned() });
        }
        let empty = |key| Error::EmptyList { trust: name.to_owned(), key };
        if settings.allowed_keys.is_empty() {
            return Err(empty("allowed_keys"));
        }
        if settings.allowed_hashes.is_empty() {
            return Err(empty("allowed_hashes"));
        }
        let mut boundaries: Vec<Time> = anchors.iter().chain(&intermediates).flat_map(boundaries_of).collect();
        boundaries.sort_unstable();
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            settings: settings.clone(),
            anchors_by_subject: BySubject::of(anchors.iter().cloned()),
            intermediates_by_subject: BySubject::of(intermediates.iter().cloned()),
            anchors,
            intermediates,
            rules: Rules::of_clients(settings),
            boundaries,
            cache: VerdictCache::new(),
        })))
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The settings it was loaded with.
    pub fn settings(&self) -> &TrustSettings {
        &self.0.settings
    }

    /// Unique to this load of the trust in this process: what else is remembered about its judgements (sessions to
    /// resume, for one) must not outlive it.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// What an unknown revocation status means under this trust.
    pub fn on_unknown_status(&self) -> OnUnknownStatus {
        self.0.settings.on_unknown_status
    }

    /// Is revocation checked at all?
    pub fn checks_revocation(&self) -> bool {
        !self.0.settings.revocation.is_empty()
    }

    /// The trust anchors.
    pub fn anchors(&self) -> &[Certificate] {
        &self.0.anchors
    }

    /// The CA certificates of `intermediates`.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.0.intermediates
    }

    /// Anchors and intermediates: what [`CrlStore::open`] verifies lists with.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.0.anchors.iter().chain(&self.0.intermediates).cloned()
    }

    /// The issuers that a client may have a certificate from: what the TLS handshake hints at (RFC 8446
    /// section 4.2.4), anchors first, each once.
    pub fn ca_names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for certificate in self.0.anchors.iter().chain(&self.0.intermediates) {
            if !names.contains(certificate.subject()) {
                names.push(certificate.subject().clone());
            }
        }
        names
    }

    /// Judges the chain that a client presented, its own certificate first, the rest in any order.
    ///
    /// From the cache where it has been judged and nothing has changed since; else CPU work of up to some
    /// milliseconds, bounded whatever is presented.
    pub fn verify(&self, chain: &[impl AsRef<[u8]>], crls: &CrlStore, at: Time) -> Arc<Verdict> {
        self.verify_knowing(chain, &Knowledge::of_lists(crls.clone()), at)
    }

    /// The same by all that is known; [`Verifier`](crate::Verifier) gets what the verdict still lacks.
    pub fn verify_knowing(&self, chain: &[impl AsRef<[u8]>], knowledge: &Knowledge, at: Time) -> Arc<Verdict> {
        let evidence = knowledge.evidence(self.0.settings.fetch_issuers);
        if let Some(verdict) = self.0.cache.get(chain, evidence.generation, at) {
            return verdict;
        }
        let verdict = Arc::new(self.judge(chain, &evidence, at));
        // What lacks something is judged again when that has come, which is no new generation.
        if verdict.lacks.is_empty() {
            self.0.cache.put(chain, evidence.generation, at, &verdict);
        }
        verdict
    }

    fn judge(&self, chain: &[impl AsRef<[u8]>], evidence: &Evidence, at: Time) -> Verdict {
        let refused = |leaf, error, steps| Verdict {
            leaf,
            path: Err(error),
            revocation: Revocation::NotChecked,
            steps,
            valid_until: Time::NEVER,
            lacks: Vec::new(),
        };
        let Some((leaf, others)) = chain.split_first() else { return refused(None, PathError::Empty, Vec::new()) };
        let leaf = match Certificate::from_der(leaf.as_ref()) {
            Ok(leaf) => leaf,
            Err(malformed) => return refused(None, PathError::Malformed(malformed), Vec::new()),
        };
        let mut unreadable = Vec::new();
        let mut presented = Vec::new();
        for der in others.iter().take(MAX_PRESENTED) {
            match Certificate::from_der(der.as_ref()) {
                Ok(certificate) => presented.push(certificate),
                Err(malformed) => {
                    unreadable.push(format!("passed over a certificate that was sent along: {malformed}"))
                }
            }
        }
        let fetched = evidence.issuers.all();
        let boundaries = std::iter::once(&leaf).chain(&presented).chain(fetched).flat_map(boundaries_of);
        let valid_until = boundaries
            .chain([self.next_boundary(at), evidence.lists.next_boundary(at)])
            .filter(|boundary| *boundary > at)
            .min()
            .unwrap_or(Time::NEVER);

        let presented = BySubject::of(presented);
        let pools = Pools {
            anchors: &self.0.anchors_by_subject,
            intermediates: &self.0.intermediates_by_subject,
            presented: &presented,
            fetched: &evidence.issuers.by_subject,
        };
        let mut search = Search::new(pools, at);
        unreadable.into_iter().for_each(|step| search.tell(step));
        let mut inquest = Inquest::new(&self.0.name, &self.0.settings.revocation, evidence);
        let (path, revocation) = self.search(&mut search, &leaf, &mut inquest);
        let mut lacks = inquest.lacks;
        if path.is_err() && self.0.settings.fetch_issuers {
            let missing = search.dead_ends().iter().flat_map(|end| evidence.issuers_to_fetch(end));
            lacks.extend(missing.map(Lack::Issuer));
        }
        // What is lacking may come at any moment.
        let soon = if lacks.is_empty() { Time::NEVER } else { at.plus(Duration::from_secs(1)) };
        let valid_until = valid_until.min(inquest.until).min(soon);
        Verdict { leaf: Some(leaf), path, revocation, steps: search.into_steps(), valid_until, lacks }
    }

    /// A valid path, one whose certificates are known to be unrevoked if there is any.
    fn search(
        &self,
        search: &mut Search<'_>,
        leaf: &Certificate,
        inquest: &mut Inquest<'_>,
    ) -> (Result<ValidPath, PathError>, Revocation) {
        let rules = &self.0.rules;
        let first = match search.paths(leaf, rules, None, 1) {
            Ok(mut paths) if !paths.is_empty() => paths.swap_remove(0),
            Ok(_) => return (Err(PathError::TooComplex), Revocation::NotChecked),
            Err(failure) => return (Err(failure), Revocation::NotChecked),
        };
        if !self.checks_revocation() {
            return (Ok(first), Revocation::NotChecked);
        }
        let revocation = revocation::judge(search, &first, rules, inquest);
        if matches!(revocation, Revocation::Good { .. }) {
            return (Ok(first), revocation);
        }
        // A CA on the way is revoked or unknown: a bridge may offer another way.
        let others = search.paths(leaf, rules, None, MAX_ALTERNATIVES).unwrap_or_default();
        for other in others.into_iter().skip(1) {
            let status = revocation::judge(search, &other, rules, inquest);
            if matches!(status, Revocation::Good { .. }) {
                return (Ok(other), status);
            }
        }
        (Ok(first), revocation)
    }

    fn next_boundary(&self, after: Time) -> Time {
        let next = self.0.boundaries.partition_point(|&boundary| boundary <= after);
        self.0.boundaries.get(next).copied().unwrap_or(Time::NEVER)
    }
}

/// More certificates than any client sends along.
const MAX_PRESENTED: usize = 32;
/// How many valid paths are asked for their revocation.
const MAX_ALTERNATIVES: usize = 8;

/// When a certificate's validity begins, and the first instant after it.
fn boundaries_of(certificate: &Certificate) -> [Time; 2] {
    [certificate.not_before(), certificate.not_after().plus(Duration::from_secs(1))]
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trust({})", self.0.name)
    }
}
