//! Directory servers as a directory: who a certificate is, whether a password is somebody's.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;

use crate::account::{BindResult, closed};
use crate::answers::{Allowance, CertificateMatch, PasswordMatch, Person, RecipientMatch, WrongPassword};
use crate::base::Bases;
use crate::cache::{Cache, CacheHealth, FoundEntries};
use crate::error::Error;
use crate::filter::Filter;
use crate::ldap::connection::Answer;
use crate::ldap::message::{Depth, FoundEntry, Operation, Search};
use crate::ldap::pool::Pool;
use crate::ldap::server::ServerHealth;
use crate::ldap_plan::{Plan, Reading};
use crate::password::Password;
use crate::proof::Proof;
use crate::scram::{ScramMatch, ScramShape, ScramVerifier};
use crate::settings::{Method, Places, Settings};
use crate::step::{self, Trace};
use crate::template::Template;
use crate::tokens::{NoValue, Query, Token, Tokens};

mod check;
mod told;
mod walk;

pub use walk::{Listed, Walk};

use told::{Told, told};

/// Entries that are asked for: two are as bad as more.
const TWO: usize = 2;

/// Directory servers, ready to be asked.
pub(crate) struct LdapDirectory {
    name: String,
    pool: Arc<Pool>,
    cache: Cache,
    bases: Bases,
    depth: Depth,
    timeout: Duration,
    require: Option<Template>,
    certificate: Option<CertificateQuestion>,
    login_filter: Template,
    allowance: Option<Template>,
    login_reading: Reading,
    recipient_filter: Option<Template>,
    proof: Proof,
    scram: Option<Scram>,
    notes: Vec<String>,
    places: Places,
}

struct CertificateQuestion {
    filter: Template,
    /// What it asks of a certificate, bases included.
    tokens: BTreeSet<Token>,
    reading: Reading,
}

/// Where SCRAM's verifiers are.
struct Scram {
    attribute: String,
    /// Of the first verifier that was seen: so must those of unknown users look, and go on looking.
    shape: OnceLock<ScramShape>,
}

/// A search that is to be made, in each base until somebody is found.
struct Question {
    searches: Vec<Searched>,
    /// May be answered from memory.
    remembered: bool,
    /// Where somebody wants to see it.
    told: Option<Arc<Told>>,
}

/// A search in one base.
struct Searched {
    base: String,
    operation: Operation,
    /// The base is a written one, and must be there.
    fixed: bool,
}

/// The one person of a user name.
struct Login {
    entry: Arc<FoundEntry>,
    allowance: Allowance,
}

impl Scram {
    /// The entry's verifier. Values have no order: of several the same one is taken each time, as the salt must not change.
    fn verifier(&self, entry: &FoundEntry) -> Option<ScramVerifier> {
        let texts = entry.texts(&self.attribute).filter(|text| ScramVerifier::is_meant(text));
        let text = texts.min()?;
        ScramVerifier::parse(text)
            .inspect_err(|why| {
                tracing::warn!(dn = entry.dn, attribute = self.attribute, why, "a SCRAM verifier can't be used");
            })
            .ok()
    }
}

