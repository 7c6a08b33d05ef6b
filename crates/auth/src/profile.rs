//! A profile at work: asks `pki`, `directory` and a [`Forward`], and states what they say as facts.

mod answers;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use directory::{Directory, Password, PasswordMatch, WrongPassword};
use pki::{Certificate, OnUnknownStatus, Revocation, Time, Trust, Verifier};

use crate::facts::{AllowanceFact, Attempt, PasswordFact, PresentedCertificate, QueryFact};
use crate::forward::Forward;
use crate::oauth::{Oauth, TokenAnswer};
use crate::profile::answers::{password_facts, presented, query_fact, told, use_sources};
use crate::rules::{Mechanism, ProfileRules};
use crate::sasl::{ClientFirst, Credentials, Exchange, LastWord, Step};
use crate::settings::{AddressSource, AddressSources, Settings};
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

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.name).field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
