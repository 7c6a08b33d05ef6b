//! From text to the file's shape, with every problem and not only the first: what serde refuses is reported, struck
//! from the document, and the rest is read again.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A document as far as it could be read.
pub(crate) struct Document<T> {
    /// `None` when the syntax is broken, or what is missing leaves nothing.
    pub(crate) settings: Option<T>,
    /// In the order of the file.
    pub(crate) problems: Vec<Problem>,
    /// Dotted keys that were struck: what refers to them is not reported a second time.
    pub(crate) struck: Vec<String>,
}

/// Reads `text`; `place` turns offsets into lines for the problems.
pub(crate) fn read<T: DeserializeOwned>(place: &Place, text: &str) -> Document<T> {
    let mut document = Document { settings: None, problems: Vec::new(), struck: Vec::new() };
    let (mut root, syntax_errors) = DeTable::parse_recoverable(text);
    if !syntax_errors.is_empty() {
        let report = |error: &toml::de::Error| Problem::error(place.at(error.span()), "", error.message());
        document.problems.extend(syntax_errors.iter().map(report));
        return document;
    }
    // Each turn strikes one node at least, so that the loop ends with the document.
    loop {
        let error = match T::deserialize(toml::Deserializer::from(root.clone())) {
            Ok(settings) => {
                document.settings = Some(settings);
                return document;
            }
            Err(error) => error,
        };
        let mut path = Vec::new();
        let found = error.span().is_some_and(|span| strike_from_table(root.get_mut(), &span, &mut path));
        let key = dotted(&path);
        let missing = missing_field(error.message()).map(|field| dotted(&[&path[..], &[field.to_owned()]].concat()));
        // A key that was struck is not missing: its own problem stands already.
        if missing.is_none_or(|missing| !document.struck.contains(&missing)) {
            document.problems.push(Problem::error(place.at(error.span()), &shown(&path), error.message()));
        }
        if !found {
            return document;
        }
        document.struck.push(key);
    }
}

/// The field that serde's derived code missed.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Removes the innermost entry whose key or value the error points at; `path` becomes its keys.
fn strike_from_table(table: &mut DeTable<'_>, error: &Range<usize>, path: &mut Vec<String>) -> bool {
    let mut guilty = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        path.push(name.clone());
        if strike_within(value, error, path) {
            return true;
        }
        if covers(&key.span(), error) || covers(&value.span(), error) {
            guilty = Some(name);
            break;
        }
        path.pop();
    }
    guilty.is_some_and(|name| table.remove(name.as_str()).is_some())
}

fn strike_within(value: &mut Spanned<DeValue<'_>>, error: &Range<usize>, path: &mut Vec<String>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => strike_from_table(table, error, path),
        DeValue::Array(array) => {
            for (index, item) in array.iter_mut().enumerate() {
                path.push(format!("[{index}]"));
                if strike_within(item, error, path) {
                    return true;
                }
                path.pop();
            }
            let Some(guilty) = array.iter().position(|item| covers(&item.span(), error)) else { return false };
            path.push(format!("[{guilty}]"));
            let others = array.iter().enumerate().filter(|(index, _)| *index != guilty);
            *array = others.map(|(_, item)| item.clone()).collect();
            true
        }
        _ => false,
    }
}

fn covers(node: &Range<usize>, error: &Range<usize>) -> bool {
    node.start <= error.start && error.end <= node.end
}

/// As an administrator names it: positions in arrays are told by the line.
fn shown(path: &[String]) -> String {
    path.iter().filter(|part| !part.starts_with('[')).cloned().collect::<Vec<_>>().join(".")
}

fn dotted(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut dotted, part| {
        if !dotted.is_empty() && !part.starts_with('[') {
            dotted.push('.');
        }
        dotted.push_str(part);
        dotted
    })
}
