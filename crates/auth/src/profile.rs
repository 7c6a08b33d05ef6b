//! A profile at work: asks `pki`, `directory` and a [`Forward`], and states what they say as facts.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use directory::{Allowance, CertificateMatch, Directory, Password, PasswordMatch, Person, WrongPassword};
use pki::{Certificate, OnUnknownStatus, Revocation, Time, Trust, Verifier};
use protocol::{MailPattern, Mailbox};
use serde_spanned::Spanned;

use crate::facts::{AllowanceFact, Attempt, PasswordFact, PresentedCertificate, QueryFact};
use crate::forward::Forward;
use crate::oauth::{Oauth, TokenAnswer};
use crate::principal::Principal;
use crate::rules::{CertificateRules, Mechanism, OnProblem, PasswordRules, ProfileRules};
use crate::sasl::{ClientFirst, Credentials, Exchange, LastWord, Step};
use crate::settings::{AddressSource, AddressSources, PasswordSettings, Settings};
use crate::tokens::certificate_tokens;

/// A `[authentication.NAME]`, ready to be asked.
pub struct Profile {
    /// NAME
    pub name: String,
    /// How `policy` is to judge what this profile finds.
    pub rules: ProfileRules,
    certificate: Option<CertificateProfile>,
    password: Option<PasswordSource>,
    oauth: Option<Arc<Oauth>>,
}

/// What judges passwords.
#[derive(Debug, Clone)]
pub enum PasswordSource {
    /// `password.directory`
    Directory(Arc<Directory>),
    /// `password.forward`
    Forward(Arc<Forward>),
}

/// What certificates are asked against.
struct CertificateProfile {
    verifier: Verifier,
    directory: Option<Arc<Directory>>,
    sources: AddressSources,
}

/// What asking about a certificate came to.
#[derive(Debug)]
pub struct Examination {
    /// The facts.
    pub presented: PresentedCertificate,
    /// What was tried, in words.
    pub steps: Vec<String>,
    /// From this instant on they must be asked for again: a list, an answer or a certificate ends then.
    pub holds_until: Time,
}

/// Which lists, answers and people it rests on. Unequal: a session that keeps an answer may ask again at once, without
/// waiting for its `recheck_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    revocations: u64,
    certificate_people: u64,
    password_people: u64,
}

/// Settings of a profile that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The key below `authentication.NAME`; empty for the whole.
    pub key: &'static str,
    /// Where its value stands in the configuration, octets; empty for the whole.
    pub span: Range<usize>,
    /// What is wrong, and what would be right.
    pub text: &'static str,
}

impl Settings {
    /// What can only be seen by looking at several keys together.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        if self.certificate.is_none() && self.password.is_none() {
            let text = "neither certificate nor password: nobody could be identified; add one, or both";
            found.push(Contradiction { key: "", span: 0..0, text });
        }
        found.extend(self.password.as_ref().and_then(password_contradiction));
        let directory = self.certificate.as_ref().is_some_and(|certificate| certificate.directory.is_some());
        let problems =
            [("on_missing", &self.on_missing), ("on_invalid", &self.on_invalid), ("on_no_match", &self.on_no_match)];
        for (key, setting) in problems {
            let Some(setting) = setting else { continue };
            let text = if self.certificate.is_none() {
                "without `certificate` it has no meaning: leave it out"
            } else if key == "on_no_match" && !directory {
                "without `certificate.directory` nobody is looked for: add one, or leave it out"
            } else if *setting.get_ref() == OnProblem::Fallback && self.password.is_none() {
                "there is no `password` to fall back to: add one, or write \"reject\""
            } else {
                continue;
            };
            found.push(Contradiction { key, span: setting.span(), text });
        }
        found
    }

    fn rules(&self, certificate: Option<&Trust>) -> ProfileRules {
        let or_reject = |setting: &Option<Spanned<OnProblem>>| {
            setting.as_ref().map_or(OnProblem::Reject, |setting| *setting.get_ref())
        };
        ProfileRules {
            certificate: certificate.map(|trust| CertificateRules {
                on_missing: or_reject(&self.on_missing),
                on_invalid: or_reject(&self.on_invalid),
                on_no_match: or_reject(&self.on_no_match),
                on_unknown_status: trust.on_unknown_status(),
            }),
            password: self.password.as_ref().map(Spanned::get_ref).map(|password| PasswordRules {
                mechanisms: password.mechanisms.as_slice().to_vec(),
                on_not_allowed: password.on_not_allowed.as_ref().map_or_else(Default::default, |it| *it.get_ref()),
            }),
            recheck_after: self.recheck_after.0,
        }
    }
}