impl LdapDirectory {
    /// Reads the files that the settings name. Blocks. No server is asked yet.
    pub(crate) fn open(name: &str, settings: &Settings) -> Result<Self, Error> {
        let plan = Plan { name, settings };
        let pool = Arc::new(plan.pool()?);
        let bases = settings.base.get_ref().clone();
        let require = settings.require.as_ref().map(|require| require.get_ref().template().clone());
        let certificate = settings.certificate_query.as_ref().map(|query| {
            let filter = query.filter.get_ref().0.clone();
            let base_tokens: BTreeSet<Token> = bases.iter().flat_map(crate::base::Base::tokens).collect();
            let asks = |token: &Token| {
                filter.uses(*token)
                    || base_tokens.contains(token)
                    || require.as_ref().is_some_and(|one| one.uses(*token))
            };
            CertificateQuestion {
                tokens: Token::of(Query::Certificate).filter(asks).collect(),
                reading: Reading::new(
                    query.user_id.get_ref(),
                    query.addresses.get_ref(),
                    query.send_as.get_ref(),
                    query.log.get_ref(),
                ),
                filter,
            }
        });
        let login = &settings.smtp_auth_query;
        let cache = settings.cache.get_ref();
        Ok(Self {
            name: name.to_owned(),
            pool,
            cache: Cache::new(cache.positive.0, cache.negative.0, cache.entries),
            bases,
            depth: plan.depth(),
            timeout: settings.timeout.get_ref().0,
            require,
            certificate,
            login_filter: login.filter.get_ref().0.clone(),
            allowance: login.allowance.as_ref().map(|allowance| allowance.get_ref().0.clone()),
            login_reading: Reading::new(
                login.user_id.get_ref(),
                login.addresses.get_ref(),
                login.send_as.get_ref(),
                login.log.get_ref(),
            ),
            recipient_filter: settings.recipient_query.as_ref().map(|query| query.filter.get_ref().0.clone()),
            proof: Proof::new(match login.method.get_ref() {
                Method::Bind => None,
                Method::PasswordAttribute(attribute) => Some(attribute.0.clone()),
            }),
            scram: login
                .scram_attribute
                .as_ref()
                .map(|attribute| Scram { attribute: attribute.get_ref().0.clone(), shape: OnceLock::new() }),
            notes: plan.notes(),
            places: settings.places(),
        })
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    pub(crate) fn has_certificate_query(&self) -> bool {
        self.certificate.is_some()
    }

    pub(crate) fn certificate_query_uses(&self, token: Token) -> bool {
        self.certificate.as_ref().is_some_and(|question| question.filter.uses(token))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.cache.epoch()
    }

    pub(crate) fn flush(&self) {
        self.cache.flush();
    }

    pub(crate) fn cache_health(&self) -> CacheHealth {
        self.cache.health()
    }

    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        self.pool.health()
    }

    pub(crate) fn verifications(&self) -> u64 {
        self.proof.verifications()
    }

    pub(crate) async fn certificate_query(
        &self,
        tokens: impl FnOnce(&BTreeSet<Token>) -> Tokens + Send,
        trace: &Trace,
    ) -> CertificateMatch {
        let nobody = |why: String| CertificateMatch::Nobody { why };
        let Some(asked) = &self.certificate else {
            return nobody(format!("directory {} has no certificate_query", self.name));
        };
        let tokens = tokens(&asked.tokens);
        let filter = match self.resolve(&asked.filter, &tokens) {
            Ok(filter) => filter,
            Err(no_value) => return nobody(format!("{}: {no_value}", asked.filter)),
        };
        let remembered = !asked.filter.rests_on_clock() && !self.require_rests_on_clock();
        let told = told(trace, step::Question::Certificate, &filter, self.depth, &asked.reading.asked);
        let question = self.question(&filter, &tokens, &asked.reading.asked, remembered, told);
        let entry = match self.find(question, Instant::now() + self.timeout).await {
            Err(why) => return CertificateMatch::Unavailable(why),
            Ok(FoundEntries::Nobody) => return nobody(format!("no entry matches {filter}")),
            Ok(FoundEntries::Several) => return CertificateMatch::Several,
            Ok(FoundEntries::One(entry)) => entry,
        };
        if let Some(why) = closed(&entry, jiff::Timestamp::now()) {
            return nobody(format!("{:?} {why}", entry.dn));
        }
        match self.person(&entry, &asked.reading) {
            Ok(person) => CertificateMatch::One(person),
            Err(why) => nobody(why),
        }
    }

    pub(crate) async fn password_query(
        &self,
        user: &str,
        password: &Password,
        now: jiff::Timestamp,
        trace: &Trace,
    ) -> PasswordMatch {
        if password.is_empty() {
            return PasswordMatch::Wrong(WrongPassword::Empty);
        }
        let deadline = Instant::now() + self.timeout;
        // Passwords are proved by what the directory says now.
        let attributes = self.proof.attributes(&self.login_reading.asked);
        let login = match self.login(user, now, &attributes, false, deadline, trace).await {
            Ok(login) => login,
            Err(why) => return PasswordMatch::Unavailable(why),
        };
        let entry = login.as_ref().ok().map(|login| login.entry.as_ref());
        match (self.proof.prove(&self.pool, entry, password, deadline, trace).await, login) {
            (Err(why), _) => PasswordMatch::Unavailable(why),
            (Ok(_), Err(why)) => PasswordMatch::Wrong(why),
            (Ok(result), Ok(login)) => self.answer(login, result, now),
        }
    }

