//! What monitored rules would have refused, told in the words that the refusal would have had.

use policy::{Monitored, Rule};

use crate::replies;
use crate::session::Session;

/// Which message it is about, as far as it is about one.
#[derive(Default, Clone, Copy)]
pub(crate) struct Message<'m> {
    pub(crate) sender: Option<&'m str>,
    pub(crate) recipient: Option<&'m str>,
    /// Of a message that was accepted.
    pub(crate) id: Option<&'m str>,
}

/// Recipients of a session that the log tells one by one.
const MAX_TOLD: u32 = 20;

impl Session {
    /// Tells what the judgement let through. Not before it matters: MAIL goes on, or AUTH succeeded. Whoever only knocks
    /// (a scanner, a monitoring system) would have been refused too, and is nobody whom the rule keeps from sending.
    pub(crate) fn tell_judgement(&mut self, rules: impl Fn(Rule) -> bool) {
        let monitored = self.judgement.monitored.clone();
        for one in monitored.iter().filter(|one| rules(one.rule)) {
            self.tell(one, Message::default());
        }
    }

    /// Tells it once a session; of each message and each recipient where the rule is about those.
    pub(crate) fn tell(&mut self, monitored: &Monitored, message: Message<'_>) {
        let again = matches!(monitored.rule, Rule::Sender | Rule::FromHeader | Rule::Recipients);
        let same = |told: &Monitored| (told.rule, &told.refusal) == (monitored.rule, &monitored.refusal);
        if !again && self.tally.told.iter().any(same) {
            return;
        }
        self.tally.monitored.insert(monitored.rule);
        self.count_monitored(monitored);
        match again {
            false => self.tally.told.push(monitored.clone()),
            true => self.tally.told_again = self.tally.told_again.saturating_add(1),
        }
        if self.tally.told_again > MAX_TOLD {
            return;
        }
        tracing::warn!(
            listener = self.serving.name,
            group = self.group(),
            policy = &*self.policy.name,
            client = %self.client,
            identity = self.identity(),
            certificate = self.certificate().map(|certificate| certificate.subject.as_str()),
            rule = %monitored.rule,
            reason = %monitored.reason,
            reply = %replies::refusal(&monitored.refusal),
            sender = message.sender,
            recipient = message.recipient,
            id = message.id,
            "would be refused"
        );
    }
}
