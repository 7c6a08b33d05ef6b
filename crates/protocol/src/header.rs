//! The header section of a message coming in: forged trace fields out, missing fields in, and who says to have written
//! it. RFC 5322 section 2.2, RFC 8601 section 5, RFC 6409 section 8.

mod fields;
mod originator_fields;
mod originators;
mod mentions;
mod address_list;

use std::ops::Range;

use memchr::memchr;

use crate::address::Mailbox;

pub use fields::{fields, relaxed};
pub use originator_fields::OriginatorFields;
pub use originators::{OriginatorError, Originators};

/// What the filter is to do.
#[derive(Debug, Clone, Default)]
pub struct HeaderSettings {
    /// The name this server signs its own Authentication-Results with; foreign ones under it are forged.
    pub authserv_id: String,
    /// The name of a field that only this server writes: all of them are forged.
    pub own_field: Option<&'static str>,
    /// The largest header section taken, octets. The filter's memory is bounded by it too.
    pub max_size: usize,
    /// The value of a Date field for messages without one (RFC 6409 section 8.3), without CRLF.
    pub date: Option<String>,
    /// The value of a Message-ID field for messages without one (RFC 6409 section 8.2), without CRLF.
    pub message_id: Option<String>,
}

/// What the header section was like, before anything was added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderSummary {
    /// Received fields. RFC 5321 section 6.3: over a hundred is a loop.
    pub received: usize,
    /// From fields; RFC 5322 section 3.6 asks for exactly one.
    pub from: usize,
    /// There is a Date field.
    pub date: bool,
    /// There is a Message-ID field.
    pub message_id: bool,
    /// There is a DKIM-Signature field (RFC 6376 section 3.5).
    pub signed: bool,
    /// Forged fields taken out: Authentication-Results, and those of `own_field`.
    pub removed: usize,
    /// A character that some reader takes for the end of a line or of the text.
    pub control: bool,
}

/// Why the message cannot go on: 552 5.3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header section is over {0} octets")]
pub struct HeaderTooLong(pub usize);

/// Collects the header section of one message, and says where its body begins.
///
/// Octets are kept as they are, folding included. A message that begins without a header, or goes from header to body
/// without an empty line, gets that line, so that fields put in front of it do not run into its text.
#[derive(Debug)]
pub struct HeaderFilter {
    settings: HeaderSettings,
    section: HeaderSection,
    /// Where in the section the field being read begins, and where its unfinished line does.
    field: usize,
    line: usize,
    /// Octets of the header section so far.
    size: usize,
}

/// A whole header section, on its way to the spool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderSection {
    octets: Vec<u8>,
    summary: HeaderSummary,
    from: Vec<Range<usize>>,
    sender: Vec<Range<usize>>,
    /// Where fields can be added.
    end: usize,
}

/// What [`HeaderFilter::push`] made of content.
#[derive(Debug)]
pub enum Header<'c> {
    /// The header section goes on.
    Open(HeaderFilter),
    /// It is over, and this is of the body.
    Closed(HeaderSection, &'c [u8]),
}

impl HeaderFilter {
    /// For one message.
    #[must_use]
    pub fn new(settings: HeaderSettings) -> Self {
        Self { settings, section: HeaderSection::default(), field: 0, line: 0, size: 0 }
    }

