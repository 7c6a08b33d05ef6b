//! What holds of every judgement, whatever the facts, the policy and the profile: all combinations are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use auth::{
    AllowanceFact, Attempt, CertificateFact, CertificateRules, Facts, Mechanism, OnNotAllowed, OnProblem, PasswordFact,
    PasswordRules, PresentedCertificate, Principal, ProfileRules, QueryFact, TlsFact, Transport, WrongPassword,
};
use pki::{OnUnknownStatus, PathError, Revocation, RevocationReason, Time, UnknownStatus};
use postern_policy::{
    Access, AuthOffer, Effect, Identified, Judgement, MailFlowPolicy, Question, Reach, Refusal, Rule, Rules, SmtpAuth,
    Standing, TlsRule, judge,
};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use protocol::ReversePath;

// ---- every fact, every policy, every profile ---------------------------------------------------

fn person(user_id: &str) -> Principal {
    let address = format!("{user_id}@example.mil").parse().unwrap();
    Principal { user_id: user_id.to_owned(), addresses: vec![address], send_as: Vec::new() }
}

fn transports() -> Vec<Transport> {
    let tls = |implicit, channel_binding| {
        let cipher = "TLS13_AES_256_GCM_SHA384".into();
        Transport::Tls(TlsFact { version: "TLSv1.3".into(), cipher, implicit, channel_binding })
    };
    vec![Transport::Plain, tls(false, true), tls(true, false)]
}

fn paths() -> Vec<Result<(), PathError>> {
    vec![Ok(()), Err(PathError::TooComplex)]
}

fn revocations() -> Vec<Revocation> {
    let at = Time::from_unix(0);
    let certificate = String::new();
    vec![
        Revocation::NotChecked,
        Revocation::Good { source: String::new(), this_update: at, next_update: None },
        Revocation::Revoked { certificate: certificate.clone(), reason: RevocationReason::KeyCompromise, at },
        Revocation::Unknown(UnknownStatus::NoCrl { certificate }),
    ]
}

fn queries() -> Vec<QueryFact> {
    vec![
        QueryFact::NotAsked,
        QueryFact::One(person("alice")),
        QueryFact::Nobody(String::new()),
        QueryFact::Several,
        QueryFact::Unavailable(String::new()),
    ]
}

fn certificates() -> Vec<CertificateFact> {
    let mut all = vec![CertificateFact::NotRequested, CertificateFact::NotPresented];
    for path in paths() {
        for revocation in revocations() {
            for query in queries() {
                let (path, revocation) = (path.clone(), revocation.clone());
                let [subject, issuer, serial] = [const { String::new() }; 3];
                let presented = PresentedCertificate { subject, issuer, serial, path, revocation, query };
                all.push(CertificateFact::Presented(Box::new(presented)));
            }
        }
    }
    all
}

/// No certificate without TLS; whatever else.
fn connections() -> Vec<(Transport, CertificateFact)> {
    let all = transports()
        .into_iter()
        .flat_map(|transport| certificates().into_iter().map(move |certificate| (transport.clone(), certificate)));
    all.filter(|(transport, certificate)| match transport {
        Transport::Plain => *certificate == CertificateFact::NotRequested,
        Transport::Tls(_) => true,
    })
    .collect()
}

fn passwords() -> Vec<PasswordFact> {
    let mut all: Vec<PasswordFact> = [
        WrongPassword::Mismatch,
        WrongPassword::UnknownUser,
        WrongPassword::SeveralUsers,
        WrongPassword::Empty,
        WrongPassword::NoPassword,
    ]
    .map(PasswordFact::Wrong)
    .into();
    all.extend([
        PasswordFact::AccountDisabled,
        PasswordFact::TokenRefused(String::new()),
        PasswordFact::Unavailable(String::new()),
    ]);
    all.extend(["alice", "bob"].map(|user| PasswordFact::Right(person(user))));
    all
}

fn allowances() -> [AllowanceFact; 4] {
    let unavailable = AllowanceFact::Unavailable(String::new());
    [AllowanceFact::NotAsked, AllowanceFact::Allowed, AllowanceFact::NotAllowed, unavailable]
}

