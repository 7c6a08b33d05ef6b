//! Who a client turned out to be.

use protocol::{MailPattern, Mailbox};
use serde::{Deserialize, Serialize};

/// A person that a directory named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The directory's user id, as it spells it.
    pub user_id: String,
    /// The addresses this person may send as.
    pub addresses: Vec<Mailbox>,
    /// What else this person may send as: shared mailboxes, lists, whole domains. They name nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub send_as: Vec<MailPattern>,
}

impl Principal {
    /// Whether two answers name the same person. User ids are compared without regard to case, as directories do.
    pub fn is(&self, user_id: &str) -> bool {
        self.user_id.eq_ignore_ascii_case(user_id)
    }

    /// Adds addresses, each once.
    pub(crate) fn add_addresses(&mut self, addresses: impl IntoIterator<Item = Mailbox>) {
        for address in addresses {
            if !self.addresses.iter().any(|known| known.same_as(&address)) {
                self.addresses.push(address);
            }
        }
    }

    /// Whether an authorization identity (RFC 4422 section 3.4.1) names this person: by user id or by an address.
    pub fn is_named(&self, authorization_identity: &str) -> bool {
        self.is(authorization_identity)
            || Mailbox::parse(authorization_identity)
                .is_ok_and(|named| self.addresses.iter().any(|address| address.same_as(&named)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_named_by_user_id_or_address() {
        let address = |text: &str| text.parse::<Mailbox>().unwrap();
        let mut alice = Principal {
            user_id: "alice".to_owned(),
            addresses: vec![address("alice@example.mil")],
            send_as: vec!["staff@example.mil".parse().unwrap(), "@lists.example.mil".parse().unwrap()],
        };
        for (name, is, named) in [
            ("alice", true, true),
            ("Alice", true, true),
            ("alice@example.mil", false, true),
            ("ALICE@Example.MIL", false, true),
            ("alice@example.com", false, false),
            ("bob", false, false),
            ("", false, false),
            // What is lent names nobody.
            ("staff@example.mil", false, false),
            ("x@lists.example.mil", false, false),
        ] {
            assert_eq!((alice.is(name), alice.is_named(name)), (is, named), "{name:?}");
        }
        alice.add_addresses([address("Alice@EXAMPLE.mil"), address("a@b.example"), address("a@b.example")]);
        assert_eq!(alice.addresses, [address("alice@example.mil"), address("a@b.example")]);
    }
}
