//! How an administrator writes which mail addresses are meant: one address, a domain, all domains below one.

use std::fmt;
use std::str::FromStr;

use super::{Domain, Mailbox};
use serde::{Deserialize, Serialize, Serializer};

/// One address, a domain, or what lies below a domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum MailPattern {
    /// `alice@example.mil`, in any case. Kept in lower case.
    Address(String),
    /// `example.mil` or `@example.mil`
    Domain(Domain),
    /// `.example.mil` or `@.example.mil`: all domains below it, and not itself.
    Below(Domain),
}

/// Not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address and no domain: write alice@example.mil, example.mil or .example.mil (what lies below it)")]
pub struct MailPatternError(String);

impl FromStr for MailPattern {
    type Err = MailPatternError;

    fn from_str(text: &str) -> Result<Self, MailPatternError> {
        let refuse = || MailPatternError(text.to_owned());
        let domain = text.strip_prefix('@').unwrap_or(text);
        if domain.contains('@') {
            return Mailbox::parse(text).map(|mailbox| Self::Address(folded(&mailbox))).map_err(|_| refuse());
        }
        match domain.strip_prefix('.') {
            Some(parent) => Domain::parse(parent).ok().filter(|domain| !domain.is_literal()).map(Self::Below),
            None => Domain::parse(domain).ok().map(Self::Domain),
        }
        .ok_or_else(refuse)
    }
}

impl TryFrom<String> for MailPattern {
    type Error = MailPatternError;

    fn try_from(text: String) -> Result<Self, MailPatternError> {
        text.parse()
    }
}

impl Serialize for MailPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl MailPattern {
    /// Whether this mailbox is meant.
    #[must_use]
    pub fn holds(&self, mailbox: &Mailbox) -> bool {
        Self::holding(mailbox).any(|pattern| pattern == *self)
    }

    /// Every pattern that holds the mailbox, the narrowest first.
    pub fn holding(mailbox: &Mailbox) -> impl Iterator<Item = Self> {
        let domain = mailbox.domain();
        let parents = domain.as_str().match_indices('.').map(|(at, _)| at.saturating_add(1));
        let parents = parents.filter(|_| !domain.is_literal()).filter_map(|at| domain.as_str().get(at..));
        let above: Vec<Self> = parents.filter_map(|parent| Domain::parse(parent).ok()).map(Self::Below).collect();
        [Self::Address(folded(mailbox)), Self::Domain(domain.clone())].into_iter().chain(above)
    }
}

/// One's own users' addresses are the same in any case, see [`Mailbox::same_as`].
fn folded(mailbox: &Mailbox) -> String {
    mailbox.to_string().to_lowercase()
}

impl fmt::Display for MailPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::Below(domain) => write!(f, ".{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_what_they_hold() {
        for (pattern, mailbox, held) in [
            ("alice@example.mil", "alice@example.mil", true),
            ("alice@example.mil", "Alice@EXAMPLE.mil", true),
            ("alice@example.mil", "\"alice\"@example.mil", true),
            ("alice@example.mil", "bob@example.mil", false),
            ("alice@example.mil", "alice@sub.example.mil", false),
            ("example.mil", "alice@example.mil", true),
            ("@example.mil", "alice@EXAMPLE.MIL", true),
            ("example.mil", "alice@sub.example.mil", false),
            ("example.mil", "alice@notexample.mil", false),
            ("example.mil", "\"x@example.mil\"@example.com", false),
            (".example.mil", "alice@sub.example.mil", true),
            ("@.example.mil", "alice@a.b.example.mil", true),
            (".example.mil", "alice@example.mil", false),
            (".example.mil", "alice@notexample.mil", false),
            (".mil", "alice@example.mil", true),
            ("[192.0.2.1]", "alice@[192.0.2.1]", true),
            (".2.1]", "alice@[192.0.2.1]", false),
            ("bücher.example", "a@BÜCHER.example", true),
        ] {
            let parsed = pattern.parse::<MailPattern>();
            let holds = parsed.as_ref().is_ok_and(|parsed| parsed.holds(&mailbox.parse().unwrap()));
            assert_eq!(holds, held, "{pattern} {mailbox} {parsed:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_what_would_be() {
        for text in
            ["", "*", "@", ".", "a@", "alice@.example.mil", "..mil", "a b@example.mil", "example..mil", ".[192.0.2.1]"]
        {
            let error = text.parse::<MailPattern>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no address")), "{error}");
        }
    }

    #[test]
    fn patterns_display_as_they_are_read() {
        for (text, shown) in [("@example.mil", "example.mil"), ("@.mil", ".mil"), ("A@B.mil", "a@b.mil")] {
            let pattern: MailPattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), shown);
            assert_eq!(shown.parse::<MailPattern>().unwrap(), pattern);
        }
    }
}
