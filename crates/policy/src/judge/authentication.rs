//! AUTH: what is offered, and what an exchange came to.

use auth::{
    AllowanceFact, Attempt, Facts, Mechanism, OnNotAllowed, PasswordFact, PasswordRules, Principal, ProfileRules,
    Transport,
};

use crate::flow::{MailFlowPolicy, SmtpAuth};
use crate::judge::certificate::CertificateFinding;
use crate::judgement::{AuthOffer, Effect, Question, Steps};
use crate::permit::Identified;
use crate::refusal::{Refusal, Temporary};
use crate::rule::Rule;

/// What AUTH meets as long as nothing succeeded. Rule 6.
fn available<'p>(
    facts: &Facts,
    policy: &MailFlowPolicy,
    profile: &'p ProfileRules,
    certificate: &CertificateFinding<'_>,
) -> Result<(bool, Option<&'p PasswordRules>), Refusal> {
    let external = matches!(certificate, CertificateFinding::Person(_));
    let runs = |rules: &&PasswordRules| rules.mechanisms.iter().any(|mechanism| can_run(*mechanism, facts));
    let password = profile.password.as_ref().filter(|_| certificate.opens_password()).filter(runs);
    // Before TLS, what the certificate will open is not known yet.
    let inside_tls = profile.password.is_some() || (policy.verify_client_certificate && profile.certificate.is_some());
    if policy.smtp_auth == SmtpAuth::Off {
        return Err(Refusal::AuthNotOffered);
    }
    if facts.transport == Transport::Plain && policy.require_tls_to_offer_auth && inside_tls {
        return Err(Refusal::EncryptionRequired);
    }
    match (external || password.is_some(), certificate) {
        (true, _) => Ok((external, password)),
        (false, CertificateFinding::Temporary { reason, .. }) => Err(Refusal::Temporary(*reason)),
        (false, _) => Err(Refusal::AuthNotOffered),
    }
}

pub(super) fn auth_offer(
    facts: &Facts,
    policy: &MailFlowPolicy,
    profile: &ProfileRules,
    certificate: &CertificateFinding<'_>,
    attempt: &Option<Result<Identified, Refusal>>,
) -> AuthOffer {
    if let Some(Ok(_)) = attempt {
        return AuthOffer::Refused(Refusal::AlreadyAuthenticated);
    }
    match available(facts, policy, profile, certificate) {
        Err(refusal) => AuthOffer::Refused(refusal),
        Ok((external, password)) => {
            let external = external.then_some(Mechanism::External);
            let others = password.into_iter().flat_map(|rules| rules.mechanisms.iter().copied());
            AuthOffer::Mechanisms(external.into_iter().chain(others.filter(|it| can_run(*it, facts))).collect())
        }
    }
}

/// RFC 5802 section 6: -PLUS is offered where there is a channel to bind to.
fn can_run(mechanism: Mechanism, facts: &Facts) -> bool {
    mechanism != Mechanism::ScramSha256Plus || facts.transport.tls().is_some_and(|tls| tls.channel_binding)
}

/// Rules 4, 6 and 7: what an AUTH exchange came to.
pub(super) fn attempt(
    facts: &Facts,
    policy: &MailFlowPolicy,
    profile: &ProfileRules,
    certificate: &CertificateFinding<'_>,
    steps: &mut Steps,
) -> Option<Result<Identified, Refusal>> {
    if facts.attempt == Attempt::None {
        return None;
    }
    let monitored = steps.monitored.len();
    let outcome = available(facts, policy, profile, certificate).and_then(|(_, password)| match &facts.attempt {
        Attempt::None => Err(Refusal::AuthNotOffered),
        Attempt::External { authorization_identity } => external(authorization_identity, certificate, steps),
        Attempt::Password { user, mechanism, password: fact, allowance } => {
            let offered = password.filter(|rules| rules.mechanisms.contains(mechanism) && can_run(*mechanism, facts));
            let rules = offered.ok_or(Refusal::MechanismNotOffered)?;
            let principal = self::password(user, *mechanism, fact, steps)?;
            same_person(principal, certificate, steps)?;
            if let Some(refusal) = certificate.monitored_password() {
                let answer = "a password in the place of a certificate";
                steps.enforce(Rule::Certificate, Question::Attempt, answer, refusal)?;
            }
            self::allowance(allowance, rules, steps)?;
            // A password adds nothing to who the certificate says it is, and takes no address away.
            let principal = if let CertificateFinding::Person(owner) = certificate { owner } else { principal };
            Ok(Identified { principal: principal.clone(), mechanism: Some(*mechanism) })
        }
    });
    if let Err(refusal @ (Refusal::AuthNotOffered | Refusal::EncryptionRequired | Refusal::MechanismNotOffered)) =
        &outcome
    {
        steps.add(Question::Attempt, refusal.to_string(), Effect::Refused);
    }
    if outcome.is_err() {
        // What failed was not let through.
        steps.monitored.truncate(monitored);
    }
    Some(outcome)
}

