//! A people file's text → checked records, or all that is wrong with it.

use std::collections::{BTreeSet, HashMap};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::comparison::{fold, generalized_time, normal};
use crate::error::Problem;
use crate::filter::Entry;
use crate::held_password::HeldPassword;
use crate::password::Hash;
use crate::scram::ScramVerifier;
use crate::tokens::{Query, Token};

/// Problems that are told; the rest is counted.
const MAX_TOLD: usize = 20;
/// People in a file.
pub(crate) const MAX_PEOPLE: usize = 500_000;
/// Octets of a user id.
const MAX_USER_ID: usize = 256;
/// The attributes that every entry has from its own keys.
pub(crate) const OWN_ATTRIBUTES: [&str; 2] = ["uid", "mail"];

/// One `[[person]]`.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) user_id: String,
    /// Where it stands in the text, octets.
    user_id_at: usize,
    pub(crate) addresses: Vec<String>,
    /// What else they may send as, `@domain` for all of one.
    pub(crate) send_as: Vec<String>,
    /// Any of them; in each, every field, in its normal spelling.
    pub(crate) certificates: Vec<Vec<(Token, String)>>,
    pub(crate) hash: Option<Hash>,
    pub(crate) scram: Option<ScramVerifier>,
    pub(crate) disabled: bool,
    /// What filters see.
    pub(crate) entry: Entry,
}

impl Record {
    /// What a password is held against: the hash where there is one, since guessing at it is dearer.
    pub(crate) fn password(&self) -> Option<HeldPassword> {
        let hash = self.hash.clone().map(HeldPassword::Argon2);
        hash.or_else(|| self.scram.clone().map(HeldPassword::Scram))
    }
}

/// The first problems by their place in the text, and how many there are beyond.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) problems: Vec<Problem>,
    pub(crate) more: usize,
}

/// Reads all records. `times` are attributes that a filter compares with the clock: text there would never come due.
pub(crate) fn read(text: &str, times: &BTreeSet<String>) -> Result<Vec<Record>, Unreadable> {
    let mut reader = Reader { times, found: Vec::new(), more: 0 };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        // Never the error's own Display: it quotes the line, which may hold a password.
        reader.problem(error.span().map_or(0, |span| span.start), "", error.message());
    }
    let records = if reader.found.is_empty() { reader.people(root.into_inner()) } else { Vec::new() };
    if reader.found.is_empty() {
        return Ok(records);
    }
    Err(Unreadable { problems: places(text, reader.found), more: reader.more })
}

/// Octet offsets → lines and columns.
fn places(text: &str, mut found: Vec<(usize, String, String)>) -> Vec<Problem> {
    found.sort();
    let place = |(at, key, message): (usize, String, String)| {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Problem { line, column, key, text: message }
    };
    found.into_iter().map(place).collect()
}

