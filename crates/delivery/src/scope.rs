//! Whose mail may take a route.

use protocol::{MailPattern, ReversePath};

use crate::origin::Origin;
use crate::settings::RouteSettings;

/// What mail must be for a route to take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The recipient's domain is one of `domains`.
    Domains,
    /// It came in by one of `listeners`.
    Listeners,
    /// It came in under one of `policies`.
    Policies,
    /// It is from one of `identities`.
    Identities,
    /// Its sender is one of `senders`.
    Senders,
}

impl Condition {
    /// The key in `[[route]]`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Listeners => "listeners",
            Self::Policies => "policies",
            Self::Identities => "identities",
            Self::Senders => "senders",
        }
    }
}

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

    /// The first condition that is not met.
    pub(crate) fn unmet(&self, origin: &Origin, sender: &ReversePath) -> Option<Condition> {
        let one_of = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        let is_sender = |pattern: &MailPattern| sender.mailbox().is_some_and(|mailbox| pattern.holds(mailbox));
        let conditions = [
            (Condition::Listeners, one_of(&self.listeners, &origin.listener)),
            (Condition::Policies, one_of(&self.policies, &origin.policy)),
            (Condition::Identities, one_of(&self.identities, &origin.identity)),
            (Condition::Senders, self.senders.is_empty() || self.senders.iter().any(is_sender)),
        ];
        conditions.into_iter().find(|(_, is_met)| !is_met).map(|(condition, _)| condition)
    }
}
