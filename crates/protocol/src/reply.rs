//! Replies: written by the server, read by the client. RFC 5321 section 4.2, RFC 3463, RFC 2034.

use std::borrow::Cow;
use std::fmt;

use bytes::BufMut;

/// RFC 5321 section 4.5.3.1.5: a reply line with code and CRLF, in octets.
const MAX_LINE: usize = 512;
/// `550-`, the longest enhanced code and its space, CRLF.
const MAX_TEXT: usize = MAX_LINE - "550-5.999.999 \r\n".len();

/// RFC 3463: class.subject.detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// Parses `class.subject.detail`: class 2, 4 or 5, the others of one to three digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten()
        });
        let class = u8::try_from(parts.next()??).ok()?;
        let code = Self(class, parts.next()??, parts.next()??);
        (matches!(class, 2 | 4 | 5) && parts.next().is_none()).then_some(code)
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply, of one line or several.
///
/// Its text holds no control characters, whoever made it: what a peer said can be put into a reply, a log or a
/// header without looking at it again. `Display` gives `550 5.7.1 text` for logs, lines joined by ` / `;
/// [`Reply::write_to`] gives the wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply of one line. `code` is 200..=599 and is moved into that range; control characters of `text` become `?`
    /// and text that would make the line longer than RFC 5321 section 4.5.3.1.5 allows is cut.
    pub fn new(code: u16, enhanced: Option<EnhancedCode>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.clamp(200, 599), enhanced, lines: vec![clean(text.into())] }
    }

    /// The same reply with a line more.
    #[must_use]
    pub fn with_line(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lines.push(clean(text.into()));
        self
    }

    /// The three digits.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, on every line of the wire form (RFC 2034 section 4).
    #[must_use]
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text without codes, line by line; at least one, which may be empty.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.lines.iter().map(AsRef::as_ref)
    }

    /// 2yz.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on (DATA, AUTH).
    #[must_use]
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz: the same may work later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: the same will not work.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends the wire form in ASCII, `?` standing for anything else.
    pub fn write_to(&self, out: &mut impl BufMut) {
        self.write(out, |text, out| match text.is_ascii() {
            true => out.put_slice(text.as_bytes()),
            false => text.chars().for_each(|c| out.put_u8(u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'))),
        });
    }

    /// Appends the wire form in UTF-8, for clients that said SMTPUTF8 at MAIL (RFC 6531 section 3.7.4.2).
    pub fn write_utf8_to(&self, out: &mut impl BufMut) {
        self.write(out, |text, out| out.put_slice(text.as_bytes()));
    }

    fn write<B: BufMut>(&self, out: &mut B, put_text: impl Fn(&str, &mut B)) {
        let prefix = self.enhanced.map(|code| format!("{code} ")).unwrap_or_default();
        for (at, line) in self.lines.iter().enumerate() {
            let separator = if at + 1 == self.lines.len() { b' ' } else { b'-' };
            out.put_slice(self.code.to_string().as_bytes());
            out.put_u8(separator);
            out.put_slice(prefix.as_bytes());
            put_text(line, out);
            out.put_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        let mut separator = " ";
        for line in self.lines().filter(|line| !line.is_empty()) {
            write!(f, "{separator}{line}")?;
            separator = " / ";
        }
        Ok(())
    }
}

/// No text can end its line or command a terminal.
fn clean(text: Cow<'static, str>) -> Cow<'static, str> {
    let text = match text.contains(char::is_control) {
        true => Cow::Owned(text.replace(char::is_control, "?")),
        false => text,
    };
    if text.len() <= MAX_TEXT {
        return text;
    }
    let end = (0..=MAX_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    Cow::Owned(text.get(..end).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
