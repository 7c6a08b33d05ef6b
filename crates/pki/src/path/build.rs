//! Path building: a depth-first search from a certificate up to an anchor, through whatever CA certificates are at
//! hand (bridges and cross-certificates make several paths), within a budget.

use std::collections::HashMap;

use crate::certificate::Certificate;
use crate::name::Name;
use crate::path::budget::Budget;
use crate::path::rules::Rules;
use crate::path::validate;
use crate::pool::BySubject;
use crate::signature::{PublicKey, SignatureError};
use crate::time::Time;
use crate::verdict::{PathError, ValidPath};

/// Longer paths than any PKI has; also the depth of the recursion.
const MAX_PATH: usize = 20;
const MAX_STEPS: usize = 32;
/// More are never fetched for.
const MAX_DEAD_ENDS: usize = 4;

/// What a search searches among.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pools<'a> {
    pub(crate) anchors: &'a BySubject,
    pub(crate) intermediates: &'a BySubject,
    /// What the client sent beside its own certificate.
    pub(crate) presented: &'a BySubject,
    /// What was fetched because a certificate named where it is.
    pub(crate) fetched: &'a BySubject,
}

impl<'a> Pools<'a> {
    /// Every certificate of this subject that is no anchor.
    fn below_anchors(&self, subject: &Name) -> impl Iterator<Item = &'a [Certificate]> {
        [self.presented, self.intermediates, self.fetched].map(|pool| pool.named(subject)).into_iter()
    }

    /// Every certificate of this subject.
    pub(crate) fn named(&self, subject: &Name) -> impl Iterator<Item = &'a Certificate> {
        std::iter::once(self.anchors.named(subject)).chain(self.below_anchors(subject)).flatten()
    }
}

/// One judgement's search: what it searches among, and what it has learned.
pub(crate) struct Search<'a> {
    pub(crate) pools: Pools<'a>,
    pub(crate) at: Time,
    pub(crate) budget: Budget,
    /// Certificates above which it has been searched.
    dead_ends: Vec<Certificate>,
    /// What was tried, in words.
    steps: Vec<String>,
    /// Outcomes of signature checks by the fingerprints of child and issuer.
    signatures: Signatures,
}

type Signatures = HashMap<([u8; 32], [u8; 32]), Result<(), SignatureError>>;

/// What is being looked for, and found.
struct Quest<'q> {
    rules: &'q Rules,
    only_anchor: Option<&'q Certificate>,
    wanted: usize,
    found: Vec<ValidPath>,
    /// The failure that came furthest, with how far that is.
    failure: Option<(Progress, PathError)>,
}

/// How far a failed attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    NoIssuer,
    WrongKey,
    ReachedAnchor,
}

impl<'a> Search<'a> {
    pub(crate) fn new(pools: Pools<'a>, at: Time) -> Self {
        let (budget, steps, signatures) = (Budget::new(), Vec::new(), HashMap::new());
        Self { pools, at, budget, dead_ends: Vec::new(), steps, signatures }
    }

    /// The first certificates above which no path was found, where there was none at all.
    pub(crate) fn dead_ends(&self) -> &[Certificate] {
        &self.dead_ends
    }

    /// Tells a step, once, and no more than a person would read.
    pub(crate) fn tell(&mut self, step: String) {
        match self.steps.len() {
            told if told < MAX_STEPS && !self.steps.contains(&step) => self.steps.push(step),
            MAX_STEPS => self.steps.push("and more of the kind".to_owned()),
            _ => {}
        }
    }

    pub(crate) fn into_steps(self) -> Vec<String> {
        self.steps
    }

    /// Up to `wanted` valid paths from `target` to an anchor (to `only_anchor`, if given), best first.
    ///
    /// # Errors
    /// Where there is none: why the attempt that came furthest failed.
    pub(crate) fn paths(
        &mut self,
        target: &Certificate,
        rules: &Rules,
        only_anchor: Option<&Certificate>,
        wanted: usize,
    ) -> Result<Vec<ValidPath>, PathError> {
        let mut quest = Quest { rules, only_anchor, wanted, found: Vec::new(), failure: None };
        let exhausted = self.climb(&mut vec![target.clone()], &mut quest);
        match (quest.found.is_empty(), exhausted, quest.failure) {
            (false, _, _) => Ok(quest.found),
            (true, Err(too_complex), _) => {
                self.tell(too_complex.to_string());
                Err(too_complex)
            }
            (true, Ok(()), Some((_, failure))) => Err(failure),
            (true, Ok(()), None) => Err(no_issuer(target)),
        }
    }

