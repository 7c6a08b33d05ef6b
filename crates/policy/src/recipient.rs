//! The judgement of one recipient: limits, and whether the client's mail may reach it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::flow::MailFlowPolicy;
use crate::judgement::{Effect, Question, Step, Steps};
use crate::permit::{Permit, Reach};
use crate::recipients::{Listed, Listing};
use crate::refusal::{Monitored, Refusal, Temporary};
use crate::rule::Rule;

/// What is known at RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientFacts {
    /// Recipients that the message has already.
    pub in_message: u32,
    /// Recipients of the client within the hour, before this one.
    pub hour_of_client: u32,
    /// Recipients of the identity within the hour, before this one.
    pub hour_of_identity: u32,
    /// Recipients of the client within the hour that were unknown.
    pub unknown: u32,
    /// What the listener's table says of the address; a listener without a table has no recipients of its own.
    pub listed: Listed,
    /// What the directory says of it.
    pub directory: DirectoryFact,
}

/// What a directory says of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryFact {
    /// It was not asked.
    NotAsked,
    /// Somebody has this address.
    Known,
    /// Nobody has.
    Unknown,
    /// It can't answer; the text is for the log.
    Unavailable(String),
}

impl fmt::Display for DirectoryFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked for"),
            Self::Known => f.write_str("known"),
            Self::Unknown => f.write_str("unknown"),
            Self::Unavailable(why) => write!(f, "known or not: unavailable: {why}"),
        }
    }
}

/// Whether a recipient is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientVerdict {
    /// Yes.
    Accepted,
    /// The directory decides, and was not asked yet.
    AskDirectory,
    /// No.
    Refused(Refusal),
}

/// The whole answer of [`judge_recipient`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientJudgement {
    /// The answer.
    pub verdict: RecipientVerdict,
    /// What would have been refused, but for `monitor`; in order.
    pub monitored: Vec<Monitored>,
    /// Each question, its answer, and what followed; in order.
    pub steps: Vec<Step>,
}

/// Judges one RCPT under the policy and the permit of its MAIL. Pure: the same facts give the same judgement.
pub fn judge_recipient(facts: &RecipientFacts, permit: &Permit, policy: &MailFlowPolicy) -> RecipientJudgement {
    let mut steps = Steps::new(policy.monitor);
    let verdict =
        match limits(facts, permit, policy, &mut steps).and_then(|()| reach(facts, permit, policy, &mut steps)) {
            Ok(verdict) => verdict,
            Err(refusal) => RecipientVerdict::Refused(refusal),
        };
    RecipientJudgement { verdict, monitored: steps.monitored, steps: steps.taken }
}

/// Before a directory is asked: who is over a limit costs nobody anything.
fn limits(facts: &RecipientFacts, permit: &Permit, policy: &MailFlowPolicy, steps: &mut Steps) -> Result<(), Refusal> {
    if let Reach::Nowhere(text) = permit.reach() {
        steps.add(Question::Access, "reject, delayed to RCPT, and the client has no identity", Effect::Refused);
        return Err(Refusal::RecipientDenied(text.clone()));
    }
    let limit = policy.max_recipients_per_message;
    let answer = format!("{} of {limit} recipients in this message", facts.in_message);
    if facts.in_message >= limit {
        // Never monitored: it is what keeps a message within bounds here.
        return Err(steps.refuse(Question::Limits, answer, Refusal::TooManyRecipients(limit)));
    }
    steps.add(Question::Limits, answer, Effect::Continue);
    let mut within = |count: u32, limit: Option<u32>, whose: &str, refusal: fn(u32) -> Refusal| {
        let Some(limit) = limit else { return Ok(()) };
        let answer = format!("{count} of {limit} recipients of this {whose} within the hour");
        if count >= limit {
            return steps.enforce(Rule::Limits, Question::Limits, answer, refusal(limit));
        }
        steps.add(Question::Limits, answer, Effect::Continue);
        Ok(())
    };
    within(facts.hour_of_client, policy.max_recipients_per_hour, "client", Refusal::ClientHourFull)?;
    let per_identity = policy.max_recipients_per_hour_per_identity.filter(|_| permit.identity().is_some());
    within(facts.hour_of_identity, per_identity, "identity", Refusal::IdentityHourFull)
}

fn reach(
    facts: &RecipientFacts,
    permit: &Permit,
    policy: &MailFlowPolicy,
    steps: &mut Steps,
) -> Result<RecipientVerdict, Refusal> {
    if *permit.reach() == Reach::Anywhere {
        let why = if permit.identity().is_some() { "the client has an identity" } else { "the client may relay" };
        steps.add(Question::Recipient, why, Effect::Permitted);
        return Ok(RecipientVerdict::Accepted);
    }
    let limit = policy.max_unknown_recipients_per_hour;
    if facts.unknown >= limit {
        let answer = format!("{} of {limit} unknown recipients of this client within the hour", facts.unknown);
        steps.enforce(Rule::Limits, Question::Limits, answer, Refusal::Harvesting(limit))?;
    }
    let entry = |what: &str| -> Cow<'static, str> {
        match &facts.listed.entry {
            Some(entry) => format!("{what} by {entry}").into(),
            None => what.to_owned().into(),
        }
    };
    let (answer, refusal) = match (facts.listed.listing, &facts.directory) {
        // How far mail goes is access, and never monitored.
        (Listing::NotOurs, _) => {
            return Err(steps.refuse(Question::Recipient, entry("not ours"), Refusal::RelayingDenied));
        }
        (Listing::Accepted, _) => (entry("accepted"), None),
        (Listing::IfKnown, DirectoryFact::Known) => (entry("known, and accepted"), None),
        (Listing::IfKnown, DirectoryFact::NotAsked) => {
            steps.add(Question::Recipient, entry("accepted if known,"), Effect::Continue);
            return Ok(RecipientVerdict::AskDirectory);
        }
        (Listing::Rejected, _) => (entry("rejected"), Some(Refusal::RecipientUnknown)),
        (Listing::IfKnown, DirectoryFact::Unknown) => {
            (entry("unknown, and accepted if known,"), Some(Refusal::RecipientUnknown))
        }
        (Listing::IfKnown, DirectoryFact::Unavailable(why)) => {
            (format!("directory unavailable: {why}").into(), Some(Refusal::Temporary(Temporary::RecipientQuery)))
        }
    };
    let answer = match refusal {
        None => answer,
        Some(refusal) => {
            steps.enforce(Rule::Recipients, Question::Recipient, answer, refusal)?;
            "one of the listener's own".into()
        }
    };
    steps.add(Question::Recipient, answer, Effect::Permitted);
    Ok(RecipientVerdict::Accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_directory_says_in_words() {
        let unavailable = DirectoryFact::Unavailable("timed out".to_owned());
        let all = [DirectoryFact::NotAsked, DirectoryFact::Known, DirectoryFact::Unknown, unavailable];
        let words = all.map(|fact| fact.to_string());
        assert_eq!(words, ["not asked for", "known", "unknown", "known or not: unavailable: timed out"]);
    }
}
