//! A walk over everybody in a directory, a page at a time (RFC 2696): for an administrator who wants to know about all.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::timeout;

use super::{LdapDirectory, Reading};
use crate::account::closed;
use crate::answers::Person;
use crate::filter::Filter;
use crate::ldap::connection::Connection;
use crate::ldap::message::{Depth, FoundEntry, Search, paged};
use crate::template::{Piece, Template, Value};
use crate::tokens::{Token, Tokens};

/// Entries of a page: what is held in memory at a time.
const PAGE: usize = 100;
/// For one page: nobody waits as a mail client does.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a person's certificates are (RFC 4523 section 2.1). Some servers know it by one name only, some by the other.
const CERTIFICATES: [&str; 2] = ["userCertificate", "userCertificate;binary"];

/// A walk, between two pages.
pub struct Walk {
    connection: Connection,
    server: String,
    /// Those that are left, the present one first.
    bases: VecDeque<String>,
    /// Where the next page begins; empty at the start of a base.
    cookie: Vec<u8>,
    filter: Filter,
    depth: Depth,
    attributes: Vec<String>,
    reading: Reading,
    certificate_filter: Option<Template>,
}

/// Somebody on a page.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The entry's distinguished name.
    pub dn: String,
    /// Who it is to the gateway, or why it can be nobody.
    pub person: Result<Person, String>,
    /// Why the account is closed; `None`: it is open.
    pub closed: Option<String>,
    /// The certificates that the entry holds, DER as far as it is known.
    pub certificates: Vec<Vec<u8>>,
    /// The tokens that the entry's own attributes would give to the certificate query, where they answer all of it: it
    /// names a certificate that it need not hold.
    pub described: Option<Tokens>,
}

impl LdapDirectory {
    /// See [`crate::Directory::walk`].
    pub(crate) async fn walk(&self, filter: Option<&Filter>, base: Option<&str>) -> Result<Walk, String> {
        let bases: VecDeque<String> = match base {
            Some(base) => [base.to_owned()].into(),
            None => self.bases.iter().filter(|base| base.is_fixed()).map(ToString::to_string).collect(),
        };
        if bases.is_empty() {
            return Err("every base depends on a client's values: name one with --base".to_owned());
        }
        let now = jiff::Timestamp::now();
        let filter = match filter {
            Some(filter) => filter.clone(),
            None => everybody(self.login_filter.filter(), now),
        };
        let filter = match &self.require {
            Some(require) => Filter::And(vec![filter, everybody(require.filter(), now)]),
            None => filter,
        };
        let (connection, server) = self.connect().await?;
        let reading = match &self.certificate {
            Some(certificate) => certificate.reading.clone(),
            None => self.login_reading.clone(),
        };
        let certificate_filter = self.certificate.as_ref().map(|certificate| certificate.filter.clone());
        let named = certificate_filter.iter().flat_map(|filter| attributes_of(filter.filter()));
        let mut attributes = reading.asked.clone();
        for name in named.chain(CERTIFICATES.map(str::to_owned)) {
            if !attributes.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                attributes.push(name);
            }
        }
        let depth = self.depth;
        let cookie = Vec::new();
        Ok(Walk { connection, server, bases, cookie, filter, depth, attributes, reading, certificate_filter })
    }

    /// A connection of its own: a page's cookie holds on the connection that gave it.
    async fn connect(&self) -> Result<(Connection, String), String> {
        let mut reasons = Vec::new();
        for server in self.pool.servers() {
            let connecting = timeout(PATIENCE, server.connector().connect_and_bind(server.url())).await;
            match connecting.unwrap_or_else(|_| Err("no connection in time".to_owned())) {
                Ok(connection) => return Ok((connection, server.url().to_string())),
                Err(why) => reasons.push(format!("{}: {why}", server.url())),
            }
        }
        Err(reasons.join("; "))
    }
}

impl Walk {
    /// The server that is walked over.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What was asked for, as it is sent (RFC 4515).
    pub fn filter(&self) -> String {
        self.filter.to_string()
    }

