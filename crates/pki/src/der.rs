//! A bounded reader of DER (X.690): slices in, slices out, nothing copied, no recursion, no panic.
//!
//! Written here rather than taken from a library because certificates and lists of millions of entries must be read
//! by one and the same rule, v1 certificates and unknown critical extensions must be representable so that they can be
//! refused with a reason, and instants before 1970 occur (NIST PKITS 4.2.3). It is strict: definite, minimal lengths,
//! single-octet tags, no trailing bytes.

pub(crate) mod write;

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Why some bytes are not the certificate, list or key they should be: the ASN.1 field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Malformed {
    field: Cow<'static, str>,
    problem: Cow<'static, str>,
}

impl Malformed {
    pub(crate) fn new(field: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Tag octets, X.680 section 8.6.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const NUMERIC_STRING: u8 = 0x12;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]`, primitive: IMPLICIT over a string type.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]`, constructed: EXPLICIT, or IMPLICIT over a SEQUENCE or SET.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// One element: its tag, its content octets, and the whole encoding with where it stands in the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    pub(crate) raw: &'a [u8],
    /// Of `raw`, from the beginning of the outermost input.
    pub(crate) offset: usize,
}

impl<'a> Tlv<'a> {
    /// Reads the elements inside a constructed one.
    pub(crate) fn contents(&self) -> Reader<'a> {
        Reader { rest: self.value, offset: self.offset + (self.raw.len() - self.value.len()) }
    }

    /// Itself, if it has this tag.
    pub(crate) fn expect(self, tag: u8, field: &'static str) -> Result<Self, Malformed> {
        if self.tag == tag {
            return Ok(self);
        }
        Err(Malformed::new(field, format!("expected tag {tag:#04x}, found {:#04x}", self.tag)))
    }

    /// Where the whole encoding stands in the outermost input.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.raw.len()
    }
}

/// Reads elements one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input, offset: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, whatever its tag.
    pub(crate) fn any(&mut self, field: &'static str) -> Result<Tlv<'a>, Malformed> {
        let (tag, header, length) = read_header(self.rest).map_err(|problem| Malformed::new(field, problem.text()))?;
        let end = header.checked_add(length).filter(|&end| end <= self.rest.len());
        let Some((raw, rest)) = end.and_then(|end| self.rest.split_at_checked(end)) else {
            return Err(Malformed::new(field, HeaderProblem::Truncated.text()));
        };
        let value = raw.get(header..).unwrap_or_default();
        let offset = self.offset;
        self.rest = rest;
        self.offset += raw.len();
        Ok(Tlv { tag, value, raw, offset })
    }

    /// The next element, which must have this tag.
    pub(crate) fn take(&mut self, tag: u8, field: &'static str) -> Result<Tlv<'a>, Malformed> {
        match self.peek_tag() {
            Some(found) if found != tag => {
                Err(Malformed::new(field, format!("expected tag {tag:#04x}, found {found:#04x}")))
            }
            _ => self.any(field),
        }
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8, field: &'static str) -> Result<Option<Tlv<'a>>, Malformed> {
        if self.peek_tag() == Some(tag) { self.any(field).map(Some) } else { Ok(None) }
    }

    /// The elements of the next SEQUENCE.
    pub(crate) fn sequence(&mut self, field: &'static str) -> Result<Reader<'a>, Malformed> {
        self.take(tag::SEQUENCE, field).map(|tlv| tlv.contents())
    }

    /// The content octets of the next OBJECT IDENTIFIER, checked to be one.
    pub(crate) fn oid(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let octets = self.take(tag::OID, field)?.value;
        check_oid(octets, field)?;
        Ok(octets)
    }

    /// The content octets of the next INTEGER: not empty, minimal.
    pub(crate) fn integer(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let octets = self.take(tag::INTEGER, field)?.value;
        check_integer(octets, field)?;
        Ok(octets)
    }

    /// The next BIT STRING as a signature; one that is not of whole octets is no signature of any algorithm, and becomes
    /// an empty one, so that it is found wrong rather than the certificate unreadable.
    pub(crate) fn signature(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        match self.take(tag::BIT_STRING, field)?.value.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Ok(&[]),
        }
    }

    /// The octets of the next BIT STRING, which must be whole octets.
    pub(crate) fn octets_of_bit_string(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        match self.take(tag::BIT_STRING, field)?.value.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(Malformed::new(field, "a BIT STRING of whole octets is expected")),
        }
    }

    /// `BOOLEAN DEFAULT FALSE`. DER forbids writing the default down; issuers do, and its meaning is plain.
    pub(crate) fn boolean_or_false(&mut self, tag: u8, field: &'static str) -> Result<bool, Malformed> {
        match self.optional(tag, field)?.map(|tlv| tlv.value) {
            None | Some([0]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(Malformed::new(field, "neither TRUE nor FALSE")),
        }
    }

    /// Nothing may follow.
    pub(crate) fn finish(&self, field: &'static str) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed::new(field, "bytes after its end")) }
    }
}

/// What can be wrong with the octets before an element's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    /// More octets are needed.
    Truncated,
    LongTag,
    Length,
}

impl HeaderProblem {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Truncated => "ends early",
            Self::LongTag => "a tag of more than one octet",
            Self::Length => "a length that is indefinite, not minimal or absurd",
        }
    }
}

