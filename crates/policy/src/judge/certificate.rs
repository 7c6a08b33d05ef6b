//! What the certificate came to: whose it is, and whether a password may take its place.

use auth::{
    CertificateFact, CertificateRules, Facts, OnProblem, PresentedCertificate, Principal, QueryFact, Transport,
};
use pki::{OnUnknownStatus, Revocation};

use crate::flow::{MailFlowPolicy, TlsRule};
use crate::judgement::{Effect, Question, Steps};
use crate::refusal::{Refusal, Temporary};
use crate::rule::Rule;

/// May a password take the certificate's place?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    Closed,
    Open,
    /// It may not, by a rule that is only tried out.
    Monitored,
}

impl Fallback {
    fn by(on_problem: OnProblem, steps: &Steps) -> Self {
        match on_problem {
            OnProblem::Fallback => Self::Open,
            OnProblem::Reject if steps.monitors(Rule::Certificate) => Self::Monitored,
            OnProblem::Reject => Self::Closed,
        }
    }

    /// What follows from the problem.
    fn effect(self, otherwise: Effect) -> Effect {
        if self == Self::Open { Effect::Fallback } else { otherwise }
    }
}

/// What the certificate came to.
pub(super) enum CertificateFinding<'f> {
    /// It is this person's.
    Person(&'f Principal),
    /// It says nothing of who the client is. May a password?
    Silent { password: Fallback },
    /// It might, later. May a password now?
    Temporary { reason: Temporary, password: Fallback },
    /// The session ends on it.
    Refused(Refusal),
}

impl CertificateFinding<'_> {
    pub(super) fn opens_password(&self) -> bool {
        match self {
            // Clients configured with both a certificate and a password must work.
            Self::Person(_) => true,
            Self::Silent { password } | Self::Temporary { password, .. } => *password != Fallback::Closed,
            Self::Refused(_) => false,
        }
    }

    /// What AUTH with a password would meet, were the rule that closes it not only tried out.
    pub(super) fn monitored_password(&self) -> Option<Refusal> {
        match self {
            Self::Silent { password: Fallback::Monitored } => Some(Refusal::AuthNotOffered),
            Self::Temporary { reason, password: Fallback::Monitored } => Some(Refusal::Temporary(*reason)),
            _ => None,
        }
    }
}

/// Rules 2 to 5 and 9.
pub(super) fn certificate<'f>(
    facts: &'f Facts,
    policy: &MailFlowPolicy,
    rules: Option<&CertificateRules>,
    steps: &mut Steps,
) -> CertificateFinding<'f> {
    let Some(rules) = rules.filter(|_| policy.verify_client_certificate) else {
        steps.add(Question::Certificate, "not asked for", Effect::Continue);
        return CertificateFinding::Silent { password: Fallback::Open };
    };
    // Without TLS, which is required and monitored, a certificate is missed no more than where TLS is preferred.
    let required = policy.tls == TlsRule::Required && facts.transport != Transport::Plain;
    match &facts.certificate {
        CertificateFact::Presented(presented) => path(presented, rules, steps),
        // Rule 3: with TLS required only a valid certificate goes on, unless on_missing says fallback.
        CertificateFact::NotPresented | CertificateFact::NotRequested
            if required && rules.on_missing == OnProblem::Reject =>
        {
            let missing = Refusal::CertificateMissing;
            match steps.enforce(Rule::Certificate, Question::Certificate, "none shown", missing) {
                Ok(()) => CertificateFinding::Silent { password: Fallback::Open },
                Err(refusal) => CertificateFinding::Refused(refusal),
            }
        }
        CertificateFact::NotPresented | CertificateFact::NotRequested => {
            let password = Fallback::by(rules.on_missing, steps);
            steps.add(Question::Certificate, "none shown", password.effect(Effect::Continue));
            CertificateFinding::Silent { password }
        }
    }
}

fn path<'f>(
    presented: &'f PresentedCertificate,
    rules: &CertificateRules,
    steps: &mut Steps,
) -> CertificateFinding<'f> {
    let whose = format!("{} (serial {}, issued by {})", presented.subject, presented.serial, presented.issuer);
    steps.add(Question::Certificate, whose, Effect::Continue);
    if let Err(error) = &presented.path {
        let refusal = Refusal::CertificateInvalid(error.clone());
        return problem(rules.on_invalid, Question::Path, error.to_string(), refusal, steps);
    }
    steps.add(Question::Path, "valid", Effect::Continue);
    revocation(presented, rules, steps)
}

fn revocation<'f>(
    presented: &'f PresentedCertificate,
    rules: &CertificateRules,
    steps: &mut Steps,
) -> CertificateFinding<'f> {
    let status = presented.revocation.to_string();
    match (&presented.revocation, rules.on_unknown_status) {
        (Revocation::Revoked { .. }, _) => {
            problem(rules.on_invalid, Question::Revocation, status, Refusal::CertificateRevoked, steps)
        }
        (Revocation::Unknown(_), OnUnknownStatus::Reject) => {
            problem(rules.on_invalid, Question::Revocation, status, Refusal::CertificateStatusUnknown, steps)
        }
        (Revocation::Unknown(_), OnUnknownStatus::Temporary) => {
            let password = Fallback::by(rules.on_invalid, steps);
            steps.add(Question::Revocation, status, password.effect(Effect::Temporary));
            CertificateFinding::Temporary { reason: Temporary::RevocationStatus, password }
        }
        (Revocation::Unknown(_), OnUnknownStatus::Allow) | (Revocation::Good { .. } | Revocation::NotChecked, _) => {
            steps.add(Question::Revocation, status, Effect::Continue);
            certificate_query(presented, rules, steps)
        }
    }
}

/// Rules 4 and 5: exactly one person, or nobody at all.
fn certificate_query<'f>(
    presented: &'f PresentedCertificate,
    rules: &CertificateRules,
    steps: &mut Steps,
) -> CertificateFinding<'f> {
    const ASKED: Question = Question::CertificateQuery;
    match &presented.query {
        QueryFact::One(principal) => {
            steps.add(ASKED, principal.user_id.clone(), Effect::Identified);
            CertificateFinding::Person(principal)
        }
        QueryFact::Nobody(why) => {
            problem(rules.on_no_match, ASKED, format!("nobody: {why}"), Refusal::CertificateUnmatched, steps)
        }
        QueryFact::Several => {
            problem(rules.on_no_match, ASKED, "several people".to_owned(), Refusal::CertificateAmbiguous, steps)
        }
        QueryFact::Unavailable(why) => {
            let password = Fallback::by(rules.on_no_match, steps);
            let answer = format!("directory unavailable: {why}");
            steps.add(ASKED, answer, password.effect(Effect::Temporary));
            CertificateFinding::Temporary { reason: Temporary::CertificateQuery, password }
        }
        QueryFact::NotAsked => {
            steps.add(ASKED, "no directory is configured beside the trust", Effect::Continue);
            CertificateFinding::Silent { password: Fallback::Open }
        }
    }
}

/// A problem with the certificate: the end of the session, or a password in its place.
fn problem<'f>(
    on_problem: OnProblem,
    question: Question,
    answer: String,
    refusal: Refusal,
    steps: &mut Steps,
) -> CertificateFinding<'f> {
    let go_on = match on_problem {
        OnProblem::Reject => steps.enforce(Rule::Certificate, question, answer, refusal),
        OnProblem::Fallback => {
            steps.add(question, answer, Effect::Fallback);
            Ok(())
        }
    };
    match go_on {
        Ok(()) => CertificateFinding::Silent { password: Fallback::Open },
        Err(refusal) => CertificateFinding::Refused(refusal),
    }
}