    /// What SCRAM needs of `user`, and what a proof would come to. The error says why nobody can tell.
    pub(crate) async fn scram_query(
        &self,
        user: &str,
        now: jiff::Timestamp,
        trace: &Trace,
    ) -> Result<ScramMatch, String> {
        let none = || format!("directory {} has no smtp_auth_query.scram_attribute", self.name);
        let scram = self.scram.as_ref().ok_or_else(none)?;
        let deadline = Instant::now() + self.timeout;
        let attributes: Vec<String> = self.login_reading.asked.iter().chain([&scram.attribute]).cloned().collect();
        let login = self.login(user, now, &attributes, false, deadline, trace).await?;
        let own = login.as_ref().ok().and_then(|login| scram.verifier(&login.entry));
        let shape = own.as_ref().map(|own| *scram.shape.get_or_init(|| own.shape()));
        let shape = shape.or_else(|| scram.shape.get().copied()).unwrap_or_default();
        let nobodys = ScramVerifier::nobodys(&self.login_filter, user, shape)?;
        let proved = match (login, &own) {
            (Err(why), _) => PasswordMatch::Wrong(why),
            (Ok(login), Some(_)) => self.answer(login, BindResult::Right, now),
            (Ok(login), None) => self.answer(login, BindResult::Wrong(WrongPassword::NoVerifier), now),
        };
        Ok(ScramMatch { verifier: own.unwrap_or(nobodys), proved })
    }

    /// Who `user` is, once another has proved it: no password is asked for.
    pub(crate) async fn token_query(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        let deadline = Instant::now() + self.timeout;
        match self.login(user, now, &self.login_reading.asked, false, deadline, trace).await {
            Ok(Ok(login)) => self.answer(login, BindResult::Right, now),
            Ok(Err(why)) => PasswordMatch::Wrong(why),
            Err(why) => PasswordMatch::Unavailable(why),
        }
    }

    pub(crate) fn holds_scram(&self) -> bool {
        self.scram.is_some()
    }

    pub(crate) async fn presume(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        let deadline = Instant::now() + self.timeout;
        match self.login(user, now, &self.login_reading.asked, true, deadline, trace).await {
            Ok(Ok(login)) => self.answer(login, BindResult::Right, now),
            Ok(Err(why)) => PasswordMatch::Wrong(why),
            Err(why) => PasswordMatch::Unavailable(why),
        }
    }

    fn answer(&self, login: Login, result: BindResult, now: jiff::Timestamp) -> PasswordMatch {
        let Login { entry, allowance } = login;
        if let Some(why) = closed(&entry, now) {
            tracing::info!(directory = self.name, dn = entry.dn, "the account {why}");
            return PasswordMatch::Disabled;
        }
        match result {
            BindResult::Wrong(why) => PasswordMatch::Wrong(why),
            BindResult::Disabled => PasswordMatch::Disabled,
            BindResult::Unclear => PasswordMatch::Unavailable("the server did not judge the password".to_owned()),
            BindResult::Right => match self.person(&entry, &self.login_reading) {
                Ok(person) => PasswordMatch::Right { person, allowance },
                Err(why) => {
                    tracing::warn!(directory = self.name, why, "a right password is of no use");
                    PasswordMatch::Wrong(WrongPassword::UnknownUser)
                }
            },
        }
    }

    /// Everything about a user name that needs no password. The same steps for everybody: the time they take must not
    /// depend on whether there is such a user.
    async fn login(
        &self,
        user: &str,
        now: jiff::Timestamp,
        attributes: &[String],
        remembered: bool,
        deadline: Instant,
        trace: &Trace,
    ) -> Result<Result<Login, WrongPassword>, String> {
        let tokens = Tokens::login(user, now);
        let Ok(filter) = self.resolve(&self.login_filter, &tokens) else { return Ok(Err(WrongPassword::UnknownUser)) };
        let may = remembered && !self.login_filter.rests_on_clock() && !self.require_rests_on_clock();
        let told = told(trace, step::Question::User, &filter, self.depth, &self.login_reading.asked);
        let found = self.find(self.question(&filter, &tokens, attributes, may, told), deadline).await?;
        let nobodys_dn = || self.bases.iter().find_map(|base| base.resolve(&tokens).ok()).unwrap_or_default();
        let dn = match &found {
            FoundEntries::One(entry) => entry.dn.clone(),
            FoundEntries::Nobody | FoundEntries::Several => nobodys_dn(),
        };
        let allowance = self.allows(&dn, &tokens, remembered, deadline, trace).await;
        Ok(match found {
            FoundEntries::Nobody => Err(WrongPassword::UnknownUser),
            FoundEntries::Several => Err(WrongPassword::SeveralUsers),
            FoundEntries::One(entry) => Ok(Login { entry, allowance }),
        })
    }