    /// Puts every possible issuer on top of `path`. `Err` only when the budget is spent.
    fn climb(&mut self, path: &mut Vec<Certificate>, quest: &mut Quest<'_>) -> Result<(), PathError> {
        let Some(top) = path.last().cloned() else { return Ok(()) };
        let mut led_anywhere = false;
        for anchor in best_first(&top, self.pools.anchors.named(top.issuer())) {
            // A trust anchor that is presented as itself is no path (RFC 5280 section 6.1: n is at least 1).
            if anchor == top || quest.only_anchor.is_some_and(|only| *only != anchor) {
                continue;
            }
            self.budget.step()?;
            led_anywhere = true;
            self.try_path(path, &anchor, quest)?;
            if quest.found.len() >= quest.wanted {
                return Ok(());
            }
        }
        let issuers: Vec<Certificate> =
            self.pools.below_anchors(top.issuer()).flat_map(|pool| best_first(&top, pool)).collect();
        for issuer in issuers {
            if path.len() >= MAX_PATH || path.iter().any(|below| same_ca(below, &issuer)) {
                continue;
            }
            self.budget.step()?;
            led_anywhere = true;
            if let Err(failure) = self.plausible(&top, &issuer, quest.rules)? {
                quest.fail(Progress::WrongKey, failure);
                continue;
            }
            path.push(issuer);
            let outcome = self.climb(path, quest);
            path.pop();
            outcome?;
            if quest.found.len() >= quest.wanted {
                return Ok(());
            }
        }
        if self.dead_ends.len() < MAX_DEAD_ENDS && !self.dead_ends.contains(&top) {
            self.dead_ends.push(top.clone());
        }
        if !led_anywhere {
            self.tell(format!("{}: no certificate of its issuer is known", describe(path, None)));
            quest.fail(Progress::NoIssuer, no_issuer(&top));
        }
        Ok(())
    }

    fn try_path(&mut self, path: &[Certificate], anchor: &Certificate, quest: &mut Quest<'_>) -> Result<(), PathError> {
        let top_down: Vec<&Certificate> = path.iter().rev().collect();
        let signatures = &mut self.signatures;
        let mut check = |child: &Certificate, issuer: &Certificate, budget: &mut Budget| {
            check_once(signatures, child, issuer, budget)
        };
        let outcome = validate::validate(anchor, &top_down, quest.rules, self.at, &mut self.budget, &mut check);
        match outcome {
            Ok(valid) => {
                self.tell(format!("{}: valid", describe(path, Some(anchor))));
                quest.found.push(valid);
                Ok(())
            }
            Err(PathError::TooComplex) => Err(PathError::TooComplex),
            Err(failure) => {
                self.tell(format!("{}: {failure}", describe(path, Some(anchor))));
                let progress = match failure {
                    PathError::BadSignature { .. } => Progress::WrongKey,
                    _ => Progress::ReachedAnchor,
                };
                quest.fail(progress, failure);
                Ok(())
            }
        }
    }

    /// Could `issuer` have signed `child`? What the rules forbid is not even tried: some of it is slow. Keys that
    /// inherit parameters can't be asked alone.
    fn plausible(
        &mut self,
        child: &Certificate,
        issuer: &Certificate,
        rules: &Rules,
    ) -> Result<Result<(), PathError>, PathError> {
        if let Err(weak) = rules.strength.check_key(issuer).and_then(|()| rules.strength.check_algorithm(child)) {
            return Ok(Err(weak));
        }
        if matches!(issuer.public_key(), PublicKey::Dsa(key) if key.lacks_parameters()) {
            return Ok(Ok(()));
        }
        let outcome = check_once(&mut self.signatures, child, issuer, &mut self.budget)?;
        let bad =
            |why: SignatureError| PathError::BadSignature { certificate: child.to_string(), why: why.to_string() };
        Ok(outcome.map_err(bad))
    }
}

impl Quest<'_> {
    fn fail(&mut self, progress: Progress, failure: PathError) {
        if self.failure.as_ref().is_none_or(|(furthest, _)| progress > *furthest) {
            self.failure = Some((progress, failure));
        }
    }
}

fn check_once(
    signatures: &mut Signatures,
    child: &Certificate,
    issuer: &Certificate,
    budget: &mut Budget,
) -> Result<Result<(), SignatureError>, PathError> {
    let pair = (*child.sha256(), *issuer.sha256());
    if let Some(outcome) = signatures.get(&pair) {
        return Ok(outcome.clone());
    }
    budget.signature()?;
    let outcome = child.verify_signature(issuer.public_key());
    signatures.insert(pair, outcome.clone());
    Ok(outcome)
}

/// Those whose key identifier is the one that `child` names come first: a hint (RFC 5280 section 4.2.1.1), no rule.
fn best_first(child: &Certificate, issuers: &[Certificate]) -> Vec<Certificate> {
    let wanted = child.known().authority_key_id.key_id.as_deref();
    let mut ordered = issuers.to_vec();
    ordered.sort_by_key(|issuer| wanted.is_none() || issuer.subject_key_id() != wanted);
    ordered
}

/// RFC 4158 section 5.2: a path that holds the same CA (name and key) twice leads nowhere new.
fn same_ca(one: &Certificate, other: &Certificate) -> bool {
    one == other || (one.spki_der() == other.spki_der() && one.subject() == other.subject())
}

fn no_issuer(certificate: &Certificate) -> PathError {
    PathError::UnknownIssuer { certificate: certificate.to_string(), issuer: certificate.issuer().to_string() }
}

fn describe(path: &[Certificate], anchor: Option<&Certificate>) -> String {
    let names: Vec<String> = path.iter().chain(anchor).map(|certificate| format!("`{certificate}`")).collect();
    names.join(" <- ")
}
