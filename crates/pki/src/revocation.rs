//! RFC 5280 section 6.3: is any certificate of a path revoked, by the lists at hand and by what responders have said?
//! Fails closed: what neither vouches for completely is unknown.

mod responders;

use std::collections::HashMap;

use crate::certificate::Certificate;
use crate::crl::extensions::Scope;
use crate::crl::list::Crl;
use crate::crl::snapshot::{Loaded, Snapshot};
use crate::extensions::{DistributionPoint, DistributionPointName, KeyUsage, Reasons};
use crate::general_name::GeneralName;
use crate::knowledge::{Evidence, Lack};
use crate::path::build::Search;
use crate::path::rules::Rules;
use crate::settings::RevocationMethod;
use crate::signature::PublicKey;
use crate::time::Time;
use crate::verdict::{Revocation, RevocationReason, UnknownStatus, ValidPath};

/// What one judgement asks of lists and responders, and what it learns beside the outcome.
pub(crate) struct Inquest<'k> {
    /// The name of the trust, and how it checks.
    trust: &'k str,
    methods: &'k [RevocationMethod],
    evidence: &'k Evidence,
    /// What could be fetched and might change the outcome.
    pub(crate) lacks: Vec<Lack>,
    /// From then on answers that it rests on don't hold any more, or may be asked for again.
    pub(crate) until: Time,
}

impl<'k> Inquest<'k> {
    pub(crate) fn new(trust: &'k str, methods: &'k [RevocationMethod], evidence: &'k Evidence) -> Self {
        Self { trust, methods, evidence, lacks: Vec::new(), until: Time::NEVER }
    }

    fn lack(&mut self, lack: Lack) {
        if !self.lacks.contains(&lack) {
            self.lacks.push(lack);
        }
    }
}

/// Judges every certificate of `path`: any revoked makes it revoked, else any unknown makes it unknown.
pub(crate) fn judge(search: &mut Search<'_>, path: &ValidPath, rules: &Rules, inquest: &mut Inquest<'_>) -> Revocation {
    let evidence = inquest.evidence;
    let mut checker = Checker {
        search,
        lists: &evidence.lists,
        inquest,
        rules: rules.of_crl_signers(),
        anchor: &path.anchor,
        known: HashMap::new(),
        depth: 0,
    };
    let whole: Vec<&Certificate> = path.certificates.iter().chain([&path.anchor]).collect();
    let outcome = checker.judge_path(&whole);
    checker.search.tell(format!("revocation: {outcome}"));
    outcome
}

/// A signer of lists can need a list itself, signed by yet another; no PKI goes deeper than this.
const MAX_DEPTH: u32 = 3;

struct Checker<'c, 'a, 'k> {
    search: &'c mut Search<'a>,
    lists: &'k Snapshot,
    inquest: &'c mut Inquest<'k>,
    rules: Rules,
    anchor: &'c Certificate,
    /// By fingerprint; `None` while it is being judged, so that no list vouches for its own signer.
    known: HashMap<[u8; 32], Option<Revocation>>,
    depth: u32,
}