    /// Whether the allowance matches the very entry that was found.
    async fn allows(&self, dn: &str, tokens: &Tokens, remembered: bool, deadline: Instant, trace: &Trace) -> Allowance {
        let Some(template) = &self.allowance else { return Allowance::NotConfigured };
        let Ok(filter) = template.resolve(tokens) else { return Allowance::NotAllowed };
        let remembered = remembered && !template.rests_on_clock();
        // "1.1": no attributes (RFC 4511 section 4.5.1.8).
        let operation = self.operation(dn, Depth::Base, &filter, &["1.1".to_owned()]);
        // The entry may have gone meanwhile: that is no failure of the server.
        let search = Searched { base: dn.to_owned(), operation, fixed: false };
        let told = told(trace, step::Question::Allowance, &filter, Depth::Base, &[]);
        let question = Question { searches: vec![search], remembered, told };
        match self.find(question, deadline).await {
            Ok(FoundEntries::One(_)) => Allowance::Allowed,
            Ok(FoundEntries::Nobody | FoundEntries::Several) => Allowance::NotAllowed,
            Err(why) => Allowance::Unavailable(why),
        }
    }

    pub(crate) fn answers_recipients(&self) -> bool {
        self.recipient_filter.is_some()
    }

    /// Whether anybody has the address. `require` is for people who send: an address may be a list's.
    pub(crate) async fn recipient_query(&self, tokens: &Tokens) -> RecipientMatch {
        let Some(template) = &self.recipient_filter else {
            return RecipientMatch::Unavailable(format!("directory {} has no recipient_query", self.name));
        };
        let Ok(filter) = template.resolve(tokens) else { return RecipientMatch::Unknown };
        // "1.1": no attributes (RFC 4511 section 4.5.1.8).
        let question = self.question(&filter, tokens, &["1.1".to_owned()], !template.rests_on_clock(), None);
        match self.find(question, Instant::now() + self.timeout).await {
            Ok(FoundEntries::One(_) | FoundEntries::Several) => RecipientMatch::Known,
            Ok(FoundEntries::Nobody) => RecipientMatch::Unknown,
            Err(why) => RecipientMatch::Unavailable(why),
        }
    }

    fn require_rests_on_clock(&self) -> bool {
        self.require.as_ref().is_some_and(|require| require.rests_on_clock())
    }

    /// A query's filter, and what everybody must match.
    fn resolve(&self, template: &Template, tokens: &Tokens) -> Result<Filter, NoValue> {
        let filter = template.resolve(tokens)?;
        match &self.require {
            None => Ok(filter),
            Some(require) => Ok(Filter::And(vec![filter, require.resolve(tokens)?])),
        }
    }

    fn operation(&self, base: &str, depth: Depth, filter: &Filter, attributes: &[String]) -> Operation {
        let time_limit = i32::try_from(self.timeout.as_secs()).unwrap_or(i32::MAX).saturating_add(1);
        Search { base, depth, filter, attributes, size_limit: 2, time_limit }.operation()
    }

    /// In every base that this client's values fill.
    fn question(
        &self,
        filter: &Filter,
        tokens: &Tokens,
        attributes: &[String],
        remembered: bool,
        told: Option<Arc<Told>>,
    ) -> Question {
        let bases = self.bases.iter().filter_map(|base| base.resolve(tokens).ok().map(|dn| (dn, base.is_fixed())));
        let search = |(base, fixed): (String, bool)| {
            let operation = self.operation(&base, self.depth, filter, attributes);
            Searched { base, operation, fixed }
        };
        Question { searches: bases.map(search).collect(), remembered, told }
    }

