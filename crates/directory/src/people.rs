//! The people of one file, indexed for the questions that sessions ask.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::comparison::{fold, normal};
use crate::error::Error;
use crate::filter::Filter;
use crate::held_password::{HeldCost, HeldPassword};
use crate::record::{OWN_ATTRIBUTES, Record};
use crate::scram::{ScramShape, ScramVerifier};
use crate::template::{Piece, Template};
use crate::tokens::{NoValue, Token, Tokens};

/// What the configured filters want of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Attributes compared by equality: looked up by index. Lower case.
    pub(crate) equal: BTreeSet<String>,
    /// Attributes compared with the clock. Lower case.
    pub(crate) times: BTreeSet<String>,
    /// Every attribute that a filter names, as it names it.
    pub(crate) named: BTreeSet<String>,
    /// The certificate query is a filter: `certificate` tables are not looked at.
    pub(crate) certificate_by_filter: bool,
}

impl Wants {
    /// Reads the wants of one template.
    pub(crate) fn of(&mut self, template: &Template) {
        template.filter().walk(&mut |filter| {
            let Some(attribute) = filter.attribute() else { return };
            self.named.insert(attribute.to_owned());
            match filter {
                Filter::Equal(..) | Filter::Approximate(..) => {
                    self.equal.insert(attribute.to_ascii_lowercase());
                }
                Filter::GreaterOrEqual(_, value) | Filter::LessOrEqual(_, value)
                    if value.contains(&Piece::Token(Token::Now)) =>
                {
                    self.times.insert(attribute.to_ascii_lowercase());
                }
                _ => {}
            }
        });
    }
}

/// A person's place in the file.
pub(crate) type Place = usize;

/// All people, and ways to find them without looking at each.
pub(crate) struct People {
    records: Vec<Arc<Record>>,
    /// One field of each `certificate` table, the rarest one: its normal value → person and table.
    certificates: BTreeMap<Token, HashMap<String, Vec<(Place, usize)>>>,
    /// Every field that a `certificate` table names.
    certificate_tokens: BTreeSet<Token>,
    /// Attribute → folded value → people.
    attributes: BTreeMap<String, HashMap<String, Vec<Place>>>,
    dummy: HeldPassword,
    scram_shape: ScramShape,
    notes: Vec<String>,
}

/// People that a question found.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Nobody,
    One(Arc<Record>),
    Several,
}

