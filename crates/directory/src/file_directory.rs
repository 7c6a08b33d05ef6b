//! A people file as a directory: filters are evaluated here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::answers::{Allowance, CertificateMatch, PasswordMatch, Person, RecipientMatch, WrongPassword};
use crate::error::Error;
use crate::filter::Filter;
use crate::password::{Password, Verifier};
use crate::people::{Found, People, Wants};
use crate::people_file::{PeopleFile, Reload};
use crate::record::Record;
use crate::scram::{ScramMatch, ScramVerifier};
use crate::settings::Settings;
use crate::step::{Question, SeenEntry, Sight, Step, Trace};
use crate::template::{LoginTemplate, Template};
use crate::tokens::{Query, Token, Tokens};

/// A people file, ready to be asked.
#[derive(Debug)]
pub(crate) struct FileDirectory {
    certificate_filter: Option<Template>,
    /// What that filter asks of a certificate.
    certificate_tokens: BTreeSet<Token>,
    login_filter: Template,
    allowance: Option<Template>,
    recipient_filter: Template,
    file: Arc<PeopleFile>,
    verifier: Verifier,
}

impl From<&Record> for Person {
    fn from(record: &Record) -> Self {
        Self { user_id: record.user_id.clone(), addresses: record.addresses.clone(), send_as: record.send_as.clone() }
    }
}

impl FileDirectory {
    /// Reads the file. Blocks.
    pub(crate) fn open(name: &str, settings: &Settings) -> Result<Self, Error> {
        let path = settings.path.as_ref().ok_or_else(|| Error::Setting {
            directory: name.to_owned(),
            key: "path",
            span: settings.kind.span(),
            text: "missing: kind = \"file\" needs path = \"/etc/postern/people.toml\"".to_owned(),
        })?;
        let login = &settings.smtp_auth_query;
        let local = |key, template: &Template, span| can_evaluate(name, key, template, span);
        let certificate_filter = match &settings.certificate_query {
            Some(query) => Some(local("certificate_query.filter", &query.filter.get_ref().0, query.filter.span())?),
            None => None,
        };
        let login_filter = local("smtp_auth_query.filter", &login.filter.get_ref().0, login.filter.span())?;
        let allowance = match &login.allowance {
            Some(filter) => Some(local("smtp_auth_query.allowance", &filter.get_ref().0, filter.span())?),
            None => None,
        };
        let recipient_filter = match &settings.recipient_query {
            Some(query) => local("recipient_query.filter", &query.filter.get_ref().0, query.filter.span())?,
            None => LoginTemplate::by_address().0,
        };
        let mut wants = Wants { certificate_by_filter: certificate_filter.is_some(), ..Wants::default() };
        certificate_filter
            .iter()
            .chain([&login_filter, &recipient_filter])
            .chain(&allowance)
            .for_each(|template| wants.of(template));
        let file = Arc::new(PeopleFile::open(path.get_ref().clone(), wants)?);
        let verifier = Verifier::new(std::thread::available_parallelism().map_or(1, usize::from));
        let asks = |token: &Token| certificate_filter.as_ref().is_some_and(|filter: &Template| filter.uses(*token));
        let certificate_tokens = Token::of(Query::Certificate).filter(asks).collect();
        Ok(Self { certificate_filter, certificate_tokens, login_filter, allowance, recipient_filter, file, verifier })
    }

    /// How many people there are.
    pub(crate) fn people(&self) -> usize {
        self.file.people().len()
    }