fn external(
    authorization_identity: &str,
    certificate: &CertificateFinding<'_>,
    steps: &mut Steps,
) -> Result<Identified, Refusal> {
    let principal = match certificate {
        CertificateFinding::Person(principal) => principal,
        // It may be offered once the certificate's owner is known again.
        CertificateFinding::Temporary { reason, .. } => return Err(Refusal::Temporary(*reason)),
        CertificateFinding::Silent { .. } | CertificateFinding::Refused(_) => return Err(Refusal::MechanismNotOffered),
    };
    if !authorization_identity.is_empty() && !principal.is_named(authorization_identity) {
        let answer = format!("EXTERNAL as {authorization_identity:?}, who is not the certificate's owner");
        steps.add(Question::Attempt, answer, Effect::Refused);
        return Err(Refusal::InvalidCredentials);
    }
    steps.add(Question::Attempt, "EXTERNAL", Effect::Identified);
    Ok(Identified { principal: (*principal).clone(), mechanism: Some(Mechanism::External) })
}

fn password<'f>(
    user: &str,
    mechanism: Mechanism,
    fact: &'f PasswordFact,
    steps: &mut Steps,
) -> Result<&'f Principal, Refusal> {
    let what = if mechanism.is_token() { "valid token" } else { "right password" };
    let (answer, effect, outcome) = match fact {
        PasswordFact::Right(principal) => {
            (format!("{what} of {}", principal.user_id), Effect::Identified, Ok(principal))
        }
        PasswordFact::Wrong(why) => (format!("{user:?}: {why}"), Effect::Refused, Err(Refusal::InvalidCredentials)),
        PasswordFact::TokenRefused(why) => {
            (format!("the token of {user:?}: {why}"), Effect::Refused, Err(Refusal::InvalidCredentials))
        }
        PasswordFact::AccountDisabled => {
            (format!("the account {user:?} is disabled"), Effect::Refused, Err(Refusal::InvalidCredentials))
        }
        PasswordFact::Unavailable(why) => (
            format!("nobody can judge it now: {why}"),
            Effect::Temporary,
            Err(Refusal::Temporary(Temporary::PasswordQuery)),
        ),
    };
    steps.add(Question::Attempt, answer, effect);
    outcome
}

fn allowance(fact: &AllowanceFact, rules: &PasswordRules, steps: &mut Steps) -> Result<(), Refusal> {
    match (fact, rules.on_not_allowed) {
        (AllowanceFact::NotAsked, _) => Ok(()),
        (AllowanceFact::Allowed, _) => {
            steps.add(Question::Allowance, "allowed", Effect::Continue);
            Ok(())
        }
        (AllowanceFact::NotAllowed, on_not_allowed) => {
            if on_not_allowed == OnNotAllowed::Monitor {
                steps.monitor(Rule::Allowance);
            }
            steps.enforce(Rule::Allowance, Question::Allowance, "not allowed", Refusal::InvalidCredentials)
        }
        (AllowanceFact::Unavailable(why), _) => {
            let answer = format!("directory unavailable: {why}");
            Err(steps.refuse(Question::Allowance, answer, Refusal::Temporary(Temporary::Allowance)))
        }
    }
}

/// Rule 4: a session that a certificate authenticated stays that person's.
fn same_person(principal: &Principal, certificate: &CertificateFinding<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    match certificate {
        CertificateFinding::Person(owner) if !owner.is(&principal.user_id) => {
            let answer = format!("{} is not the certificate's owner, {}", principal.user_id, owner.user_id);
            steps.add(Question::Attempt, answer, Effect::Refused);
            Err(Refusal::InvalidCredentials)
        }
        _ => Ok(()),
    }
}