impl Checker<'_, '_, '_> {
    /// `whole` is a path, target first and anchor last.
    fn judge_path(&mut self, whole: &[&Certificate]) -> Revocation {
        let mut outcome = Revocation::NotChecked;
        // CAs first: what a revoked CA's list says is of no interest.
        for at in (0..whole.len().saturating_sub(1)).rev() {
            let Some(([certificate], above)) = whole.get(at..).and_then(|rest| rest.split_at_checked(1)) else { break };
            let status = self.judge_certificate(certificate, above);
            match (&outcome, &status) {
                (_, Revocation::Revoked { .. }) => return status,
                (Revocation::Unknown(_), _) => {}
                _ => outcome = status,
            }
        }
        outcome
    }

    /// `above` are its issuer, the issuer's issuer and so on, to the anchor.
    fn judge_certificate(&mut self, certificate: &Certificate, above: &[&Certificate]) -> Revocation {
        match self.known.get(certificate.sha256()) {
            Some(Some(status)) => return status.clone(),
            Some(None) => {
                let certificate = certificate.to_string();
                return Revocation::Unknown(UnknownStatus::NoCrl { certificate });
            }
            None => {}
        }
        self.known.insert(*certificate.sha256(), None);
        let status = self.ask(certificate, above);
        self.known.insert(*certificate.sha256(), Some(status.clone()));
        status
    }

    /// By each method in turn, until one can tell. Where none can, the first that had something to go by says why.
    fn ask(&mut self, certificate: &Certificate, above: &[&Certificate]) -> Revocation {
        let mut unknown: Option<UnknownStatus> = None;
        for method in self.inquest.methods {
            let status = match method {
                RevocationMethod::Crl => self.ask_lists_or_lack_one(certificate, above),
                RevocationMethod::Ocsp => self.ask_responder(certificate, above),
            };
            let Revocation::Unknown(why) = status else { return status };
            self.search.tell(format!("revocation: {why}"));
            unknown = match unknown {
                Some(before) if !before.has_nothing_to_go_by() || why.has_nothing_to_go_by() => Some(before),
                _ => Some(why),
            };
        }
        let certificate = certificate.to_string();
        Revocation::Unknown(unknown.unwrap_or(UnknownStatus::NoCrl { certificate }))
    }

    fn ask_lists_or_lack_one(&mut self, certificate: &Certificate, above: &[&Certificate]) -> Revocation {
        let status = self.ask_lists(certificate, above);
        if matches!(status, Revocation::Unknown(_)) {
            for location in self.inquest.evidence.lists_to_fetch(certificate) {
                self.inquest.lack(Lack::List(location));
            }
        }
        status
    }

    /// Section 6.3.3, over all distribution points and all lists that they lead to.
    fn ask_lists(&mut self, certificate: &Certificate, above: &[&Certificate]) -> Revocation {
        let mut inquiry = Inquiry { covered: Reasons::NONE, good: None, trouble: None };
        // Last the "implied" point of section 6.3.3: whatever lists the issuer itself has.
        let implied = DistributionPoint {
            name: Some(DistributionPointName::Full(vec![GeneralName::Directory(certificate.issuer().clone())])),
            ..DistributionPoint::default()
        };
        for point in certificate.known().crl_distribution_points.iter().chain([&implied]) {
            for issuer in list_issuers(point, certificate) {
                for loaded in self.lists.issued_by(issuer) {
                    if let Some(revoked) = self.ask_list(loaded, point, certificate, above, &mut inquiry) {
                        return revoked;
                    }
                    if inquiry.covered == Reasons::ALL {
                        return inquiry.good.unwrap_or(Revocation::NotChecked);
                    }
                }
            }
        }
        Revocation::Unknown(self.why_unknown(certificate, inquiry))
    }

    fn why_unknown(&self, certificate: &Certificate, inquiry: Inquiry) -> UnknownStatus {
        let name = certificate.to_string();
        match inquiry.trouble {
            Some(trouble) => trouble,
            None if inquiry.good.is_some() => UnknownStatus::SomeReasons { certificate: name },
            None if !self.lists.never_read.is_empty() => {
                UnknownStatus::NeverFetched { certificate: name, sources: self.lists.never_read.join(", ") }
            }
            None => UnknownStatus::NoCrl { certificate: name },
        }
    }

    /// One list, with the newest delta to it. `Some` if it says that the certificate is revoked.
    fn ask_list(
        &mut self,
        loaded: &Loaded,
        point: &DistributionPoint,
        certificate: &Certificate,
        above: &[&Certificate],
        inquiry: &mut Inquiry,
    ) -> Option<Revocation> {
        let list = &*loaded.list;
        // (b), (d), (e); a delta says nothing without its complete list.
        let reasons = list.reasons().and(point.reasons.unwrap_or(Reasons::ALL));
        let is_news = reasons.without(inquiry.covered) != Reasons::NONE;
        if list.is_delta() || !is_news || !in_scope(list, point, certificate) {
            return None;
        }
        // (a): freshness.
        if let Err(trouble) = self.check_fresh(loaded, certificate) {
            inquiry.note(trouble);
            return None;
        }
        // (f), (g)
        if let Err(trouble) = self.check_signer(loaded, point, certificate, above) {
            inquiry.note(trouble);
            return None;
        }
        // (c), (h), (i), (k): the delta's word counts before its complete list's.
        let lists = self.lists;
        let delta = lists.issued_by(list.issuer()).iter().find(|delta| {
            delta.list.is_delta_to(list)
                && self.check_fresh(delta, certificate).is_ok()
                && self.check_signer(delta, point, certificate, above).is_ok()
        });
        let find = |list: &Crl| list.find(certificate.issuer(), certificate.serial());
        const REMOVE_FROM_CRL: u8 = 8;
        let entry = match delta.and_then(|delta| find(&delta.list)) {
            Some(entry) if entry.reason == REMOVE_FROM_CRL => None,
            Some(entry) => Some(entry),
            // (j)
            None => find(list).filter(|entry| entry.reason != REMOVE_FROM_CRL),
        };
        if let Some(entry) = entry {
            let (certificate, reason) = (certificate.to_string(), reason_of(entry.reason));
            return Some(Revocation::Revoked { certificate, reason, at: entry.date });
        }
        // (l)
        inquiry.covered = inquiry.covered.or(reasons);
        let newest = delta.unwrap_or(loaded);
        inquiry.good = Some(Revocation::Good {
            source: newest.source.to_string(),
            this_update: newest.list.this_update(),
            next_update: newest.list.next_update(),
        });
        None
    }

    fn check_fresh(&self, loaded: &Loaded, certificate: &Certificate) -> Result<(), UnknownStatus> {
        let now: Time = self.search.at;
        let certificate = || certificate.to_string();
        match loaded.list.next_update() {
            Some(next_update) if now > next_update.plus(self.lists.grace) => Err(UnknownStatus::Stale {
                certificate: certificate(),
                source_name: loaded.source.to_string(),
                next_update,
            }),
            // Not made yet, by our clock: as good as not there.
            _ if loaded.list.this_update() > now => Err(UnknownStatus::NoCrl { certificate: certificate() }),
            _ => Ok(()),
        }
    }

    /// Section 6.3.3 (f) and (g): signed by a CA of the path, or by another key of the list's issuer that has a valid,
    /// unrevoked path of its own to the same anchor.
    fn check_signer(
        &mut self,
        loaded: &Loaded,
        point: &DistributionPoint,
        certificate: &Certificate,
        above: &[&Certificate],
    ) -> Result<(), UnknownStatus> {
        let list = &*loaded.list;
        let bad_signer = || UnknownStatus::BadSigner {
            certificate: certificate.to_string(),
            source_name: loaded.source.to_string(),
        };
        if !self.rules.strength.allows(list.signature_algorithm()) {
            return Err(bad_signer());
        }
        for at in 0..above.len() {
            let Some((signer, higher)) = above.get(at..).and_then(|rest| rest.split_first()) else { break };
            if signer.subject() == list.issuer() && may_sign(signer) && is_signed_by(list, signer, higher) {
                return Ok(());
            }
        }
        let candidates: Vec<Certificate> = (self.search.pools.named(list.issuer()))
            .filter(|candidate| !above.contains(candidate) && may_sign(candidate))
            .cloned()
            .collect();
        for candidate in candidates {
            // A signer vouches for itself only where the CA above has said so in its certificate, by a cRLIssuer
            // that is the signer (NIST PKITS 4.14.30).
            let names_itself =
                candidate == *certificate && list_issuers(point, certificate).contains(&candidate.subject());
            let path = if names_itself { None } else { self.path_of_signer(&candidate) };
            if path.is_none() && !names_itself {
                continue;
            }
            let too_complex = |_| UnknownStatus::TooComplex { certificate: certificate.to_string() };
            self.search.budget.signature().map_err(too_complex)?;
            if list.is_signed_by(&candidate) && path.is_none_or(|path| self.is_unrevoked(&path)) {
                return Ok(());
            }
        }
        Err(bad_signer())
    }

    /// Only what has a path is asked whether it signed the list: a stranger's certificates cost no more than that search.
    fn path_of_signer(&mut self, signer: &Certificate) -> Option<ValidPath> {
        let rules = self.rules.clone();
        self.search.paths(signer, &rules, Some(self.anchor), 1).ok()?.pop()
    }

    fn is_unrevoked(&mut self, path: &ValidPath) -> bool {
        if self.depth >= MAX_DEPTH {
            return false;
        }
        self.depth += 1;
        let whole: Vec<&Certificate> = path.certificates.iter().chain([&path.anchor]).collect();
        let outcome = self.judge_path(&whole);
        self.depth -= 1;
        matches!(outcome, Revocation::Good { .. })
    }
}

