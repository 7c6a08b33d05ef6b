//! Lists of addresses: RFC 5322 section 3.4, groups in From by RFC 6854, UTF-8 by RFC 6532. Of the obsolete syntax only
//! dots in display names are taken, which everybody writes; and no comments or white space within an address.

use crate::address::{Mailbox, is_atext};

/// What a field names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// All of them, those of groups too.
    pub(super) mailboxes: Vec<Mailbox>,
    /// There was a group.
    pub(super) groups: bool,
}

/// What cannot be read; the words go on from "the From field".
type Unclear = &'static str;

/// Reads the whole of an unfolded field.
pub(super) fn parse(text: &str) -> Result<Addresses, Unclear> {
    let mut cursor = Cursor { rest: text };
    let mut found = Addresses { mailboxes: Vec::new(), groups: false };
    cursor.skip_cfws()?;
    if cursor.rest.is_empty() {
        return Err("is empty");
    }
    loop {
        match cursor.mailbox_or_group()? {
            Some(mailbox) => found.mailboxes.push(mailbox),
            None => {
                found.groups = true;
                cursor.members(&mut found.mailboxes)?;
            }
        }
        if cursor.rest.is_empty() {
            return Ok(found);
        }
        cursor.expect(',', "has something after an address that is no comma")?;
    }
}

struct Cursor<'t> {
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    fn take(&mut self, octets: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(octets).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        self.take(self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len()))
    }

    fn expect(&mut self, wanted: char, otherwise: Unclear) -> Result<(), Unclear> {
        self.rest = self.rest.strip_prefix(wanted).ok_or(otherwise)?;
        Ok(())
    }

    /// White space and comments. One in another, or with a backslash, is read in more than one way.
    fn skip_cfws(&mut self) -> Result<(), Unclear> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t'));
            if !self.rest.starts_with('(') {
                return Ok(());
            }
            self.take(1);
            self.take_while(|c| !matches!(c, '(' | ')' | '\\'));
            self.expect(')', "has a comment without end, within another, or with a backslash")?;
        }
    }

    /// With the white space and the comments that follow. `None`: a group has begun.
    fn mailbox_or_group(&mut self) -> Result<Option<Mailbox>, Unclear> {
        self.skip_cfws()?;
        let mut words = 0;
        let mailbox = loop {
            let start = self.rest;
            let word = self.word()?;
            match self.rest.chars().next() {
                Some('@') if word && words == 0 => break self.addr_spec(start)?,
                Some('@') if word => return Err("has several words before an @: a display name goes in quotes"),
                _ if word => words += 1,
                Some('<') => break self.angle_addr()?,
                Some('@') => return Err(MALFORMED),
                Some(':') if words > 0 => {
                    self.take(1);
                    return Ok(None);
                }
                None | Some(',' | ';') if words > 0 => return Err("has a name without an address"),
                None | Some(',' | ';') => return Err("has an empty place in its list"),
                Some(_) => return Err("has a character that must be in quotes"),
            }
            self.skip_cfws()?;
        };
        self.skip_cfws()?;
        Ok(Some(mailbox))
    }

    /// Mailboxes, and the semicolon that ends the group.
    fn members(&mut self, mailboxes: &mut Vec<Mailbox>) -> Result<(), Unclear> {
        self.skip_cfws()?;
        if !self.rest.starts_with(';') {
            loop {
                mailboxes.push(self.mailbox_or_group()?.ok_or("has a group within a group")?);
                if !self.rest.starts_with(',') {
                    break;
                }
                self.take(1);
            }
        }
        self.expect(';', "has a group without end")?;
        self.skip_cfws()
    }

    /// Takes an atom, with dots perhaps, or a quoted string; false when there is none.
    fn word(&mut self) -> Result<bool, Unclear> {
        if self.rest.starts_with('"') {
            return self.quoted_string().map(|()| true);
        }
        Ok(!self.take_while(|c| c == '.' || is_atext(c)).is_empty())
    }

    fn quoted_string(&mut self) -> Result<(), Unclear> {
        self.take(1);
        loop {
            self.take_while(|c| !matches!(c, '"' | '\\'));
            match self.take(1) {
                "\"" => return Ok(()),
                // A backslash stands before a character that is not this one's end.
                "\\" if !self.rest.is_empty() => self.rest = skip_char(self.rest),
                _ => return Err("has a quoted string without end"),
            }
        }
    }

    /// The rest of an address whose local part began at `start`.
    fn addr_spec(&mut self, start: &'t str) -> Result<Mailbox, Unclear> {
        self.take(1);
        self.domain();
        let length = start.len().saturating_sub(self.rest.len());
        let address = start.get(..length).unwrap_or_default();
        // RFC 2047 section 5 (3) forbids it, and who decodes it all the same sees another address.
        if address.contains("=?") {
            return Err("has an encoded word in an address");
        }
        Mailbox::parse(address).map_err(|_| MALFORMED)
    }

    fn angle_addr(&mut self) -> Result<Mailbox, Unclear> {
        self.take(1);
        let start = self.rest;
        match self.word()? && self.rest.starts_with('@') {
            true => {
                let mailbox = self.addr_spec(start)?;
                self.expect('>', MALFORMED)?;
                Ok(mailbox)
            }
            // RFC 5322 section 4.4: obs-route.
            false if start.starts_with('@') => Err("has a source route"),
            false => Err(MALFORMED),
        }
    }

    /// What may be one; [`Mailbox::parse`] says whether it is.
    fn domain(&mut self) {
        if self.rest.starts_with('[') {
            self.take_while(|c| c != ']');
            self.take(1);
        } else {
            self.take_while(|c| c == '.' || is_atext(c));
        }
    }
}

const MALFORMED: Unclear = "has a malformed address";

fn skip_char(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}