impl People {
    pub(crate) fn new(records: Vec<Record>, wants: &Wants) -> Result<Self, Error> {
        let dummy = HeldPassword::dummy(&usual(costs(&records)))?;
        Ok(Self {
            scram_shape: usual(scram_shapes(&records)),
            certificates: index_certificates(&records),
            certificate_tokens: records
                .iter()
                .flat_map(|record| record.certificates.iter().flatten())
                .map(|(token, _)| *token)
                .collect(),
            attributes: index_attributes(&records, &wants.equal),
            dummy,
            notes: notes(&records, wants),
            records: records.into_iter().map(Arc::new).collect(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many have no SCRAM verifier, of how many with a password.
    pub(crate) fn without_scram(&self) -> (usize, usize) {
        let with_password = self.records.iter().filter(|record| record.password().is_some());
        let (without, with): (Vec<_>, Vec<_>) = with_password.partition(|record| record.scram.is_none());
        (without.len(), without.len() + with.len())
    }

    /// What an administrator should look at, though it is no error.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// One person, wherever their places stand and however often.
    fn found(&self, places: impl IntoIterator<Item = Place>) -> Found {
        let mut places = places.into_iter();
        let Some(first) = places.next() else { return Found::Nobody };
        match (self.records.get(first), places.any(|place| place != first)) {
            (Some(record), false) => Found::One(Arc::clone(record)),
            (None, false) => Found::Nobody,
            (_, true) => Found::Several,
        }
    }

    /// A password that is nobody's, as expensive as those of most people.
    pub(crate) fn dummy(&self) -> &HeldPassword {
        &self.dummy
    }

    /// How most people's SCRAM verifiers look: so must those of unknown users.
    pub(crate) fn scram_shape(&self) -> ScramShape {
        self.scram_shape
    }

    /// What `certificate` tables ask of a certificate.
    pub(crate) fn certificate_tokens(&self) -> &BTreeSet<Token> {
        &self.certificate_tokens
    }

    /// Who has a `certificate` table whose every field is the certificate's; for nobody also what was asked, for the log.
    pub(crate) fn by_certificate(&self, tokens: &Tokens) -> (Found, String) {
        let mut values: BTreeMap<Token, Result<String, NoValue>> = BTreeMap::new();
        let mut value_of = |token: Token| values.entry(token).or_insert_with(|| spelled(tokens, token)).clone();
        let mut places = Vec::new();
        for (token, index) in &self.certificates {
            let Ok(value) = value_of(*token) else { continue };
            for &(place, table) in index.get(&value).into_iter().flatten() {
                let fields = self.records.get(place).and_then(|record| record.certificates.get(table));
                // A table has at least one field, see `record`.
                let all = fields.is_some_and(|fields| {
                    fields.iter().all(|(token, wanted)| value_of(*token).is_ok_and(|value| value == *wanted))
                });
                if all {
                    places.push(place);
                }
            }
        }
        let found = self.found(places);
        if !matches!(found, Found::Nobody) {
            return (found, String::new());
        }
        let asked = values.into_iter().map(|(token, value)| match value {
            Ok(value) => format!("{token} = {value:?}"),
            Err(why) => why.to_string(),
        });
        let asked = asked.collect::<Vec<_>>().join(", ");
        (found, format!("no person's certificate table matches ({asked})"))
    }

    /// Who the filter matches: by an index where the filter has an equality that everybody it matches must satisfy.
    pub(crate) fn search(&self, filter: &Filter) -> Found {
        let matches = |place: &Place| self.records.get(*place).is_some_and(|record| filter.matches(&record.entry));
        match self.candidates(filter) {
            Some(places) => self.found(places.into_iter().filter(matches)),
            None => self.found((0..self.records.len()).filter(matches)),
        }
    }

    /// Whether [`Self::search`] would look at everybody.
    pub(crate) fn scans(&self, filter: &Filter) -> bool {
        self.candidates(filter).is_none()
    }

    /// A superset of whom the filter matches, if an index knows one.
    fn candidates(&self, filter: &Filter) -> Option<Vec<Place>> {
        match filter {
            Filter::Equal(attribute, value) | Filter::Approximate(attribute, value) => {
                let index = self.attributes.get(&attribute.to_ascii_lowercase())?;
                let asserted = std::str::from_utf8(value).map(fold).unwrap_or_default();
                Some(index.get(&asserted).cloned().unwrap_or_default())
            }
            Filter::And(filters) => filters.iter().filter_map(|filter| self.candidates(filter)).min_by_key(Vec::len),
            Filter::Or(filters) => {
                let all: Option<Vec<_>> = filters.iter().map(|filter| self.candidates(filter)).collect();
                let all: BTreeSet<_> = all?.into_iter().flatten().collect();
                Some(all.into_iter().collect())
            }
            _ => None,
        }
    }
}

/// Nobody wants to see them all.
impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "People({})", self.len())
    }
}

/// A token's value as `certificate` tables spell it.
fn spelled(tokens: &Tokens, token: Token) -> Result<String, NoValue> {
    let text = tokens.text(token)?;
    normal(token.form(), text).map_err(|why| NoValue::Unusable(token, why.to_owned()))
}

fn index_certificates(records: &[Record]) -> BTreeMap<Token, HashMap<String, Vec<(Place, usize)>>> {
    let tables = || {
        records.iter().enumerate().flat_map(|(place, record)| {
            record.certificates.iter().enumerate().map(move |(table, fields)| (place, table, fields))
        })
    };
    // An issuer is on a thousand cards, a fingerprint on one: the rarest value of a table finds it soonest.
    let mut count: HashMap<(Token, &str), usize> = HashMap::new();
    for (_, _, fields) in tables() {
        for (token, value) in fields {
            *count.entry((*token, value.as_str())).or_default() += 1;
        }
    }
    let mut index: BTreeMap<Token, HashMap<String, Vec<(Place, usize)>>> = BTreeMap::new();
    for (place, table, fields) in tables() {
        let rarest = fields.iter().min_by_key(|(token, value)| count.get(&(*token, value.as_str())));
        if let Some((token, value)) = rarest {
            index.entry(*token).or_default().entry(value.clone()).or_default().push((place, table));
        }
    }
    index
}

fn index_attributes(records: &[Record], wanted: &BTreeSet<String>) -> BTreeMap<String, HashMap<String, Vec<Place>>> {
    let mut attributes = BTreeMap::new();
    for attribute in wanted {
        let mut index: HashMap<String, Vec<Place>> = HashMap::new();
        for (place, record) in records.iter().enumerate() {
            for value in record.entry.values(attribute) {
                index.entry(value.clone()).or_default().push(place);
            }
        }
        attributes.insert(attribute.clone(), index);
    }
    attributes
}

fn costs(records: &[Record]) -> BTreeMap<HeldCost, usize> {
    count(records.iter().filter_map(Record::password).map(|held| held.cost()))
}

fn scram_shapes(records: &[Record]) -> BTreeMap<ScramShape, usize> {
    count(records.iter().filter_map(|record| record.scram.as_ref()).map(ScramVerifier::shape))
}

fn count<T: Ord>(things: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    things.for_each(|thing| *counts.entry(thing).or_default() += 1);
    counts
}

/// What most people have: what an unknown user must have too.
fn usual<T: Default>(counts: BTreeMap<T, usize>) -> T {
    counts.into_iter().max_by_key(|entry| entry.1).map(|entry| entry.0).unwrap_or_default()
}

fn notes(records: &[Record], wants: &Wants) -> Vec<String> {
    let mut notes = Vec::new();
    let has = |attribute: &str| records.iter().any(|record: &Record| record.entry.has(attribute));
    for attribute in wants.named.iter().filter(|attribute| !records.is_empty() && !has(attribute)) {
        // A misspelt attribute makes (!(attribute=*)) true for everybody: an allowance that lets everybody in.
        if !OWN_ATTRIBUTES.iter().any(|own| attribute.eq_ignore_ascii_case(own)) {
            notes.push(format!("nobody has the attribute {attribute:?} that a filter names: is it misspelt?"));
        }
    }
    if costs(records).len() > 1 {
        let text = "password hashes of different parameters: the time of a refusal may tell whether a user exists";
        notes.push(text.to_owned());
    }
    if scram_shapes(records).len() > 1 {
        let text =
            "SCRAM verifiers of different iterations: what a client is told of them may tell whether a user exists";
        notes.push(text.to_owned());
    }
    let tables = records.iter().any(|record| !record.certificates.is_empty());
    if wants.certificate_by_filter && tables {
        notes.push("the people's certificate tables are idle: certificate_query.filter is set".to_owned());
    }
    notes.extend(shared_certificates(records));
    notes
}

/// The same `certificate` table with two people: neither can sign in by it.
fn shared_certificates(records: &[Record]) -> Vec<String> {
    let mut owners: HashMap<Vec<&(Token, String)>, &Record> = HashMap::new();
    let mut notes = Vec::new();
    for record in records {
        for fields in &record.certificates {
            let mut key: Vec<_> = fields.iter().collect();
            key.sort();
            match owners.insert(key, record) {
                Some(first) if first.user_id != record.user_id => notes.push(format!(
                    "{:?} and {:?} have the same certificate: neither is found by it",
                    first.user_id, record.user_id
                )),
                _ => {}
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests;
