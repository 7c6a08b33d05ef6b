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