fn attempts() -> Vec<Attempt> {
    let mut all = vec![Attempt::None];
    all.extend(["", "alice", "bob"].map(|name| Attempt::External { authorization_identity: name.to_owned() }));
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256Plus] {
        for password in passwords() {
            for allowance in allowances() {
                let (user, password) = ("typed".to_owned(), password.clone());
                all.push(Attempt::Password { mechanism, user, password, allowance });
            }
        }
    }
    all
}

fn policies() -> Vec<MailFlowPolicy> {
    let mut all = Vec::new();
    let settings = toml::from_str("access = \"relay\"").unwrap();
    let base = MailFlowPolicy::new("any", &settings, |_, problem| panic!("{problem}"));
    let accesses = [
        (Access::Relay, false),
        (Access::Accept, false),
        (Access::Reject, false),
        (Access::Reject, true),
        (Access::Refuse, false),
    ];
    for (access, delayed_rejection) in accesses {
        for tls in [TlsRule::Off, TlsRule::Preferred, TlsRule::Required] {
            for smtp_auth in [SmtpAuth::Off, SmtpAuth::Preferred, SmtpAuth::Required] {
                for (verify_client_certificate, require_tls_to_offer_auth) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    all.push(MailFlowPolicy {
                        access,
                        delayed_rejection,
                        tls,
                        verify_client_certificate,
                        smtp_auth,
                        require_tls_to_offer_auth,
                        ..base.clone()
                    });
                }
            }
        }
    }
    all
}

fn profiles() -> Vec<ProfileRules> {
    use OnProblem::{Fallback, Reject};
    let mut certificates = vec![None];
    for on_missing in [Reject, Fallback] {
        for on_invalid in [Reject, Fallback] {
            for on_no_match in [Reject, Fallback] {
                for on_unknown_status in [OnUnknownStatus::Reject, OnUnknownStatus::Temporary, OnUnknownStatus::Allow] {
                    certificates.push(Some(CertificateRules {
                        on_missing,
                        on_invalid,
                        on_no_match,
                        on_unknown_status,
                    }));
                }
            }
        }
    }
    let mut passwords = vec![None];
    for on_not_allowed in [OnNotAllowed::Reject, OnNotAllowed::Monitor] {
        for mechanisms in [vec![Mechanism::Plain, Mechanism::ScramSha256Plus], vec![Mechanism::ScramSha256Plus]] {
            passwords.push(Some(PasswordRules { mechanisms, on_not_allowed }));
        }
    }
    let recheck_after = Duration::from_secs(300);
    let with = |certificate: &Option<CertificateRules>, password: &Option<PasswordRules>| ProfileRules {
        certificate: certificate.clone(),
        password: password.clone(),
        recheck_after,
    };
    certificates.iter().flat_map(|one| passwords.iter().map(move |other| with(one, other))).collect()
}

// ---- what must hold ----------------------------------------------------------------------------

/// A case and its judgement.
struct Case<'c> {
    facts: &'c Facts,
    policy: &'c MailFlowPolicy,
    profile: &'c ProfileRules,
    judgement: Judgement,
}

impl<'c> Case<'c> {
    fn new(facts: &'c Facts, policy: &'c MailFlowPolicy, profile: &'c ProfileRules) -> Self {
        Self { facts, policy, profile, judgement: judge(facts, policy, profile) }
    }

    fn holds(&self, what: &str, condition: bool) {
        assert!(
            condition,
            "does not hold: {what}\n  facts   {:?}\n  policy  {:?}\n  profile {:?}\n  judged  {:#?}",
            self.facts, self.policy, self.profile, self.judgement
        );
    }

    fn identity(&self) -> Option<&Identified> {
        self.judgement.mail.as_ref().ok().and_then(|clearance| clearance.identity())
    }

    fn open(&self) -> bool {
        matches!(self.judgement.standing, Standing::Open { tls_first: false, .. })
    }

    /// The certificate rules, where a presented certificate is judged by them.
    fn judged_certificate(&self) -> Option<(&PresentedCertificate, &CertificateRules)> {
        match (&self.facts.certificate, &self.profile.certificate) {
            (CertificateFact::Presented(presented), Some(rules)) if self.policy.verify_client_certificate => {
                Some((presented, rules))
            }
            _ => None,
        }
    }

