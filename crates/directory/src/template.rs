//! Filter templates: RFC 4515 filters with `{token}` in their values, compiled once when the configuration is read.

use std::fmt;

use serde::Deserialize;

use crate::filter::{Extensible, Filter, Substrings};
use crate::tokens::{NoValue, Query, Token, Tokens};

/// A filter within a filter within … : more is a mistake, and would let a text decide how deep this parser recurses.
const MAX_DEPTH: usize = 32;
/// Octets of a template.
const MAX_LENGTH: usize = 16 * 1024;

/// A compiled template. The tokens' values can't change its shape: they are put in when it is a tree already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    filter: Filter<Value>,
}

/// An assertion value of a template.
pub type Value = Vec<Piece>;

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As written.
    Octets(Vec<u8>),
    /// From the client.
    Token(Token),
}

/// All that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError(pub Vec<Fault>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Characters from the start of the filter, the first is 1.
    pub at: usize,
    /// What is wrong there, and what would be right.
    pub text: String,
}

impl std::error::Error for TemplateError {}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let joint = if index > 0 { "; " } else { "" };
            write!(f, "{joint}at character {}: {}", fault.at, fault.text)?;
        }
        Ok(())
    }
}

impl Template {
    /// Compiles `text`. White space between filters is allowed, so that a long one may be written on several lines.
    pub fn parse(text: &str, query: Query) -> Result<Self, TemplateError> {
        let mut parser = Parser { text, at: 0, query, faults: Vec::new() };
        let filter = parser.whole();
        match (filter, parser.faults.is_empty()) {
            (Some(filter), true) => Ok(Self { text: text.to_owned(), filter }),
            _ => Err(TemplateError(parser.faults)),
        }
    }

    /// Puts the values in. A token without a value makes the whole query match nobody: the error says which.
    pub fn resolve(&self, tokens: &Tokens) -> Result<Filter, NoValue> {
        self.filter.try_map(&mut |value: &Value| {
            let mut octets = Vec::new();
            for piece in value {
                match piece {
                    Piece::Octets(literal) => octets.extend_from_slice(literal),
                    Piece::Token(token) => octets.extend_from_slice(tokens.get(*token)?),
                }
            }
            Ok(octets)
        })
    }

    /// The tree.
    pub fn filter(&self) -> &Filter<Value> {
        &self.filter
    }

    /// What only a directory server can evaluate, in words.
    pub fn needs_server(&self) -> Option<&'static str> {
        let mut why = None;
        self.filter.walk(&mut |filter| {
            if matches!(filter, Filter::Extensible(_)) {
                why = Some("an extensible match (\":=\")");
            }
        });
        why.or(self.uses(Token::Certificate).then_some("{cert} (use {sha256})"))
    }

    /// Whether the same question can have another answer a second later.
    pub(crate) fn rests_on_clock(&self) -> bool {
        self.uses(Token::Now) || self.uses(Token::NowFileTime)
    }

    /// Whether the token stands anywhere in it.
    pub fn uses(&self, token: Token) -> bool {
        let look = |value: &Value| if value.contains(&Piece::Token(token)) { Err(()) } else { Ok(()) };
        self.filter.try_map(&mut { look }).is_err()
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A template in the configuration of a certificate query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CertificateTemplate(pub Template);

impl TryFrom<String> for CertificateTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Template::parse(&text, Query::Certificate).map(Self)
    }
}

/// A template in the configuration of an SMTP AUTH query, an allowance or a recipient query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LoginTemplate(pub Template);

impl LoginTemplate {
    /// `(mail={a})`
    pub(crate) fn by_address() -> Self {
        let filter = Filter::Equal("mail".to_owned(), vec![Piece::Token(Token::Address)]);
        Self(Template { text: "(mail={a})".to_owned(), filter })
    }
}

/// `(uid={u})`
impl Default for LoginTemplate {
    fn default() -> Self {
        let filter = Filter::Equal("uid".to_owned(), vec![Piece::Token(Token::User)]);
        Self(Template { text: "(uid={u})".to_owned(), filter })
    }
}

impl LoginTemplate {
    /// Of people only, since computers are of the class `user` too; who types a domain means a user principal name.
    pub(crate) fn active_directory() -> Self {
        let text = "(&(objectCategory=person)(objectClass=user)(|(sAMAccountName={u})(userPrincipalName={a})))";
        let is = |attribute: &str, value: Piece| Filter::Equal(attribute.to_owned(), vec![value]);
        let login = vec![
            is("sAMAccountName", Piece::Token(Token::User)),
            is("userPrincipalName", Piece::Token(Token::Address)),
        ];
        let filter = Filter::And(vec![
            is("objectCategory", Piece::Octets(b"person".to_vec())),
            is("objectClass", Piece::Octets(b"user".to_vec())),
            Filter::Or(login),
        ]);
        Self(Template { text: text.to_owned(), filter })
    }
}

