//! Where in a directory people are looked for: distinguished names (RFC 4514) that may hold tokens.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use crate::tokens::{NoValue, Query, Token, Tokens};

/// Bases of one directory.
const MAX_BASES: usize = 32;

/// One base, as `ou={d},dc=example,dc=mil`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Token(Token),
}

/// The bases, tried in this order until one of them has somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases(Vec<Base>);

impl Base {
    /// Reads a base; the error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("base {text:?}: \"}}\" is missing"))?;
            let token: Token = name.parse().map_err(|unknown| format!("base {text:?}: {unknown}"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Token(token));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        // Only a mistake that is seen everywhere; the rest the server says.
        if !text.trim().is_empty() && !text.contains('=') {
            return Err(format!("base {text:?} is no distinguished name: write \"ou=people,dc=example,dc=mil\""));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The tokens that it needs.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Token(token) => Some(*token),
            Piece::Text(_) => None,
        })
    }

    /// Whether it depends on who is asked about.
    pub fn is_fixed(&self) -> bool {
        self.tokens().next().is_none()
    }

    /// Whether such a query can ever fill it.
    pub fn answers(&self, query: Query) -> bool {
        self.tokens().all(|token| token.answers(query))
    }

    /// The name, with values escaped so that none can add to it (RFC 4514 section 2.4).
    pub fn resolve(&self, tokens: &Tokens) -> Result<String, NoValue> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Token(token) => escape(tokens.text(*token)?, &mut name),
            }
        }
        Ok(name)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn escape(value: &str, name: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, char) in value.chars().enumerate() {
        match char {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => name.extend(['\\', char]),
            ' ' if index == 0 || index == last => name.push_str("\\20"),
            '#' if index == 0 => name.push_str("\\#"),
            '\0'..='\x1f' | '\x7f' => name.push_str(&format!("\\{:02x}", u32::from(char))),
            _ => name.push(char),
        }
    }
}

impl Bases {
    /// In their order; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Base> {
        self.0.iter()
    }
}

/// The root: for servers that have a default base, and for Active Directory's global catalog.
impl Default for Bases {
    fn default() -> Self {
        Self(vec![Base { text: String::new(), pieces: Vec::new() }])
    }
}

impl<'de> Deserialize<'de> for Bases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = deserializer.deserialize_any(OneOrSeveral("a base, or a list of bases"))?;
        if texts.is_empty() || texts.len() > MAX_BASES {
            return Err(D::Error::custom(format!("1 to {MAX_BASES} bases")));
        }
        texts.iter().map(|text| Base::parse(text)).collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

/// A string or a list of strings.
pub(crate) struct OneOrSeveral(pub(crate) &'static str);

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_within_their_place() {
        let base = Base::parse("ou={d},dc=example").unwrap();
        assert!(!base.is_fixed() && base.answers(Query::SmtpAuth) && !base.answers(Query::Certificate));
        let now = "2026-11-24T08:00:00Z".parse().unwrap();
        for (typed, name) in [
            ("alice@example.mil", "ou=example.mil,dc=example"),
            ("alice@x,ou=admins", "ou=x\\,ou\\=admins,dc=example"),
            ("alice@#x ", "ou=\\#x\\20,dc=example"),
            ("alice@a+b;c\"<>\\", "ou=a\\+b\\;c\\\"\\<\\>\\\\,dc=example"),
            ("alice@a\nb", "ou=a\\0ab,dc=example"),
            ("alice@Köln", "ou=Köln,dc=example"),
        ] {
            assert_eq!(base.resolve(&Tokens::login(typed, now)).unwrap(), name, "{typed}");
        }
        assert_eq!(base.resolve(&Tokens::login("alice", now)), Err(NoValue::Absent(Token::Domain)));
    }

    #[test]
    fn one_or_several() {
        #[derive(Deserialize)]
        struct Table {
            base: Bases,
        }
        let read = |text: &str| toml::from_str::<Table>(text).map(|table| table.base.0.len());
        assert_eq!(read("base = ''"), Ok(1));
        assert_eq!(read("base = ['ou=a', 'ou={d}']"), Ok(2));
        for (text, message) in [
            ("base = []", "1 to 32 bases"),
            ("base = 'ou={x}'", "unknown token {x}"),
            ("base = 'ou={d'", "\"}\" is missing"),
            ("base = 'people'", "no distinguished name"),
            ("base = 5", "a base, or a list of bases"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