    /// Whom the certificate proves, by rule 4 alone.
    fn owner(&self) -> Option<&Principal> {
        let (presented, rules) = self.judged_certificate()?;
        let status = match &presented.revocation {
            Revocation::NotChecked | Revocation::Good { .. } => true,
            Revocation::Revoked { .. } => false,
            Revocation::Unknown(_) => rules.on_unknown_status == OnUnknownStatus::Allow,
        };
        match &presented.query {
            QueryFact::One(principal) if presented.path.is_ok() && status => Some(principal),
            _ => None,
        }
    }

    /// Whom a password proves, by rules 6 and 7 alone.
    fn user(&self) -> Option<&Principal> {
        let Attempt::Password { mechanism, password: PasswordFact::Right(principal), allowance, .. } =
            &self.facts.attempt
        else {
            return None;
        };
        let rules = self.profile.password.as_ref()?;
        let allowed = match allowance {
            AllowanceFact::NotAsked | AllowanceFact::Allowed => true,
            AllowanceFact::NotAllowed => rules.on_not_allowed == OnNotAllowed::Monitor,
            AllowanceFact::Unavailable(_) => false,
        };
        let offered = rules.mechanisms.contains(mechanism) && self.policy.smtp_auth != SmtpAuth::Off;
        let protected = self.facts.transport != Transport::Plain || !self.policy.require_tls_to_offer_auth;
        let bound = self.facts.transport.tls().is_some_and(|tls| tls.channel_binding);
        let possible = bound || *mechanism != Mechanism::ScramSha256Plus;
        (allowed && offered && protected && possible).then_some(principal)
    }

    fn check(&self) {
        self.standing();
        self.reach();
        self.identification();
        self.offers();
        self.temporary_failures();
        self.steps();
        self.holds(
            "the same facts give the same judgement",
            judge(self.facts, self.policy, self.profile) == self.judgement,
        );
    }

    fn standing(&self) {
        let judged = &self.judgement;
        let plain = self.facts.transport == Transport::Plain;
        self.holds("MAIL is never permitted in a closed session", self.open() || judged.mail.is_err());
        self.holds("AUTH never succeeds in a closed session", self.open() || !matches!(judged.attempt, Some(Ok(()))));
        self.holds(
            "AUTH is never offered in a closed session",
            self.open() || matches!(judged.auth, AuthOffer::Refused(_)),
        );
        if let Standing::Refused(refusal) = &judged.standing {
            self.holds("a closed session has one reason", judged.mail.as_ref() == Err(refusal));
            self.holds("a closed session has one reason", judged.auth == AuthOffer::Refused(refusal.clone()));
        }
        self.holds(
            "only access = refuse disconnects",
            (judged.standing == Standing::Disconnect) == (self.policy.access == Access::Refuse),
        );
        let relays = self.policy.serves();
        let tls_first = matches!(judged.standing, Standing::Open { tls_first: true, starttls: true });
        self.holds(
            "rule 1: TLS comes first just where it is required and not there",
            tls_first == (relays && plain && self.policy.tls == TlsRule::Required),
        );
        if let Standing::Open { starttls, .. } = judged.standing {
            let offered = plain && self.policy.tls != TlsRule::Off;
            self.holds("STARTTLS is offered before TLS, unless it is off", starttls == offered);
        }
        if self.policy.tls == TlsRule::Required && self.policy.verify_client_certificate && self.open() {
            let excused = self.profile.certificate.as_ref().is_none_or(|rules| match &self.facts.certificate {
                CertificateFact::Presented(presented) => {
                    presented.path.is_ok() || rules.on_invalid == OnProblem::Fallback
                }
                CertificateFact::NotPresented | CertificateFact::NotRequested => {
                    rules.on_missing == OnProblem::Fallback
                }
            });
            self.holds("rule 3: with TLS required, only a valid certificate goes on", excused);
        }
    }

    /// How far the mail goes, by who sends it and how the client is let in.
    fn reach(&self) {
        let Ok(clearance) = self.judgement.mail.clone() else { return };
        let identified = clearance.identity().is_some();
        let permit = clearance.permit(ReversePath::Null).unwrap();
        let expected = match (identified, self.policy.access) {
            (true, _) | (false, Access::Relay) => Reach::Anywhere,
            (false, Access::Accept) => Reach::OwnRecipients,
            (false, Access::Reject | Access::Refuse) => Reach::Nowhere(None),
        };
        self.holds("an identity relays, others as access says", *permit.reach() == expected);
    }

