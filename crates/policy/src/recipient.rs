//! The judgement of one recipient: limits, and whether the client's mail may reach it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::flow::MailFlowPolicy;
use crate::judgement::{Effect, Question, Step, Steps};
use crate::permit::{Permit, Reach};
use crate::recipients::{Listed, Listing};
use crate::refusal::{Refusal, Temporary};

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
    /// Each question, its answer, and what followed; in order.
    pub steps: Vec<Step>,
}

/// Judges one RCPT under the policy and the permit of its MAIL. Pure: the same facts give the same judgement.
pub fn judge_recipient(facts: &RecipientFacts, permit: &Permit, policy: &MailFlowPolicy) -> RecipientJudgement {
    let mut steps = Steps::default();
    let verdict =
        match limits(facts, permit, policy, &mut steps).and_then(|()| reach(facts, permit, policy, &mut steps)) {
            Ok(verdict) => verdict,
            Err(refusal) => RecipientVerdict::Refused(refusal),
        };
    RecipientJudgement { verdict, steps: steps.0 }
}

/// Before a directory is asked: who is over a limit costs nobody anything.
fn limits(facts: &RecipientFacts, permit: &Permit, policy: &MailFlowPolicy, steps: &mut Steps) -> Result<(), Refusal> {
    let mut within = |count: u32, limit: Option<u32>, what: &str, refusal: fn(u32) -> Refusal| match limit {
        None => Ok(()),
        Some(limit) => {
            let full = count >= limit;
            let effect = if full { Effect::Temporary } else { Effect::Continue };
            steps.add(Question::Limits, format!("{count} of {limit} recipients {what}"), effect);
            if full { Err(refusal(limit)) } else { Ok(()) }
        }
    };
    if let Reach::Nowhere(text) = permit.reach() {
        steps.add(Question::Access, "reject, delayed to RCPT, and the client has no identity", Effect::Refused);
        return Err(Refusal::RecipientDenied(text.clone()));
    }
    let per_message = Some(policy.max_recipients_per_message);
    within(facts.in_message, per_message, "in this message", Refusal::TooManyRecipients)?;
    let per_client = policy.max_recipients_per_hour;
    within(facts.hour_of_client, per_client, "of this client within the hour", Refusal::ClientHourFull)?;
    let per_identity = policy.max_recipients_per_hour_per_identity.filter(|_| permit.identity().is_some());
    within(facts.hour_of_identity, per_identity, "of this identity within the hour", Refusal::IdentityHourFull)
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
        steps.add(Question::Limits, answer, Effect::Temporary);
        return Err(Refusal::Harvesting(limit));
    }
    let entry = |what: &str| -> Cow<'static, str> {
        match &facts.listed.entry {
            Some(entry) => format!("{what} by {entry}").into(),
            None => what.to_owned().into(),
        }
    };
    let (answer, effect, outcome) = match (facts.listed.listing, &facts.directory) {
        (Listing::NotOurs, _) => (entry("not ours"), Effect::Refused, Err(Refusal::RelayingDenied)),
        (Listing::Rejected, _) => (entry("rejected"), Effect::Refused, Err(Refusal::RecipientUnknown)),
        (Listing::Accepted, _) => (entry("accepted"), Effect::Permitted, Ok(RecipientVerdict::Accepted)),
        (Listing::IfKnown, DirectoryFact::NotAsked) => {
            (entry("accepted if known,"), Effect::Continue, Ok(RecipientVerdict::AskDirectory))
        }
        (Listing::IfKnown, DirectoryFact::Known) => {
            (entry("known, and accepted"), Effect::Permitted, Ok(RecipientVerdict::Accepted))
        }
        (Listing::IfKnown, DirectoryFact::Unknown) => {
            (entry("unknown, and accepted if known,"), Effect::Refused, Err(Refusal::RecipientUnknown))
        }
        (Listing::IfKnown, DirectoryFact::Unavailable(why)) => (
            format!("directory unavailable: {why}").into(),
            Effect::Temporary,
            Err(Refusal::Temporary(Temporary::RecipientQuery)),
        ),
    };
    steps.add(Question::Recipient, answer, effect);
    outcome
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