/// What has come out so far for one certificate.
struct Inquiry {
    /// The reasons that lists without the certificate speak of.
    covered: Reasons,
    good: Option<Revocation>,
    /// The first thing that kept a list from being used.
    trouble: Option<UnknownStatus>,
}

impl Inquiry {
    fn note(&mut self, trouble: UnknownStatus) {
        self.trouble.get_or_insert(trouble);
    }
}

/// Who issues the lists of a distribution point: those it names, or the certificate's own issuer.
fn list_issuers<'p>(point: &'p DistributionPoint, certificate: &'p Certificate) -> Vec<&'p crate::name::Name> {
    if point.crl_issuer.is_empty() {
        return vec![certificate.issuer()];
    }
    let directory = |name: &'p GeneralName| match name {
        GeneralName::Directory(name) => Some(name),
        _ => None,
    };
    point.crl_issuer.iter().filter_map(directory).collect()
}

/// Section 6.3.3 (b): is the list about this certificate, as reached through this point?
fn in_scope(list: &Crl, point: &DistributionPoint, certificate: &Certificate) -> bool {
    let scope = list.scope();
    // (b)(1)
    if !point.crl_issuer.is_empty() && !scope.indirect {
        return false;
    }
    // (b)(2)(ii) to (iv)
    let is_ca = certificate.is_ca();
    if scope.only_attributes || (scope.only_users && is_ca) || (scope.only_cas && !is_ca) {
        return false;
    }
    names_meet(scope, list, point)
}

