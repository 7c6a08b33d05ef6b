//! The judgement: authentication's rules, each once.

use std::borrow::Cow;

use auth::{
    AllowanceFact, Attempt, CertificateFact, CertificateRules, Facts, Mechanism, OnNotAllowed, OnProblem, PasswordFact,
    PasswordRules, PresentedCertificate, Principal, ProfileRules, QueryFact, Transport,
};
use pki::{OnUnknownStatus, Revocation};

use crate::flow::{Access, MailFlowPolicy, SmtpAuth, TlsRule};
use crate::judgement::{AuthOffer, Effect, Judgement, Question, Standing, Steps};
use crate::permit::{Clearance, Identified, Reach};
use crate::refusal::{Refusal, Temporary};
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

/// May a password take the certificate's place?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fallback {
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
enum CertificateFinding<'f> {
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
    fn opens_password(&self) -> bool {
        match self {
            // Clients configured with both a certificate and a password must work.
            Self::Person(_) => true,
            Self::Silent { password } | Self::Temporary { password, .. } => *password != Fallback::Closed,
            Self::Refused(_) => false,
        }
    }

    /// What AUTH with a password would meet, were the rule that closes it not only tried out.
    fn monitored_password(&self) -> Option<Refusal> {
        match self {
            Self::Silent { password: Fallback::Monitored } => Some(Refusal::AuthNotOffered),
            Self::Temporary { reason, password: Fallback::Monitored } => Some(Refusal::Temporary(*reason)),
            _ => None,
        }
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

/// Rules 2 to 5 and 9.
fn certificate<'f>(
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

fn auth_offer(
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
fn attempt(
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

/// Rules 8 and 9.
fn mail(
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
