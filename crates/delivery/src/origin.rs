//! Where a message came from, as far as routes and next hops ask.

use std::fmt;
use std::net::SocketAddr;

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
    /// Who brought it; `None` likewise, and for what a version took that did not keep it.
    pub client: Option<OriginClient>,
}

/// The client that brought a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginClient {
    /// Its end of the connection.
    pub address: SocketAddr,
    /// A name that the DNS confirms, where one was looked up and found.
    pub name: Option<String>,
    /// What it called itself.
    pub hello: String,
    /// By EHLO, not HELO.
    pub extended: bool,
}

impl Origin {
    /// Of a message of the permit's identity, that this client brought by this listener, under this mail flow policy.
    #[must_use]
    pub fn of(permit: &Permit, listener: &str, policy: &str, client: Option<OriginClient>) -> Self {
        Self {
            identity: permit.identity().map(|identity| identity.principal.user_id.to_string()).unwrap_or_default(),
            listener: listener.to_owned(),
            policy: policy.to_owned(),
            client,
        }
    }
}

/// Names and user ids have no control characters; a separator that one had would only end it early.
const SEPARATOR: char = '\u{1f}';

fn plain(text: &str) -> &str {
    text.split(SEPARATOR).next().unwrap_or_default()
}

impl fmt::Display for Origin {
    /// The form in the spool. An identity alone is what the first version wrote, and it up to the policy the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, listener, policy, client } = self;
        write!(f, "{}{SEPARATOR}{}{SEPARATOR}{}", plain(identity), plain(listener), plain(policy))?;
        let Some(OriginClient { address, name, hello, extended }) = client else { return Ok(()) };
        let (name, protocol) = (name.as_deref().unwrap_or_default(), protocol(*extended));
        write!(f, "{SEPARATOR}{address}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{protocol}", plain(name), plain(hello))
    }
}

/// RFC 3848.
pub(crate) fn protocol(extended: bool) -> &'static str {
    if extended { "ESMTP" } else { "SMTP" }
}

impl From<&str> for Origin {
    fn from(text: &str) -> Self {
        let mut fields = text.split(SEPARATOR).map(str::to_owned);
        let mut next = || fields.next().unwrap_or_default();
        let (identity, listener, policy) = (next(), next(), next());
        let client = next().parse().ok().map(|address| OriginClient {
            address,
            name: Some(next()).filter(|name| !name.is_empty()),
            hello: next(),
            extended: next() == protocol(true),
        });
        Self { identity, listener, policy, client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let read = |origin: &Origin| Origin::from(origin.to_string().as_str());
        let names =
            Origin { identity: "alice".into(), listener: "submission".into(), policy: "office".into(), client: None };
        assert_eq!(read(&names), names);
        assert_eq!(read(&Origin::default()), Origin::default());
        for client in ["192.0.2.7:49152", "[2001:db8::7]:49152"] {
            for (name, extended) in [(Some("pc7.example.mil".to_owned()), true), (None, false)] {
                let address = client.parse().unwrap();
                let client = OriginClient { address, name, hello: "[192.0.2.7]".into(), extended };
                let whole = Origin { client: Some(client), ..names.clone() };
                assert_eq!(read(&whole), whole);
            }
        }
        let forged = Origin { identity: "alice\u{1f}office".into(), ..Origin::default() };
        assert_eq!(read(&forged), Origin { identity: "alice".into(), ..Origin::default() });
    }

    #[test]
    fn older_forms_are_read() {
        assert_eq!(Origin::from("alice"), Origin { identity: "alice".into(), ..Origin::default() });
        let second = Origin { identity: "alice".into(), listener: "l".into(), policy: "p".into(), client: None };
        assert_eq!(Origin::from("alice\u{1f}l\u{1f}p"), second);
    }
}
