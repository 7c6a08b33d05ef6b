//! RFC 4515 filters as a tree: written out for a server, or evaluated here for a people file.

use std::fmt;

use crate::comparison::{fold, fold_part, order};

/// A filter over values of type `V`: octets once a query is asked, templates before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter<V = Vec<u8>> {
    /// `(&…)`; empty, it is true (RFC 4526).
    And(Vec<Self>),
    /// `(|…)`; empty, it is false (RFC 4526).
    Or(Vec<Self>),
    /// `(!…)`
    Not(Box<Self>),
    /// `(attribute=value)`
    Equal(String, V),
    /// `(attribute=*)`
    Present(String),
    /// `(attribute=initial*any*final)`
    Substrings(String, Substrings<V>),
    /// `(attribute>=value)`
    GreaterOrEqual(String, V),
    /// `(attribute<=value)`
    LessOrEqual(String, V),
    /// `(attribute~=value)`
    Approximate(String, V),
    /// `(attribute:dn:rule:=value)`: for servers only.
    Extensible(Extensible<V>),
}

/// The parts of a substrings assertion, in order. At least one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substrings<V> {
    /// Before the first asterisk.
    pub initial: Option<V>,
    /// Between asterisks.
    pub any: Vec<V>,
    /// After the last asterisk.
    pub last: Option<V>,
}

/// An extensible match (RFC 4511 section 4.5.1.7.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensible<V> {
    /// `None`: every attribute that the rule fits.
    pub attribute: Option<String>,
    /// `:dn`: the entry's DN counts too.
    pub dn: bool,
    /// The matching rule, by name or OID.
    pub rule: Option<String>,
    /// The asserted value.
    pub value: V,
}

impl<V> Filter<V> {
    /// The same shape over other values; the first value that can't be made is the error. Values can't change the
    /// shape: that is what a filter injection would be.
    pub fn try_map<W, E>(&self, make: &mut impl FnMut(&V) -> Result<W, E>) -> Result<Filter<W>, E> {
        let mut all = |filters: &[Self]| filters.iter().map(|filter| filter.try_map(make)).collect::<Result<_, E>>();
        Ok(match self {
            Self::And(filters) => Filter::And(all(filters)?),
            Self::Or(filters) => Filter::Or(all(filters)?),
            Self::Not(filter) => Filter::Not(Box::new(filter.try_map(make)?)),
            Self::Equal(attribute, value) => Filter::Equal(attribute.clone(), make(value)?),
            Self::Present(attribute) => Filter::Present(attribute.clone()),
            Self::Substrings(attribute, parts) => Filter::Substrings(
                attribute.clone(),
                Substrings {
                    initial: parts.initial.as_ref().map(&mut *make).transpose()?,
                    any: parts.any.iter().map(&mut *make).collect::<Result<_, E>>()?,
                    last: parts.last.as_ref().map(make).transpose()?,
                },
            ),
            Self::GreaterOrEqual(attribute, value) => Filter::GreaterOrEqual(attribute.clone(), make(value)?),
            Self::LessOrEqual(attribute, value) => Filter::LessOrEqual(attribute.clone(), make(value)?),
            Self::Approximate(attribute, value) => Filter::Approximate(attribute.clone(), make(value)?),
            Self::Extensible(item) => Filter::Extensible(Extensible {
                attribute: item.attribute.clone(),
                dn: item.dn,
                rule: item.rule.clone(),
                value: make(&item.value)?,
            }),
        })
    }

    /// Calls `see` for this filter and every filter in it.
    pub fn walk<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().for_each(|filter| filter.walk(see)),
            Self::Not(filter) => filter.walk(see),
            _ => {}
        }
    }

    /// The attribute of an item.
    pub fn attribute(&self) -> Option<&str> {
        match self {
            Self::And(_) | Self::Or(_) | Self::Not(_) => None,
            Self::Equal(attribute, _)
            | Self::Present(attribute)
            | Self::Substrings(attribute, _)
            | Self::GreaterOrEqual(attribute, _)
            | Self::LessOrEqual(attribute, _)
            | Self::Approximate(attribute, _) => Some(attribute),
            Self::Extensible(item) => item.attribute.as_deref(),
        }
    }
}

impl Filter {
    /// Evaluates the filter here. What a server would call Undefined is false, and `(!…)` of it true, as servers do
    /// for attributes that their schema knows and an entry lacks.
    pub fn matches(&self, entry: &Entry) -> bool {
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.matches(entry)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(entry)),
            Self::Not(filter) => !filter.matches(entry),
            Self::Present(attribute) => entry.has(attribute),
            Self::Equal(attribute, value) | Self::Approximate(attribute, value) => {
                text(value).map(fold).is_some_and(|asserted| entry.any(attribute, |value| *value == asserted))
            }
            Self::GreaterOrEqual(attribute, value) => text(value).map(fold).is_some_and(|asserted| {
                entry.any(attribute, |value| order(value, &asserted).is_some_and(|order| order.is_ge()))
            }),
            Self::LessOrEqual(attribute, value) => text(value).map(fold).is_some_and(|asserted| {
                entry.any(attribute, |value| order(value, &asserted).is_some_and(|order| order.is_le()))
            }),
            Self::Substrings(attribute, parts) => {
                parts.folded().is_some_and(|parts| entry.any(attribute, |value| parts.match_folded(value)))
            }
            // Refused where a people file is opened.
            Self::Extensible(_) => false,
        }
    }
}