/// Section 6.3.3 (b)(2)(i): the list's point is one of the certificate's.
fn names_meet(scope: &Scope, list: &Crl, point: &DistributionPoint) -> bool {
    let Some(of_list) = &scope.distribution_point else { return true };
    let of_list = of_list.names(list.issuer());
    let of_certificate = match &point.name {
        Some(name) => name.names(list.issuer()),
        None => point.crl_issuer.clone(),
    };
    of_list.iter().any(|name| of_certificate.contains(name))
}

fn may_sign(signer: &Certificate) -> bool {
    signer.known().key_usage.is_none_or(|usage| usage.allows(KeyUsage::CRL_SIGN))
}

/// By the key of a CA of the path, whose DSA parameters may be those of the CAs above it.
fn is_signed_by(list: &Crl, signer: &Certificate, higher: &[&Certificate]) -> bool {
    match signer.public_key() {
        PublicKey::Dsa(key) if key.lacks_parameters() => {
            let inherited = higher.iter().fold(key.clone(), |key, higher| match higher.public_key() {
                PublicKey::Dsa(issuer_key) => key.inherit(issuer_key),
                _ => key,
            });
            list.verify(&PublicKey::Dsa(inherited))
        }
        _ => list.is_signed_by(signer),
    }
}

pub(crate) fn reason_of(code: u8) -> RevocationReason {
    match code {
        1 => RevocationReason::KeyCompromise,
        2 => RevocationReason::CaCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        6 => RevocationReason::CertificateHold,
        9 => RevocationReason::PrivilegeWithdrawn,
        10 => RevocationReason::AaCompromise,
        _ => RevocationReason::Unspecified,
    }
}
