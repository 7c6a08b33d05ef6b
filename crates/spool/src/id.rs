//! Message ids: short, never used twice, and in the order of arrival.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize, Serializer};

/// Names one accepted message: in `Received`, in logs, in the queue. Prints as eleven
/// characters of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct MessageId(u64);

impl TryFrom<String> for MessageId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Crockford's base 32, whose order is that of ASCII: ids sort as text the way they sort as numbers.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 55 bits: microseconds for a thousand years.
const DIGITS: u32 = 11;

impl MessageId {
    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..DIGITS).rev().try_for_each(|digit| {
            let value = (self.0 >> (5 * digit)) & 31;
            let character = usize::try_from(value).ok().and_then(|at| ALPHABET.get(at)).copied().unwrap_or(b'0');
            fmt::Write::write_char(f, char::from(character))
        })
    }
}

/// The text is no message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: eleven characters, such as 01JD8Q5VZ3T")]
pub struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digit = |byte: u8| ALPHABET.iter().position(|&known| known == byte.to_ascii_uppercase());
        if text.len() != 11 {
            return Err(NotAnId);
        }
        let value = text.bytes().try_fold(0_u64, |value, byte| Some(value << 5 | u64::try_from(digit(byte)?).ok()?));
        value.map(Self).ok_or(NotAnId)
    }
}

/// Issues ids: the microsecond of arrival, or the next free number after the last one.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// `last` is the highest id the store has seen: the clock may have been set back since.
    pub(crate) fn after(last: MessageId) -> Self {
        Self(AtomicU64::new(last.0))
    }

    pub(crate) fn next(&self, unix_micros: u64) -> MessageId {
        let after = |last: u64| unix_micros.max(last.saturating_add(1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        MessageId(after(last.unwrap_or_default()))
    }

    /// No id above this one has been issued.
    pub(crate) fn last(&self) -> MessageId {
        MessageId(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_sort_and_read_back() {
        let ids = Ids::after(MessageId(0));
        let first = ids.next(1_700_000_000_000_000);
        // The clock stands still, then goes back.
        let second = ids.next(1_700_000_000_000_000);
        let third = ids.next(5);
        assert!(first < second && second < third);
        assert!(first.to_string() < second.to_string() && second.to_string() < third.to_string());
        for id in [first, second, third, MessageId(0), MessageId((1 << 55) - 1)] {
            assert_eq!(id.to_string().len(), 11);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        }
        assert_eq!("0000000000U".parse::<MessageId>(), Err(NotAnId), "U is not in the alphabet");
        assert_eq!("12".parse::<MessageId>(), Err(NotAnId));
    }
}