    /// What an administrator should look at, though it is no error.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.file.people().notes().to_vec()
    }

    /// Whether the certificate query compares this token.
    pub(crate) fn certificate_query_uses(&self, token: Token) -> bool {
        self.certificate_filter.as_ref().is_some_and(|template| template.uses(token))
    }

    /// See [`PeopleFile::reload_if_changed`]. To be called now and then, and when told to.
    pub(crate) async fn reload_if_changed(&self) -> Result<Reload, Error> {
        let file = Arc::clone(&self.file);
        let reload = tokio::task::spawn_blocking(move || file.reload_if_changed());
        reload.await.map_err(|error| Error::Stopped(error.to_string()))?
    }

    /// See [`PeopleFile::generation`].
    pub(crate) fn generation(&self) -> u64 {
        self.file.generation()
    }

    /// Password verifications so far, those for nobody included.
    pub(crate) fn verifications(&self) -> u64 {
        self.verifier.runs()
    }

    /// Whose certificate is it? `tokens` gives what is asked of it, and is asked for no more than that.
    pub(crate) async fn certificate_query(
        &self,
        tokens: impl FnOnce(&BTreeSet<Token>) -> Tokens + Send,
        trace: &Trace,
    ) -> CertificateMatch {
        let people = self.file.people();
        let tell = |asked: String, found: &Found| tell(trace, Question::Certificate, asked, found);
        let (found, why) = match &self.certificate_filter {
            None => {
                let (found, why) = people.by_certificate(&tokens(people.certificate_tokens()));
                tell("the people's certificate tables".to_owned(), &found);
                (found, why)
            }
            Some(template) => match template.resolve(&tokens(&self.certificate_tokens)) {
                Err(no_value) => return CertificateMatch::Nobody { why: format!("{template}: {no_value}") },
                Ok(filter) => {
                    let (asked, why) = (filter.to_string(), format!("no entry matches {filter}"));
                    match search(people, filter).await {
                        Ok(found) => {
                            tell(asked, &found);
                            (found, why)
                        }
                        Err(error) => return CertificateMatch::Unavailable(error),
                    }
                }
            },
        };
        match found {
            Found::Nobody => CertificateMatch::Nobody { why },
            Found::Several => CertificateMatch::Several,
            Found::One(record) if record.disabled => {
                CertificateMatch::Nobody { why: format!("{:?} is disabled", record.user_id) }
            }
            Found::One(record) => CertificateMatch::One(Person::from(record.as_ref())),
        }
    }

    /// Does `password` prove that the client is `user`, and is that enough at `now`?
    ///
    /// Whatever the answer, unless the password is empty, it takes one verification: time tells nothing.
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
        let people = self.file.people();
        let login = match self.login(&people, user, now, trace).await {
            Ok(login) => login,
            Err(error) => return PasswordMatch::Unavailable(error),
        };
        let own = login.as_ref().ok().and_then(|login| login.record.password());
        match own.as_ref().unwrap_or(people.dummy()).is(password, &self.verifier).await {
            Ok(right) => {
                let said = if right && own.is_some() { "right" } else { "wrong" };
                let step = step(Question::Password, "compared with the person's hash".to_owned());
                trace.tell(Step { found: Sight::Said(said.to_owned()), ..step });
                answer(login, right)
            }
            Err(error) => PasswordMatch::Unavailable(error),
        }
    }

    /// Whether anybody has the address.
    pub(crate) async fn recipient_query(&self, tokens: &Tokens) -> RecipientMatch {
        let Ok(filter) = self.recipient_filter.resolve(tokens) else { return RecipientMatch::Unknown };
        match search(self.file.people(), filter).await {
            Ok(Found::One(_) | Found::Several) => RecipientMatch::Known,
            Ok(Found::Nobody) => RecipientMatch::Unknown,
            Err(error) => RecipientMatch::Unavailable(error),
        }
    }

    /// What [`FileDirectory::password_query`] would answer to the right password: for explanations, and for a session that it
    /// opened a while ago.
    pub(crate) async fn presume(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        match self.login(&self.file.people(), user, now, trace).await {
            Ok(login) => answer(login, true),
            Err(error) => PasswordMatch::Unavailable(error),
        }
    }

    /// What SCRAM needs of `user`, and what a proof would come to. The error says why nobody can tell.
    pub(crate) async fn scram_query(
        &self,
        user: &str,
        now: jiff::Timestamp,
        trace: &Trace,
    ) -> Result<ScramMatch, String> {
        let people = self.file.people();
        let login = self.login(&people, user, now, trace).await?;
        let nobodys = ScramVerifier::nobodys(&self.login_filter, user, people.scram_shape())?;
        let own = login.as_ref().ok().and_then(|login| login.record.scram.clone());
        let proved = match (login, &own) {
            (Ok(Login { record, .. }), None) if !record.disabled => PasswordMatch::Wrong(WrongPassword::NoVerifier),
            (login, _) => answer(login, true),
        };
        Ok(ScramMatch { verifier: own.unwrap_or(nobodys), proved })
    }

    /// Who `user` is, once another has proved it: no password is asked for.
    pub(crate) async fn token_query(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        match self.login(&self.file.people(), user, now, trace).await {
            Ok(Ok(Login { record, .. })) if record.disabled => PasswordMatch::Disabled,
            Ok(Ok(Login { record, allowance })) => {
                PasswordMatch::Right { person: Person::from(record.as_ref()), allowance }
            }
            Ok(Err(why)) => PasswordMatch::Wrong(why),
            Err(error) => PasswordMatch::Unavailable(error),
        }
    }

    /// How many people have no SCRAM verifier, of how many.
    pub(crate) fn without_scram(&self) -> (usize, usize) {
        self.file.people().without_scram()
    }

    /// Everything about a user name that needs no password. In this order, and for everybody: the time it takes must
    /// not depend on the password.
    async fn login(
        &self,
        people: &Arc<People>,
        user: &str,
        now: jiff::Timestamp,
        trace: &Trace,
    ) -> Result<Result<Login, WrongPassword>, String> {
        let tokens = Tokens::login(user, now);
        let Ok(filter) = self.login_filter.resolve(&tokens) else { return Ok(Err(WrongPassword::UnknownUser)) };
        let asked = if trace.is_heard() { filter.to_string() } else { String::new() };
        let found = search(Arc::clone(people), filter).await?;
        tell(trace, Question::User, asked, &found);
        Ok(match found {
            Found::Nobody => Err(WrongPassword::UnknownUser),
            Found::Several => Err(WrongPassword::SeveralUsers),
            Found::One(record) => Ok(Login { allowance: self.allows(&record, &tokens, trace), record }),
        })
    }

    fn allows(&self, record: &Arc<Record>, tokens: &Tokens, trace: &Trace) -> Allowance {
        let Some(template) = &self.allowance else { return Allowance::NotConfigured };
        let Ok(filter) = template.resolve(tokens) else { return Allowance::NotAllowed };
        let allowed = filter.matches(&record.entry);
        if trace.is_heard() {
            let found = if allowed { Found::One(Arc::clone(record)) } else { Found::Nobody };
            tell(trace, Question::Allowance, filter.to_string(), &found);
        }
        if allowed { Allowance::Allowed } else { Allowance::NotAllowed }
    }
}

