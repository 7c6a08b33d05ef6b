//! What came of an attempt, on its way into the store, and the notice that goes with it.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Host, Outcome, Taken};
use protocol::{EnhancedCode, Recipient, Reply};
use tokio_util::sync::CancellationToken;

use crate::active::{Content, Progressing};
use crate::clock::Millis;
use crate::delay;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::notice::Action;
use crate::patience::Patience;
use crate::shared::{Shared, count};
use crate::state::{Note, Status};
use crate::store::Change;
use crate::tell::{Told, is_told, write};

/// RFC 3463 section 3.5.
const TOO_OLD: EnhancedCode = EnhancedCode(5, 4, 7);
/// The disk is asked again after this.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// What came of an attempt, on its way into the store.
pub(crate) struct Record<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) id: MessageId,
    pub(crate) content: &'a Content,
    pub(crate) recipients: Vec<usize>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) patience: Patience,
    /// The stop does not wait any longer.
    pub(crate) break_off: &'a CancellationToken,
}

impl Record<'_> {
    /// Writes the outcomes and one notice of them, durably; when to look at the message again.
    pub(crate) async fn write(&self) -> Option<Millis> {
        let mut progress = self.content.progress.lock().await;
        let told = self.apply(&mut progress);
        progress.mark(&self.recipients, false);
        let due = progress.state.due();
        let id = self.id;
        loop {
            let change = || if due.is_some() { Change::State(progress.state.encode()) } else { Change::Done };
            let Err(error) = write(self.shared, id, self.content, &told, change()).await else {
                return self.due(&progress);
            };
            if matches!(error, SpoolError::Closed) || self.break_off.is_cancelled() {
                tracing::error!(id = %id, %error, "what came of an attempt could not be written down; it will be repeated");
                return self.due(&progress);
            }
            tracing::error!(id = %id, %error, "what came of an attempt cannot be written down yet");
            tokio::select! {
                () = tokio::time::sleep(DISK_RETRY) => {}
                () = self.break_off.cancelled() => {}
            }
        }
    }

    fn due(&self, progress: &Progressing) -> Option<Millis> {
        progress.state.due().into_iter().chain(delay::due(self.shared, self.content, progress)).min()
    }

    fn apply(&self, progress: &mut Progressing) -> Vec<Told> {
        let shared = self.shared;
        let now = shared.clock.now();
        let too_old = now.saturating_sub(self.content.arrived) >= self.patience.give_up_after;
        let mut told = Vec::new();
        for (&at, outcome) in self.recipients.iter().zip(&self.outcomes) {
            let (Some(state), Some(recipient)) =
                (progress.state.recipients.get_mut(at), self.content.envelope.recipients.get(at))
            else {
                continue;
            };
            state.attempts = state.attempts.saturating_add(1);
            match outcome {
                Outcome::Delivered { host, reply, taken } => {
                    state.status = Status::Delivered;
                    state.last = None;
                    count(&shared.counts.delivered, 1);
                    told.extend(self.success(at, recipient, host.as_ref(), reply, *taken));
                    let who = host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
                    self.log(recipient, &format!("{who}{reply}"), "delivered", None);
                }
                Outcome::Deferred(cause) if !too_old => {
                    let wait = self.patience.backoff(state.attempts);
                    state.next = now.saturating_add(wait);
                    state.last = Some(Note::new(cause));
                    count(&shared.counts.deferred, 1);
                    let again = humantime::format_duration(Duration::from_secs(wait / 1000));
                    self.log(recipient, &cause.to_string(), "deferred", Some(&again.to_string()));
                }
                Outcome::Deferred(cause) | Outcome::Failed(cause) => {
                    let mut note = Note::new(cause);
                    if matches!(outcome, Outcome::Deferred(_)) {
                        note.status = TOO_OLD;
                        note.text = format!("tried for too long; the last time: {}", note.text);
                    }
                    state.status = Status::Failed;
                    state.last = Some(note.clone());
                    count(&shared.counts.failed, 1);
                    let is_told = is_told(&shared.settings, &self.content.envelope, recipient, Action::Failed);
                    let next = if is_told { "failed, the sender is told" } else { "failed" };
                    self.log(recipient, &note.text, next, None);
                    if is_told {
                        told.push(Told { at, action: Action::Failed, note });
                    }
                }
            }
        }
        told
    }

    /// What there is to tell of who has been served.
    /// `host` as the outcome has it.
    fn success(
        &self,
        at: usize,
        recipient: &Recipient,
        host: Option<&Host>,
        reply: &Reply,
        taken: Taken,
    ) -> Option<Told> {
        let action = match taken {
            Taken::Delivered => Action::Delivered,
            Taken::Relayed => Action::Relayed,
            // RFC 3461 section 5.2.1: it has become the next hop's business.
            Taken::RelayedWithDsn => return None,
        };
        let status = reply.enhanced().unwrap_or(EnhancedCode(2, 0, 0));
        let (host, text) = (host.map(Host::address).unwrap_or_default(), reply.to_string());
        let note = Note { status, host, reply: text.clone(), text };
        is_told(&self.shared.settings, &self.content.envelope, recipient, action).then_some(Told { at, action, note })
    }

    /// The message's id is never a field `message`: that is what JSON log lines call the event's own words.
    fn log(&self, recipient: &Recipient, reply: &str, next: &str, again_in: Option<&str>) {
        let from = &self.content.envelope.reverse_path;
        tracing::info!(id = %self.id, %from, to = %recipient.mailbox, reply, again_in, "{next}");
    }
}