/// One judge, and no questions that it can't answer.
fn password_contradiction(password: &Spanned<PasswordSettings>) -> Option<Contradiction> {
    let settings = password.get_ref();
    let tokens = settings.mechanisms.as_slice().iter().any(|mechanism| mechanism.is_token());
    let (key, span, text) = match (&settings.directory, &settings.forward, &settings.on_not_allowed) {
        (None, None, _) => {
            let text = "neither directory nor forward: nobody could judge a password; write directory = \"…\" or forward = \"…\"";
            ("password", password.span(), text)
        }
        (Some(_), Some(forward), _) => {
            let text = "directory and forward: one of them judges passwords; leave the other out";
            ("password.forward", forward.span(), text)
        }
        (None, Some(_), _) if settings.mechanisms.as_slice().iter().any(|mechanism| mechanism.is_scram()) => {
            let text = "SCRAM proves a password without sending it, and a forward has to be sent it: leave SCRAM out of the mechanisms";
            ("password.forward", settings.forward.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (None, Some(_), _) if settings.oauth.is_some() => {
            let text = "a forward knows nobody without a password, so no token can name anybody: take a directory, or leave oauth out";
            ("password.oauth", settings.oauth.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (Some(_), None, _) if settings.oauth.is_none() && tokens => {
            let text =
                "OAUTHBEARER and XOAUTH2 need something that judges tokens: write oauth = \"…\", or leave them out";
            ("password.mechanisms", password.span(), text)
        }
        (Some(_), None, _) if settings.oauth.is_some() && !tokens => {
            let text =
                "no mechanism brings a token: write OAUTHBEARER or XOAUTH2 among the mechanisms, or leave oauth out";
            ("password.oauth", settings.oauth.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (None, Some(_), _) if tokens => {
            let text = "a forward knows nobody without a password: leave OAUTHBEARER and XOAUTH2 out of the mechanisms";
            ("password.forward", settings.forward.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (None, Some(_), Some(setting)) => {
            let text = "a forward has no allowance query, so it has no meaning: leave it out";
            ("password.on_not_allowed", setting.span(), text)
        }
        _ => return None,
    };
    Some(Contradiction { key, span, text })
}

impl Profile {
    /// Builds a profile of parts that its settings name: what `certificate` and `password` of the settings refer to.
    pub fn new(
        name: &str,
        settings: &Settings,
        certificate: Option<(Verifier, Option<Arc<Directory>>)>,
        password: Option<PasswordSource>,
    ) -> Self {
        let sources = settings.certificate.as_ref().map(|settings| settings.addresses_from.clone()).unwrap_or_default();
        let certificate = certificate.map(|(verifier, directory)| CertificateProfile { verifier, directory, sources });
        let rules = settings.rules(certificate.as_ref().map(|certificate| certificate.verifier.trust()));
        Self { name: name.to_owned(), rules, certificate, password, oauth: None }
    }

    /// With what judges tokens.
    #[must_use]
    pub fn with_tokens(self, oauth: Arc<Oauth>) -> Self {
        Self { oauth: Some(oauth), ..self }
    }

    /// Which lists and people answers of now rest on.
    pub fn epoch(&self) -> Epoch {
        let generation = |directory: Option<&Arc<Directory>>| directory.map_or(0, |directory| directory.generation());
        let certificate_people = self.certificate.as_ref().and_then(|certificate| certificate.directory.as_ref());
        Epoch {
            revocations: self.certificate.as_ref().map_or(0, |certificate| certificate.verifier.generation()),
            certificate_people: generation(certificate_people),
            password_people: match &self.password {
                Some(PasswordSource::Directory(directory)) => directory.generation(),
                Some(PasswordSource::Forward(_)) | None => 0,
            },
        }
    }

    /// Asks everything about a certificate that the client proved to hold, its own first in `chain`.
    pub async fn certificate(&self, chain: &[impl AsRef<[u8]>], at: Time) -> Examination {
        let Some(profile) = &self.certificate else {
            let leaf = chain.first().and_then(|der| Certificate::from_der(der.as_ref()).ok());
            let steps = vec![format!("profile {} asks for no certificate", self.name)];
            let presented = presented(leaf.as_ref(), Err(pki::PathError::Empty), Revocation::NotChecked);
            return Examination { presented, steps, holds_until: Time::NEVER };
        };
        let verdict = profile.verifier.verify(chain, at).await;
        let path = verdict.path.as_ref().map(|_| ()).map_err(Clone::clone);
        let mut facts = presented(verdict.leaf.as_ref(), path, verdict.revocation.clone());
        let mut steps = verdict.steps.clone();
        if let (Some(leaf), Some(directory)) = (&verdict.leaf, &profile.directory)
            && self.asks(&facts)
        {
            let asking = directory.explain_certificate_query(|wanted| certificate_tokens(leaf, at, wanted));
            let (answer, asked) = asking.await;
            steps.extend(asked.iter().map(|step| format!("directory {}: {step}", directory.name())));
            facts.query = query_fact(answer);
            steps.push(format!("directory {}: {}", directory.name(), told(&facts.query)));
            if let QueryFact::One(principal) = &mut facts.query
                && *profile.sources.as_slice() != [AddressSource::Directory]
            {
                use_sources(profile.sources.as_slice(), principal, leaf);
                let addresses = principal.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
                steps.push(format!("addresses with those of the certificate: {}", addresses.join(", ")));
            }
        }
        Examination { presented: facts, steps, holds_until: verdict.valid_until }
    }

    /// Whether the owner of such a certificate is looked for.
    pub fn asks_for_owner(&self, facts: &PresentedCertificate) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.directory.is_some()) && self.asks(facts)
    }

    /// A directory is not asked about what is refused whatever it says.
    fn asks(&self, facts: &PresentedCertificate) -> bool {
        let unknown = self.rules.certificate.as_ref().map(|rules| rules.on_unknown_status);
        facts.path.is_ok()
            && match facts.revocation {
                Revocation::Revoked { .. } => false,
                Revocation::Unknown(_) => unknown != Some(OnUnknownStatus::Reject),
                Revocation::Good { .. } | Revocation::NotChecked => true,
            }
    }

    /// The trust that certificates are judged under; `None` when the profile has no `certificate`.
    pub fn trust(&self) -> Option<&Trust> {
        self.certificate.as_ref().map(|certificate| certificate.verifier.trust())
    }

    /// SCRAM's next step: asks the directory what it holds of this user.
    pub async fn scram(&self, first: ClientFirst, at: Time) -> Step {
        let known = match (&self.password, now(at)) {
            (Some(PasswordSource::Directory(directory)), Ok(now)) => directory.scram_query(first.user(), now).await,
            (_, Err(_)) => Err(BEYOND.to_owned()),
            _ => Err(format!("profile {} has no directory with SCRAM's verifiers", self.name)),
        };
        Exchange::scram(first, known)
    }

    /// What an AUTH exchange came to, and what there is to be said of it.
    pub async fn attempt(&self, credentials: Credentials, at: Time) -> (Attempt, LastWord) {
        let attempt = match credentials {
            Credentials::External { authorization_identity } => Attempt::External { authorization_identity },
            Credentials::Password { mechanism, user, password } => self.password(mechanism, &user, &password, at).await,
            Credentials::Scram { mechanism, user, outcome, server_final } => {
                let (password, allowance) = password_facts(outcome);
                let last = LastWord::IfPermitted(BASE64.encode(server_final));
                return (Attempt::Password { mechanism, user, password, allowance }, last);
            }
            Credentials::Token { mechanism, user, token } => {
                let said = self.oauth.as_ref().map(|oauth| oauth.refusal(mechanism));
                let last = said.map_or(LastWord::None, |said| LastWord::IfRefused(BASE64.encode(said)));
                return (self.token(mechanism, user, &token, at).await, last);
            }
        };
        (attempt, LastWord::None)
    }

    /// Whom a token names, if it is good; whether the directory knows them, and whether they are whom the client says.
    async fn token(&self, mechanism: Mechanism, claimed: String, token: &Password, at: Time) -> Attempt {
        let attempt = |user: String, (password, allowance): (PasswordFact, AllowanceFact)| Attempt::Password {
            mechanism,
            user,
            password,
            allowance,
        };
        let unasked = |fact: PasswordFact| (fact, AllowanceFact::NotAsked);
        let answer = match &self.oauth {
            Some(oauth) => oauth.token(token, at).await,
            None => TokenAnswer::Refused("no tokens are taken here".to_owned()),
        };
        let user = match answer {
            TokenAnswer::Names(user) => user,
            TokenAnswer::Refused(why) => return attempt(claimed, unasked(PasswordFact::TokenRefused(why))),
            TokenAnswer::Unavailable(why) => return attempt(claimed, unasked(PasswordFact::Unavailable(why))),
        };
        let facts = password_facts(self.token_query(&user, at).await);
        match &facts.0 {
            // RFC 7628 section 3.1: to act for another is not offered here.
            PasswordFact::Right(principal)
                if !claimed.is_empty() && !claimed.eq_ignore_ascii_case(&user) && !principal.is_named(&claimed) =>
            {
                attempt(claimed, unasked(PasswordFact::TokenRefused(format!("it names {user:?}"))))
            }
            _ => attempt(user, facts),
        }
    }

    async fn token_query(&self, user: &str, at: Time) -> PasswordMatch {
        match (&self.password, now(at)) {
            (Some(PasswordSource::Directory(directory)), Ok(now)) => directory.token_query(user, now).await,
            (_, Err(beyond)) => beyond,
            _ => self.nobody_judges(),
        }
    }

    /// Whether `password` is `user`'s, and enough.
    pub async fn password(&self, mechanism: Mechanism, user: &str, password: &Password, at: Time) -> Attempt {
        // Whoever judges: an empty password is not even asked about (RFC 4513 section 5.1.2).
        let (password, allowance) = if password.is_empty() {
            password_facts(PasswordMatch::Wrong(WrongPassword::Empty))
        } else {
            match &self.password {
                Some(PasswordSource::Directory(directory)) => password_facts(match now(at) {
                    Ok(now) => directory.password_query(user, password, now).await,
                    Err(unavailable) => unavailable,
                }),
                Some(PasswordSource::Forward(forward)) => {
                    (forward.password(user, password).await, AllowanceFact::NotAsked)
                }
                None => password_facts(self.nobody_judges()),
            }
        };
        Attempt::Password { mechanism, user: user.to_owned(), password, allowance }
    }

    /// The fact that a right password of `user` by `mechanism` would come to, with what was asked for it, in words. For
    /// explanations, never for a session.
    ///
    /// A forward knows of nobody without their password: it is taken to say yes.
    pub async fn explain_presumption(&self, mechanism: Mechanism, user: &str, at: Time) -> (Attempt, Vec<String>) {
        let ((password, allowance), steps) = match &self.password {
            Some(PasswordSource::Directory(directory)) => match now(at) {
                Ok(now) => {
                    let (answer, asked) = match mechanism {
                        _ if mechanism.is_scram() => directory.explain_scram_query(user, now).await,
                        _ if mechanism.is_token() => directory.explain_token_query(user, now).await,
                        _ => directory.explain_presumption(user, now).await,
                    };
                    let told = |step: &directory::Step| format!("directory {}: {step}", directory.name());
                    (password_facts(answer), asked.iter().map(told).collect())
                }
                Err(unavailable) => (password_facts(unavailable), Vec::new()),
            },
            Some(PasswordSource::Forward(forward)) => {
                let (fact, step) = match forward.principal(user) {
                    Some(principal) => {
                        let step = "without the password its servers can't be asked whether there is such a user: taken to be so";
                        (PasswordFact::Right(principal), step)
                    }
                    None => {
                        (PasswordFact::Wrong(WrongPassword::UnknownUser), "no user name: its servers are not asked")
                    }
                };
                ((fact, AllowanceFact::NotAsked), vec![format!("forward {}: {step}", forward.name())])
            }
            None => (password_facts(self.nobody_judges()), Vec::new()),
        };
        (Attempt::Password { mechanism, user: user.to_owned(), password, allowance }, steps)
    }

    /// The same for a session, which has shown the password: from memory where that holds.
    async fn presume(&self, mechanism: Mechanism, user: &str, at: Time) -> Attempt {
        let (password, allowance) = match &self.password {
            Some(_) if mechanism.is_token() => password_facts(self.token_query(user, at).await),
            Some(PasswordSource::Directory(directory)) => password_facts(match now(at) {
                Ok(now) => directory.presume(user, now).await,
                Err(unavailable) => unavailable,
            }),
            _ => return self.explain_presumption(mechanism, user, at).await.0,
        };
        Attempt::Password { mechanism, user: user.to_owned(), password, allowance }
    }

    /// What a right password of a while ago comes to now, without the password: whether the person is still there, open
    /// and allowed. Every other attempt stays as it was, and so does what a forward said: it can't be asked.
    pub async fn standing(&self, attempt: &Attempt, at: Time) -> Attempt {
        let Attempt::Password { mechanism, user, password: PasswordFact::Right(before), .. } = attempt else {
            return attempt.clone();
        };
        match self.presume(*mechanism, user, at).await {
            // Nobody inherits a session: the name may be another person's by now, whose password was never shown.
            Attempt::Password { password: PasswordFact::Right(now), .. } if !now.is(&before.user_id) => {
                let (password, allowance) = password_facts(PasswordMatch::Wrong(WrongPassword::Mismatch));
                Attempt::Password { mechanism: *mechanism, user: user.clone(), password, allowance }
            }
            now => now,
        }
    }

    fn nobody_judges(&self) -> PasswordMatch {
        PasswordMatch::Unavailable(format!("profile {} takes no passwords", self.name))
    }
}

const BEYOND: &str = "the clock is beyond the calendar";

/// Directories have a calendar.
fn now(at: Time) -> Result<jiff::Timestamp, PasswordMatch> {
    let beyond = |_| PasswordMatch::Unavailable(BEYOND.to_owned());
    jiff::Timestamp::from_second(at.unix()).map_err(beyond)
}

fn password_facts(answer: PasswordMatch) -> (PasswordFact, AllowanceFact) {
    match answer {
        PasswordMatch::Right { person, allowance } => {
            (PasswordFact::Right(principal(person)), allowance_fact(allowance))
        }
        PasswordMatch::Wrong(why) => (PasswordFact::Wrong(why), AllowanceFact::NotAsked),
        PasswordMatch::Disabled => (PasswordFact::AccountDisabled, AllowanceFact::NotAsked),
        PasswordMatch::Unavailable(why) => (PasswordFact::Unavailable(why), AllowanceFact::NotAsked),
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn presented(
    leaf: Option<&Certificate>,
    path: Result<(), pki::PathError>,
    revocation: Revocation,
) -> PresentedCertificate {
    let unreadable = || "(unreadable)".to_owned();
    PresentedCertificate {
        subject: leaf.map_or_else(unreadable, |leaf| leaf.subject().to_string()),
        issuer: leaf.map_or_else(unreadable, |leaf| leaf.issuer().to_string()),
        serial: leaf.map_or_else(unreadable, |leaf| leaf.serial().hex()),
        path,
        revocation,
        query: QueryFact::NotAsked,
    }
}

/// The certificate's addresses, beside those of the directory or in their place. Only a certificate whose path was valid
/// gets here: the directory is not asked about others.
fn use_sources(sources: &[AddressSource], principal: &mut Principal, leaf: &Certificate) {
    let of_directory = std::mem::take(&mut principal.addresses);
    for source in sources {
        match source {
            AddressSource::Directory => principal.add_addresses(of_directory.iter().cloned()),
            AddressSource::Certificate => {
                let names = leaf.subject_alt_names().iter().filter_map(|name| match name {
                    pki::GeneralName::Rfc822(octets) => Mailbox::parse(std::str::from_utf8(octets).ok()?).ok(),
                    _ => None,
                });
                principal.add_addresses(names);
            }
        }
    }
}

fn query_fact(answer: CertificateMatch) -> QueryFact {
    match answer {
        CertificateMatch::One(person) => QueryFact::One(principal(person)),
        CertificateMatch::Nobody { why } => QueryFact::Nobody(why),
        CertificateMatch::Several => QueryFact::Several,
        CertificateMatch::Unavailable(why) => QueryFact::Unavailable(why),
    }
}

fn told(query: &QueryFact) -> String {
    match query {
        QueryFact::NotAsked => "not asked".to_owned(),
        QueryFact::One(principal) => format!("the certificate is {}'s", principal.user_id),
        QueryFact::Nobody(why) => format!("nobody: {why}"),
        QueryFact::Several => "several people match".to_owned(),
        QueryFact::Unavailable(why) => format!("unavailable: {why}"),
    }
}

fn allowance_fact(allowance: Allowance) -> AllowanceFact {
    match allowance {
        Allowance::NotConfigured => AllowanceFact::NotAsked,
        Allowance::Allowed => AllowanceFact::Allowed,
        Allowance::NotAllowed => AllowanceFact::NotAllowed,
        Allowance::Unavailable(why) => AllowanceFact::Unavailable(why),
    }
}

/// A directory may hold what is no address: nobody can send as that, and the rest still holds.
fn principal(person: Person) -> Principal {
    let parse = |address: &String| match Mailbox::parse(address) {
        Ok(mailbox) => Some(mailbox),
        Err(error) => {
            tracing::warn!(user_id = person.user_id, address, %error, "an address of the directory is none");
            None
        }
    };
    // A word without an @ is a name or a mistake, and must not open a domain.
    let pattern = |text: &String| match text.parse::<MailPattern>() {
        Ok(pattern) if text.contains('@') => Some(pattern),
        _ => {
            tracing::warn!(
                user_id = person.user_id,
                send_as = text,
                "what the directory lets send as is no address and no @domain"
            );
            None
        }
    };
    let addresses = person.addresses.iter().filter_map(parse).collect();
    let send_as = person.send_as.iter().filter_map(pattern).collect();
    Principal { user_id: person.user_id, addresses, send_as }
}

#[cfg(test)]
mod tests;