    fn identification(&self) {
        let mail = self.identity().map(|identified| &identified.principal);
        if let Some(identified) = self.identity() {
            let proven = match identified.mechanism {
                None | Some(Mechanism::External) => self.owner(),
                Some(_) => self.user(),
            };
            self.holds("nobody is identified but by proof", proven == Some(&identified.principal));
        }
        if self.open()
            && let Some(owner) = self.owner()
        {
            self.holds(
                "rule 4: a certificate's owner is who sends",
                mail.is_some_and(|sender| sender.is(&owner.user_id)),
            );
        }
        if let Some((presented, _)) = self.judged_certificate() {
            let nobodys = presented.path.is_err()
                || matches!(presented.revocation, Revocation::Revoked { .. })
                || matches!(presented.query, QueryFact::Several | QueryFact::Nobody(_));
            let by_certificate = self
                .identity()
                .is_some_and(|identified| matches!(identified.mechanism, None | Some(Mechanism::External)));
            self.holds("invalid, revoked, nobody, several: never identified by it", !(nobodys && by_certificate));
        }
        if let Attempt::Password { password, .. } = &self.facts.attempt
            && !matches!(password, PasswordFact::Right(_))
        {
            self.holds("a wrong password never succeeds", self.judgement.attempt != Some(Ok(())));
        }
        if self.judgement.mail.is_ok() && mail.is_none() {
            let excused = self.policy.smtp_auth != SmtpAuth::Required || self.policy.delayed_rejection;
            self.holds("rule 8: required is required, and what is rejected at RCPT comes to no harm before", excused);
        }
    }

    fn offers(&self) {
        let judged = &self.judgement;
        let attempted = self.facts.attempt != Attempt::None;
        self.holds("an exchange has an outcome, no exchange has none", judged.attempt.is_some() == attempted);
        if judged.attempt == Some(Ok(())) {
            let second = AuthOffer::Refused(Refusal::AlreadyAuthenticated);
            self.holds("rule 4: after a successful AUTH there is no second", judged.auth == second);
            self.holds("a successful AUTH identifies", self.identity().is_some_and(|who| who.mechanism.is_some()));
        }
        if let AuthOffer::Mechanisms(mechanisms) = &judged.auth {
            let plain = self.facts.transport == Transport::Plain;
            self.holds("rule 6: inside TLS only", !(plain && self.policy.require_tls_to_offer_auth));
            self.holds("smtp_auth = off is off", self.policy.smtp_auth != SmtpAuth::Off);
            self.holds("what is advertised has a mechanism", !mechanisms.is_empty());
            self.holds(
                "EXTERNAL belongs to certificates with an owner",
                mechanisms.contains(&Mechanism::External) == self.owner().is_some(),
            );
        }
        // What was offered before the exchange is what the exchange could use.
        let before = Facts { attempt: Attempt::None, ..self.facts.clone() };
        let before = judge(&before, self.policy, self.profile);
        self.holds("no exchange opens or closes a session", before.standing == judged.standing);
        let mechanism = match &self.facts.attempt {
            Attempt::None => return,
            Attempt::External { .. } => Mechanism::External,
            Attempt::Password { mechanism, .. } => *mechanism,
        };
        match &before.auth {
            AuthOffer::Refused(refusal) => {
                self.holds("what is not offered is refused so", judged.attempt == Some(Err(refusal.clone())));
            }
            AuthOffer::Mechanisms(offered) if !offered.contains(&mechanism) => {
                let refused = matches!(judged.attempt, Some(Err(Refusal::MechanismNotOffered | Refusal::Temporary(_))));
                self.holds("a mechanism that is not offered never succeeds", refused);
            }
            AuthOffer::Mechanisms(_) => {
                let judged_by_proof =
                    matches!(judged.attempt, Some(Ok(()) | Err(Refusal::InvalidCredentials | Refusal::Temporary(_))));
                self.holds("a mechanism that is offered is served", judged_by_proof);
            }
        }
        if matches!(judged.attempt, Some(Err(ref refusal)) if !matches!(refusal, Refusal::Temporary(_))) {
            self.holds("a failed AUTH changes nothing for MAIL", judged.mail == before.mail);
        }
    }

