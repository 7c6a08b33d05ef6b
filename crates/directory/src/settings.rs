//! `[directory.NAME]`

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::base::Bases;
use crate::server_url::ServerUrl;
use crate::template::{CertificateTemplate, LoginTemplate};

mod values;

pub use values::{
    Attribute, Attributes, Bind, CacheSettings, ClientCertificate, Method, Order, RequireTemplate, Scope, Span,
    UnknownAttributes,
};

/// A directory, as configured. Which keys have a meaning, `kind` says: [`Settings::wrong_kind`] tells of the others. A
/// value that was left out has the span 0..0.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What holds the people.
    pub kind: Spanned<Kind>,
    /// The people file.
    pub path: Option<Spanned<PathBuf>>,
    /// The directory servers.
    #[serde(default = "nowhere")]
    pub servers: Spanned<Vec<ServerUrl>>,
    /// Which of them is asked.
    #[serde(default = "failover")]
    pub order: Spanned<Order>,
    /// TLS by the StartTLS operation on ldap://.
    #[serde(default = "no")]
    pub starttls: Spanned<bool>,
    /// Passwords and answers may cross the network in clear text.
    #[serde(default = "no")]
    pub allow_plaintext: Spanned<bool>,
    /// PEM file of the authorities that may vouch for the servers; the system's when left out.
    pub ca: Option<Spanned<PathBuf>>,
    /// What the gateway shows to a server that asks.
    pub client_certificate: Option<Spanned<ClientCertificate>>,
    /// As whom the gateway asks.
    #[serde(default = "simple")]
    pub bind: Spanned<Bind>,
    /// The gateway's own name there: a DN; on Active Directory also `user@domain`.
    pub bind_dn: Option<Spanned<String>>,
    /// The file that holds its password.
    pub bind_password_file: Option<Spanned<PathBuf>>,
    /// Where people are looked for, in this order.
    #[serde(default = "root")]
    pub base: Spanned<Bases>,
    /// How far below the base.
    #[serde(default = "sub")]
    pub scope: Spanned<Scope>,
    /// For a question with all that belongs to it: connections, tries on other servers.
    #[serde(default = "three_seconds")]
    pub timeout: Spanned<Span>,
    /// Connections for searches, to each server at most.
    #[serde(default = "two")]
    pub connections: Spanned<u32>,
    /// Connections for the binds of users, to each server at most.
    #[serde(default = "eight")]
    pub bind_connections: Spanned<u32>,
    /// How long answers are remembered.
    #[serde(default = "usual_cache")]
    pub cache: Spanned<CacheSettings>,
    /// What becomes of a server whose schema lacks an attribute that is named here.
    #[serde(default = "refuse")]
    pub unknown_attributes: Spanned<UnknownAttributes>,
    /// What everybody must match beside either query.
    pub require: Option<Spanned<RequireTemplate>>,
    /// How a certificate becomes a person. For a file it may be left out: the people's own `certificate` tables say.
    pub certificate_query: Option<CertificateQuery>,
    /// How a user name becomes a person.
    #[serde(default)]
    pub smtp_auth_query: SmtpAuthQuery,
    /// How a recipient is looked for. For a file it may be left out: the people's addresses say.
    pub recipient_query: Option<RecipientQuery>,
}

/// What holds the people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Kind {
    /// A TOML file.
    File,
    /// Directory servers.
    Ldap,
    /// Directory servers of Active Directory: as [`Kind::Ldap`], and what is left out is as people are kept there.
    ActiveDirectory,
}

/// `[directory.NAME.certificate_query]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateQuery {
    /// Matches the person whose certificate it is.
    pub filter: Spanned<CertificateTemplate>,
    /// The attribute that names a person to the gateway.
    #[serde(default = "uid")]
    pub user_id: Spanned<Attribute>,
    /// The attributes with the addresses that a person may send as.
    #[serde(default = "mail")]
    pub addresses: Spanned<Attributes>,
    /// The attributes with what else a person may send as: shared mailboxes, lists, `@domain`.
    #[serde(default = "none")]
    pub send_as: Spanned<Attributes>,
    /// Further attributes, for the log.
    #[serde(default = "none")]
    pub log: Spanned<Attributes>,
}

