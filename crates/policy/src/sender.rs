//! Sender binding: what an identity may write as sender and author, and what follows where it writes otherwise.

use auth::Principal;
use protocol::{MailPattern, Mailbox};
use serde::Deserialize;

/// What an identity may write as sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SenderBinding {
    /// One of the identity's own addresses.
    #[default]
    OwnAddress,
    /// Any address in the domain of one of them.
    OwnDomain,
    /// Anything.
    Any,
}

/// What follows from a sender or an author that is not the identity's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum OnForeign {
    /// The message is refused.
    #[default]
    Reject,
    /// The identity's first address takes its place.
    Rewrite,
}

impl TryFrom<String> for OnForeign {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "reject" => Ok(Self::Reject),
            "rewrite" => Ok(Self::Rewrite),
            // Rules are tried out in one place.
            "monitor" => {
                Err("to let through and log, write monitor = [\"sender\"] in this policy, or \"from-header\""
                    .to_owned())
            }
            // In serde's own words, as of every other set of values.
            _ => Err(format!("unknown variant `{text}`, expected `reject` or `rewrite`")),
        }
    }
}

/// Whether clients may send from nobody, `MAIL FROM:<>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NullSender {
    /// As mail programs do for read receipts (RFC 8098 section 3).
    #[default]
    Allow,
    /// A sender must be named.
    Reject,
}

/// What stands between a mailbox and a detail of it, as in `alice+lists@example.mil` (RFC 5233).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SubaddressSeparator(pub char);

impl TryFrom<String> for SubaddressSeparator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().next() {
            Some(separator) if text.len() == 1 && "+-=_#%".contains(separator) => Ok(Self(separator)),
            _ => Err(format!("{text:?} does not separate a mailbox from its detail: write \"+\"")),
        }
    }
}

/// A policy's rules for senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderRules {
    /// What an identity may write in MAIL FROM.
    pub sender: SenderBinding,
    /// It writes otherwise.
    pub on_foreign_sender: OnForeign,
    /// What an identity may write in the header's From and Sender.
    pub from_header: SenderBinding,
    /// It writes otherwise, or so that nobody can say what.
    pub on_foreign_from: OnForeign,
    /// `MAIL FROM:<>`.
    pub null_sender: NullSender,
    /// `None`: a detail makes another address.
    pub subaddress_separator: Option<SubaddressSeparator>,
}

/// How many of an identity's addresses a refusal names: a reply line has 512 octets.
const NAMED_ADDRESSES: usize = 3;

impl SenderRules {
    /// Whether this is the person's to write, under one of the bindings.
    pub(crate) fn is_own(&self, binding: SenderBinding, person: &Principal, mailbox: &Mailbox) -> bool {
        let lent = || person.send_as.iter().any(|pattern| pattern.holds(mailbox));
        let own = match binding {
            SenderBinding::Any => true,
            SenderBinding::OwnAddress => {
                let separator = self.subaddress_separator;
                let whole = separator.and_then(|SubaddressSeparator(separator)| mailbox.without_detail(separator));
                person.addresses.iter().any(|own| own.same_as(mailbox) || whole.iter().any(|whole| own.same_as(whole)))
            }
            SenderBinding::OwnDomain => person.addresses.iter().any(|own| own.domain().same_as(mailbox.domain())),
        };
        own || lent()
    }
}

/// The addresses that a refusal names.
pub(crate) fn named(person: &Principal) -> Vec<Mailbox> {
    let lent = person.send_as.iter().filter_map(|pattern| match pattern {
        MailPattern::Address(address) => Mailbox::parse(address).ok(),
        MailPattern::Domain(_) | MailPattern::Below(_) => None,
    });
    person.addresses.iter().cloned().chain(lent).take(NAMED_ADDRESSES).collect()
}

/// The address that takes the place of another's: the first that can go to any server, SMTPUTF8 or not.
pub(crate) fn stand_in(person: &Principal) -> Option<&Mailbox> {
    person.addresses.iter().find(|address| address.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_value_says_what_would_be_right() {
        let foreign = |text: &str| OnForeign::try_from(text.to_owned());
        assert_eq!((foreign("reject"), foreign("rewrite")), (Ok(OnForeign::Reject), Ok(OnForeign::Rewrite)));
        assert!(foreign("monitor").unwrap_err().contains("write monitor = [\"sender\"]"));
        assert_eq!(foreign("drop").unwrap_err(), "unknown variant `drop`, expected `reject` or `rewrite`");
        for separator in "+-=_#%".chars() {
            assert_eq!(SubaddressSeparator::try_from(separator.to_string()), Ok(SubaddressSeparator(separator)));
        }
        for wrong in ["", "a", "@", ".", "++", "+a", "é", "−"] {
            let error = SubaddressSeparator::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.ends_with("write \"+\"") && error.contains(wrong), "{wrong:?}: {error}");
        }
    }
}
