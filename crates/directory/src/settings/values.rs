//! Values of `[directory.NAME]` that can be wrong, each read into a type that is right.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::base::OneOrSeveral;
use crate::filter::Filter;
use crate::template::{Template, TemplateError, Value};
use crate::tokens::{Query, Token};

/// A time span, written `500ms`, `3s` or `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let span = humantime::parse_duration(text.trim());
        span.map(Self).map_err(|error| format!("`{text}` is no time span ({error}); write 500ms, 3s or 5m"))
    }
}

/// Which of several servers is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The first that answers.
    Failover,
    /// Each in turn.
    Balance,
}

/// How far below a base people are (RFC 4511 section 4.5.1.2, by the names of RFC 4516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The base itself.
    Base,
    /// Right below it.
    One,
    /// The base and all below it.
    Sub,
}

/// As whom the gateway asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// By `bind_dn` and `bind_password_file`.
    Simple,
    /// By `client_certificate` (SASL EXTERNAL, RFC 4422 appendix A).
    External,
    /// As nobody.
    Anonymous,
}

/// What becomes of a server whose schema lacks an attribute that the settings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownAttributes {
    /// It is not asked.
    Refuse,
    /// The log tells it, and it is asked.
    Warn,
}

/// `client_certificate = { certificate = "…", key = "…" }`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM, not encrypted.
    pub key: PathBuf,
}

/// `cache = { positive = "5m", negative = "30s" }`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// How long somebody who was found is remembered; `0s`: not at all.
    #[serde(default = "five_minutes")]
    pub positive: Span,
    /// How long it is remembered that nobody, or several people, were found.
    #[serde(default = "half_a_minute")]
    pub negative: Span,
    /// Answers that are remembered at most; the least used make room.
    #[serde(default = "ten_thousand")]
    pub entries: u32,
}

fn five_minutes() -> Span {
    Span(Duration::from_secs(300))
}

fn half_a_minute() -> Span {
    Span(Duration::from_secs(30))
}

fn ten_thousand() -> u32 {
    10_000
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { positive: five_minutes(), negative: half_a_minute(), entries: ten_thousand() }
    }
}

/// The name of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Attribute(pub String);

impl TryFrom<String> for Attribute {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        // By the same rule as in filters, which tells of it in words.
        match Template::parse(&format!("({name}=*)"), Query::Certificate).map(|template| template.filter().clone()) {
            Ok(Filter::Present(parsed)) if parsed == name => Ok(Self(name)),
            _ => Err(format!("{name:?} is no attribute name: write \"uid\" or \"sAMAccountName\"")),
        }
    }
}

/// One attribute or several, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes(pub Vec<Attribute>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = deserializer.deserialize_any(OneOrSeveral("an attribute, or a list of attributes"))?;
        if names.len() > 32 {
            return Err(D::Error::custom("32 attributes at most"));
        }
        names.into_iter().map(Attribute::try_from).collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

/// How a password is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// By a bind as the person.
    Bind,
    /// Against an attribute that the gateway may read.
    PasswordAttribute(Attribute),
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MethodVisitor)
    }
}

struct MethodVisitor;

const METHODS: &str = "\"bind\", or { password_attribute = \"userPassword\" }";

impl<'de> Visitor<'de> for MethodVisitor {
    type Value = Method;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(METHODS)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Method, E> {
        match text {
            "bind" => Ok(Method::Bind),
            _ => Err(E::custom(format!("unknown method {text:?}: {METHODS}"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Method, A::Error> {
        match map.next_key::<String>()?.as_deref() {
            Some("password_attribute") => {
                let attribute = map.next_value()?;
                match map.next_key::<String>()? {
                    None => Ok(Method::PasswordAttribute(attribute)),
                    Some(more) => Err(A::Error::unknown_field(&more, &["password_attribute"])),
                }
            }
            Some(other) => Err(A::Error::unknown_field(other, &["password_attribute"])),
            None => Err(A::Error::custom(METHODS)),
        }
    }
}

/// A filter that both queries must also match, `(memberOf=cn=mailers,ou=groups,dc=example,dc=mil)`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RequireTemplate(Template);

impl RequireTemplate {
    /// The tree.
    pub fn filter(&self) -> &Filter<Value> {
        self.0.filter()
    }

    /// The filter as it stands.
    pub fn template(&self) -> &Template {
        &self.0
    }
}

impl TryFrom<String> for RequireTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let told = |error: TemplateError| error.to_string();
        let template = Template::parse(&text, Query::Certificate).map_err(told)?;
        match Token::of(Query::Certificate).find(|token| !token.is_clock() && template.uses(*token)) {
            Some(token) => {
                Err(format!("{{{token}}} has no place here: it holds for both queries, and only {{t}} is in both"))
            }
            None => Ok(Self(template)),
        }
    }
}
