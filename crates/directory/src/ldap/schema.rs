//! What attributes a server knows (RFC 4512 section 4.2). On some servers a negated item of an attribute that they do
//! not know is true for everybody: a misspelt allowance would let everybody in.

use std::collections::BTreeSet;
use std::fmt;

use crate::filter::Filter;
use crate::ldap::connection::{Answer, Connection};
use crate::ldap::message::{Depth, Search};
use crate::server_url::ServerUrl;

/// The attributes that a directory's settings name, each with the key that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    attributes: Vec<(String, &'static str)>,
    /// Unknown ones are told and no more.
    pub(crate) warn_only: bool,
}

/// Why a server is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It knows some attributes not.
    Unknown(Vec<(String, &'static str)>),
    /// It does not show its schema.
    Hidden(String),
    /// The connection broke.
    Broken(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(attributes) => {
                let each = |(name, key): &(String, &str)| format!("{name:?} of {key}");
                let list = attributes.iter().map(each).collect::<Vec<_>>().join(", ");
                write!(f, "its schema has no attribute {list}: misspelt, or is the schema not loaded?")
            }
            Self::Hidden(why) => write!(
                f,
                "its schema can't be read ({why}): give the gateway read access to the subschema, \
                 or write unknown_attributes = \"warn\""
            ),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

impl Wanted {
    pub(crate) fn new(warn_only: bool) -> Self {
        Self { warn_only, ..Self::default() }
    }

    /// Wants an attribute; options and OIDs are understood.
    pub(crate) fn add(&mut self, attribute: &str, key: &'static str) {
        let base = attribute.split(';').next().unwrap_or_default().to_ascii_lowercase();
        // `*`, `+` and `1.1` are no attributes (RFC 4511 section 4.5.1.8).
        if !base.is_empty() && !self.attributes.iter().any(|known| known.0 == base) {
            self.attributes.push((base, key));
        }
    }

    /// Wants every attribute that a filter names.
    pub(crate) fn add_filter<V>(&mut self, filter: &Filter<V>, key: &'static str) {
        filter.walk(&mut |item| {
            if let Some(attribute) = item.attribute() {
                self.add(attribute, key);
            }
        });
    }

    /// Lets a connection in, or says why its server must not be asked.
    pub(crate) async fn admit(&self, connection: &Connection, directory: &str, url: &ServerUrl) -> Result<(), String> {
        match self.examine(connection).await {
            Ok(()) => Ok(()),
            Err(unfit) if self.warn_only && !matches!(unfit, Unfit::Broken(_)) => {
                tracing::warn!(directory, server = %url, "{unfit}");
                Ok(())
            }
            Err(unfit) => Err(unfit.to_string()),
        }
    }

    /// Looks every attribute up in the schema.
    pub(crate) async fn examine(&self, connection: &Connection) -> Result<(), Unfit> {
        let root = read(connection, "", "objectClass", "subschemaSubentry").await?;
        let subentry = root.entries.first().and_then(|entry| entry.texts("subschemaSubentry").next());
        let subentry = subentry.ok_or_else(|| Unfit::Hidden("the root DSE names no subschemaSubentry".to_owned()))?;
        let answer = read(connection, subentry, "subschema", "attributeTypes").await?;
        let entry = answer.entries.first().ok_or_else(|| Unfit::Hidden(answer.ended.told()))?;
        let known: BTreeSet<String> = entry.texts("attributeTypes").flat_map(names).collect();
        if known.is_empty() {
            return Err(Unfit::Hidden("it has no attributeTypes".to_owned()));
        }
        let unknown = self.attributes.iter().filter(|wanted| !known.contains(&wanted.0));
        match unknown.cloned().collect::<Vec<_>>() {
            unknown if unknown.is_empty() => Ok(()),
            unknown => Err(Unfit::Unknown(unknown)),
        }
    }
}

/// Reads one attribute of one entry of this class; `objectClass` itself stands for any.
async fn read(connection: &Connection, dn: &str, class: &str, attribute: &str) -> Result<Answer, Unfit> {
    let filter = match class {
        "objectClass" => Filter::Present(class.to_owned()),
        // RFC 4512 section 4.2: a server need not show the subentry to other filters.
        class => Filter::Equal("objectClass".to_owned(), class.as_bytes().to_vec()),
    };
    let search = Search {
        base: dn,
        depth: Depth::Base,
        filter: &filter,
        attributes: &[attribute.to_owned()],
        size_limit: 1,
        time_limit: 0,
    };
    let answer = connection.call(search.operation(), 1).await.map_err(|lost| Unfit::Broken(lost.to_string()))?;
    match answer.ended.code {
        0 => Ok(answer),
        _ => Err(Unfit::Hidden(answer.ended.told())),
    }
}

/// The OID and the names of an attribute type (RFC 4512 section 4.1.2), in lower case.
fn names(description: &str) -> Vec<String> {
    let inner = description.trim().trim_start_matches('(');
    let mut names: Vec<String> = inner.split_whitespace().next().map(str::to_ascii_lowercase).into_iter().collect();
    let Some((_, after)) = description.split_once(" NAME ") else { return names };
    let list = match after.trim_start().strip_prefix('(') {
        Some(several) => several.split(')').next().unwrap_or_default(),
        None => after.split_whitespace().next().unwrap_or_default(),
    };
    let quoted = list.split('\'').skip(1).step_by(2);
    names.extend(quoted.map(str::to_ascii_lowercase));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attribute_types() {
        for (description, expected) in [
            (
                "( 2.5.4.3 NAME ( 'cn' 'commonName' ) DESC 'RFC4519: NAME ' SUP name )",
                vec!["2.5.4.3", "cn", "commonname"],
            ),
            ("( 1.2.3 NAME 'cacCN' DESC 'x' SYNTAX 1.3 )", vec!["1.2.3", "caccn"]),
            (
                "( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' SYNTAX '1.3' SINGLE-VALUE )",
                vec!["1.2.840.113556.1.4.656", "userprincipalname"],
            ),
            ("( 1.2.3 DESC 'nameless' )", vec!["1.2.3"]),
            ("(1.2.3 NAME 'tight')", vec!["1.2.3", "tight"]),
            ("", vec![]),
        ] {
            assert_eq!(names(description), expected, "{description}");
        }
    }

    #[test]
    fn wanted_once_without_options() {
        let mut wanted = Wanted::default();
        wanted.add("userCertificate;binary", "a");
        wanted.add("USERcertificate", "b");
        wanted.add_filter::<()>(&Filter::Not(Box::new(Filter::Present("caccn".to_owned()))), "c");
        assert_eq!(wanted.attributes, [("usercertificate".to_owned(), "a"), ("caccn".to_owned(), "c")]);
    }
}