struct Reader<'a> {
    times: &'a BTreeSet<String>,
    /// Offset, key, text.
    found: Vec<(usize, String, String)>,
    more: usize,
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, key: &str, text: impl Into<String>) {
        if self.found.len() < MAX_TOLD {
            self.found.push((at, key.to_owned(), text.into()));
        } else {
            self.more += 1;
        }
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
        let found = match value.get_ref() {
            DeValue::Datetime(_) if key.starts_with("person.attributes") => {
                "a bare date (write GeneralizedTime in quotes: \"20261201000000Z\")"
            }
            value => value.type_str(),
        };
        self.problem(value.span().start, key, format!("{wanted} is wanted, not {found}"));
    }

    fn people(&mut self, root: DeTable<'_>) -> Vec<Record> {
        let mut records = Vec::new();
        let mut user_ids = HashMap::new();
        for (key, value) in root {
            if key.get_ref() != "person" {
                let text = "unknown key: a people file holds [[person]] tables and nothing else";
                self.problem(key.span().start, key.get_ref(), text);
                continue;
            }
            let at = value.span().start;
            let DeValue::Array(people) = value.into_inner() else {
                self.problem(at, "person", "each person is written [[person]], in double brackets");
                continue;
            };
            if people.len() > MAX_PEOPLE {
                let text = format!("{} people; a people file holds {MAX_PEOPLE} at most", people.len());
                self.problem(at, "person", text);
                continue;
            }
            // By value: each table is freed when its record is made.
            for person in people {
                let Some(table) = person.get_ref().as_table() else {
                    self.wrong_type(&person, "person", "a table");
                    continue;
                };
                if let Some(record) = self.person(table, person.span().start) {
                    if let Some(first) = user_ids.insert(fold(&record.user_id), record.user_id.clone()) {
                        let text = format!("{first:?} is there already; user ids differ by more than case");
                        self.problem(record.user_id_at, "person.user_id", text);
                    }
                    records.push(record);
                }
            }
        }
        records
    }

    fn person(&mut self, table: &DeTable<'_>, start: usize) -> Option<Record> {
        let mut record = Record {
            user_id: String::new(),
            user_id_at: 0,
            addresses: Vec::new(),
            send_as: Vec::new(),
            certificates: Vec::new(),
            hash: None,
            scram: None,
            disabled: false,
            entry: Entry::default(),
        };
        let mut user_id = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "user_id" => {
                    user_id = Some(self.user_id(value));
                    record.user_id_at = value.span().start;
                }
                "addresses" => record.addresses = self.addresses(value, "person.addresses", false),
                "send_as" => record.send_as = self.addresses(value, "person.send_as", true),
                "certificate" => record.certificates = self.certificates(value),
                "password" => self.password(value, &mut record),
                "disabled" => match value.get_ref().as_bool() {
                    Some(disabled) => record.disabled = disabled,
                    None => self.wrong_type(value, "person.disabled", "true or false"),
                },
                "attributes" => self.attributes(value, &mut record.entry),
                other => {
                    let text = "unknown key; a person has user_id, addresses, send_as, certificate, password, disabled and attributes";
                    self.problem(key.span().start, &format!("person.{other}"), text);
                }
            }
        }
        record.user_id = match user_id {
            Some(read) => read?,
            None => {
                self.problem(start, "person.user_id", "missing: every person has one");
                return None;
            }
        };
        record.entry.add("uid", [&record.user_id]);
        if !record.addresses.is_empty() {
            record.entry.add("mail", &record.addresses);
        }
        Some(record)
    }

    /// Text with something in it, and nothing that could forge a line of a log.
    fn text<'v>(&mut self, value: &'v Spanned<DeValue<'_>>, key: &str, wanted: &str) -> Option<&'v str> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, key, wanted);
            return None;
        };
        if text.trim().is_empty() {
            self.problem(value.span().start, key, "it is empty");
            return None;
        }
        if text.chars().any(char::is_control) {
            self.problem(value.span().start, key, "it holds a control character");
            return None;
        }
        Some(text)
    }

    fn user_id(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(value, "person.user_id", "a string")?;
        if text.len() > MAX_USER_ID || text.trim() != text {
            let message = format!("at most {MAX_USER_ID} octets, and no spaces around them");
            self.problem(value.span().start, "person.user_id", message);
            return None;
        }
        Some(text.to_owned())
    }

    fn addresses(&mut self, value: &Spanned<DeValue<'_>>, key: &str, domains: bool) -> Vec<String> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, "a list of addresses, [\"user@example.org\"],");
            return Vec::new();
        };
        let mut addresses = Vec::new();
        for value in array.iter() {
            let Some(text) = self.text(value, key, "an address") else { continue };
            let plain = !text.contains([' ', '<', '>', ',']) || text.starts_with('"');
            match text.rsplit_once('@') {
                Some((local_part, domain)) if plain && (domains || !local_part.is_empty()) && !domain.is_empty() => {
                    addresses.push(text.to_owned());
                }
                _ if domains => {
                    let message = format!("{text:?} is no address and no domain: user@example.org, or @example.org");
                    self.problem(value.span().start, key, message);
                }
                _ => self.problem(value.span().start, key, format!("{text:?} is no address: user@example.org is one")),
            }
        }
        addresses
    }

    fn certificates(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Vec<(Token, String)>> {
        const KEY: &str = "person.certificate";
        match value.get_ref() {
            DeValue::Table(table) => Vec::from_iter(self.certificate(table, value.span().start)),
            DeValue::Array(tables) => {
                let mut certificates = Vec::new();
                for value in tables.iter() {
                    match value.get_ref().as_table() {
                        Some(table) => certificates.extend(self.certificate(table, value.span().start)),
                        None => self.wrong_type(value, KEY, "a table, { edipi = \"1234567890\" },"),
                    }
                }
                certificates
            }
            _ => {
                self.wrong_type(value, KEY, "a table, { edipi = \"1234567890\" }, or a list of them");
                Vec::new()
            }
        }
    }

    fn certificate(&mut self, table: &DeTable<'_>, start: usize) -> Option<Vec<(Token, String)>> {
        // Every field of none is true of every certificate.
        if table.is_empty() {
            self.problem(start, "person.certificate", "it is empty: leave it out, or name a field");
            return None;
        }
        let mut fields = Vec::new();
        for (name, value) in table {
            let key = format!("person.certificate.{name}", name = name.get_ref());
            let token = name.get_ref().parse::<Token>();
            let Some(token) = token.ok().filter(|token| token.answers(Query::Certificate) && !token.is_clock()) else {
                let names = Token::names(Query::Certificate).replace(['{', '}'], "").replace(" cert ", " ");
                let names = names.trim_start_matches("t t:filetime ");
                let mut text = format!("unknown field; a certificate has {names}");
                if value.get_ref().is_table() {
                    text.push_str("; a name with a colon is quoted: \"sn:hex\"");
                }
                self.problem(name.span().start, &key, text);
                continue;
            };
            let Some(text) = self.text(value, &key, "a string") else { continue };
            match normal(token.form(), text) {
                Ok(text) => fields.push((token, text)),
                Err(message) => self.problem(value.span().start, &key, message),
            }
        }
        Some(fields)
    }

    /// One form of the password, or a list of forms: at most one of each kind.
    fn password(&mut self, value: &Spanned<DeValue<'_>>, record: &mut Record) {
        match value.get_ref() {
            DeValue::Array(forms) => forms.iter().for_each(|form| self.password_form(form, record)),
            _ => self.password_form(value, record),
        }
    }

    fn password_form(&mut self, value: &Spanned<DeValue<'_>>, record: &mut Record) {
        const KEY: &str = "person.password";
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, KEY, "a string, or a list of strings,");
            return;
        };
        // Two of a kind would be two passwords.
        let read = match ScramVerifier::is_meant(text) {
            true if record.scram.is_some() => Err("a second verifier of SCRAM-SHA-256: a person has one password"),
            true => ScramVerifier::parse(text).map(|verifier| record.scram = Some(verifier)),
            false if record.hash.is_some() => Err("a second hash: a person has one password"),
            false => Hash::parse(text).map(|hash| record.hash = Some(hash)),
        };
        if let Err(message) = read {
            self.problem(value.span().start, KEY, message);
        }
    }

    fn attributes(&mut self, value: &Spanned<DeValue<'_>>, entry: &mut Entry) {
        const KEY: &str = "person.attributes";
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(value, KEY, "a table, { cacexempt = \"yes\" },");
            return;
        };
        for (name, value) in table {
            let key = format!("{KEY}.{}", name.get_ref());
            let at = name.span().start;
            let own = OWN_ATTRIBUTES.iter().find(|own| name.get_ref().eq_ignore_ascii_case(own));
            if let Some(own) = own {
                let source = if *own == "uid" { "user_id" } else { "addresses" };
                self.problem(at, &key, format!("{own} is filled from {source}"));
                continue;
            }
            if entry.has(name.get_ref()) {
                self.problem(at, &key, "it is there already: case makes no difference");
                continue;
            }
            let mut values = Vec::new();
            match value.get_ref() {
                DeValue::Array(list) => {
                    for value in list.iter() {
                        values.extend(self.attribute(value, name.get_ref(), &key));
                    }
                }
                _ => values.extend(self.attribute(value, name.get_ref(), &key)),
            }
            entry.add(name.get_ref(), values);
        }
    }

    fn attribute<'v>(&mut self, value: &'v Spanned<DeValue<'_>>, name: &str, key: &str) -> Option<&'v str> {
        let text = self.text(value, key, "a string, or a list of strings,")?;
        if self.times.contains(&name.to_ascii_lowercase()) && generalized_time(text.trim()).is_none() {
            let message = format!(
                "a filter compares it with the time, and {text:?} is no GeneralizedTime: 20261201000000Z is one"
            );
            self.problem(value.span().start, key, message);
            return None;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests;
