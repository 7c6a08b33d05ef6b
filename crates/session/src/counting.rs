//! What of a session is counted, and when.

use auth::sasl::SaslError;
use auth::{CertificateFact, Mechanism};
use policy::{Effect, Monitored, Question, Refusal};

use crate::session::Session;
use crate::statistics::reason;
use crate::statistics::{Event, What};

impl Session {
    fn count(&self, what: What, reason: &'static str) {
        self.ledger.count(Event { what, reason: reason.into() });
    }

    /// What became of the certificate in the judgement, where one is asked for.
    fn certificate_outcome(&self) -> Option<(What, &'static str)> {
        use Question::{Certificate, CertificateQuery, Path, Revocation};
        if !self.asks_for_certificate() {
            return None;
        }
        let mut steps = self.judgement.steps.iter().rev();
        let last = steps
            .find(|step| matches!(step.question, Certificate | Path | Revocation | CertificateQuery))
            .map(|step| step.effect)?;
        let CertificateFact::Presented(presented) = &self.facts.certificate else {
            return Some(match last {
                Effect::Refused => (What::CertificateRefused, "missing"),
                _ => (What::CertificatePassedOver, "missing"),
            });
        };
        let what = match last {
            // A trust without a directory asks no more.
            Effect::Identified | Effect::Continue | Effect::Permitted => What::CertificateAccepted,
            Effect::Refused => What::CertificateRefused,
            Effect::Temporary => What::CertificatePutOff,
            Effect::Fallback | Effect::Monitored => What::CertificatePassedOver,
        };
        Some((what, reason::of_certificate(presented)))
    }

    /// After a handshake.
    pub(crate) fn count_certificate(&self) {
        if let Some((what, reason)) = self.certificate_outcome() {
            self.count(what, reason);
        }
    }

    /// After AUTH: its refusal, or the mechanism by which it succeeded.
    pub(crate) fn count_auth(&self, outcome: Result<Mechanism, &Refusal>) {
        let mechanism = match outcome {
            Ok(mechanism) => mechanism,
            Err(refusal @ Refusal::Temporary(_)) => return self.count(What::AuthPutOff, reason::of_refusal(refusal)),
            Err(refusal) => return self.count(What::AuthRefused, reason::of_attempt(&self.facts.attempt, refusal)),
        };
        self.count(What::AuthAccepted, mechanism.name());
        if let Some((What::CertificatePassedOver | What::CertificatePutOff, why)) = self.certificate_outcome() {
            self.count(What::FellBack, why);
        }
    }

    /// After an AUTH that never came to a proof.
    pub(crate) fn count_broken_auth(&self, error: &SaslError) {
        let reason = match error {
            SaslError::Cancelled => "given up",
            SaslError::ChannelBinding(_) => "channel binding",
            _ => "malformed",
        };
        self.count(What::AuthRefused, reason);
    }

    /// A message was accepted.
    pub(crate) fn count_message(&self) {
        let identity = self.judgement.mail.as_ref().ok().and_then(|clearance| clearance.identity());
        let how = match identity {
            None => "without an identity",
            Some(identified) => identified.mechanism.map_or("certificate", Mechanism::name),
        };
        self.count(What::Message, how);
    }

    /// A monitored rule would have refused it.
    pub(crate) fn count_monitored(&self, monitored: &Monitored) {
        let address = self.client.ip().to_canonical().to_string();
        let subject = || self.certificate().map(|certificate| certificate.subject.as_str());
        let who = self.identity().or_else(subject).unwrap_or(&address);
        self.ledger.would_refuse(monitored.rule, reason::of_refusal(&monitored.refusal), who);
    }

    /// It is over.
    pub(crate) fn count_session(&self) {
        let outcome = match &self.tally {
            tally if !tally.monitored.is_empty() => "let through",
            tally if tally.messages > 0 => "sent mail",
            tally if tally.refusal.is_some() => "refused",
            _ => "sent nothing",
        };
        self.count(What::Session, outcome);
    }
}
