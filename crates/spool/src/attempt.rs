//! One attempt for one message along one route.

use std::sync::Arc;

use delivery::{Cause, Courier, Destination, Outcome, Outcomes};
use protocol::{EnhancedCode, Envelope};
use tokio_util::sync::CancellationToken;

use crate::active::{Active, Content, way};
use crate::clock::{Millis, millis};
use crate::id::MessageId;
use crate::patience::Patience;
use crate::record::Record;
use crate::schedule::{Way, Went};
use crate::shared::{Shared, count};
use crate::store::{ReadError, Source};

/// RFC 3463 section 3.5.
const NO_ROUTE: EnhancedCode = EnhancedCode(5, 4, 4);

/// Everything an attempt needs.
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) courier: Courier,
    pub(crate) active: Arc<Active>,
    pub(crate) way: Way,
    /// The stop does not wait any longer.
    pub(crate) stop: CancellationToken,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When to look at the message again; `None` when it is dealt with.
    pub(crate) due: Option<Millis>,
    /// What it says of its way.
    pub(crate) went: Went,
}

impl Attempt {
    /// Delivers to the recipients whose time has come, or takes `given` for what came of it.
    pub(crate) async fn run(self, given: Option<Cause>) -> Ended {
        let content = match self.active.content(&self.shared).await {
            Ok(content) => content,
            Err(error) => {
                return Ended { due: give_way(&self.shared, self.active.id, error).await, went: Went::Nowhere };
            }
        };
        let now = self.shared.clock.now();
        let recipients = {
            let mut progress = content.progress.lock().await;
            let due = progress.due(now).filter(|&at| way(&self.courier, content, at) == self.way);
            // One transaction at a time: what it came to is written down before the next.
            let due: Vec<usize> = due.take(self.most_recipients()).collect();
            progress.mark(&due, true);
            due
        };
        if recipients.is_empty() {
            return Ended { due: content.progress.lock().await.state.due(), went: Went::Nowhere };
        }
        let mut source = content.source();
        let (recipients, outcomes) = match (given, &self.way) {
            (Some(cause), _) => {
                let outcomes = vec![Outcome::Deferred(cause); recipients.len()];
                (recipients, outcomes)
            }
            (None, None) => {
                let outcomes = recipients.iter().map(|&at| no_route(&content.envelope, at)).collect();
                (recipients, outcomes)
            }
            (None, Some(destination)) => {
                let (settled, open) = self.deliver(destination, content, recipients, &mut source).await;
                content.progress.lock().await.mark(&open, false);
                settled.into_iter().unzip()
            }
        };
        if let Some(why) = source.damage() {
            let due = give_way(&self.shared, self.active.id, ReadError::Damaged(why.to_owned())).await;
            return Ended { due, went: Went::Nowhere };
        }
        if recipients.is_empty() {
            return Ended { due: Some(now), went: Went::Nowhere };
        }
        let went = went(&outcomes);
        let (shared, id, break_off) = (&self.shared, self.active.id, &self.stop);
        let patience = Patience::with(&shared.settings, self.way.as_ref().map(|way| (&self.courier, way)));
        let due = Record { shared, id, content, recipients, outcomes, patience, break_off }.write().await;
        Ended { due, went }
    }
}

impl Attempt {
    fn most_recipients(&self) -> usize {
        self.way.as_ref().map_or(usize::MAX, |destination| self.courier.max_recipients(destination))
    }

    /// The recipients with an outcome; and those without, when the attempt had to be broken off.
    async fn deliver(
        &self,
        destination: &Destination,
        content: &Content,
        recipients: Vec<usize>,
        source: &mut Source,
    ) -> (Vec<(usize, Outcome)>, Vec<usize>) {
        let mut outcomes = Outcomes::new(recipients.len());
        let broken_off = {
            let deliver = self.courier.deliver_into(
                &mut outcomes,
                destination,
                &content.origin,
                &content.envelope,
                &recipients,
                source,
            );
            tokio::select! {
                () = deliver => false,
                () = self.active.break_off.cancelled() => true,
            }
        };
        if !broken_off {
            return (recipients.into_iter().zip(outcomes.finish()).collect(), Vec::new());
        }
        let (mut settled, mut open) = (Vec::new(), Vec::new());
        for (at, outcome) in recipients.into_iter().zip(outcomes.settled()) {
            match outcome {
                Some(outcome) => settled.push((at, outcome)),
                None => open.push(at),
            }
        }
        (settled, open)
    }
}

fn no_route(envelope: &Envelope, at: usize) -> Outcome {
    let domain = envelope.recipients.get(at).map(|recipient| recipient.mailbox.domain().to_string());
    let text = format!("no route is configured for {}", domain.unwrap_or_default());
    Outcome::Failed(Cause::local(None, NO_ROUTE, text))
}

/// What came of an attempt says something of its way too. A host that took the message, or had something to say of it, is
/// well. One that cannot be reached, breaks off, or answers 421 (RFC 5321 section 3.8: it is about to close the connection)
/// is not.
fn went(outcomes: &[Outcome]) -> Went {
    let bad = |cause: &Cause| match cause.reply() {
        _ if cause.unreachable => true,
        Some(reply) => reply.code() == 421,
        None => cause.host.is_some(),
    };
    let mut went = Went::Nowhere;
    for outcome in outcomes {
        match outcome {
            Outcome::Delivered { .. } => return Went::Well,
            Outcome::Deferred(cause) if bad(cause) => went = Went::Badly(cause.clone()),
            Outcome::Deferred(cause) | Outcome::Failed(cause) if went == Went::Nowhere && cause.host.is_some() => {
                went = Went::Well;
            }
            Outcome::Deferred(_) | Outcome::Failed(_) => {}
        }
    }
    went
}

/// A message that cannot be read: damaged ones are put aside, others may be readable later.
pub(crate) async fn give_way(shared: &Shared, id: MessageId, error: ReadError) -> Option<Millis> {
    match error {
        ReadError::Gone => None,
        ReadError::Damaged(why) => match shared.store.quarantine(id, why.clone()).await {
            Ok(kept) => {
                count(&shared.counts.quarantined, 1);
                tracing::error!(id = %id, why, kept = %kept.display(), "a damaged message is not delivered");
                None
            }
            Err(error) => {
                tracing::error!(id = %id, why, %error, "a damaged message cannot be put into the quarantine yet");
                Some(shared.clock.now().saturating_add(millis(shared.settings.retry_interval)))
            }
        },
        ReadError::Io(error) => {
            tracing::error!(id = %id, %error, "a message cannot be read now");
            Some(shared.clock.now().saturating_add(millis(shared.settings.retry_interval)))
        }
    }
}
