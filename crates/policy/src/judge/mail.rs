//! MAIL: who may go on, as whom, and how far.

use std::borrow::Cow;

use auth::{Facts, Transport};

use crate::flow::{Access, MailFlowPolicy, SmtpAuth};
use crate::judge::certificate::CertificateFinding;
use crate::judgement::{Effect, Question, Steps};
use crate::permit::{Clearance, Identified, Reach};
use crate::refusal::{Refusal, Temporary};
use crate::rule::Rule;

/// Rules 8 and 9.
pub(super) fn mail(
    facts: &Facts,
    policy: &MailFlowPolicy,
    certificate: &CertificateFinding<'_>,
    attempt: &Option<Result<Identified, Refusal>>,
    steps: &mut Steps,
) -> Result<Clearance, Refusal> {
    let identity = match (attempt, certificate) {
        (Some(Ok(identified)), _) => Some(identified.clone()),
        (_, CertificateFinding::Person(principal)) => {
            Some(Identified { principal: (*principal).clone(), mechanism: None })
        }
        _ => None,
    };
    if identity.is_none() {
        without_identity(policy, certificate, attempt, steps)?;
    }
    let who = identity.as_ref().map_or_else(
        || Cow::Borrowed("without an identity"),
        |identified| Cow::Owned(format!("as {}", identified.principal.user_id)),
    );
    steps.add(Question::Mail, who, Effect::Permitted);
    let reach = reach(identity.as_ref(), policy);
    Ok(Clearance::new(identity, reach, policy, facts.transport == Transport::Plain))
}

/// May somebody who is nobody go on?
fn without_identity(
    policy: &MailFlowPolicy,
    certificate: &CertificateFinding<'_>,
    attempt: &Option<Result<Identified, Refusal>>,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let mut put_off = |reason: Temporary, monitored: bool| {
        let refusal = Refusal::Temporary(reason);
        let answer = refusal.to_string();
        match monitored {
            true => steps.enforce(Rule::Certificate, Question::Mail, answer, refusal),
            false => Err(steps.refuse(Question::Mail, answer, refusal)),
        }
    };
    // A rejection that is delayed is said of the recipient, so that the log has one.
    let required = policy.smtp_auth == SmtpAuth::Required && !policy.delayed_rejection;
    // Rule 9: who cannot be identified now is neither refused for good nor taken for a client without an identity.
    match (certificate, attempt) {
        (CertificateFinding::Temporary { reason, .. }, Some(Err(Refusal::Temporary(_)))) => put_off(*reason, false)?,
        // A certificate that is only tried out is none until it can be judged; but that must not make a "never" of a
        // "later".
        (CertificateFinding::Temporary { reason, .. }, _) => {
            put_off(*reason, !required || policy.monitor.contains(Rule::Auth))?;
        }
        (_, Some(Err(Refusal::Temporary(reason)))) => put_off(*reason, false)?,
        _ => {}
    }
    match required {
        true => {
            let refusal = Refusal::AuthenticationRequired;
            steps.enforce(Rule::Auth, Question::Mail, refusal.to_string(), refusal)
        }
        false => Ok(()),
    }
}

/// How far the mail of such a client goes: an identity relays, whatever brought the client here.
fn reach(identity: Option<&Identified>, policy: &MailFlowPolicy) -> Reach {
    match policy.access {
        _ if identity.is_some() => Reach::Anywhere,
        Access::Relay => Reach::Anywhere,
        Access::Accept => Reach::OwnRecipients,
        Access::Reject | Access::Refuse => Reach::Nowhere(policy.reject_text.clone()),
    }
}
