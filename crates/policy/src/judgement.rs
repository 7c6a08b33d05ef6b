//! What a judgement says, and the steps that led to it.

use std::borrow::Cow;
use std::fmt;

use auth::Mechanism;

use crate::permit::Clearance;
use crate::refusal::{Monitored, Refusal};
use crate::rule::{Rule, Rules};

/// The whole answer of [`crate::judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// May the session go on?
    pub standing: Standing,
    /// What EHLO says of AUTH, and what an AUTH command meets.
    pub auth: AuthOffer,
    /// What became of the AUTH exchange among the facts; `None` when there is none.
    pub attempt: Option<Result<(), Refusal>>,
    /// May MAIL go on, and as whom?
    pub mail: Result<Clearance, Refusal>,
    /// What would have been refused before MAIL could go on, but for `monitor`; in order.
    pub monitored: Vec<Monitored>,
    /// Each question, its answer, and what followed; in order.
    pub steps: Vec<Step>,
}

/// The session as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Close without a word.
    Disconnect,
    /// Every command but QUIT is answered with this; before the greeting, it is the greeting.
    Refused(Refusal),
    /// Commands are served; before TLS, by rule, only those that lead to it.
    Open {
        /// STARTTLS is offered.
        starttls: bool,
        /// All but EHLO, HELO, STARTTLS, NOOP, RSET and QUIT is refused until then.
        tls_first: bool,
    },
}

/// AUTH, as things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOffer {
    /// Advertised and served.
    Mechanisms(Vec<Mechanism>),
    /// Not advertised; an attempt is refused so.
    Refused(Refusal),
}

impl AuthOffer {
    /// The mechanism of this name, if an exchange with it may lead to anything.
    pub fn mechanism(&self, name: &str) -> Result<Mechanism, Refusal> {
        match self {
            Self::Refused(refusal) => Err(refusal.clone()),
            Self::Mechanisms(offered) => {
                let mechanism = name.parse().map_err(|_| Refusal::MechanismNotOffered)?;
                // Whether EXTERNAL is refused for good or for now is the judgement's to say.
                let judged = mechanism == Mechanism::External || offered.contains(&mechanism);
                if judged { Ok(mechanism) } else { Err(Refusal::MechanismNotOffered) }
            }
        }
    }
}

/// One question on the way to the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was asked.
    pub question: Question,
    /// What the facts said.
    pub answer: Cow<'static, str>,
    /// What followed from it.
    pub effect: Effect,
}

/// What a judgement asks, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is the client welcome?
    Access,
    /// Is there TLS?
    Transport,
    /// Is there a certificate?
    Certificate,
    /// Does it lead to a trust anchor?
    Path,
    /// Is it revoked?
    Revocation,
    /// Whose is it?
    CertificateQuery,
    /// Did AUTH succeed?
    Attempt,
    /// May this person use AUTH?
    Allowance,
    /// May mail go on?
    Mail,
    /// Is MAIL FROM the identity's own?
    Sender,
    /// Are there too many recipients?
    Limits,
    /// May this recipient have it?
    Recipient,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The next question is asked.
    Continue,
    /// The client has an identity.
    Identified,
    /// A password may take the certificate's place.
    Fallback,
    /// A failure that may pass.
    Temporary,
    /// A no.
    Refused,
    /// It would be a no, or a failure, were the rule not monitored; the next question is asked.
    Monitored,
    /// A yes.
    Permitted,
}

/// The steps of a judgement under way, and what the rules that are only tried out would have refused.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) taken: Vec<Step>,
    pub(crate) monitored: Vec<Monitored>,
    monitor: Rules,
}

impl Steps {
    /// Before the first question, under these rules of the policy that are monitored.
    pub(crate) fn new(monitor: Rules) -> Self {
        Self { taken: Vec::with_capacity(8), monitored: Vec::new(), monitor }
    }

    pub(crate) fn add(&mut self, question: Question, answer: impl Into<Cow<'static, str>>, effect: Effect) {
        self.taken.push(Step { question, answer: answer.into(), effect });
    }

    /// Whether a rule is only tried out.
    pub(crate) fn monitors(&self, rule: Rule) -> bool {
        self.monitor.contains(rule)
    }

    /// This rule is only tried out, by another setting than the policy's.
    pub(crate) fn monitor(&mut self, rule: Rule) {
        self.monitor.insert(rule);
    }

    /// An answer that nothing makes good.
    pub(crate) fn refuse(
        &mut self,
        question: Question,
        answer: impl Into<Cow<'static, str>>,
        refusal: Refusal,
    ) -> Refusal {
        let effect = if refusal.is_temporary() { Effect::Temporary } else { Effect::Refused };
        self.add(question, answer, effect);
        refusal
    }

    /// A rule says no: `Ok` where it is only tried out.
    pub(crate) fn enforce(
        &mut self,
        rule: Rule,
        question: Question,
        answer: impl Into<Cow<'static, str>>,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        if !self.monitors(rule) {
            return Err(self.refuse(question, answer, refusal));
        }
        let reason = answer.into();
        self.add(question, reason.clone(), Effect::Monitored);
        self.monitored.push(Monitored { rule, refusal, reason });
        Ok(())
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Access => "access",
            Self::Transport => "transport",
            Self::Certificate => "certificate",
            Self::Path => "path",
            Self::Revocation => "revocation",
            Self::CertificateQuery => "certificate query",
            Self::Attempt => "AUTH",
            Self::Allowance => "allowance",
            Self::Mail => "MAIL",
            Self::Sender => "sender",
            Self::Limits => "limits",
            Self::Recipient => "RCPT",
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Continue => "go on",
            Self::Identified => "identified",
            Self::Fallback => "password may follow",
            Self::Temporary => "temporary failure",
            Self::Refused => "refused",
            Self::Monitored => "would be refused",
            Self::Permitted => "permitted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4954 section 4: names without regard to case.
    #[test]
    fn a_mechanism_is_served_where_it_is_offered() {
        let offer = AuthOffer::Mechanisms(vec![Mechanism::External, Mechanism::Plain]);
        for (name, expected) in [
            ("PLAIN", Ok(Mechanism::Plain)),
            ("plain", Ok(Mechanism::Plain)),
            ("EXTERNAL", Ok(Mechanism::External)),
            ("LOGIN", Err(Refusal::MechanismNotOffered)),
            ("CRAM-MD5", Err(Refusal::MechanismNotOffered)),
            ("", Err(Refusal::MechanismNotOffered)),
        ] {
            assert_eq!(offer.mechanism(name), expected, "{name:?}");
        }
        // The judgement of the exchange says whether EXTERNAL is refused for good or for now.
        let passwords = AuthOffer::Mechanisms(vec![Mechanism::Plain]);
        assert_eq!(passwords.mechanism("EXTERNAL"), Ok(Mechanism::External));
        let refused = AuthOffer::Refused(Refusal::EncryptionRequired);
        assert_eq!(refused.mechanism("PLAIN"), Err(Refusal::EncryptionRequired));
    }
}
