//! Replies: written by the server, read by the client. RFC 5321 section 4.2, RFC 3463, RFC 2034.

use std::borrow::Cow;
use std::fmt;

/// RFC 3463: class.subject.detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

/// One reply, of one line or several. `Display` gives the last line's text for logs; [`Reply::write_to`] the wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200..=599
    pub code: u16,
    /// Repeated on every line of the wire form (RFC 2034 section 4).
    pub enhanced: Option<EnhancedCode>,
    /// At least one; without code, without CRLF.
    pub lines: Vec<Cow<'static, str>>,
}
