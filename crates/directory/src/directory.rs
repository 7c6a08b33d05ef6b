//! One configured directory, whatever holds its people: the two questions a session asks of it.

use std::collections::BTreeSet;

use crate::answers::{CertificateMatch, PasswordMatch, RecipientMatch};
use crate::cache::CacheHealth;
use crate::error::Error;
use crate::file_directory::FileDirectory;
use crate::filter::Filter;
use crate::finding::Finding;
use crate::ldap::server::ServerHealth;
use crate::ldap_directory::{LdapDirectory, Walk};
use crate::password::Password;
use crate::people_file::Reload;
use crate::scram::ScramMatch;
use crate::settings::{Kind, Settings};
use crate::step::{Step, Trace};
use crate::tokens::{Token, Tokens};

/// A directory, ready to be asked.
#[derive(Debug)]
pub struct Directory {
    name: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(Box<FileDirectory>),
    Ldap(Box<LdapDirectory>),
}

impl Directory {
    /// Opens a directory: reads the files that its settings name. Blocks. Servers are not asked yet.
    pub fn open(name: &str, settings: &Settings) -> Result<Self, Error> {
        let settings = &settings.completed();
        if let Some((key, span)) = settings.wrong_kind().into_iter().next() {
            let text = match settings.kind.get_ref() {
                Kind::File => "has a meaning for kind = \"ldap\" only: leave it out",
                Kind::Ldap | Kind::ActiveDirectory => "has a meaning for kind = \"file\" only: leave it out",
            };
            return Err(Error::Setting { directory: name.to_owned(), key, span, text: text.to_owned() });
        }
        let source = match settings.kind.get_ref() {
            Kind::File => Source::File(Box::new(FileDirectory::open(name, settings)?)),
            Kind::Ldap | Kind::ActiveDirectory => Source::Ldap(Box::new(LdapDirectory::open(name, settings)?)),
        };
        Ok(Self { name: name.to_owned(), source })
    }

    /// The NAME of `[directory.NAME]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many people there are; of directory servers that is not known.
    pub fn people(&self) -> usize {
        match &self.source {
            Source::File(file) => file.people(),
            Source::Ldap(_) => 0,
        }
    }

    /// Whether a certificate can be anybody's here.
    pub fn has_certificate_query(&self) -> bool {
        match &self.source {
            Source::File(_) => true,
            Source::Ldap(ldap) => ldap.has_certificate_query(),
        }
    }

    /// What an administrator should look at, though it is no error: attributes that a filter names and nobody has,
    /// certificates that two people have …
    pub fn notes(&self) -> Vec<String> {
        let (mut notes, weak) = match &self.source {
            Source::File(file) => (file.notes(), file.certificate_query_uses(Token::AltSecIdRfc822)),
            Source::Ldap(ldap) => (ldap.notes(), ldap.certificate_query_uses(Token::AltSecIdRfc822)),
        };
        if weak {
            notes.push(
                "{altsecid:rfc822} is weak: whoever gets a certificate for a mail address gets its account".to_owned(),
            );
        }
        notes
    }

    /// Reads a people file again if it changed. To be called now and then, and when told to.
    pub async fn reload_if_changed(&self) -> Result<Reload, Error> {
        match &self.source {
            Source::File(file) => file.reload_if_changed().await,
            Source::Ldap(_) => Ok(Reload::Unchanged),
        }
    }

    /// Grows when answers of before are void: a people file was read again, or [`Directory::flush`] was called.
    pub fn generation(&self) -> u64 {
        match &self.source {
            Source::File(file) => file.generation(),
            Source::Ldap(ldap) => ldap.generation(),
        }
    }

    /// Forgets what directory servers answered.
    pub fn flush(&self) {
        if let Source::Ldap(ldap) = &self.source {
            ldap.flush();
        }
    }

