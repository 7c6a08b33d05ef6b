//! The header section on its way through: forged trace fields out, missing fields in. RFC 5322 section 2.2, RFC 8601
//! section 5, RFC 6409 section 8.

use memchr::memchr;

/// What the filter is to do.
#[derive(Debug, Clone)]
pub struct HeaderSettings {
    /// The name this server signs its own Authentication-Results with; foreign ones under it are forged.
    pub authserv_id: String,
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
    /// Authentication-Results fields taken out.
    pub removed: usize,
}

/// Why the message cannot go on: 552 5.3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header section is over {0} octets")]
pub struct HeaderTooLong(pub usize);

/// Filters the header section of one message and passes the body on untouched.
///
/// Octets are kept as they are, folding included. A message that begins without a header, or goes from header to body
/// without an empty line, gets that line, so that fields put in front of it do not run into its text.
#[derive(Debug)]
pub struct HeaderFilter {
    settings: HeaderSettings,
    summary: HeaderSummary,
    /// The field being read, its finished lines and the one that is not finished.
    field: Vec<u8>,
    /// Where in `field` the unfinished line begins.
    line: usize,
    /// Octets of the header section so far.
    size: usize,
    in_body: bool,
}

impl HeaderFilter {
    /// For one message.
    #[must_use]
    pub fn new(settings: HeaderSettings) -> Self {
        Self { settings, summary: HeaderSummary::default(), field: Vec::new(), line: 0, size: 0, in_body: false }
    }

    /// Takes content and appends what is to be kept to `out`. In the header section a field comes out when it is whole.
    ///
    /// # Errors
    /// When the header section is over its limit. Nothing more comes out then.
    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), HeaderTooLong> {
        let mut rest = content;
        while !self.in_body && !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (piece, tail) = rest.split_at(end);
            self.size = self.size.saturating_add(piece.len());
            if self.size > self.settings.max_size {
                return Err(HeaderTooLong(self.settings.max_size));
            }
            self.field.extend_from_slice(piece);
            rest = tail;
            if piece.ends_with(b"\n") {
                self.take_line(out);
            }
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// The message is over: gives out what is still held.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.in_body {
            return;
        }
        if self.line < self.field.len() {
            self.take_line(out);
        }
        if self.in_body {
            return;
        }
        if !self.field.is_empty() && !self.field.ends_with(b"\n") {
            self.field.extend_from_slice(b"\r\n");
        }
        self.end_field(out);
        self.add_missing(out);
        self.in_body = true;
    }

    /// What was seen so far; all of it once [`HeaderFilter::is_in_body`].
    #[must_use]
    pub fn summary(&self) -> &HeaderSummary {
        &self.summary
    }

    /// Whether the header section is over.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.in_body
    }

    /// A line is whole: it goes on with the field, ends it or ends the header section.
    fn take_line(&mut self, out: &mut Vec<u8>) {
        let line = self.field.split_off(self.line);
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if continues && !self.field.is_empty() {
            self.field.extend_from_slice(&line);
        } else {
            self.end_field(out);
            if field_name(&line).is_none() {
                self.add_missing(out);
                if line != b"\r\n" {
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(&line);
                self.in_body = true;
                return;
            }
            self.field = line;
        }
        self.line = self.field.len();
    }

    /// The field is whole: it is counted, and kept or not.
    fn end_field(&mut self, out: &mut Vec<u8>) {
        let field = std::mem::take(&mut self.field);
        self.line = 0;
        let Some((name, value)) = field_name(&field) else { return };
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("Received") {
            self.summary.received += 1;
        } else if is("From") {
            self.summary.from += 1;
        } else if is("Date") {
            self.summary.date = true;
        } else if is("Message-ID") {
            self.summary.message_id = true;
        } else if is("Authentication-Results") && self.is_forged(value) {
            self.summary.removed += 1;
            return;
        }
        out.extend_from_slice(&field);
    }

    /// RFC 8601 section 5. A field whose authserv-id cannot be made out may be made out as ours by someone else, so it
    /// goes as well.
    fn is_forged(&self, value: &[u8]) -> bool {
        let ours = self.settings.authserv_id.trim_end_matches('.').as_bytes();
        authserv_id(value).is_none_or(|id| id.strip_suffix(b".").unwrap_or(&id).eq_ignore_ascii_case(ours))
    }

    fn add_missing(&mut self, out: &mut Vec<u8>) {
        let fields = [
            (self.summary.date, "Date", &self.settings.date),
            (self.summary.message_id, "Message-ID", &self.settings.message_id),
        ];
        for (present, name, value) in fields {
            if let (false, Some(value)) = (present, value) {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
    }
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
