//! The few LDAP messages (RFC 4511) that a gateway writes and reads.

use zeroize::Zeroizing;

use crate::filter::Filter;
use crate::ldap::ber::{Malformed, Reader, element, number, put, shortest, tag};

/// An operation, written; its message id comes when it is sent. Wiped when dropped: it may hold a password.
pub(crate) type Operation = Zeroizing<Vec<u8>>;

/// How far below the base a search looks (RFC 4511 section 4.5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Base,
    OneLevel,
    Subtree,
}

/// What a search asks for.
#[derive(Debug, Clone)]
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) depth: Depth,
    pub(crate) filter: &'a Filter,
    pub(crate) attributes: &'a [String],
    /// Entries; 0: as many as the server gives.
    pub(crate) size_limit: i32,
    /// Seconds that the server may take.
    pub(crate) time_limit: i32,
}

impl Search<'_> {
    pub(crate) fn operation(&self) -> Operation {
        let mut attributes = Vec::new();
        for attribute in self.attributes {
            put(&mut attributes, tag::OCTET_STRING, attribute.as_bytes());
        }
        let depth = match self.depth {
            Depth::Base => 0,
            Depth::OneLevel => 1,
            Depth::Subtree => 2,
        };
        let content = [
            element(tag::OCTET_STRING, self.base.as_bytes()),
            number(tag::ENUMERATED, depth),
            number(tag::ENUMERATED, 0), // neverDerefAliases
            number(tag::INTEGER, self.size_limit),
            number(tag::INTEGER, self.time_limit),
            element(tag::BOOLEAN, &[0]), // typesOnly
            filter(self.filter),
            element(tag::SEQUENCE, &attributes),
        ];
        Zeroizing::new(element(0x63, &content.concat()))
    }
}

/// RFC 2696 section 2.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// A search that asks for the page after `cookie`, the first where it is empty. Critical: a server that gives no pages
/// must say so, and not send everybody at once.
pub(crate) fn paged(search: &Search<'_>, size: i32, cookie: &[u8]) -> Operation {
    let mut value = number(tag::INTEGER, size);
    put(&mut value, tag::OCTET_STRING, cookie);
    let value = element(tag::SEQUENCE, &value);
    let mut control = element(tag::OCTET_STRING, PAGED_RESULTS.as_bytes());
    put(&mut control, tag::BOOLEAN, &[0xff]);
    put(&mut control, tag::OCTET_STRING, &value);
    // RFC 4511 section 4.1.1: controls stand behind the operation.
    let mut operation = search.operation();
    operation.extend_from_slice(&element(0xa0, &element(tag::SEQUENCE, &control)));
    operation
}

/// A filter from its tree: no text in between that a value could break out of.
fn filter(of: &Filter) -> Vec<u8> {
    let all = |tag: u8, filters: &[Filter]| element(tag, &filters.iter().flat_map(filter).collect::<Vec<u8>>());
    let assertion = |tag: u8, attribute: &str, value: &[u8]| {
        let mut content = element(tag::OCTET_STRING, attribute.as_bytes());
        put(&mut content, tag::OCTET_STRING, value);
        element(tag, &content)
    };
    match of {
        Filter::And(filters) => all(0xa0, filters),
        Filter::Or(filters) => all(0xa1, filters),
        Filter::Not(inner) => element(0xa2, &filter(inner)),
        Filter::Equal(attribute, value) => assertion(0xa3, attribute, value),
        Filter::Substrings(attribute, parts) => {
            let mut texts = Vec::new();
            parts.initial.iter().for_each(|part| put(&mut texts, 0x80, part));
            parts.any.iter().for_each(|part| put(&mut texts, 0x81, part));
            parts.last.iter().for_each(|part| put(&mut texts, 0x82, part));
            let mut content = element(tag::OCTET_STRING, attribute.as_bytes());
            put(&mut content, tag::SEQUENCE, &texts);
            element(0xa4, &content)
        }
        Filter::GreaterOrEqual(attribute, value) => assertion(0xa5, attribute, value),
        Filter::LessOrEqual(attribute, value) => assertion(0xa6, attribute, value),
        Filter::Present(attribute) => element(0x87, attribute.as_bytes()),
        Filter::Approximate(attribute, value) => assertion(0xa8, attribute, value),
        Filter::Extensible(item) => {
            let mut content = Vec::new();
            item.rule.iter().for_each(|rule| put(&mut content, 0x81, rule.as_bytes()));
            item.attribute.iter().for_each(|attribute| put(&mut content, 0x82, attribute.as_bytes()));
            put(&mut content, 0x83, &item.value);
            if item.dn {
                put(&mut content, 0x84, &[0xff]);
            }
            element(0xa9, &content)
        }
    }
}

