//! Whose mail may take a route.

use protocol::{MailPattern, ReversePath};

use crate::origin::Origin;
use crate::settings::RouteSettings;

/// The conditions of a route beside the recipient's domain; an empty one leaves nobody out.
#[derive(Debug)]
pub(crate) struct Scope {
    senders: Vec<MailPattern>,
    identities: Vec<String>,
    listeners: Vec<String>,
    policies: Vec<String>,
}

impl Scope {
    pub(crate) fn of(settings: &RouteSettings) -> Self {
        let names =
            |spanned: &[serde_spanned::Spanned<String>]| spanned.iter().map(|name| name.get_ref().clone()).collect();
        Self {
            senders: settings.senders.clone(),
            identities: settings.identities.clone(),
            listeners: names(&settings.listeners),
            policies: names(&settings.policies),
        }
    }

    pub(crate) fn includes(&self, origin: &Origin, sender: &ReversePath) -> bool {
        let one_of = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        let is_sender = |pattern: &MailPattern| sender.mailbox().is_some_and(|mailbox| pattern.holds(mailbox));
        one_of(&self.listeners, &origin.listener)
            && one_of(&self.policies, &origin.policy)
            && one_of(&self.identities, &origin.identity)
            && (self.senders.is_empty() || self.senders.iter().any(is_sender))
    }
}
