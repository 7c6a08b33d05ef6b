//! RCPT: RFC 5321 section 4.1.1.3. Every recipient is judged.

use std::sync::Arc;

use policy::{DirectoryFact, Listed, RecipientFacts, RecipientVerdict, Refusal, judge_recipient};
use protocol::address::AddressError;
use protocol::transaction::Rcpt;
use protocol::{CommandError, Mailbox, Recipient, Reply};

use crate::monitored::Message;
use crate::outcome::End;
use crate::recipients::Recipients;
use crate::record::{Counts, Event};
use crate::replies;
use crate::session::Session;
use crate::state::State;
use crate::transaction::Transaction;

/// Recipients of a session beyond a limit that the log tells one by one.
const MAX_LOGGED: u32 = 20;

/// Whether the recipient may well be right, and is one too many.
fn is_limit(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::TooManyRecipients(_) | Refusal::ClientHourFull(_) | Refusal::IdentityHourFull(_))
}

impl Session {
    pub(crate) async fn rcpt(&mut self, state: State, rcpt: Rcpt) -> Result<State, End> {
        let State::Mail(mut transaction) = state else {
            self.reply(&replies::bad_sequence("Send MAIL first")).await?;
            return Ok(state);
        };
        let utf8 = transaction.envelope.smtputf8;
        if !utf8 && !rcpt.forward_path.is_ascii() {
            // RFC 6531 section 3.6.
            let reply = replies::command_error(&CommandError::Recipient(AddressError::NeedsSmtpUtf8));
            self.reply(&reply).await?;
            return Ok(State::Mail(transaction));
        }
        if self.server().relay.is_some() && (rcpt.notify.is_some() || rcpt.original.is_some()) {
            self.reply(&replies::no_dsn()).await?;
            return Ok(State::Mail(transaction));
        }
        let listed = Recipients::look(self.serving.recipients.as_ref(), &rcpt.forward_path);
        let written = rcpt.forward_path.to_string();
        let mailbox = rcpt.forward_path.into_mailbox(&self.server().hostname);
        match Box::pin(self.judge_recipient(&transaction, &written, &mailbox, listed)).await {
            Ok(()) => {
                let recipient = Recipient { mailbox, notify: rcpt.notify, original: rcpt.original };
                transaction.envelope.recipients.push(recipient);
                let reply = match self.hand_on(&mut transaction).await {
                    Ok(()) => {
                        self.tally.recipients += 1;
                        replies::recipient_ok()
                    }
                    Err(reply) => {
                        transaction.envelope.recipients.pop();
                        reply
                    }
                };
                self.reply_in(&reply, utf8).await?;
            }
            Err(refusal) if is_limit(&refusal) => self.put_off(&replies::refusal(&refusal), utf8).await?,
            Err(refusal) => {
                self.reply_in(&replies::refusal(&refusal), utf8).await?;
                if let Refusal::Harvesting(_) = refusal {
                    return Err(End::Harvesting);
                }
            }
        }
        Ok(State::Mail(transaction))
    }

    /// Names the last recipient to the next hop, where mail is handed on while it comes in.
    async fn hand_on(&self, transaction: &mut Transaction) -> Result<(), Reply> {
        let Some(courier) = &self.server().relay else { return Ok(()) };
        let Transaction { hello, permit, envelope, size, relaying, .. } = transaction;
        let origin = self.origin(permit, hello);
        relaying.recipient(courier, permit, &origin, envelope, *size).await
    }

    /// Counts and judges; a recipient that is not taken is not counted.
    async fn judge_recipient(
        &mut self,
        transaction: &Transaction,
        written: &str,
        mailbox: &Mailbox,
        listed: Listed,
    ) -> Result<(), Refusal> {
        let (hours, permit, policy) = (Arc::clone(&self.server().hours), &transaction.permit, Arc::clone(&self.policy));
        let client = policy::ClientNetwork::of(self.client.ip());
        let identity = permit.identity().map(|identified| identified.principal.user_id.as_str());
        let counted = hours.count(
            policy.max_recipients_per_hour.map(|_| client),
            identity.filter(|_| policy.max_recipients_per_hour_per_identity.is_some()),
        );
        let mut facts = RecipientFacts {
            in_message: u32::try_from(transaction.envelope.recipients.len()).unwrap_or(u32::MAX),
            hour_of_client: counted.of_client,
            hour_of_identity: counted.of_identity,
            unknown: hours.unknown(client),
            listed,
            directory: DirectoryFact::NotAsked,
        };
        let mut judgement = judge_recipient(&facts, permit, &policy);
        if judgement.verdict == RecipientVerdict::AskDirectory
            && let Some(recipients) = &self.serving.recipients
        {
            facts.directory = recipients.directory_fact(mailbox).await;
            judgement = judge_recipient(&facts, permit, &policy);
        }
        let recorded = |reply: &protocol::Reply| Event::Rcpt {
            recipient: written.to_owned(),
            counts: Counts {
                of_client: policy.max_recipients_per_hour.map(|_| facts.hour_of_client),
                of_identity: policy.max_recipients_per_hour_per_identity.map(|_| facts.hour_of_identity),
                unknown: facts.unknown,
            },
            directory: facts.directory.clone(),
            reply: reply.to_string(),
        };
        let refusal = match judgement.verdict {
            RecipientVerdict::Accepted => {
                counted.keep();
                self.recorder.add(|| recorded(&replies::recipient_ok()));
                if judgement.monitored.iter().any(|one| one.refusal == Refusal::RecipientUnknown) {
                    hours.add_unknown(client);
                }
                for one in &judgement.monitored {
                    let (sender, recipient) = (permit.sender().to_string(), mailbox.to_string());
                    self.tell(one, Message { sender: Some(&sender), recipient: Some(&recipient), id: None });
                }
                return Ok(());
            }
            RecipientVerdict::Refused(refusal) => refusal,
            // A table that asks a directory has one.
            RecipientVerdict::AskDirectory => Refusal::Temporary(policy::Temporary::RecipientQuery),
        };
        self.recorder.add(|| recorded(&replies::refusal(&refusal)));
        if refusal == Refusal::RecipientUnknown {
            hours.add_unknown(client);
        }
        // Of a thousand beyond a limit nobody reads; other refusals are errors, and few.
        if is_limit(&refusal) && self.tally.put_off >= MAX_LOGGED {
            return Err(refusal);
        }
        tracing::info!(
            listener = self.serving.name,
            group = self.group(),
            policy = &*policy.name,
            client = %self.client,
            identity = identity.unwrap_or_default(),
            sender = %permit.sender(),
            recipient = %mailbox,
            reason = judgement.steps.last().map(|step| step.answer.as_ref()).unwrap_or_default(),
            refusal = %refusal,
            "RCPT refused"
        );
        Err(refusal)
    }
}