    /// How the directory servers fare; a file has none.
    pub fn health(&self) -> Vec<ServerHealth> {
        match &self.source {
            Source::File(_) => Vec::new(),
            Source::Ldap(ldap) => ldap.health(),
        }
    }

    /// How the memory of their answers fares; a file has none.
    pub fn cache_health(&self) -> Option<CacheHealth> {
        match &self.source {
            Source::File(_) => None,
            Source::Ldap(ldap) => Some(ldap.cache_health()),
        }
    }

    /// Connects to every server, binds as the gateway, looks the bases and all named attributes up, and tells what it
    /// found, server by server. A file has been read already: there is nothing to find.
    pub async fn check_connection(&self) -> Vec<Finding> {
        match &self.source {
            Source::File(_) => Vec::new(),
            Source::Ldap(ldap) => ldap.check_connection().await,
        }
    }

    /// Password verifications in this process so far, those for nobody included.
    pub fn verifications(&self) -> u64 {
        match &self.source {
            Source::File(file) => file.verifications(),
            Source::Ldap(ldap) => ldap.verifications(),
        }
    }

    /// Whose certificate is it? `tokens` gives what is asked of it, and is asked for no more than that.
    pub async fn certificate_query(&self, tokens: impl FnOnce(&BTreeSet<Token>) -> Tokens + Send) -> CertificateMatch {
        self.by_certificate(tokens, &Trace::default()).await
    }

    /// [`Directory::certificate_query`], with each step that it took.
    pub async fn explain_certificate_query(
        &self,
        tokens: impl FnOnce(&BTreeSet<Token>) -> Tokens + Send,
    ) -> (CertificateMatch, Vec<Step>) {
        let trace = Trace::listening();
        (self.by_certificate(tokens, &trace).await, trace.steps())
    }

    /// Does `password` prove that the client is `user`, and is that enough at `now`?
    ///
    /// Unknown users and wrong passwords take the same steps: time tells nothing. An empty password is wrong at once.
    pub async fn password_query(&self, user: &str, password: &Password, now: jiff::Timestamp) -> PasswordMatch {
        self.by_password(user, password, now, &Trace::default()).await
    }

    /// [`Directory::password_query`], with each step that it took.
    pub async fn explain_password_query(
        &self,
        user: &str,
        password: &Password,
        now: jiff::Timestamp,
    ) -> (PasswordMatch, Vec<Step>) {
        let trace = Trace::listening();
        (self.by_password(user, password, now, &trace).await, trace.steps())
    }

    /// What SCRAM-SHA-256 needs of `user`, before the client proves anything, and what a proof would come to at `now`.
    ///
    /// For unknown users and for those without a verifier there is one that looks like others', and proves nothing.
    ///
    /// # Errors
    /// Why nobody can tell now; for the log.
    pub async fn scram_query(&self, user: &str, now: jiff::Timestamp) -> Result<ScramMatch, String> {
        self.by_scram(user, now, &Trace::default()).await
    }

    /// [`Directory::scram_query`], as far as the outcome goes, with each step that it took.
    pub async fn explain_scram_query(&self, user: &str, now: jiff::Timestamp) -> (PasswordMatch, Vec<Step>) {
        let trace = Trace::listening();
        let answer = match self.by_scram(user, now, &trace).await {
            Ok(scram) => scram.proved,
            Err(why) => PasswordMatch::Unavailable(why),
        };
        (answer, trace.steps())
    }

    /// Who `user` is, where somebody else vouches for it, as the issuer of a token does: whether the SMTP AUTH query finds
    /// one person, and their account is open and allowed at `now`. Asked of the directory each time.
    pub async fn token_query(&self, user: &str, now: jiff::Timestamp) -> PasswordMatch {
        self.by_token(user, now, &Trace::default()).await
    }

    /// [`Directory::token_query`], with each step that it took.
    pub async fn explain_token_query(&self, user: &str, now: jiff::Timestamp) -> (PasswordMatch, Vec<Step>) {
        let trace = Trace::listening();
        (self.by_token(user, now, &trace).await, trace.steps())
    }