    /// Rule 9, by its effect: were every question answered well, and the answer then a yes, it must not be a no now.
    fn temporary_failures(&self) {
        let judged = &self.judgement;
        let answered = answered(self.facts);
        let best = judge(&answered, self.policy, self.profile);
        if matches!(&best.mail, Ok(clearance) if clearance.identity().is_some()) && self.identity().is_none() {
            let answer_missing = answered != *self.facts;
            let kept = self.open() && matches!(judged.mail, Err(Refusal::Temporary(_)));
            let rejects_unknown = self.judged_certificate().is_some_and(|(presented, rules)| {
                matches!(presented.revocation, Revocation::Unknown(_))
                    && rules.on_unknown_status == OnUnknownStatus::Reject
            });
            self.holds("rule 9: no answer is no permanent refusal", !answer_missing || kept || rejects_unknown);
        }
        let temporary = |refusal: &Refusal| matches!(refusal, Refusal::Temporary(_));
        if let Some(Err(refusal)) = &judged.attempt
            && temporary(refusal)
        {
            let no_acceptance = judged.mail.as_ref().map_or_else(temporary, |clearance| clearance.identity().is_some());
            self.holds("rule 9: no answer is no acceptance", no_acceptance);
        }
        if judged.mail.as_ref().is_err_and(temporary) {
            self.holds("rule 9: the session is kept", self.open());
        }
        if answered == *self.facts {
            let none =
                !judged.mail.as_ref().is_err_and(temporary) && !matches!(&judged.attempt, Some(Err(r)) if temporary(r));
            self.holds("where everybody answers, nothing is temporary", none);
        }
    }

    fn steps(&self) {
        let steps = &self.judgement.steps;
        self.holds("a judgement has steps", !steps.is_empty());
        self.holds("access is asked first", steps[0].question == Question::Access);
        self.holds("every step says something", steps.iter().all(|step| !step.answer.is_empty()));
        let last = &steps[steps.len() - 1];
        let agrees = match &self.judgement.mail {
            Ok(_) => (last.question, last.effect) == (Question::Mail, Effect::Permitted),
            Err(Refusal::Temporary(_)) => last.effect == Effect::Temporary,
            Err(_) => last.effect == Effect::Refused,
        };
        self.holds("the last step is the verdict", agrees);
        let permitted = steps.iter().filter(|step| step.effect == Effect::Permitted).count();
        self.holds("permitted at most once", permitted == usize::from(self.judgement.mail.is_ok()));
        let identified = steps.iter().any(|step| step.effect == Effect::Identified);
        self.holds("an identity has a step of its own", identified || self.identity().is_none());
        let order = |question: Question| {
            [
                Question::Access,
                Question::Transport,
                Question::Certificate,
                Question::Path,
                Question::Revocation,
                Question::CertificateQuery,
                Question::Attempt,
                Question::Allowance,
                Question::Mail,
            ]
            .iter()
            .position(|known| *known == question)
        };
        let in_order = steps.windows(2).all(|pair| order(pair[0].question) <= order(pair[1].question));
        self.holds("questions are asked in their order", in_order);
    }
}

/// The same facts, had everybody answered, and well.
fn answered(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    if let CertificateFact::Presented(presented) = &mut facts.certificate {
        if matches!(presented.revocation, Revocation::Unknown(_)) {
            presented.revocation = revocations().swap_remove(1);
        }
        if matches!(presented.query, QueryFact::Unavailable(_)) {
            presented.query = QueryFact::One(person("alice"));
        }
    }
    if let Attempt::Password { password, allowance, .. } = &mut facts.attempt {
        if matches!(password, PasswordFact::Unavailable(_)) {
            *password = PasswordFact::Right(person("alice"));
        }
        if matches!(allowance, AllowanceFact::Unavailable(_)) {
            *allowance = AllowanceFact::Allowed;
        }
    }
    facts
}

// ---- the tests ---------------------------------------------------------------------------------

