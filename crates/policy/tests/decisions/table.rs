//! The layout of a table: headings, settings, given facts, column names, rows.

use std::collections::BTreeMap;

use auth::{Facts, ProfileRules};
use postern_policy::MailFlowPolicy;
use protocol::ReversePath;

use crate::words;

pub(crate) const FACTS: [&str; 9] =
    ["transport", "certificate", "path", "revocation", "query", "AUTH", "allowance", "sender", "header"];
const EXPECTED: [&str; 7] = ["session", "AUTH offer", "outcome", "MAIL", "verdict", "author", "monitored"];

pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) section: String,
    pub(crate) text: String,
    /// Marked with `!`: the program is known to judge otherwise.
    pub(crate) disputed: bool,
    pub(crate) policy: MailFlowPolicy,
    pub(crate) profile: ProfileRules,
    pub(crate) facts: Facts,
    pub(crate) sender: Option<ReversePath>,
    /// The message's header section, lines ended by CRLF.
    pub(crate) header: Option<String>,
    /// Column and words; `same` is written out.
    pub(crate) expected: Vec<(&'static str, String)>,
}

/// What holds for the rows to come.
#[derive(Default)]
pub(crate) struct Scope {
    section: String,
    policy: Option<MailFlowPolicy>,
    profile: Option<ProfileRules>,
    given: BTreeMap<&'static str, String>,
    header: Option<(Vec<&'static str>, Vec<&'static str>)>,
}

/// The rows of a file, and what is wrong with the others.
pub(crate) fn parse(file: &str, text: &str) -> (Vec<Row>, Vec<String>) {
    let mut scope = Scope::default();
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        match scope.line(line.trim()) {
            Ok(None) => {}
            Ok(Some(row)) => rows.push(Row { file: file.to_owned(), line: number, ..row }),
            Err(error) => errors.push(format!("{file}:{number}: {error}")),
        }
    }
    (rows, errors)
}

impl Scope {
    /// Takes a line in; a row comes out if it is one.
    pub(crate) fn line(&mut self, line: &str) -> Result<Option<Row>, String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if let Some(heading) = line.strip_prefix("== ").and_then(|line| line.strip_suffix(" ==")) {
            *self = Self { section: heading.to_owned(), ..Self::default() };
        } else if let Some(settings) = line.strip_prefix("policy:") {
            self.policy = Some(words::policy(settings)?);
        } else if let Some(settings) = line.strip_prefix("profile:") {
            self.profile = Some(words::profile(settings)?);
        } else if let Some(facts) = line.strip_prefix("given:") {
            self.given = given(facts)?;
        } else if let Some((facts, expected)) = without_comment(line).split_once("=>") {
            return self.row_or_header(line, &cells(facts), &cells(expected));
        } else {
            return Err("no heading, no setting, no comment, and no row, which has a =>".to_owned());
        }
        Ok(None)
    }

    fn row_or_header(&mut self, line: &str, facts: &[&str], expected: &[&str]) -> Result<Option<Row>, String> {
        if expected.first() == Some(&"session") {
            let header = (columns(facts, &FACTS)?, columns(expected, &EXPECTED)?);
            self.header = Some(header);
            return Ok(None);
        }
        let (fact_columns, expected_columns) = self.header.as_ref().ok_or("a row before the names of its columns")?;
        if (facts.len(), expected.len()) != (fact_columns.len(), expected_columns.len()) {
            let (left, right) = (fact_columns.len(), expected_columns.len());
            let (facts, expected) = (facts.len(), expected.len());
            return Err(format!("{facts} => {expected} cells, and the header names {left} => {right}"));
        }
        let disputed = facts.first().is_some_and(|first| first.starts_with('!'));
        let mut known = self.given.clone();
        let named = fact_columns.iter().zip(facts).map(|(column, cell)| (*column, cell.trim_start_matches('!').trim()));
        known.extend(named.map(|(column, cell)| (column, cell.to_owned())));
        let session = expected.first().copied().unwrap_or_default();
        let expected = expected_columns.iter().zip(expected).map(|(column, cell)| {
            let cell = if *cell == "same" { session } else { *cell };
            words::expected(column, cell).map(|()| (*column, cell.to_owned()))
        });
        Ok(Some(Row {
            file: String::new(),
            line: 0,
            section: self.section.clone(),
            text: line.to_owned(),
            disputed,
            facts: words::facts(&known)?,
            sender: known.get("sender").map(|sender| words::sender(sender)).transpose()?,
            header: known.get("header").map(|header| words::header(header)),
            expected: expected.collect::<Result<_, _>>()?,
            policy: self.policy.clone().ok_or("no policy: above this row")?,
            profile: self.profile.clone().ok_or("no profile: above this row")?,
        }))
    }

    /// The settings in force, and the facts that `facts` names.
    pub(crate) fn case(&self, facts: &str) -> Result<(MailFlowPolicy, ProfileRules, Facts), String> {
        let policy = self.policy.clone().ok_or("no policy: above")?;
        let profile = self.profile.clone().ok_or("no profile: above")?;
        Ok((policy, profile, words::facts(&given(facts)?)?))
    }
}

fn without_comment(line: &str) -> &str {
    line.split_once(" # ").map_or(line, |(row, _)| row)
}

fn cells(text: &str) -> Vec<&str> {
    text.split('|').map(str::trim).collect()
}

fn columns(names: &[&str], known: &[&'static str]) -> Result<Vec<&'static str>, String> {
    names.iter().map(|name| column(name, known)).collect()
}

fn column(name: &str, known: &[&'static str]) -> Result<&'static str, String> {
    let found = known.iter().find(|column| **column == name);
    found.copied().ok_or_else(|| format!("unknown column {name:?}; there are {known:?}"))
}

fn given(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let fact = |cell: &str| {
        let (name, value) = cell.split_once('=').ok_or_else(|| format!("{cell:?}: write fact = value"))?;
        Ok((column(name.trim(), &FACTS)?, value.trim().to_owned()))
    };
    cells(text).into_iter().map(fact).collect()
}