impl TryFrom<String> for LoginTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Template::parse(&text, Query::SmtpAuth).map(Self)
    }
}

/// Recursive descent over RFC 4515 section 3. It goes on after a fault in an item, to name the others too.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    query: Query,
    faults: Vec<Fault>,
}

impl<'a> Parser<'a> {
    fn fault(&mut self, offset: usize, text: impl Into<String>) {
        let at = self.text.get(..offset).map_or(0, |before| before.chars().count()) + 1;
        self.faults.push(Fault { at, text: text.into() });
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn whole(&mut self) -> Option<Filter<Value>> {
        if self.text.len() > MAX_LENGTH {
            self.fault(0, format!("the filter is longer than {MAX_LENGTH} octets"));
            return None;
        }
        self.skip_space();
        let filter = self.filter(0)?;
        self.skip_space();
        if !self.rest().is_empty() {
            let text = match self.rest().starts_with('(') {
                true => "a second filter: join them as (&(…)(…)) or (|(…)(…))",
                false => "the filter is closed already; this is too much",
            };
            self.fault(self.at, text);
        }
        Some(filter)
    }

    /// `None` after a fault from which there is no going on.
    fn filter(&mut self, depth: usize) -> Option<Filter<Value>> {
        let opened = self.at;
        if !self.eat('(') {
            self.fault(opened, "\"(\" is missing: a filter stands in parentheses, as (uid={u})");
            return None;
        }
        if depth >= MAX_DEPTH {
            self.fault(opened, format!("more than {MAX_DEPTH} filters within one another"));
            return None;
        }
        self.skip_space();
        let start = self.at;
        let filter = if self.eat('&') {
            Filter::And(self.list(start, depth)?)
        } else if self.eat('|') {
            Filter::Or(self.list(start, depth)?)
        } else if self.eat('!') {
            self.skip_space();
            let inner = self.filter(depth + 1)?;
            self.skip_space();
            if self.rest().starts_with('(') {
                self.fault(self.at, "\"!\" takes one filter: write (!(&(…)(…))) or (!(|(…)(…)))");
                return None;
            }
            Filter::Not(Box::new(inner))
        } else {
            self.item()
        };
        if !self.eat(')') {
            let column = self.text.get(..opened).map_or(0, |before| before.chars().count()) + 1;
            let text = match self.rest() {
                "" => format!("\")\" is missing: the \"(\" at character {column} is not closed"),
                _ => format!("\")\" is expected here, for the \"(\" at character {column}"),
            };
            self.fault(self.at, text);
            return self.rest().is_empty().then_some(filter);
        }
        Some(filter)
    }

    fn list(&mut self, start: usize, depth: usize) -> Option<Vec<Filter<Value>>> {
        let mut filters = Vec::new();
        loop {
            self.skip_space();
            if !self.rest().starts_with('(') {
                break;
            }
            filters.push(self.filter(depth + 1)?);
        }
        // RFC 4526 gives (&) and (|) a meaning, everybody and nobody, that no one wants by accident.
        if filters.is_empty() {
            self.fault(start, "no filter follows: (&(…)(…))");
        }
        Some(filters)
    }

    /// An item up to its parenthesis. After a fault something stands in for it; the fault makes the whole an error.
    fn item(&mut self) -> Filter<Value> {
        let start = self.at;
        let item = self.rest().find(['(', ')']).map_or(self.rest(), |end| self.rest().get(..end).unwrap_or_default());
        self.at += item.len();
        let Some((left, value)) = item.split_once('=') else {
            let shown: String = item.chars().take(40).collect();
            self.fault(start, format!("no \"=\" in \"{shown}\": an item is (attribute=value)"));
            return Filter::Or(Vec::new());
        };
        if self.rest().starts_with('(') {
            self.fault(self.at, "a \"(\" within a value is written \\28");
            // Past the stray one, so that one mistake is told once.
            self.at += self.rest().find(')').unwrap_or(self.rest().len());
        }
        let value_at = start + left.len() + 1;
        match left.as_bytes() {
            [.., b'>'] => Filter::GreaterOrEqual(self.cut(start, left), self.value(value_at, value)),
            [.., b'<'] => Filter::LessOrEqual(self.cut(start, left), self.value(value_at, value)),
            [.., b'~'] => Filter::Approximate(self.cut(start, left), self.value(value_at, value)),
            [.., b':'] => self.extensible(start, left, value_at, value),
            _ => {
                let attribute = self.attribute(start, left);
                self.equality(attribute, value_at, value)
            }
        }
    }

    /// The attribute before a two-character operator.
    fn cut(&mut self, at: usize, left: &str) -> String {
        self.attribute(at, left.get(..left.len() - 1).unwrap_or_default())
    }

    fn equality(&mut self, attribute: String, value_at: usize, value: &str) -> Filter<Value> {
        if value == "*" {
            return Filter::Present(attribute);
        }
        let mut at = value_at;
        let mut parts = Vec::new();
        let texts = value.split('*').collect::<Vec<_>>();
        let count = texts.len();
        for (index, text) in texts.into_iter().enumerate() {
            if text.is_empty() && index > 0 && index + 1 < count {
                self.fault(at, "two asterisks in a row; a literal one is written \\2a");
            }
            parts.push(if text.is_empty() { None } else { Some(self.value(at, text)) });
            at += text.len() + 1;
        }
        let last = parts.pop().flatten();
        if parts.is_empty() {
            return Filter::Equal(attribute, last.unwrap_or_default());
        }
        let mut parts = parts.into_iter();
        let initial = parts.next().flatten();
        Filter::Substrings(attribute, Substrings { initial, any: parts.flatten().collect(), last })
    }

    /// `[attr][":dn"][":" rule] ":=" value`
    fn extensible(&mut self, at: usize, left: &str, value_at: usize, value: &str) -> Filter<Value> {
        let mut names = left.strip_suffix(':').unwrap_or(left).split(':');
        let attribute = names.next().filter(|name| !name.is_empty()).map(|name| self.attribute(at, name));
        let mut names = names.peekable();
        let dn = names.next_if(|name| name.eq_ignore_ascii_case("dn")).is_some();
        let rule = names.next().map(|name| self.attribute(at, name));
        if names.next().is_some() || (attribute.is_none() && rule.is_none()) {
            self.fault(at, "an extensible match is (attribute:rule:=value) or (attribute:dn:rule:=value)");
        }
        Filter::Extensible(Extensible { attribute, dn, rule, value: self.value(value_at, value) })
    }

    /// RFC 4512 section 2.5: a name or an OID, with options. `_` is not in it, and in some directories.
    fn attribute(&mut self, at: usize, name: &str) -> String {
        let mut parts = name.split(';');
        let base = parts.next().unwrap_or_default();
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let named = base.starts_with(|c: char| c.is_ascii_alphabetic()) && word(base);
        let numbered = base.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
        if !(named || numbered) || !parts.all(|option| !option.is_empty() && word(option)) {
            let text = match name {
                "" => "the attribute's name is missing".to_owned(),
                _ => format!("\"{name}\" is no attribute name: letters, digits and \"-\", or an OID"),
            };
            self.fault(at, text);
        }
        name.to_owned()
    }

    fn value(&mut self, at: usize, text: &str) -> Value {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            let here = at + (text.len() - rest.len());
            let length = match char {
                '{' => match self.token(here, rest) {
                    (Some(token), length) => {
                        if !literal.is_empty() {
                            pieces.push(Piece::Octets(std::mem::take(&mut literal)));
                        }
                        pieces.push(Piece::Token(token));
                        length
                    }
                    (None, length) => length,
                },
                '\\' => {
                    let octet = rest.get(1..3).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
                    match octet.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
                        Some(octet) => {
                            literal.push(octet);
                            3
                        }
                        None => {
                            self.fault(here, "\"\\\" is followed by two hexadecimal digits; a literal one is \\5c");
                            1
                        }
                    }
                }
                '*' => {
                    self.fault(here, "an asterisk has no place here; a literal one is written \\2a");
                    1
                }
                '\0' => {
                    self.fault(here, "NUL is written \\00");
                    1
                }
                _ => {
                    literal.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    char.len_utf8()
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        if !literal.is_empty() {
            pieces.push(Piece::Octets(literal));
        }
        pieces
    }

    /// The token at the start of `rest`, and the octets it takes.
    fn token(&mut self, at: usize, rest: &str) -> (Option<Token>, usize) {
        let Some(end) = rest.find('}') else {
            self.fault(at, "\"}\" is missing; a literal \"{\" is written \\7b");
            return (None, rest.len());
        };
        let name = rest.get(1..end).unwrap_or_default();
        let known = Token::names(self.query);
        match name.parse::<Token>() {
            Ok(token) if token.answers(self.query) => return (Some(token), end + 1),
            Ok(token) => {
                let query = match self.query {
                    Query::Certificate => "a certificate query",
                    Query::SmtpAuth => "an SMTP AUTH query, an allowance or a recipient query",
                };
                self.fault(at, format!("{{{token}}} never has a value in {query}; known here are {known}"));
            }
            Err(unknown) => self.fault(at, format!("{unknown}; known here are {known}")),
        }
        (None, end + 1)
    }
}

#[cfg(test)]
mod tests;
