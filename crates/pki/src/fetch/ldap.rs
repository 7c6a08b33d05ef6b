//! One LDAP search (RFC 4511) of one attribute of one entry, its value streamed into a sink.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use crate::der::tag;
use crate::der::write::{element, integer};
use crate::fetch::FetchError;
use crate::fetch::connection::Connector;
use crate::location::LdapUrl;

// RFC 4511 section 4.2 and below: [APPLICATION n], constructed.
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_RESULT_ENTRY: u8 = 0x64;
const SEARCH_RESULT_DONE: u8 = 0x65;
const SEARCH_RESULT_REFERENCE: u8 = 0x73;
const EXTENDED_RESPONSE: u8 = 0x78;

/// What surrounds the value in an entry, and other messages: names, referrals, texts.
const MAX_SURROUNDINGS: u64 = 64 * 1024;
/// An entry, a few references, the end.
const MAX_MESSAGES: usize = 32;

/// How many values the attribute may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// A list: which of several is meant can't be told.
    One,
    /// Certificates, one behind the other in the sink.
    Several,
}

/// Searches anonymously; of version 3 no bind is asked (RFC 4511 section 4.2).
pub(crate) async fn search(
    connector: &Connector,
    url: &LdapUrl,
    attribute: &str,
    values: Values,
    max_size: u64,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<(), FetchError> {
    let attribute = url.attribute().unwrap_or(attribute);
    let mut stream = connector.connect(url.host(), url.port(), url.is_ldaps(), &[]).await?;
    stream.write_all(&request(url.dn(), attribute)).await.map_err(|error| FetchError::io(&error))?;
    stream.flush().await.map_err(|error| FetchError::io(&error))?;
    let mut input = Input { stream: BufReader::with_capacity(64 * 1024, stream), left: max_size + MAX_SURROUNDINGS };
    let outcome = answer(&mut input, attribute, values, max_size, sink).await;
    sink.flush().await.map_err(|error| FetchError::io(&error))?;
    outcome
}

fn request(dn: &str, attribute: &str) -> Vec<u8> {
    let search = [
        element(tag::OCTET_STRING, dn.as_bytes()),
        element(tag::ENUMERATED, &[0]), // baseObject
        element(tag::ENUMERATED, &[0]), // neverDerefAliases
        integer(1),                     // sizeLimit
        integer(0),
        element(tag::BOOLEAN, &[0]),
        element(tag::context(7), b"objectClass"), // present
        element(tag::SEQUENCE, &element(tag::OCTET_STRING, attribute.as_bytes())),
    ]
    .concat();
    element(tag::SEQUENCE, &[integer(1), element(SEARCH_REQUEST, &search)].concat())
}

async fn answer(
    input: &mut Input<impl AsyncRead + Unpin>,
    attribute: &str,
    values: Values,
    max_size: u64,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<(), FetchError> {
    let mut found = 0_usize;
    for _ in 0..MAX_MESSAGES {
        input.enter(tag::SEQUENCE).await?;
        let message_id = input.enter(tag::INTEGER).await?;
        input.skip(message_id).await?;
        let (operation, length) = input.header().await?;
        match operation {
            SEARCH_RESULT_ENTRY => {
                let end = input.end_of(length)?;
                found += entry(input, end, attribute, max_size, sink).await?;
            }
            SEARCH_RESULT_DONE => {
                let end = input.end_of(length)?;
                return match result(input, end).await? {
                    None if found == 1 || (found > 1 && values == Values::Several) => Ok(()),
                    None if found == 0 => Err(FetchError::Refused(format!("the entry has no {attribute}"))),
                    None => Err(FetchError::Refused(format!("the entry has {found} values of {attribute}, not one"))),
                    Some(problem) => Err(FetchError::Refused(problem)),
                };
            }
            SEARCH_RESULT_REFERENCE | EXTENDED_RESPONSE => input.skip(length).await?,
            _ => return Err(FetchError::protocol("no answer to a search")),
        }
        // Controls, if there are any, would follow here: none was asked for.
    }
    Err(FetchError::protocol("too many messages"))
}

/// Streams the values of the attribute; returns how many there were.
async fn entry(
    input: &mut Input<impl AsyncRead + Unpin>,
    end: u64,
    attribute: &str,
    max_size: u64,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<usize, FetchError> {
    let name = input.enter(tag::OCTET_STRING).await?;
    input.skip(name).await?;
    input.enter(tag::SEQUENCE).await?;
    let mut found = 0;
    let mut octets = 0_u64;
    while input.left > end {
        input.enter(tag::SEQUENCE).await?;
        let kind = input.enter(tag::OCTET_STRING).await?;
        let kind = input.small(kind).await?;
        let values = input.enter(tag::SET).await?;
        let values_end = input.end_of(values)?;
        let wanted = kind.eq_ignore_ascii_case(attribute.as_bytes()) || is_base(&kind, attribute);
        while input.left > values_end {
            let length = input.enter(tag::OCTET_STRING).await?;
            if !wanted {
                input.skip(length).await?;
                continue;
            }
            octets = octets.saturating_add(length);
            if octets > max_size {
                return Err(FetchError::TooLarge(max_size));
            }
            input.copy(length, sink).await?;
            found += 1;
        }
    }
    Ok(found)
}

/// Some servers leave `;binary` out of the name in the answer.
fn is_base(kind: &[u8], attribute: &str) -> bool {
    attribute.split(';').next().is_some_and(|base| kind.eq_ignore_ascii_case(base.as_bytes()))
}

/// `LDAPResult`: `None` for success.
async fn result(input: &mut Input<impl AsyncRead + Unpin>, end: u64) -> Result<Option<String>, FetchError> {
    let code = input.enter(tag::ENUMERATED).await?;
    let code = input.small(code).await?.iter().fold(0_u32, |code, octet| code << 8 | u32::from(*octet));
    let matched = input.enter(tag::OCTET_STRING).await?;
    input.skip(matched).await?;
    input.skip(input.left.saturating_sub(end)).await?;
    // RFC 4511 appendix A.
    Ok(match code {
        0 => None,
        10 => Some("LDAP referral (10), which is not followed".to_owned()),
        32 => Some("LDAP noSuchObject (32)".to_owned()),
        50 => Some("LDAP insufficientAccessRights (50)".to_owned()),
        code => Some(format!("LDAP result code {code}")),
    })
}

/// BER of definite lengths, with what may still come: lengths inside can't reach beyond.
struct Input<R> {
    stream: R,
    left: u64,
}

impl<R: AsyncRead + Unpin> Input<R> {
    async fn octet(&mut self) -> Result<u8, FetchError> {
        self.left = self.left.checked_sub(1).ok_or_else(too_large)?;
        self.stream.read_u8().await.map_err(cut_short)
    }

    /// Tag and length; RFC 4511 section 5.1 allows lengths in more octets than needed.
    async fn header(&mut self) -> Result<(u8, u64), FetchError> {
        let tag = self.octet().await?;
        let first = self.octet().await?;
        if first < 0x80 {
            return Ok((tag, u64::from(first)));
        }
        let octets = first & 0x7f;
        if octets == 0 || octets > 8 {
            return Err(FetchError::protocol("no LDAP: a length that is indefinite or absurd"));
        }
        let mut length = 0_u64;
        for _ in 0..octets {
            length = length << 8 | u64::from(self.octet().await?);
        }
        Ok((tag, length))
    }

    async fn enter(&mut self, tag: u8) -> Result<u64, FetchError> {
        match self.header().await? {
            (found, length) if found == tag => Ok(length),
            (found, _) => Err(FetchError::protocol(format!("no LDAP: tag {found:#04x} instead of {tag:#04x}"))),
        }
    }

    /// What will be left when `length` octets have been read.
    fn end_of(&self, length: u64) -> Result<u64, FetchError> {
        self.left.checked_sub(length).ok_or_else(too_large)
    }

    async fn small(&mut self, length: u64) -> Result<Vec<u8>, FetchError> {
        const MAX: u64 = 1024;
        if length > MAX {
            return Err(FetchError::protocol("no LDAP: a name of more than 1024 octets"));
        }
        let mut octets = Vec::new();
        self.copy(length, &mut octets).await?;
        Ok(octets)
    }

    async fn skip(&mut self, length: u64) -> Result<(), FetchError> {
        self.copy(length, &mut tokio::io::sink()).await
    }

    async fn copy(&mut self, length: u64, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), FetchError> {
        self.left = self.end_of(length)?;
        let copied = tokio::io::copy_buf(&mut BufReader::new((&mut self.stream).take(length)), sink).await;
        match copied.map_err(cut_short)? {
            copied if copied == length => Ok(()),
            _ => Err(FetchError::protocol("the answer is cut short")),
        }
    }
}

fn too_large() -> FetchError {
    FetchError::protocol("no LDAP: a message larger than what was asked for can be")
}

fn cut_short(error: std::io::Error) -> FetchError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => FetchError::protocol("the answer is cut short"),
        _ => FetchError::io(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(octets: &[u8], values: Values) -> Result<Vec<u8>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut input = Input { stream: octets, left: 1000 };
            let mut sink = Vec::new();
            let outcome = answer(&mut input, "cRL;binary", values, 100, &mut sink).await;
            outcome.map(|()| sink).map_err(|error| error.to_string())
        })
    }

    fn message(operation: u8, content: &[u8]) -> Vec<u8> {
        element(tag::SEQUENCE, &[integer(1), element(operation, content)].concat())
    }

    fn found(attribute: &str, values: &[&[u8]]) -> Vec<u8> {
        let set: Vec<u8> = values.iter().flat_map(|value| element(tag::OCTET_STRING, value)).collect();
        let pair = [element(tag::OCTET_STRING, attribute.as_bytes()), element(tag::SET, &set)].concat();
        let attributes = element(tag::SEQUENCE, &element(tag::SEQUENCE, &pair));
        message(SEARCH_RESULT_ENTRY, &[element(tag::OCTET_STRING, b"cn=x"), attributes].concat())
    }

    fn done(code: u8) -> Vec<u8> {
        let empty = element(tag::OCTET_STRING, b"");
        message(SEARCH_RESULT_DONE, &[element(tag::ENUMERATED, &[code]), empty.clone(), empty].concat())
    }

    #[test]
    fn values_and_what_is_wrong_with_them() {
        type Outcome = Result<&'static [u8], &'static str>;
        let rows: [(Vec<u8>, Values, Outcome); 9] = [
            ([found("cRL;binary", &[b"abc"]), done(0)].concat(), Values::One, Ok(b"abc")),
            ([found("CRL", &[b"abc"]), done(0)].concat(), Values::One, Ok(b"abc")),
            ([found("cRL;binary", &[b"a", b"b"]), done(0)].concat(), Values::Several, Ok(b"ab")),
            ([found("cRL;binary", &[b"a", b"b"]), done(0)].concat(), Values::One, Err("2 values")),
            ([found("other", &[b"a"]), done(0)].concat(), Values::One, Err("has no")),
            (done(32), Values::One, Err("noSuchObject")),
            ([found("cRL;binary", &[&[0; 101]]), done(0)].concat(), Values::One, Err("larger than 100")),
            (found("cRL;binary", &[b"abc"]), Values::One, Err("cut short")),
            (b"HTTP/1.1 400 Bad Request".to_vec(), Values::One, Err("no LDAP")),
        ];
        for (octets, values, expected) in rows {
            match (reply(&octets, values), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{found:?} against {expected:?}"),
            }
        }
    }

    #[test]
    fn lengths_in_more_octets_than_needed_are_read() {
        let plain = found("cRL;binary", &[b"abc"]);
        let long = [&[0x30, 0x84, 0, 0, 0, plain[1]], &plain[2..]].concat();
        assert_eq!(reply(&[long, done(0)].concat(), Values::One), Ok(b"abc".to_vec()));
    }

    proptest! {
        #[test]
        fn whatever_comes_ends_within_bounds(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = reply(&[vec![0x30, 0x40, 0x02, 1, 1, 0x64], octets].concat(), Values::Several);
        }
    }
}