/// Tag, octets of the header, octets of the content.
pub(crate) fn read_header(input: &[u8]) -> Result<(u8, usize, usize), HeaderProblem> {
    let (&tag, rest) = input.split_first().ok_or(HeaderProblem::Truncated)?;
    if tag & 0x1f == 0x1f {
        return Err(HeaderProblem::LongTag);
    }
    let (&first, rest) = rest.split_first().ok_or(HeaderProblem::Truncated)?;
    if first < 0x80 {
        return Ok((tag, 2, usize::from(first)));
    }
    let octets = usize::from(first & 0x7f);
    // Four octets of length reach 4 GiB, far above every limit of this crate.
    if octets == 0 || octets > 4 {
        return Err(HeaderProblem::Length);
    }
    let written = rest.get(..octets).ok_or(HeaderProblem::Truncated)?;
    let length = written.iter().fold(0_u64, |length, &octet| length << 8 | u64::from(octet));
    if length < 0x80 || written.first() == Some(&0) {
        return Err(HeaderProblem::Length);
    }
    let length = usize::try_from(length).map_err(|_| HeaderProblem::Length)?;
    Ok((tag, 2 + octets, length))
}

pub(crate) fn check_oid(octets: &[u8], field: &'static str) -> Result<(), Malformed> {
    let starts_an_arc = |index: usize| index == 0 || octets.get(index - 1).is_some_and(|previous| previous & 0x80 == 0);
    let padded = octets.iter().enumerate().any(|(index, &octet)| octet == 0x80 && starts_an_arc(index));
    let complete = octets.last().is_some_and(|last| last & 0x80 == 0);
    if !complete || padded || octets.len() > 64 {
        return Err(Malformed::new(field, "not an object identifier"));
    }
    Ok(())
}

pub(crate) fn check_integer(octets: &[u8], field: &'static str) -> Result<(), Malformed> {
    match octets {
        [] => Err(Malformed::new(field, "an empty INTEGER")),
        [0x00, next, ..] if next & 0x80 == 0 => Err(Malformed::new(field, "an INTEGER with needless octets")),
        [0xff, next, ..] if next & 0x80 != 0 => Err(Malformed::new(field, "an INTEGER with needless octets")),
        _ => Ok(()),
    }
}

/// A count such as `pathLenConstraint`: not negative; one too large to matter becomes the largest `u32`.
pub(crate) fn count(octets: &[u8], field: &'static str) -> Result<u32, Malformed> {
    check_integer(octets, field)?;
    match octets {
        [first, ..] if first & 0x80 != 0 => Err(Malformed::new(field, "negative")),
        _ if octets.len() > 5 => Ok(u32::MAX),
        _ => {
            let value = octets.iter().fold(0_u64, |value, &octet| value << 8 | u64::from(octet));
            Ok(u32::try_from(value).unwrap_or(u32::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers() {
        type Header = Result<(u8, usize, usize), HeaderProblem>;
        let rows: [(&[u8], Header); 9] = [
            (&[0x30, 0x03], Ok((0x30, 2, 3))),
            (&[0x30, 0x81, 0x80], Ok((0x30, 3, 128))),
            (&[0x30, 0x82, 0x01, 0x00], Ok((0x30, 4, 256))),
            (&[0x30], Err(HeaderProblem::Truncated)),
            (&[0x30, 0x82, 0x01], Err(HeaderProblem::Truncated)),
            (&[0x30, 0x80], Err(HeaderProblem::Length)),
            (&[0x30, 0x81, 0x7f], Err(HeaderProblem::Length)),
            (&[0x30, 0x82, 0x00, 0x80], Err(HeaderProblem::Length)),
            (&[0x1f, 0x21, 0x00], Err(HeaderProblem::LongTag)),
        ];
        for (input, expected) in rows {
            assert_eq!(read_header(input), expected, "{input:02x?}");
        }
    }

    #[test]
    fn a_length_beyond_the_input_is_refused() {
        let error = Reader::new(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00]).any("thing").unwrap_err();
        assert_eq!(error.to_string(), "thing: ends early");
    }

    #[test]
    fn counts() {
        assert_eq!(count(&[0x00], "n"), Ok(0));
        assert_eq!(count(&[0x00, 0xff], "n"), Ok(255));
        assert_eq!(count(&[0x7f; 9], "n"), Ok(u32::MAX));
        assert!(count(&[0xff], "n").is_err());
        assert!(count(&[0x00, 0x01], "n").is_err());
        assert!(count(&[], "n").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_lies_in_the_input(input in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&input);
            while !reader.is_empty() {
                let Ok(tlv) = reader.any("any") else { break };
                prop_assert_eq!(&input[tlv.range()], tlv.raw);
                let inner = tlv.contents();
                prop_assert!(inner.offset + inner.rest.len() == tlv.range().end);
            }
        }
    }
}