    /// The next page; `None` after the last. The error says why the walk ends before everybody was seen.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Listed>>, String> {
        let Some(base) = self.bases.front() else { return Ok(None) };
        let search = Search {
            base,
            depth: self.depth,
            filter: &self.filter,
            attributes: &self.attributes,
            size_limit: 0,
            time_limit: i32::try_from(PATIENCE.as_secs()).unwrap_or(i32::MAX),
        };
        let size = i32::try_from(PAGE).unwrap_or(i32::MAX);
        let asking = self.connection.call(paged(&search, size, &self.cookie), PAGE);
        let told = |why: &str| format!("{}: {why}", self.server);
        let answer = match timeout(PATIENCE, asking).await {
            Ok(answer) => answer.map_err(|lost| told(&lost.to_string()))?,
            Err(_) => return Err(told(&format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        match answer.ended.code {
            0 if answer.seen > answer.entries.len() => return Err(told("it does not keep to the size of a page")),
            0 => {}
            code => return Err(told(&format!("{}{}", answer.ended.told(), limit_mend(code)))),
        }
        match answer.ended.cookie {
            Some(cookie) if !cookie.is_empty() => self.cookie = cookie,
            _ => {
                self.cookie.clear();
                self.bases.pop_front();
            }
        }
        Ok(Some(answer.entries.into_iter().map(|entry| self.listed(&entry)).collect()))
    }

    fn listed(&self, entry: &FoundEntry) -> Listed {
        // Both names may have brought the same ones.
        let certificates: BTreeSet<&[u8]> = entry.values("userCertificate").collect();
        Listed {
            dn: entry.dn.clone(),
            person: super::person(entry, &self.reading),
            closed: closed(entry, jiff::Timestamp::now()),
            certificates: certificates.into_iter().map(<[u8]>::to_vec).collect(),
            described: self.certificate_filter.as_ref().and_then(|filter| described(filter, entry)),
        }
    }
}

/// What an administrator of the server can do about a limit.
fn limit_mend(code: i32) -> &'static str {
    match code {
        4 | 11 => {
            "; raise the server's limit for the gateway's account (OpenLDAP: olcLimits … size.prtotal=unlimited; \
             389: nsSizeLimit and nsLookThroughLimit of that account)"
        }
        32 => "; there is no such base, or it is not for the gateway's eyes",
        12 => "; the server gives no pages (RFC 2696), and without them nobody is walked over",
        _ => "",
    }
}

/// A query's filter without its client: whatever is compared with a client's value need only be there.
fn everybody(filter: &Filter<Value>, now: jiff::Timestamp) -> Filter {
    let all = |filters: &[Filter<Value>]| filters.iter().map(|filter| everybody(filter, now)).collect();
    match filter {
        Filter::And(filters) => Filter::And(all(filters)),
        Filter::Or(filters) => Filter::Or(all(filters)),
        Filter::Not(inner) => Filter::Not(Box::new(everybody(inner, now))),
        item => {
            let mut tokens = Tokens::new();
            tokens.set_now(now);
            let resolved = item.try_map(&mut |value: &Value| {
                let mut octets = Vec::new();
                for piece in value {
                    match piece {
                        Piece::Octets(literal) => octets.extend_from_slice(literal),
                        Piece::Token(token) => octets.extend_from_slice(tokens.get(*token)?),
                    }
                }
                Ok::<_, crate::tokens::NoValue>(octets)
            });
            resolved.unwrap_or_else(|_| Filter::Present(item.attribute().unwrap_or("objectClass").to_owned()))
        }
    }
}

fn attributes_of(filter: &Filter<Value>) -> Vec<String> {
    let mut names = Vec::new();
    filter.walk(&mut |item| names.extend(item.attribute().map(str::to_owned)));
    names
}

/// The tokens by which the certificate query would find this entry, read off the attributes that it compares.
fn described(template: &Template, entry: &FoundEntry) -> Option<Tokens> {
    let mut tokens = Tokens::new();
    tokens.set_now(jiff::Timestamp::now());
    template.filter().walk(&mut |item| {
        if let Filter::Equal(attribute, value) = item
            && let [Piece::Token(token)] = value.as_slice()
            && *token != Token::Certificate
            && !token.is_clock()
            && let Some(text) = entry.texts(attribute).min()
        {
            tokens.set(*token, text);
        }
    });
    let mut client = false;
    let mut see = |value: &Value| {
        client |= value.iter().any(|piece| matches!(piece, Piece::Token(token) if !token.is_clock()));
        Ok::<_, Infallible>(())
    };
    let _ = template.filter().try_map(&mut see);
    (client && template.resolve(&tokens).is_ok()).then_some(tokens)
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Query;

    fn template(text: &str, query: Query) -> Template {
        Template::parse(text, query).unwrap()
    }

    #[test]
    fn everybody_whom_a_query_could_find() {
        let now = "2026-11-24T08:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("(uid={u})", "(uid=*)"),
            ("(&(objectClass=person)(|(uid={u})(mail={a})))", "(&(objectClass=person)(|(uid=*)(mail=*)))"),
            ("(&(mail={u}@*)(!(locked=TRUE)))", "(&(mail=*)(!(locked=TRUE)))"),
            ("(&(uid={u})(until>={t}))", "(&(uid=*)(until>=20261124080000.0Z))"),
        ] {
            assert_eq!(everybody(template(text, Query::SmtpAuth).filter(), now).to_string(), expected);
        }
    }

    #[test]
    fn an_entry_names_a_certificate_where_it_answers_the_whole_query() {
        let entry = |attributes: &[(&str, &str)]| FoundEntry {
            dn: "uid=x".to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![value.as_bytes().to_vec()]))
                .collect(),
        };
        let both = entry(&[("caccn", "DOE"), ("cacserial", "1A")]);
        let one = entry(&[("caccn", "DOE")]);
        for (text, entry, expected) in [
            ("(&(caccn={cn})(cacserial={sn:HEX}))", &both, Some("DOE")),
            ("(&(caccn={cn})(cacserial={sn:HEX}))", &one, None),
            ("(|(caccn={cn})(x=y))", &one, Some("DOE")),
            ("(userCertificate;binary={cert})", &both, None),
            ("(altSecurityIdentities={altsecid:ski})", &both, None),
            ("(caccn=*)", &both, None),
        ] {
            let tokens = described(&template(text, Query::Certificate), entry);
            let name = tokens.as_ref().map(|tokens| tokens.text(Token::CommonName).unwrap());
            assert_eq!(name, expected, "{text}");
        }
    }
}