/// Binds with a name and a password (RFC 4511 section 4.2). Both lengths are known first, so that no copy of the
/// password is left behind by a vector that grew.
pub(crate) fn simple_bind(name: &str, password: &[u8]) -> Operation {
    let room = name.len().saturating_add(password.len()).saturating_add(32);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    put(&mut content, tag::INTEGER, &[3]);
    put(&mut content, tag::OCTET_STRING, name.as_bytes());
    put(&mut content, 0x80, password);
    let mut operation = Zeroizing::new(Vec::with_capacity(room.saturating_add(8)));
    put(&mut operation, 0x60, &content);
    operation
}

/// Binds as whom the TLS client certificate names (RFC 4422 appendix A), under no other identity.
pub(crate) fn external_bind() -> Operation {
    let mut credentials = element(tag::OCTET_STRING, b"EXTERNAL");
    put(&mut credentials, tag::OCTET_STRING, b"");
    let content = [number(tag::INTEGER, 3), element(tag::OCTET_STRING, b""), element(0xa3, &credentials)].concat();
    Zeroizing::new(element(0x60, &content))
}

/// RFC 4511 section 4.14.1.
pub(crate) fn start_tls() -> Operation {
    Zeroizing::new(element(0x77, &element(0x80, b"1.3.6.1.4.1.1466.20037")))
}

/// RFC 4511 section 4.11; it is not answered.
pub(crate) fn abandon(id: i32) -> Operation {
    Zeroizing::new(element(0x50, shortest(&id.to_be_bytes())))
}

/// RFC 4511 section 4.3; it is not answered.
pub(crate) fn unbind() -> Operation {
    Zeroizing::new(element(0x42, &[]))
}

/// An operation with its message id.
pub(crate) fn message(id: i32, operation: &Operation) -> Operation {
    let id = number(tag::INTEGER, id);
    let length = id.len().saturating_add(operation.len());
    let mut content = Zeroizing::new(Vec::with_capacity(length));
    content.extend_from_slice(&id);
    content.extend_from_slice(operation);
    let mut message = Zeroizing::new(Vec::with_capacity(length.saturating_add(8)));
    put(&mut message, tag::SEQUENCE, &content);
    message
}

/// An entry, with the attributes that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundEntry {
    pub(crate) dn: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl FoundEntry {
    /// The values of an attribute, whatever options (`;binary`) the server adds to its name.
    pub(crate) fn values(&self, attribute: &str) -> impl Iterator<Item = &[u8]> {
        let base = |name: &str| name.split(';').next().unwrap_or_default().to_ascii_lowercase();
        let wanted = base(attribute);
        let found = self.attributes.iter().filter(move |(name, _)| base(name) == wanted);
        found.flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }

    /// Those of them that are text.
    pub(crate) fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute).filter_map(|value| std::str::from_utf8(value).ok())
    }
}

/// How an operation ended (RFC 4511 section 4.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// `resultCode`
    pub(crate) code: i32,
    /// `diagnosticMessage`, shortened.
    pub(crate) text: String,
    /// The OIDs of the response's controls.
    pub(crate) controls: Vec<String>,
    /// The cookie of the next page (RFC 2696 section 3), which is empty after the last; `None` where pages are not given.
    pub(crate) cookie: Option<Vec<u8>>,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    Entry(FoundEntry),
    /// A continuation reference: never followed, a directory does not say where else the gateway's password goes.
    Reference,
    /// The end of a search, a bind or an extended operation.
    Ended(Ended),
    /// Something between, which nobody asked for.
    Other,
}

/// Octets of a diagnostic message that are kept.
const MAX_TEXT: usize = 500;