    async fn find(&self, question: Question, deadline: Instant) -> Result<FoundEntries, String> {
        let mut key = digest::Context::new(&digest::SHA256);
        question.searches.iter().for_each(|search| key.update(&search.operation));
        let key = <[u8; 32]>::try_from(key.finish().as_ref()).unwrap_or_default();
        let pool = Arc::clone(&self.pool);
        let Question { searches, remembered, told } = question;
        let before = told.as_ref().map_or(0, |told| told.trace.count());
        let teller = told.clone();
        let asking = async move { search(&pool, &searches, deadline, teller.as_deref()).await };
        let found = self.cache.find(key, remembered, asking).await;
        // Nothing was told meanwhile: it came from memory, or with the flight of an equal question.
        if let Some(told) = told.filter(|told| told.trace.count() == before) {
            told.remembered(&found);
        }
        found
    }

    fn person(&self, entry: &FoundEntry, reading: &Reading) -> Result<Person, String> {
        let person = person(entry, reading)?;
        if !reading.log.is_empty() {
            let each = |name: &String| format!("{name}={:?}", entry.texts(name).collect::<Vec<_>>());
            let attributes = reading.log.iter().map(each).collect::<Vec<_>>().join(" ");
            tracing::info!(directory = self.name, user_id = person.user_id, dn = entry.dn, attributes, "found");
        }
        Ok(person)
    }
}

/// Who an entry is to the gateway.
fn person(entry: &FoundEntry, reading: &Reading) -> Result<Person, String> {
    // Values have no order (RFC 4511 section 4.1.7): of several the same one must be taken each time.
    let ids = entry.texts(&reading.user_id).map(str::trim).filter(|id| !id.is_empty());
    let user_id = ids.min().ok_or_else(|| format!("{:?} has no {}", entry.dn, reading.user_id))?;
    let of = |attributes: &[String]| {
        let mut found: Vec<String> = Vec::new();
        for address in attributes.iter().flat_map(|name| entry.texts(name)).filter_map(address) {
            if !found.iter().any(|known| known.eq_ignore_ascii_case(address)) {
                found.push(address.to_owned());
            }
        }
        found
    };
    Ok(Person { user_id: user_id.to_owned(), addresses: of(&reading.addresses), send_as: of(&reading.send_as) })
}

/// A mail address of an attribute; Active Directory's `proxyAddresses` says of each what it is.
fn address(value: &str) -> Option<&str> {
    match value.split_once(':') {
        Some((kind, address)) if kind.eq_ignore_ascii_case("smtp") => Some(address),
        // x500:, sip: … are no mail addresses.
        Some((kind, _)) if kind.bytes().all(|b| b.is_ascii_alphanumeric()) => None,
        _ => Some(value),
    }
}

/// Base after base, until one has somebody.
async fn search(
    pool: &Pool,
    searches: &[Searched],
    deadline: Instant,
    told: Option<&Told>,
) -> Result<FoundEntries, String> {
    for Searched { base, operation, fixed } in searches {
        let began = Instant::now();
        let asked = match pool.search(operation, TWO, deadline).await {
            Ok(asked) => asked,
            Err(why) => {
                told.iter().for_each(|told| told.failed(base, &why));
                return Err(why);
            }
        };
        let took = began.elapsed();
        let names: Vec<String> = match told {
            Some(_) => asked.answer.entries.iter().map(|entry| entry.dn.clone()).collect(),
            None => Vec::new(),
        };
        let url = asked.server.url();
        let found = found(asked.answer, *fixed).map_err(|why| format!("{url}: {why}"));
        told.iter().for_each(|told| told.answered(base, url.to_string(), took, &found, &names));
        match found {
            Ok(FoundEntries::Nobody) => {}
            found => return found,
        }
    }
    Ok(FoundEntries::Nobody)
}

/// Whom a search found. Whatever the server can't say is no answer, least of all "nobody".
fn found(answer: Answer, base_is_fixed: bool) -> Result<FoundEntries, String> {
    let Answer { entries, seen, ended } = answer;
    match (ended.code, seen, entries.into_iter().next()) {
        // Two entries are two people, whatever else went wrong; and where a limit of two was exceeded there are more.
        (_, TWO.., _) | (4, 1.., _) => Ok(FoundEntries::Several),
        (0, _, Some(entry)) => Ok(FoundEntries::One(Arc::new(entry))),
        (0, _, None) => Ok(FoundEntries::Nobody),
        // A base that a client's domain completes need not be there, nor be a name; one that is written must be.
        (32 | 34, _, _) if !base_is_fixed => Ok(FoundEntries::Nobody),
        (32, _, _) => Err(format!("the base is not there: {}", ended.told())),
        _ => Err(ended.told()),
    }
}

impl fmt::Debug for LdapDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LdapDirectory").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