/// All combinations but those that are alike (the property below tries these).
#[test]
fn invariants_hold_of_every_combination() {
    // PLAIN and LOGIN differ in nothing but whether they are listed, and wrong passwords in nothing at all.
    let attempts: Vec<Attempt> = attempts()
        .into_iter()
        .filter(|attempt| match attempt {
            Attempt::None | Attempt::External { .. } => true,
            Attempt::Password { password: PasswordFact::Right(principal), allowance, mechanism, .. } => {
                let allowed = *allowance == AllowanceFact::Allowed;
                match (principal.is("alice"), mechanism) {
                    (true, Mechanism::Plain) => true,
                    (true, _) => allowed,
                    (false, _) => {
                        *mechanism == Mechanism::Plain
                            && matches!(allowance, AllowanceFact::Allowed | AllowanceFact::Unavailable(_))
                    }
                }
            }
            Attempt::Password { password, allowance, mechanism, .. } => {
                let kept = matches!(password, PasswordFact::Wrong(WrongPassword::Empty) | PasswordFact::Unavailable(_));
                kept && *mechanism == Mechanism::Plain && *allowance == AllowanceFact::NotAsked
            }
        })
        .collect();
    let connections: Vec<(Transport, CertificateFact)> = connections()
        .into_iter()
        .filter(|(transport, certificate)| match (transport, certificate) {
            (Transport::Tls(tls), CertificateFact::Presented(presented)) => {
                let idle = presented.path.is_err()
                    && (&presented.revocation, &presented.query) != (&Revocation::NotChecked, &QueryFact::NotAsked);
                !tls.implicit && !idle
            }
            (Transport::Tls(tls), _) => !tls.implicit,
            (Transport::Plain, _) => true,
        })
        .collect();
    let profiles = profiles();
    let mut policies = policies();
    // A client that is not welcome is asked nothing else: the property below covers it.
    // Accept differs from relay in the recipients only: the properties below cover that.
    policies.retain(|policy| policy.serves() && policy.access != Access::Accept);
    let mut facts = Vec::new();
    for (transport, certificate) in &connections {
        for attempt in &attempts {
            let (transport, certificate, attempt) = (transport.clone(), certificate.clone(), attempt.clone());
            facts.push(Facts { transport, certificate, attempt });
        }
    }
    let cases = policies.len() * profiles.len() * facts.len();
    assert!(cases > 1_000_000, "only {cases} combinations");
    let halves = policies.chunks(policies.len().div_ceil(2));
    std::thread::scope(|scope| {
        for half in halves {
            let (profiles, facts) = (&profiles, &facts);
            scope.spawn(move || {
                for policy in half {
                    for profile in profiles {
                        for facts in facts {
                            Case::new(facts, policy, profile).check();
                        }
                    }
                }
            });
        }
    });
}

fn any_facts() -> impl Strategy<Value = Facts> {
    (select(connections()), select(attempts())).prop_map(|((transport, certificate), attempt)| Facts {
        transport,
        certificate,
        attempt,
    })
}

/// How a session differs in what must not matter.
fn judged_alike(one: &Judgement, other: &Judgement) -> bool {
    (&one.standing, &one.auth, &one.attempt, &one.mail) == (&other.standing, &other.auth, &other.attempt, &other.mail)
}

/// Who may send, and whither; what is monitored is no part of it.
fn mail(judged: &Judgement) -> Result<(Option<Identified>, Reach), Refusal> {
    let permit = judged.mail.clone()?.permit(ReversePath::Null)?;
    Ok((permit.identity().cloned(), permit.reach().clone()))
}

fn any_rules() -> impl Strategy<Value = Rules> {
    subsequence(Rule::ALL.to_vec(), 0..=Rule::ALL.len()).prop_map(|rules| rules.into_iter().collect())
}

