//! Proof as a value: a [`Clearance`] says who may send, a [`Permit`] that this sender is theirs to use. Only a judgement
//! makes the one, only the one makes the other, and only a permit opens a spool transaction.

use std::sync::Arc;

use auth::{Mechanism, Principal};
use protocol::{Mailbox, ReversePath};

use crate::flow::{MailFlowPolicy, SenderBinding};
use crate::flow_values::ReplyText;
use crate::mail_pattern::MailPattern;
use crate::refusal::Refusal;

/// Whom the client was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The person.
    pub principal: Principal,
    /// `None`: by the certificate alone, without an AUTH command.
    pub mechanism: Option<Mechanism>,
}

/// MAIL may go on, as this identity or as nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearance {
    identity: Option<Identified>,
    reach: Reach,
    binding: SenderBinding,
    /// Senders who need the TLS that this session lacks.
    need_tls: Option<Arc<[MailPattern]>>,
}

/// Whom a client's mail may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Anybody.
    Anywhere,
    /// The listener's own recipients.
    OwnRecipients,
    /// Nobody: the rejection was delayed, and these are its words.
    Nowhere(Option<ReplyText>),
}

/// This identity may send one message from this sender. Asked for anew at each MAIL, since it can be withdrawn.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    identity: Option<Identified>,
    sender: ReversePath,
    reach: Reach,
}

/// How many of an identity's addresses a refusal names: a reply line has 512 octets.
const NAMED_ADDRESSES: usize = 3;

impl Clearance {
    pub(crate) fn new(identity: Option<Identified>, reach: Reach, policy: &MailFlowPolicy, plain: bool) -> Self {
        let need_tls = plain.then(|| Arc::clone(&policy.tls_required_for_senders));
        Self { identity, reach, binding: policy.sender, need_tls }
    }

    /// Who the client is; `None` where the policy lets unknown clients send.
    pub fn identity(&self) -> Option<&Identified> {
        self.identity.as_ref()
    }

    /// Binds MAIL FROM to the identity. Clients without one are held by their address alone, and `<>` is nobody's.
    pub fn permit(self, sender: ReversePath) -> Result<Permit, Refusal> {
        let needs_tls =
            |mailbox: &Mailbox| self.need_tls.iter().flat_map(|all| all.iter()).any(|one| one.holds(mailbox));
        if sender.mailbox().is_some_and(needs_tls) {
            return Err(Refusal::TlsRequired);
        }
        if let (Some(identity), ReversePath::Mailbox(mailbox)) = (&self.identity, &sender) {
            bound(self.binding, &identity.principal.addresses, mailbox)?;
        }
        Ok(Permit { identity: self.identity, sender, reach: self.reach })
    }
}

fn bound(binding: SenderBinding, own: &[Mailbox], sender: &Mailbox) -> Result<(), Refusal> {
    match binding {
        SenderBinding::Any => Ok(()),
        SenderBinding::OwnAddress if own.iter().any(|address| address.same_as(sender)) => Ok(()),
        SenderBinding::OwnAddress => Err(Refusal::SenderNotOwn(own.iter().take(NAMED_ADDRESSES).cloned().collect())),
        SenderBinding::OwnDomain if own.iter().any(|address| address.domain() == sender.domain()) => Ok(()),
        SenderBinding::OwnDomain => Err(Refusal::SenderNotOwnDomain),
    }
}

impl Permit {
    /// Who sends; `None` where the policy lets unknown clients send.
    pub fn identity(&self) -> Option<&Identified> {
        self.identity.as_ref()
    }

    /// Whom the mail may reach.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The MAIL FROM this permit is for.
    pub fn sender(&self) -> &ReversePath {
        &self.sender
    }
}

#[cfg(test)]
mod tests;
