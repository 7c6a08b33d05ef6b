//! Proof as a value: a [`Clearance`] says who may send, a [`Permit`] that this sender is theirs to use, an [`Authorized`]
//! that this author is. Only a judgement makes the first, and only each makes the next; only a permit opens a spool
//! transaction, and only an authorized message is committed.

use std::sync::Arc;

use auth::{Mechanism, Principal};
use protocol::header::{HeaderSection, Originators};
use protocol::{MailPattern, Mailbox, ReversePath};

use crate::flow::MailFlowPolicy;
use crate::flow_values::ReplyText;
use crate::refusal::Refusal;
use crate::sender::{NullSender, OnForeign, SenderBinding, SenderRules, named, stand_in};

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
    rules: SenderRules,
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
    rules: SenderRules,
    foreign: Option<Foreign>,
}

/// This message may go on, by its header too.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorized {
    author: Option<Mailbox>,
    foreign: Option<Foreign>,
}

/// Another's sender or author, which would have been refused under `reject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Why.
    pub refusal: Refusal,
    /// The identity's address takes its place; else it stands.
    pub rewritten: bool,
}

impl Clearance {
    pub(crate) fn new(identity: Option<Identified>, reach: Reach, policy: &MailFlowPolicy, plain: bool) -> Self {
        let need_tls = plain.then(|| Arc::clone(&policy.tls_required_for_senders));
        Self { identity, reach, rules: policy.senders, need_tls }
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
        if sender == ReversePath::Null && self.rules.null_sender == NullSender::Reject {
            return Err(Refusal::NullSender);
        }
        let Self { identity, reach, rules, .. } = self;
        let (sender, foreign) = match (&identity, sender) {
            (Some(Identified { principal, .. }), ReversePath::Mailbox(mailbox))
                if !rules.is_own(rules.sender, principal, &mailbox) =>
            {
                let refusal = match rules.sender {
                    SenderBinding::OwnDomain => Refusal::SenderNotOwnDomain,
                    SenderBinding::OwnAddress | SenderBinding::Any => Refusal::SenderNotOwn(named(principal)),
                };
                match (rules.on_foreign_sender, stand_in(principal)) {
                    (OnForeign::Monitor, _) => (mailbox, Some(Foreign { refusal, rewritten: false })),
                    (OnForeign::Rewrite, Some(own)) => (own.clone(), Some(Foreign { refusal, rewritten: true })),
                    (OnForeign::Reject, _) | (OnForeign::Rewrite, None) => return Err(refusal),
                }
            }
            (_, sender) => return Ok(Permit { identity, sender, reach, rules, foreign: None }),
        };
        Ok(Permit { identity, sender: ReversePath::Mailbox(sender), reach, rules, foreign })
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

    /// The sender this permit is for: MAIL FROM, or what takes its place.
    pub fn sender(&self) -> &ReversePath {
        &self.sender
    }

    /// MAIL FROM was another's, and goes on by the policy's leniency.
    pub fn foreign(&self) -> Option<&Foreign> {
        self.foreign.as_ref()
    }

    /// Binds the header's From and Sender to the identity: RFC 5322 section 3.6.2.
    ///
    /// Every address that a reader could make out in them must be the identity's, or some reader is shown another's.
    pub fn authorize(&self, header: &HeaderSection) -> Result<Authorized, Refusal> {
        let binding = self.rules.from_header;
        let principal = match &self.identity {
            Some(identity) if binding != SenderBinding::Any => &identity.principal,
            _ => return Ok(Authorized { author: None, foreign: None }),
        };
        let Err(refusal) = self.bound(principal, header) else {
            return Ok(Authorized { author: None, foreign: None });
        };
        match (self.rules.on_foreign_from, stand_in(principal)) {
            (OnForeign::Monitor, _) => {
                Ok(Authorized { author: None, foreign: Some(Foreign { refusal, rewritten: false }) })
            }
            // Where the lines of the header are in doubt, none can be put in another's place.
            (OnForeign::Rewrite, Some(own)) if !header.summary().control => {
                // RFC 6376 section 5.4: From is always signed. A signature is not broken behind the signer's back.
                match header.summary().signed {
                    true => Err(Refusal::AuthorSigned),
                    false => Ok(Authorized {
                        author: Some(own.clone()),
                        foreign: Some(Foreign { refusal, rewritten: true }),
                    }),
                }
            }
            (OnForeign::Reject | OnForeign::Rewrite, _) => Err(refusal),
        }
    }

    fn bound(&self, principal: &Principal, header: &HeaderSection) -> Result<(), Refusal> {
        let binding = self.rules.from_header;
        let Originators { authors, sender, mentions } = header.originators().map_err(Refusal::AuthorUnclear)?;
        let own = |mailbox: &Mailbox| self.rules.is_own(binding, principal, mailbox);
        let written = authors.iter().chain(&sender).find(|mailbox| !own(mailbox)).map(ToString::to_string);
        let mentioned = || mentions.into_iter().find(|text| !Mailbox::parse(text).is_ok_and(|mailbox| own(&mailbox)));
        match written.or_else(mentioned) {
            None => Ok(()),
            Some(written) if binding == SenderBinding::OwnDomain => Err(Refusal::AuthorNotOwnDomain(written)),
            Some(written) => Err(Refusal::AuthorNotOwn { written, own: named(principal) }),
        }
    }
}

impl Authorized {
    /// Who takes the place of the authors that are named.
    pub fn author(&self) -> Option<&Mailbox> {
        self.author.as_ref()
    }

    /// The author was another, and goes on by the policy's leniency.
    pub fn foreign(&self) -> Option<&Foreign> {
        self.foreign.as_ref()
    }
}

#[cfg(test)]
mod tests;
