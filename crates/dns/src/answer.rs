//! What came of a question.

use std::time::Duration;

/// Records of one kind; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub records: Vec<T>,
    /// Signed, and so is every alias on the way (RFC 4033 section 5). Never so when `dnssec` is off.
    pub secure: bool,
    /// For how long it is true.
    pub ttl: Duration,
    /// The name that has the records: another than was asked about when that one is an alias (CNAME). In lower case,
    /// A-labels, without a dot at the end.
    pub name: String,
}

impl<T> Answer<T> {
    pub(crate) fn map<U>(&self, make: impl FnMut(&T) -> Option<U>) -> Option<Answer<U>> {
        let records: Vec<U> = self.records.iter().filter_map(make).collect();
        let Self { secure, ttl, ref name, .. } = *self;
        (!records.is_empty()).then(|| Answer { records, secure, ttl, name: name.clone() })
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// DNS says that there is no such name (NXDOMAIN).
    #[error("there is no such name in the DNS")]
    Name,
    /// DNS says that the name has no such records.
    #[error("the name has no such records in the DNS")]
    Records,
    /// DNS did not say, or not so that it can be believed. Another time it may.
    #[error("the DNS does not say: {0}")]
    Unknown(String),
}
