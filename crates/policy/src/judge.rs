//! The judgement: authentication's rules, each once.

mod mail;
mod authentication;
mod certificate;

use auth::{Attempt, Facts, ProfileRules, Transport};

use crate::flow::{Access, MailFlowPolicy, TlsRule};
use crate::judge::authentication::{attempt, auth_offer};
use crate::judge::certificate::{CertificateFinding, certificate};
use crate::judge::mail::mail;
use crate::judgement::{AuthOffer, Effect, Judgement, Question, Standing, Steps};
use crate::refusal::Refusal;
use crate::rule::Rule;

/// Judges what a session knows under its policy and profile. Pure: the same facts give the same judgement.
pub fn judge(facts: &Facts, policy: &MailFlowPolicy, profile: &ProfileRules) -> Judgement {
    let mut steps = Steps::new(policy.monitor);
    match policy.access {
        Access::Relay => steps.add(Question::Access, "relay", Effect::Continue),
        Access::Accept => steps.add(Question::Access, "accept", Effect::Continue),
        Access::Reject if policy.delayed_rejection => {
            steps.add(Question::Access, "reject, delayed to RCPT", Effect::Continue);
        }
        Access::Reject => {
            return steps.refuse_all(facts, "reject", Refusal::AccessDenied(policy.reject_text.clone()));
        }
        Access::Refuse => {
            let refused = steps.refuse_all(facts, "refuse", Refusal::AccessDenied(None));
            return Judgement { standing: Standing::Disconnect, ..refused };
        }
    }
    if let Some(tls_first) = transport(facts, policy, &mut steps) {
        return tls_first;
    }
    let certificate = certificate(facts, policy, profile.certificate.as_ref(), &mut steps);
    if let CertificateFinding::Refused(refusal) = certificate {
        return steps.close(facts, refusal);
    }
    let attempt = attempt(facts, policy, profile, &certificate, &mut steps);
    Judgement {
        standing: Standing::Open { starttls: offers_starttls(facts, policy), tls_first: false },
        auth: auth_offer(facts, policy, profile, &certificate, &attempt),
        mail: mail(facts, policy, &certificate, &attempt, &mut steps),
        attempt: attempt.map(|outcome| outcome.map(|_| ())),
        monitored: steps.monitored,
        steps: steps.taken,
    }
}

/// Rule 1: where TLS is required, nothing goes on without it.
fn transport(facts: &Facts, policy: &MailFlowPolicy, steps: &mut Steps) -> Option<Judgement> {
    match &facts.transport {
        Transport::Tls(tls) => {
            let how = if tls.implicit { "implicit TLS" } else { "STARTTLS" };
            steps.add(Question::Transport, format!("{how}, {}, {}", tls.version, tls.cipher), Effect::Continue);
            None
        }
        Transport::Plain if policy.tls == TlsRule::Required => {
            let answer = "no TLS, and TLS is required";
            let refusal = steps.enforce(Rule::Tls, Question::Transport, answer, Refusal::TlsRequired).err()?;
            let closed = std::mem::take(steps).close(facts, refusal);
            Some(Judgement { standing: Standing::Open { starttls: true, tls_first: true }, ..closed })
        }
        Transport::Plain => {
            steps.add(Question::Transport, "no TLS", Effect::Continue);
            None
        }
    }
}

fn offers_starttls(facts: &Facts, policy: &MailFlowPolicy) -> bool {
    facts.transport == Transport::Plain && policy.tls != TlsRule::Off
}

impl Steps {
    fn refuse_all(mut self, facts: &Facts, access: &'static str, refusal: Refusal) -> Judgement {
        self.add(Question::Access, access, Effect::Refused);
        self.close(facts, refusal)
    }

    fn close(self, facts: &Facts, refusal: Refusal) -> Judgement {
        Judgement {
            standing: Standing::Refused(refusal.clone()),
            auth: AuthOffer::Refused(refusal.clone()),
            attempt: (facts.attempt != Attempt::None).then(|| Err(refusal.clone())),
            mail: Err(refusal),
            monitored: Vec::new(),
            steps: self.taken,
        }
    }
}