/// Reads one message: its id and what it says.
pub(crate) fn read(octets: &[u8]) -> Result<(i32, Response), Malformed> {
    let mut message = Reader::new(Reader::new(octets).expect(tag::SEQUENCE)?);
    let id = message.number(tag::INTEGER)?;
    let (operation, content) = message.next()?;
    let response = match operation {
        0x64 => Response::Entry(entry(content)?),
        0x73 => Response::Reference,
        0x61 | 0x65 | 0x78 => Response::Ended(ended(content, message)?),
        _ => Response::Other,
    };
    Ok((id, response))
}

fn text(octets: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(octets.to_vec()).map_err(|_| Malformed("a name is not UTF-8"))
}

fn entry(content: &[u8]) -> Result<FoundEntry, Malformed> {
    let mut reader = Reader::new(content);
    let dn = text(reader.expect(tag::OCTET_STRING)?)?;
    let mut list = Reader::new(reader.expect(tag::SEQUENCE)?);
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = Reader::new(list.expect(tag::SEQUENCE)?);
        let name = text(attribute.expect(tag::OCTET_STRING)?)?;
        let mut set = Reader::new(attribute.expect(tag::SET)?);
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.expect(tag::OCTET_STRING)?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(FoundEntry { dn, attributes })
}

fn ended(content: &[u8], mut rest: Reader<'_>) -> Result<Ended, Malformed> {
    let mut reader = Reader::new(content);
    let code = reader.number(tag::ENUMERATED)?;
    reader.expect(tag::OCTET_STRING)?; // matchedDN
    let diagnostic = reader.expect(tag::OCTET_STRING)?;
    let shown = String::from_utf8_lossy(diagnostic.get(..MAX_TEXT).unwrap_or(diagnostic));
    let text = shown.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
    let (mut controls, mut cookie) = (Vec::new(), None);
    if rest.peek() == Some(0xa0) {
        let mut list = Reader::new(rest.expect(0xa0)?);
        while !list.is_empty() {
            let mut control = Reader::new(list.expect(tag::SEQUENCE)?);
            let oid = String::from_utf8_lossy(control.expect(tag::OCTET_STRING)?).into_owned();
            if oid == PAGED_RESULTS {
                cookie = Some(page_cookie(control)?);
            }
            controls.push(oid);
        }
    }
    Ok(Ended { code, text, controls, cookie })
}

/// RFC 2696 section 2: the size is an estimate that most servers leave at 0.
fn page_cookie(mut control: Reader<'_>) -> Result<Vec<u8>, Malformed> {
    if control.peek() == Some(tag::BOOLEAN) {
        control.expect(tag::BOOLEAN)?; // criticality
    }
    let mut value = Reader::new(Reader::new(control.expect(tag::OCTET_STRING)?).expect(tag::SEQUENCE)?);
    value.expect(tag::INTEGER)?;
    Ok(value.expect(tag::OCTET_STRING)?.to_vec())
}

impl Ended {
    /// Code, name and text, for the log.
    pub(crate) fn told(&self) -> String {
        let name = CODES.iter().find(|row| row.0 == self.code).map_or("result", |row| row.1);
        match self.text.as_str() {
            "" => format!("{name} ({})", self.code),
            text => format!("{name} ({}): {text}", self.code),
        }
    }
}

/// RFC 4511 section 4.1.9, those that are met.
const CODES: [(i32, &str); 24] = [
    (0, "success"),
    (1, "operationsError"),
    (2, "protocolError"),
    (3, "timeLimitExceeded"),
    (4, "sizeLimitExceeded"),
    (7, "authMethodNotSupported"),
    (8, "strongerAuthRequired"),
    (10, "referral, which is not followed"),
    (11, "adminLimitExceeded"),
    (13, "confidentialityRequired"),
    (16, "noSuchAttribute"),
    (17, "undefinedAttributeType"),
    (18, "inappropriateMatching"),
    (19, "constraintViolation"),
    (32, "noSuchObject"),
    (34, "invalidDNSyntax"),
    (48, "inappropriateAuthentication"),
    (49, "invalidCredentials"),
    (50, "insufficientAccessRights"),
    (51, "busy"),
    (52, "unavailable"),
    (53, "unwillingToPerform"),
    (54, "loopDetect"),
    (80, "other"),
];

#[cfg(test)]
mod tests;
