//! Where a message came from, as far as routes ask.

use std::fmt;

use policy::Permit;

/// What the session knew when it took the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The person's user id; empty when nobody was identified.
    pub identity: String,
    /// The listener's name; empty for what the gateway writes itself.
    pub listener: String,
    /// The mail flow policy's name; empty likewise.
    pub policy: String,
}

impl Origin {
    /// Of a message of the permit's identity, that came in by this listener, under this mail flow policy.
    #[must_use]
    pub fn of(permit: &Permit, listener: &str, policy: &str) -> Self {
        Self {
            identity: permit.identity().map(|identity| identity.principal.user_id.to_string()).unwrap_or_default(),
            listener: listener.to_owned(),
            policy: policy.to_owned(),
        }
    }
}

/// Names and user ids have no control characters; a separator that one had would only end it early.
const SEPARATOR: char = '\u{1f}';

impl fmt::Display for Origin {
    /// The form in the spool. An identity alone is what the first version wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, listener, policy } = self;
        let identity = identity.split(SEPARATOR).next().unwrap_or_default();
        write!(f, "{identity}{SEPARATOR}{listener}{SEPARATOR}{policy}")
    }
}

impl From<&str> for Origin {
    fn from(text: &str) -> Self {
        let mut fields = text.split(SEPARATOR).map(str::to_owned);
        let mut next = || fields.next().unwrap_or_default();
        Self { identity: next(), listener: next(), policy: next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let origin = Origin { identity: "alice".into(), listener: "submission".into(), policy: "office".into() };
        assert_eq!(Origin::from(origin.to_string().as_str()), origin);
        assert_eq!(Origin::from(Origin::default().to_string().as_str()), Origin::default());
        assert_eq!(Origin::from("alice"), Origin { identity: "alice".into(), ..Origin::default() });
        let forged = Origin { identity: "alice\u{1f}office".into(), ..Origin::default() };
        assert_eq!(Origin::from(forged.to_string().as_str()), Origin { identity: "alice".into(), ..Origin::default() });
    }
}