/// `[directory.NAME.smtp_auth_query]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpAuthQuery {
    /// Matches the person of the user name; `(uid={u})` when left out.
    #[serde(default = "by_user_id")]
    pub filter: Spanned<LoginTemplate>,
    /// Matches that person if a password is good enough for them; everybody when left out.
    pub allowance: Option<Spanned<LoginTemplate>>,
    /// How the password is proved.
    #[serde(default = "by_bind")]
    pub method: Spanned<Method>,
    /// The attribute with SCRAM's verifiers; without it SCRAM is not to be had.
    pub scram_attribute: Option<Spanned<Attribute>>,
    /// The attribute that names a person to the gateway.
    #[serde(default = "uid")]
    pub user_id: Spanned<Attribute>,
    /// The attributes with the addresses that a person may send as.
    #[serde(default = "mail")]
    pub addresses: Spanned<Attributes>,
    /// The attributes with what else a person may send as: shared mailboxes, lists, `@domain`.
    #[serde(default = "none")]
    pub send_as: Spanned<Attributes>,
    /// Further attributes, for the log.
    #[serde(default = "none")]
    pub log: Spanned<Attributes>,
}

/// `[directory.NAME.recipient_query]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientQuery {
    /// Matches whoever has the address; `{u}`, `{d}` and `{a}` are its parts and the whole of it.
    pub filter: Spanned<LoginTemplate>,
}

impl Default for SmtpAuthQuery {
    fn default() -> Self {
        Self {
            filter: by_user_id(),
            allowance: None,
            method: by_bind(),
            scram_attribute: None,
            user_id: uid(),
            addresses: mail(),
            send_as: none(),
            log: none(),
        }
    }
}

/// A value that was left out.
fn left_out<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

fn nowhere() -> Spanned<Vec<ServerUrl>> {
    left_out(Vec::new())
}

fn failover() -> Spanned<Order> {
    left_out(Order::Failover)
}

fn no() -> Spanned<bool> {
    left_out(false)
}

fn simple() -> Spanned<Bind> {
    left_out(Bind::Simple)
}

fn root() -> Spanned<Bases> {
    left_out(Bases::default())
}

fn sub() -> Spanned<Scope> {
    left_out(Scope::Sub)
}

fn three_seconds() -> Spanned<Span> {
    left_out(Span(Duration::from_secs(3)))
}

fn two() -> Spanned<u32> {
    left_out(2)
}

fn eight() -> Spanned<u32> {
    left_out(8)
}

fn usual_cache() -> Spanned<CacheSettings> {
    left_out(CacheSettings::default())
}

fn refuse() -> Spanned<UnknownAttributes> {
    left_out(UnknownAttributes::Refuse)
}

fn by_user_id() -> Spanned<LoginTemplate> {
    left_out(LoginTemplate::default())
}

fn by_bind() -> Spanned<Method> {
    left_out(Method::Bind)
}

fn uid() -> Spanned<Attribute> {
    left_out(Attribute("uid".to_owned()))
}

fn mail() -> Spanned<Attributes> {
    left_out(Attributes(vec![Attribute("mail".to_owned())]))
}

fn none() -> Spanned<Attributes> {
    left_out(Attributes(Vec::new()))
}

fn written<T>(value: &Spanned<T>) -> Option<Range<usize>> {
    Some(value.span()).filter(|span| *span != (0..0))
}

fn present<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
    value.map(Spanned::span)
}

impl Settings {
    /// With what was left out as people are kept in Active Directory, if this is one.
    pub(crate) fn completed(&self) -> Self {
        let mut settings = self.clone();
        if *self.kind.get_ref() == Kind::ActiveDirectory {
            let user_ids = settings.certificate_query.iter_mut().map(|query| &mut query.user_id);
            for user_id in user_ids.chain([&mut settings.smtp_auth_query.user_id]) {
                if written(user_id).is_none() {
                    *user_id = left_out(Attribute("sAMAccountName".to_owned()));
                }
            }
            let filter = &mut settings.smtp_auth_query.filter;
            if written(filter).is_none() {
                *filter = left_out(LoginTemplate::active_directory());
            }
        }
        settings
    }