    /// Takes content, up to the end of the header section.
    ///
    /// # Errors
    /// When the header section is over its limit.
    pub fn push(mut self, content: &[u8]) -> Result<Header<'_>, HeaderTooLong> {
        let mut rest = content;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (piece, tail) = rest.split_at(end);
            self.size = self.size.saturating_add(piece.len());
            if self.size > self.settings.max_size {
                return Err(HeaderTooLong(self.settings.max_size));
            }
            self.section.octets.extend_from_slice(piece);
            rest = tail;
            if piece.ends_with(b"\n") && self.take_line() {
                return Ok(Header::Closed(self.section, rest));
            }
        }
        Ok(Header::Open(self))
    }

    /// The message is over, and had no body.
    #[must_use]
    pub fn finish(mut self) -> HeaderSection {
        if self.line < self.section.octets.len() && self.take_line() {
            return self.section;
        }
        if !self.section.octets.is_empty() && !self.section.octets.ends_with(b"\n") {
            self.section.octets.extend_from_slice(b"\r\n");
        }
        self.end_field(self.section.octets.len());
        self.close(Vec::new());
        self.section
    }

    /// A line is whole: it goes on with the field, ends it or ends the header section; that is then true.
    fn take_line(&mut self) -> bool {
        let line = self.section.octets.get(self.line..).unwrap_or_default();
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if !(continues && self.line > self.field) {
            let begins = field_name(line).is_some();
            self.end_field(self.line);
            if !begins {
                let rest = self.section.octets.split_off(self.field);
                self.close(rest);
                return true;
            }
        }
        self.line = self.section.octets.len();
        false
    }

    /// The field is whole, up to here: it is counted, and kept or not.
    fn end_field(&mut self, end: usize) {
        let section = &mut self.section;
        let place = self.field..end;
        let field = section.octets.get(place.clone()).unwrap_or_default();
        self.field = end;
        let Some((name, value)) = field_name(field) else { return };
        let summary = &mut section.summary;
        let control = field.iter().any(|byte| matches!(byte, 0 | 0x0b | 0x0c | 0x1c..=0x1e));
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("Received") {
            summary.received += 1;
        } else if is("From") {
            summary.from += 1;
            section.from.push(place);
        } else if is("Sender") {
            section.sender.push(place);
        } else if is("Date") {
            summary.date = true;
        } else if is("Message-ID") {
            summary.message_id = true;
        } else if is("DKIM-Signature") {
            summary.signed = true;
        } else if self.settings.own_field.is_some_and(is)
            || (is("Authentication-Results") && is_forged(value, &self.settings.authserv_id))
        {
            summary.removed += 1;
            self.field = place.start;
            section.octets.drain(place);
            return;
        }
        summary.control |= control;
    }

    /// The header section is over: adds what is missing, and the empty line before `rest`, which began no field.
    fn close(&mut self, rest: Vec<u8>) {
        let section = &mut self.section;
        section.end = section.octets.len();
        let fields = [
            (section.summary.date, "Date", &self.settings.date),
            (section.summary.message_id, "Message-ID", &self.settings.message_id),
        ];
        for (present, name, value) in fields {
            if let (false, Some(value)) = (present, value) {
                section.octets.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        if !rest.is_empty() && rest != b"\r\n" {
            section.octets.extend_from_slice(b"\r\n");
        }
        section.octets.extend_from_slice(&rest);
    }
}

impl HeaderSection {
    /// Reads that of a whole message, to ask about it; `None` for more than memory holds.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let all = HeaderSettings { max_size: usize::MAX, ..HeaderSettings::default() };
        match HeaderFilter::new(all).push(message).ok()? {
            Header::Open(filter) => Some(filter.finish()),
            Header::Closed(section, _) => Some(section),
        }
    }

    /// What it was like as it came.
    #[must_use]
    pub fn summary(&self) -> &HeaderSummary {
        &self.summary
    }

    /// All of it, with the empty line and what else of the body could not be told from it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// Who says to have written and sent the message.
    ///
    /// # Errors
    /// When two readers could see different people: see [`OriginatorError`].
    pub fn originators(&self) -> Result<Originators, OriginatorError> {
        if self.summary.control {
            return Err(OriginatorError::Control);
        }
        let fields = |places: &[Range<usize>]| -> Vec<&[u8]> {
            places.iter().filter_map(|place| self.octets.get(place.clone())).collect()
        };
        Originators::parse(&fields(&self.from), &fields(&self.sender))
    }

    /// All of it, with `author` as the only one. What stood in From and Sender stays in sight as X-Original-From and
    /// X-Original-Sender, names that mailing lists use for the same.
    #[must_use]
    pub fn with_author(&self, author: &Mailbox) -> Vec<u8> {
        let from = format!("From: <{author}>\r\n");
        let mut originators: Vec<&Range<usize>> = self.from.iter().chain(&self.sender).collect();
        originators.sort_by_key(|place| place.start);
        let mut octets = Vec::with_capacity(self.octets.len().saturating_add(from.len()).saturating_add(64));
        let mut copied = 0;
        for place in originators {
            octets.extend_from_slice(self.octets.get(copied..place.start).unwrap_or_default());
            octets.extend_from_slice(b"X-Original-");
            copied = place.start;
        }
        octets.extend_from_slice(self.octets.get(copied..self.end).unwrap_or_default());
        octets.extend_from_slice(from.as_bytes());
        octets.extend_from_slice(self.octets.get(self.end..).unwrap_or_default());
        octets
    }
}

/// RFC 8601 section 5. A field whose authserv-id cannot be made out may be made out as ours by someone else, so it
/// goes as well.
fn is_forged(value: &[u8], ours: &str) -> bool {
    let ours = ours.trim_end_matches('.').as_bytes();
    authserv_id(value).is_none_or(|id| id.strip_suffix(b".").unwrap_or(&id).eq_ignore_ascii_case(ours))
}

/// Splits a field into name and body; `None` when this is no field. White space before the colon is obsolete but legal
/// (RFC 5322 section 4.5).
fn field_name(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = field.split_at_checked(memchr(b':', field)?)?;
    let name = name.trim_ascii_end();
    // ftext = %d33-57 / %d59-126
    let valid = !name.is_empty() && name.iter().all(|byte| matches!(byte, b'!'..=b'~'));
    valid.then(|| (name, value.get(1..).unwrap_or_default()))
}

/// `[CFWS] authserv-id` of RFC 8601 section 2.2, the id without its quotes; `None` when there is none.
///
/// The id ends at white space, a comment, `;` or `/`: a version stands after white space, and one that follows more
/// closely must not hide the name.
fn authserv_id(value: &[u8]) -> Option<Vec<u8>> {
    let value = skip_cfws(value)?;
    let mut id = Vec::new();
    let mut bytes = value.iter().copied();
    if value.first() == Some(&b'"') {
        bytes.next();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => id.push(bytes.next()?),
                b'\r' | b'\n' => {}
                byte => id.push(byte),
            }
        }
        let trimmed = id.trim_ascii().to_vec();
        return (!trimmed.is_empty()).then_some(trimmed);
    }
    id.extend(bytes.take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b';' | b'/')));
    (!id.is_empty()).then_some(id)
}

/// What follows white space and comments; `None` when a comment has no end.
fn skip_cfws(value: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut bytes = value.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b'\\' if depth > 0 => {
                bytes.next();
            }
            _ if depth > 0 => {}
            _ => return value.get(at..),
        }
    }
    (depth == 0).then_some(&[])
}

#[cfg(test)]
mod tests;