/// The one person of a user name.
struct Login {
    record: Arc<Record>,
    allowance: Allowance,
}

fn step(question: Question, asked: String) -> Step {
    Step { question, asked, base: None, scope: None, server: None, took: None, remembered: false, found: Sight::Nobody }
}

fn tell(trace: &Trace, question: Question, asked: String, found: &Found) {
    if !trace.is_heard() {
        return;
    }
    let found = match found {
        Found::Nobody => Sight::Nobody,
        Found::Several => Sight::Several(Vec::new()),
        Found::One(record) => Sight::Entry(SeenEntry {
            dn: record.user_id.clone(),
            attributes: match question {
                Question::Allowance => BTreeMap::new(),
                _ => [("addresses", &record.addresses), ("send_as", &record.send_as)]
                    .into_iter()
                    .filter(|(name, values)| *name == "addresses" || !values.is_empty())
                    .map(|(name, values)| (name.to_owned(), values.clone()))
                    .collect(),
            },
            closed: record.disabled.then(|| "is disabled".to_owned()),
        }),
    };
    trace.tell(Step { found, ..step(question, asked) });
}

fn answer(login: Result<Login, WrongPassword>, right: bool) -> PasswordMatch {
    match login {
        Err(why) => PasswordMatch::Wrong(why),
        Ok(Login { record, .. }) if record.disabled => PasswordMatch::Disabled,
        Ok(Login { record, .. }) if record.password().is_none() => PasswordMatch::Wrong(WrongPassword::NoPassword),
        Ok(Login { .. }) if !right => PasswordMatch::Wrong(WrongPassword::Mismatch),
        Ok(Login { record, allowance }) => PasswordMatch::Right { person: Person::from(record.as_ref()), allowance },
    }
}

/// Searches on a thread of its own where everybody must be looked at.
async fn search(people: Arc<People>, filter: Filter) -> Result<Found, String> {
    if !people.scans(&filter) {
        return Ok(people.search(&filter));
    }
    let scan = tokio::task::spawn_blocking(move || people.search(&filter));
    scan.await.map_err(|error| error.to_string())
}

/// The template, unless it needs a server.
fn can_evaluate(name: &str, key: &'static str, template: &Template, span: Range<usize>) -> Result<Template, Error> {
    match template.needs_server() {
        None => Ok(template.clone()),
        Some(what) => Err(Error::Setting {
            directory: name.to_owned(),
            key,
            span,
            text: format!("{what} needs a directory server, and kind = \"file\" is none"),
        }),
    }
}