    /// Where the keys stand that have a meaning for servers only; `None` for those that were left out.
    fn of_servers(&self) -> [Place; 27] {
        let login = &self.smtp_auth_query;
        let query = self.certificate_query.as_ref();
        [
            ("servers", written(&self.servers)),
            ("order", written(&self.order)),
            ("starttls", written(&self.starttls)),
            ("allow_plaintext", written(&self.allow_plaintext)),
            ("ca", present(self.ca.as_ref())),
            ("client_certificate", present(self.client_certificate.as_ref())),
            ("bind", written(&self.bind)),
            ("bind_dn", present(self.bind_dn.as_ref())),
            ("bind_password_file", present(self.bind_password_file.as_ref())),
            ("base", written(&self.base)),
            ("scope", written(&self.scope)),
            ("timeout", written(&self.timeout)),
            ("connections", written(&self.connections)),
            ("bind_connections", written(&self.bind_connections)),
            ("cache", written(&self.cache)),
            ("unknown_attributes", written(&self.unknown_attributes)),
            ("require", present(self.require.as_ref())),
            ("certificate_query.user_id", query.and_then(|query| written(&query.user_id))),
            ("certificate_query.addresses", query.and_then(|query| written(&query.addresses))),
            ("certificate_query.send_as", query.and_then(|query| written(&query.send_as))),
            ("certificate_query.log", query.and_then(|query| written(&query.log))),
            ("smtp_auth_query.method", written(&login.method)),
            ("smtp_auth_query.scram_attribute", present(login.scram_attribute.as_ref())),
            ("smtp_auth_query.user_id", written(&login.user_id)),
            ("smtp_auth_query.addresses", written(&login.addresses)),
            ("smtp_auth_query.send_as", written(&login.send_as)),
            ("smtp_auth_query.log", written(&login.log)),
        ]
    }

    /// Where each key stands.
    pub(crate) fn places(&self) -> Places {
        let login = &self.smtp_auth_query;
        let query = self.certificate_query.as_ref();
        let of_both = [
            ("certificate_query.filter", query.map(|query| query.filter.span())),
            ("smtp_auth_query.filter", written(&login.filter)),
            ("smtp_auth_query.allowance", present(login.allowance.as_ref())),
            ("smtp_auth_query.method.password_attribute", written(&login.method)),
            ("recipient_query.filter", self.recipient_query.as_ref().map(|query| query.filter.span())),
        ];
        let written = |(key, place): Place| place.map(|place| (key, place));
        Places(self.of_servers().into_iter().chain(of_both).filter_map(written).collect())
    }

    /// Keys that are written and have no meaning for this kind.
    pub(crate) fn wrong_kind(&self) -> Vec<(&'static str, Range<usize>)> {
        let of_files = [("path", present(self.path.as_ref()))];
        let keep = |(key, span): (&'static str, Option<Range<usize>>)| span.map(|span| (key, span));
        match self.kind.get_ref() {
            Kind::File => self.of_servers().into_iter().filter_map(keep).collect(),
            Kind::Ldap | Kind::ActiveDirectory => of_files.into_iter().filter_map(keep).collect(),
        }
    }
}

/// A key, and where its value stands if it is written.
type Place = (&'static str, Option<Range<usize>>);

/// Where keys stand in the configuration, octets.
pub(crate) struct Places(Vec<(&'static str, Range<usize>)>);

impl Places {
    /// 0..0 for a key that was left out.
    pub(crate) fn of(&self, key: &str) -> Range<usize> {
        self.0.iter().find(|place| place.0 == key).map_or(0..0, |place| place.1.clone())
    }
}

/// Not a kind of directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind {0:?} of directory: \"ldap\", \"active-directory\" and \"file\" are known")]
pub struct UnknownKind(String);

impl TryFrom<String> for Kind {
    type Error = UnknownKind;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "file" => Ok(Self::File),
            "ldap" => Ok(Self::Ldap),
            "active-directory" => Ok(Self::ActiveDirectory),
            _ => Err(UnknownKind(name)),
        }
    }
}
