//! Proof as a value: a [`Clearance`] says who may send, a [`Permit`] that this sender is theirs to use, an [`Authorized`]
//! that this author is. Only a judgement makes the first, and only each makes the next; only a permit opens a spool
//! transaction, and only an authorized message is committed.

use std::sync::Arc;

use auth::{Mechanism, Principal};
use protocol::header::{HeaderSection, Originators};
use protocol::{MailPattern, Mailbox, ReversePath};

use crate::flow::MailFlowPolicy;
use crate::flow_values::ReplyText;
use crate::refusal::{Monitored, Refusal};
use crate::rule::{Rule, Rules};
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
    monitor: Rules,
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
    monitor: Rules,
    foreign: Option<Foreign>,
    monitored: Vec<Monitored>,
}

/// This message may go on, by its header too.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorized {
    author: Option<Mailbox>,
    foreign: Option<Foreign>,
    monitored: Option<Monitored>,
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
        Self { identity, reach, rules: policy.senders, monitor: policy.monitor, need_tls }
    }

    /// Who the client is; `None` where the policy lets unknown clients send.
    pub fn identity(&self) -> Option<&Identified> {
        self.identity.as_ref()
    }

    /// Binds MAIL FROM to the identity. Clients without one are held by their address alone, and `<>` is nobody's.
    pub fn permit(self, sender: ReversePath) -> Result<Permit, Refusal> {
        let needs_tls =
            |mailbox: &Mailbox| self.need_tls.iter().flat_map(|all| all.iter()).any(|one| one.holds(mailbox));
        let mut monitored = Vec::new();
        let mut enforce = |rule, refusal: Refusal| match self.monitor.contains(rule) {
            true => {
                monitored.push(Monitored::of(rule, refusal));
                Ok(())
            }
            false => Err(refusal),
        };
        if sender.mailbox().is_some_and(needs_tls) {
            enforce(Rule::Tls, Refusal::TlsRequired)?;
        }
        if sender == ReversePath::Null && self.rules.null_sender == NullSender::Reject {
            enforce(Rule::Sender, Refusal::NullSender)?;
        }
        let Self { identity, reach, rules, monitor, .. } = self;
        let mut permit = Permit { identity, sender, reach, rules, monitor, foreign: None, monitored };
        let (Some(Identified { principal, .. }), ReversePath::Mailbox(mailbox)) = (&permit.identity, &permit.sender)
        else {
            return Ok(permit);
        };
        if rules.is_own(rules.sender, principal, mailbox) {
            return Ok(permit);
        }
        let refusal = match rules.sender {
            SenderBinding::OwnDomain => Refusal::SenderNotOwnDomain,
            SenderBinding::OwnAddress | SenderBinding::Any => Refusal::SenderNotOwn(named(principal)),
        };
        match stand_in(principal).cloned().filter(|_| rules.on_foreign_sender == OnForeign::Rewrite) {
            Some(own) => {
                permit.sender = ReversePath::Mailbox(own);
                permit.foreign = Some(Foreign { refusal, rewritten: true });
            }
            None if monitor.contains(Rule::Sender) => {
                permit.monitored.push(Monitored::of(Rule::Sender, refusal.clone()));
                permit.foreign = Some(Foreign { refusal, rewritten: false });
            }
            None => return Err(refusal),
        }
        Ok(permit)
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

    /// What this sender would have been refused for, but for `monitor`.
    pub fn monitored(&self) -> &[Monitored] {
        &self.monitored
    }

    /// The sender this permit is for: MAIL FROM, or what takes its place.
    pub fn sender(&self) -> &ReversePath {
        &self.sender
    }

    /// MAIL FROM was another's, and goes on by the policy's leniency.
    pub fn foreign(&self) -> Option<&Foreign> {
        self.foreign.as_ref()
    }

    /// Whether a message could be refused for its author.
    pub fn may_refuse_author(&self) -> bool {
        let bound = self.identity.is_some() && self.rules.from_header != SenderBinding::Any;
        bound && !self.monitor.contains(Rule::FromHeader)
    }

    /// Binds the header's From and Sender to the identity: RFC 5322 section 3.6.2.
    ///
    /// Every address that a reader could make out in them must be the identity's, or some reader is shown another's.
    pub fn authorize(&self, header: &HeaderSection) -> Result<Authorized, Refusal> {
        let binding = self.rules.from_header;
        let principal = match &self.identity {
            Some(identity) if binding != SenderBinding::Any => &identity.principal,
            _ => return Ok(Authorized { author: None, foreign: None, monitored: None }),
        };
        let Err(refusal) = self.bound(principal, header) else {
            return Ok(Authorized { author: None, foreign: None, monitored: None });
        };
        let refusal = match (self.rules.on_foreign_from, stand_in(principal)) {
            // Where the lines of the header are in doubt, none can be put in another's place.
            (OnForeign::Rewrite, Some(own)) if !header.summary().control => {
                // RFC 6376 section 5.4: From is always signed. A signature is not broken behind the signer's back.
                match header.summary().signed {
                    true => Refusal::AuthorSigned,
                    false => {
                        let foreign = Some(Foreign { refusal, rewritten: true });
                        return Ok(Authorized { author: Some(own.clone()), foreign, monitored: None });
                    }
                }
            }
            _ => refusal,
        };
        if !self.monitor.contains(Rule::FromHeader) {
            return Err(refusal);
        }
        let monitored = Some(Monitored::of(Rule::FromHeader, refusal.clone()));
        Ok(Authorized { author: None, foreign: Some(Foreign { refusal, rewritten: false }), monitored })
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

    /// What it would have been refused for, but for `monitor`.
    pub fn monitored(&self) -> Option<&Monitored> {
        self.monitored.as_ref()
    }

    /// The author was another, and goes on by the policy's leniency.
    pub fn foreign(&self) -> Option<&Foreign> {
        self.foreign.as_ref()
    }
}

#[cfg(test)]
mod tests;