/// The settings under which what a rule refuses is none of its business.
fn without(rule: Rule, policy: &MailFlowPolicy, profile: &ProfileRules) -> (MailFlowPolicy, ProfileRules) {
    let (mut policy, mut profile) = (policy.clone(), profile.clone());
    match rule {
        Rule::Tls => policy.tls = TlsRule::Preferred,
        Rule::Certificate => {
            if let Some(rules) = &mut profile.certificate {
                (rules.on_missing, rules.on_invalid) = (OnProblem::Fallback, OnProblem::Fallback);
                rules.on_no_match = OnProblem::Fallback;
            }
        }
        Rule::Auth => policy.smtp_auth = SmtpAuth::Preferred,
        Rule::Allowance => {
            if let Some(rules) = &mut profile.password {
                rules.on_not_allowed = OnNotAllowed::Monitor;
            }
        }
        // These are judged when there is a sender and a recipient.
        Rule::Sender | Rule::FromHeader | Rule::Recipients | Rule::Limits => {}
    }
    (policy, profile)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Including the combinations that the exhaustive test leaves out as alike.
    #[test]
    fn invariants_hold_of_any_combination(
        facts in any_facts(),
        policy in select(policies()),
        profile in select(profiles()),
    ) {
        Case::new(&facts, &policy, &profile).check();
    }

    #[test]
    fn implicit_tls_and_starttls_are_judged_alike(
        facts in any_facts(),
        policy in select(policies()),
        profile in select(profiles()),
    ) {
        let mut other = facts.clone();
        if let Transport::Tls(tls) = &mut other.transport {
            tls.implicit = !tls.implicit;
        }
        prop_assert!(judged_alike(&judge(&facts, &policy, &profile), &judge(&other, &policy, &profile)));
    }

    /// A password that was wrong, or meant for nobody, is one and the same refusal.
    #[test]
    fn wrong_passwords_are_indistinguishable(
        connection in select(connections()),
        wrong in any::<[Index; 2]>(),
        policy in select(policies()),
        profile in select(profiles()),
    ) {
        let all: Vec<(PasswordFact, AllowanceFact)> = passwords()
            .into_iter()
            .filter(|password| matches!(password, PasswordFact::Wrong(_) | PasswordFact::AccountDisabled))
            .map(|password| (password, AllowanceFact::NotAsked))
            .chain([(PasswordFact::Right(person("alice")), AllowanceFact::NotAllowed)])
            .collect();
        let disallowed_is_wrong =
            profile.password.as_ref().is_none_or(|rules| rules.on_not_allowed == OnNotAllowed::Reject);
        let judged = wrong.map(|index| {
            let choices = if disallowed_is_wrong { all.len() } else { all.len() - 1 };
            let (password, allowance) = all[index.index(choices)].clone();
            let attempt =
                Attempt::Password { mechanism: Mechanism::Plain, user: "typed".to_owned(), password, allowance };
            let (transport, certificate) = connection.clone();
            judge(&Facts { transport, certificate, attempt }, &policy, &profile)
        });
        prop_assert!(judged_alike(&judged[0], &judged[1]));
    }

    /// Where nobody asked for a certificate, or the policy does not judge it, it changes nothing.
    #[test]
    fn a_certificate_that_is_not_judged_says_nothing(
        facts in any_facts(),
        certificate in select(certificates()),
        policy in select(policies()),
        profile in select(profiles()),
    ) {
        let policy = MailFlowPolicy { verify_client_certificate: false, ..policy };
        let other = Facts { certificate, ..facts.clone() };
        prop_assert!(judged_alike(&judge(&facts, &policy, &profile), &judge(&other, &policy, &profile)));
    }

    /// What was not asked, or should not have been, changes nothing.
    #[test]
    fn idle_facts_change_nothing(
        facts in any_facts(),
        revocation in select(revocations()),
        query in select(queries()),
        allowance in select(allowances().to_vec()),
        policy in select(policies()),
        profile in select(profiles()),
    ) {
        let mut other = facts.clone();
        if let CertificateFact::Presented(presented) = &mut other.certificate {
            if presented.path.is_err() {
                (presented.revocation, presented.query) = (revocation, query);
            } else if matches!(presented.revocation, Revocation::Revoked { .. }) {
                presented.query = query;
            }
        }
        if let Attempt::Password { password, allowance: asked, .. } = &mut other.attempt
            && !matches!(password, PasswordFact::Right(_))
        {
            *asked = allowance;
        }
        prop_assert!(judged_alike(&judge(&facts, &policy, &profile), &judge(&other, &policy, &profile)));
    }

    /// A rule that is only tried out refuses nobody, and tells of exactly those whom it would refuse.
    #[test]
    fn monitor_lets_through_what_the_rule_refuses_and_nothing_else(
        facts in any_facts(),
        policy in select(policies()),
        profile in select(profiles()),
        monitor in any_rules(),
    ) {
        let enforced = judge(&facts, &policy, &profile);
        let monitored = judge(&facts, &MailFlowPolicy { monitor, ..policy.clone() }, &profile);
        let known = |rule: Rule| monitor.contains(rule) || rule == Rule::Allowance;
        prop_assert!(monitored.monitored.iter().all(|one| known(one.rule)));
        let identity = |judged: &Judgement| {
            judged.mail.as_ref().ok().and_then(|mail| mail.identity().map(|who| who.principal.user_id.clone()))
        };
        // A password that only `monitor` lets a client try may meet a directory that cannot answer: rule 9 stands.
        let put_off = matches!(monitored.attempt, Some(Err(Refusal::Temporary(_))))
            && matches!(enforced.attempt, Some(Err(Refusal::AuthNotOffered)));
        if enforced.mail.is_ok() && !put_off {
            prop_assert!(monitored.mail.is_ok(), "what is permitted stays permitted");
            let who = identity(&enforced);
            prop_assert!(who.is_none() || who == identity(&monitored), "and who sends is who sent");
        }
        if enforced.attempt == Some(Ok(())) {
            prop_assert_eq!(&monitored.attempt, &Some(Ok(())));
        }
        // on_not_allowed = "monitor" lets through by itself.
        let told: Vec<_> =
            monitored.monitored.iter().filter(|one| !enforced.monitored.contains(one)).collect();
        if monitored.mail.is_ok() {
            match told.first() {
                None => prop_assert!(mail(&enforced) == mail(&monitored), "what nobody tells of is as it would be"),
                Some(first) => {
                    let met = [enforced.mail.err(), enforced.attempt.and_then(Result::err)];
                    prop_assert!(met.contains(&Some(first.refusal.clone())), "told is what would have been met");
                }
            }
        }
    }

    /// What "let through" means: as under the lenient settings.
    #[test]
    fn a_monitored_rule_is_judged_as_its_lenient_setting(
        facts in any_facts(),
        policy in select(policies()),
        profile in select(profiles()),
        rule in select(Rule::ALL.to_vec()),
    ) {
        // Inside TLS the rule is content; whether a certificate must be shown there is another one's business.
        prop_assume!(rule != Rule::Tls || facts.transport == Transport::Plain);
        let monitor = [rule].into_iter().collect();
        let monitored = judge(&facts, &MailFlowPolicy { monitor, ..policy.clone() }, &profile);
        let refuses = match rule {
            Rule::Tls => policy.tls == TlsRule::Required,
            Rule::Auth => policy.smtp_auth == SmtpAuth::Required,
            _ => true,
        };
        let (policy, profile) = if refuses { without(rule, &policy, &profile) } else { (policy, profile) };
        let lenient = judge(&facts, &policy, &profile);
        let met = |judged: &Judgement| (judged.standing.clone(), judged.auth.clone(), judged.attempt.clone());
        prop_assert_eq!(met(&monitored), met(&lenient));
        if mail(&monitored) == mail(&lenient) {
            return Ok(());
        }
        // The one difference: a certificate that nobody can judge now holds up no mail that needs no identity.
        prop_assert!(rule == Rule::Certificate && policy.smtp_auth != SmtpAuth::Required || policy.delayed_rejection);
        prop_assert!(matches!(lenient.mail, Err(Refusal::Temporary(_))) && monitored.mail.is_ok());
        prop_assert!(monitored.monitored.iter().any(|one| Some(&one.refusal) == lenient.mail.as_ref().err()));
    }

    /// Without `monitor` there is nothing to tell of, but for `on_not_allowed`.
    #[test]
    fn what_is_enforced_is_not_monitored(
        facts in any_facts(),
        policy in select(policies()),
        profile in select(profiles()),
    ) {
        let judged = judge(&facts, &policy, &profile);
        let lenient = profile.password.is_some_and(|rules| rules.on_not_allowed == OnNotAllowed::Monitor);
        prop_assert!(judged.monitored.is_empty() || lenient);
        prop_assert!(judged.monitored.iter().all(|one| one.rule == Rule::Allowance));
    }
}