/// Values are compared as text; what is no text equals none.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

impl Substrings<Vec<u8>> {
    fn folded(&self) -> Option<Substrings<String>> {
        let fold_text = |value: &Vec<u8>| text(value).map(fold_part);
        Some(Substrings {
            initial: match &self.initial {
                Some(value) => Some(fold_text(value)?.trim_start().to_owned()),
                None => None,
            },
            any: self.any.iter().map(fold_text).collect::<Option<_>>()?,
            last: match &self.last {
                Some(value) => Some(fold_text(value)?.trim_end().to_owned()),
                None => None,
            },
        })
    }
}

impl Substrings<String> {
    /// RFC 4511 section 4.5.1.7.2: in order, and without overlap.
    fn match_folded(&self, value: &str) -> bool {
        let rest = match &self.initial {
            Some(initial) => value.strip_prefix(initial.as_str()),
            None => Some(value),
        };
        let rest = match (&self.last, rest) {
            (Some(last), Some(rest)) => rest.strip_suffix(last.as_str()),
            (_, rest) => rest,
        };
        let Some(rest) = rest else { return false };
        let after = self.any.iter().try_fold(rest, |rest, part| rest.split_once(part.as_str()).map(|halves| halves.1));
        after.is_some()
    }
}

/// An entry's attributes. Names are compared without regard to case, values are kept folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry(Vec<(String, Vec<String>)>);

impl Entry {
    /// Adds values to an attribute.
    pub fn add(&mut self, attribute: &str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        let folded = values.into_iter().map(|value| fold(value.as_ref()));
        match self.0.iter_mut().find(|known| known.0.eq_ignore_ascii_case(attribute)) {
            Some(known) => known.1.extend(folded),
            None => self.0.push((attribute.to_ascii_lowercase(), folded.collect())),
        }
    }

    /// Whether the attribute is there.
    pub fn has(&self, attribute: &str) -> bool {
        !self.values(attribute).is_empty()
    }

    /// The attribute's values, folded for comparison; none if the entry lacks it.
    pub(crate) fn values(&self, attribute: &str) -> &[String] {
        let known = self.0.iter().find(|known| known.0.eq_ignore_ascii_case(attribute));
        known.map_or(&[], |known| known.1.as_slice())
    }

    fn any(&self, attribute: &str, matches: impl FnMut(&String) -> bool) -> bool {
        self.values(attribute).iter().any(matches)
    }
}

/// RFC 4515, every value escaped.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |f: &mut fmt::Formatter<'_>, sign: char, filters: &[Self]| {
            write!(f, "({sign}")?;
            filters.iter().try_for_each(|filter| write!(f, "{filter}"))?;
            f.write_str(")")
        };
        match self {
            Self::And(filters) => all(f, '&', filters),
            Self::Or(filters) => all(f, '|', filters),
            Self::Not(filter) => write!(f, "(!{filter})"),
            Self::Equal(attribute, value) => write!(f, "({attribute}={})", Escaped(value)),
            Self::Present(attribute) => write!(f, "({attribute}=*)"),
            Self::Substrings(attribute, parts) => {
                write!(f, "({attribute}={}*", Escaped(parts.initial.as_deref().unwrap_or_default()))?;
                parts.any.iter().try_for_each(|part| write!(f, "{}*", Escaped(part)))?;
                write!(f, "{})", Escaped(parts.last.as_deref().unwrap_or_default()))
            }
            Self::GreaterOrEqual(attribute, value) => write!(f, "({attribute}>={})", Escaped(value)),
            Self::LessOrEqual(attribute, value) => write!(f, "({attribute}<={})", Escaped(value)),
            Self::Approximate(attribute, value) => write!(f, "({attribute}~={})", Escaped(value)),
            Self::Extensible(item) => {
                write!(f, "({}", item.attribute.as_deref().unwrap_or_default())?;
                if item.dn {
                    f.write_str(":dn")?;
                }
                if let Some(rule) = &item.rule {
                    write!(f, ":{rule}")?;
                }
                write!(f, ":={})", Escaped(&item.value))
            }
        }
    }
}

/// A value in a filter's text. Only `*`, `(`, `)`, `\` and NUL must be escaped (RFC 4515 section 3); all that is not
/// printable ASCII is, so that the text is safe in a log too.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &octet in self.0 {
            match octet {
                b'*' | b'(' | b')' | b'\\' => write!(f, "\\{octet:02x}")?,
                b' '..=b'~' => write!(f, "{}", char::from(octet))?,
                _ => write!(f, "\\{octet:02x}")?,
            }
        }
        Ok(())
    }
}