    /// Whether SCRAM-SHA-256 can be had; not for directory servers without `scram_attribute`.
    pub fn holds_scram(&self) -> bool {
        match &self.source {
            Source::Ldap(ldap) => ldap.holds_scram(),
            Source::File(_) => true,
        }
    }

    /// How many people of a file have a password and no SCRAM verifier, of how many with a password.
    pub fn without_scram(&self) -> Option<(usize, usize)> {
        match &self.source {
            Source::Ldap(_) => None,
            Source::File(file) => Some(file.without_scram()).filter(|(without, _)| *without > 0),
        }
    }

    /// What [`Directory::password_query`] would answer to the right password: for explanations, and for a session that it
    /// opened a while ago.
    pub async fn presume(&self, user: &str, now: jiff::Timestamp) -> PasswordMatch {
        self.by_presumption(user, now, &Trace::default()).await
    }

    /// [`Directory::presume`], with each step that it took.
    pub async fn explain_presumption(&self, user: &str, now: jiff::Timestamp) -> (PasswordMatch, Vec<Step>) {
        let trace = Trace::listening();
        (self.by_presumption(user, now, &trace).await, trace.steps())
    }

    /// Whether [`Directory::recipient_query`] can be asked: directory servers need a filter for it.
    pub fn answers_recipients(&self) -> bool {
        match &self.source {
            Source::File(_) => true,
            Source::Ldap(ldap) => ldap.answers_recipients(),
        }
    }

    /// Has anybody this address? `local_part` is without quotes.
    pub async fn recipient_query(&self, local_part: &str, domain: &str) -> RecipientMatch {
        let tokens = Tokens::recipient(local_part, domain, jiff::Timestamp::now());
        match &self.source {
            Source::File(file) => file.recipient_query(&tokens).await,
            Source::Ldap(ldap) => ldap.recipient_query(&tokens).await,
        }
    }

    async fn by_certificate(
        &self,
        tokens: impl FnOnce(&BTreeSet<Token>) -> Tokens + Send,
        trace: &Trace,
    ) -> CertificateMatch {
        match &self.source {
            Source::File(file) => file.certificate_query(tokens, trace).await,
            Source::Ldap(ldap) => ldap.certificate_query(tokens, trace).await,
        }
    }

    async fn by_password(&self, user: &str, password: &Password, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        match &self.source {
            Source::File(file) => file.password_query(user, password, now, trace).await,
            Source::Ldap(ldap) => ldap.password_query(user, password, now, trace).await,
        }
    }

    async fn by_scram(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> Result<ScramMatch, String> {
        match &self.source {
            Source::File(file) => file.scram_query(user, now, trace).await,
            Source::Ldap(ldap) => ldap.scram_query(user, now, trace).await,
        }
    }

    async fn by_token(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        match &self.source {
            Source::File(file) => file.token_query(user, now, trace).await,
            Source::Ldap(ldap) => ldap.token_query(user, now, trace).await,
        }
    }

    async fn by_presumption(&self, user: &str, now: jiff::Timestamp, trace: &Trace) -> PasswordMatch {
        match &self.source {
            Source::File(file) => file.presume(user, now, trace).await,
            Source::Ldap(ldap) => ldap.presume(user, now, trace).await,
        }
    }

    /// Walks over everybody, page by page. `filter` says who; when absent, everybody whom the SMTP AUTH query could find.
    /// `base` says where; when absent, in every base that does not depend on a client. The error says why nobody can
    /// be walked over, and what would be right.
    pub async fn walk(&self, filter: Option<&Filter>, base: Option<&str>) -> Result<Walk, String> {
        match &self.source {
            Source::File(_) => Err("a people file holds no certificates: there is nothing to walk over".to_owned()),
            Source::Ldap(ldap) => ldap.walk(filter, base).await,
        }
    }
}

#[cfg(test)]
mod tests;
