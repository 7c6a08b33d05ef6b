//! What came of an attempt, on its way into the store, and the notices that go with it.

use std::sync::Arc;
use std::time::Duration;

use delivery::{MessageSource, Origin, Outcome, Taken};
use protocol::{Body, EnhancedCode, Envelope, Recipient, Return, ReversePath};
use tokio_util::sync::CancellationToken;

use crate::active::{Content, Progressing};
use crate::clock::Millis;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::notice::{Action, Notice, Report, Returned, header_of};
use crate::patience::Patience;
use crate::shared::{Shared, count};
use crate::state::{Note, Status};
use crate::store::{Change, Source, Write};
use crate::transaction::Transaction;

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

/// Recipients of whom the sender is to be told.
#[derive(Default)]
struct Told {
    failed: Vec<(usize, Note)>,
    delivered: Vec<(usize, Note)>,
    relayed: Vec<(usize, Note)>,
}

impl Record<'_> {
    /// Writes the outcomes and the notices, durably; when to look at the message again.
    pub(crate) async fn write(&self) -> Option<Millis> {
        let mut progress = self.content.progress.lock().await;
        let told = self.apply(&mut progress);
        progress.mark(&self.recipients, false);
        let due = progress.state.due();
        let id = self.id;
        loop {
            let change = || if due.is_some() { Change::State(progress.state.encode()) } else { Change::Done };
            let Err(error) = self.commit(&told, change).await else { return due };
            if matches!(error, SpoolError::Closed) || self.break_off.is_cancelled() {
                tracing::error!(id = %id, %error, "what came of an attempt could not be written down; it will be repeated");
                return due;
            }
            tracing::error!(id = %id, %error, "what came of an attempt cannot be written down yet");
            tokio::select! {
                () = tokio::time::sleep(DISK_RETRY) => {}
                () = self.break_off.cancelled() => {}
            }
        }
    }

    fn apply(&self, progress: &mut Progressing) -> Told {
        let shared = self.shared;
        let now = shared.clock.now();
        let too_old = now.saturating_sub(self.content.arrived) >= self.patience.give_up_after;
        let mut told = Told::default();
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
                    if recipient.notify.is_some_and(|notify| notify.success) {
                        let status = reply.enhanced().unwrap_or(EnhancedCode(2, 0, 0));
                        let (host, text) = (host.address(), reply.to_string());
                        let note = Note { status, host, reply: text.clone(), text };
                        match taken {
                            Taken::Delivered => told.delivered.push((at, note)),
                            Taken::Relayed => told.relayed.push((at, note)),
                            // RFC 3461 section 5.2.1: it has become the next hop's business.
                            Taken::RelayedWithDsn => {}
                        }
                    }
                    self.log(recipient, &format!("{host}: {reply}"), "delivered", None);
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
                    let next = if self.wants_failure(recipient) { "failed, the sender is told" } else { "failed" };
                    self.log(recipient, &note.text, next, None);
                    if self.wants_failure(recipient) {
                        told.failed.push((at, note));
                    }
                }
            }
        }
        told
    }

    /// RFC 3461 section 4.1: failure is reported unless NOTIFY says otherwise; RFC 5321 section 6.1: never to `<>`.
    fn wants_failure(&self, recipient: &Recipient) -> bool {
        let wanted = recipient.notify.is_none_or(|notify| notify.failure);
        wanted && self.content.envelope.reverse_path != ReversePath::Null
    }

    /// The message's id is never a field `message`: that is what JSON log lines call the event's own words.
    fn log(&self, recipient: &Recipient, reply: &str, next: &str, again_in: Option<&str>) {
        let from = &self.content.envelope.reverse_path;
        tracing::info!(id = %self.id, %from, to = %recipient.mailbox, reply, again_in, "{next}");
    }

    /// The notices first: a crash in between repeats one, and loses none.
    async fn commit(&self, told: &Told, change: impl Fn() -> Change) -> Result<(), SpoolError> {
        let id = self.id;
        let shared = self.shared;
        let mut notices = Vec::new();
        for (action, reports) in
            [(Action::Failed, &told.failed), (Action::Delivered, &told.delivered), (Action::Relayed, &told.relayed)]
        {
            if !reports.is_empty()
                && let Some(notice) = self.notice(action, reports).await?
            {
                notices.push(notice);
            }
        }
        let mut changes = vec![(id, change())];
        if notices.is_empty() {
            return shared.store.write(Write { message: None, changes, essential: true }).await;
        }
        while let Some(notice) = notices.pop() {
            let with = if notices.is_empty() { std::mem::take(&mut changes) } else { Vec::new() };
            let notice_id = notice.commit_with(with, true).await?;
            count(&shared.counts.notices, 1);
            let to = &self.content.envelope.reverse_path;
            tracing::info!(id = %notice_id, about = %id, %to, "a notice to the sender is queued");
        }
        Ok(())
    }

    /// A notice, written but not accepted yet.
    async fn notice(&self, action: Action, reports: &[(usize, Note)]) -> Result<Option<Transaction>, SpoolError> {
        let shared = self.shared;
        let envelope = &self.content.envelope;
        let Some(sender) = envelope.reverse_path.mailbox() else { return Ok(None) };
        let text = self.returned_text().await?;
        // RFC 8689 section 5: as if it were RET=HDRS.
        let full = envelope.ret == Some(Return::Full) && !envelope.require_tls;
        let whole = action == Action::Failed && full && text.whole;
        let notice_id = shared.store.ids().next(shared.clock.now_micros());
        let notice = Notice {
            action,
            id: notice_id,
            hostname: &shared.hostname,
            to: sender,
            envelope,
            subject_id: self.id,
            arrived: self.content.arrived,
            now: shared.clock.now(),
            reports: reports.iter().filter_map(|(at, note)| report(envelope, *at, note)).collect(),
            returned: if whole { Returned::Message(&text.octets) } else { Returned::Header(header_of(&text.octets)) },
        };
        let reply_envelope = Envelope {
            reverse_path: ReversePath::Null,
            recipients: vec![Recipient { mailbox: sender.clone(), notify: None, original: None }],
            body: if notice.has_eight_bit() { Body::EightBitMime } else { Body::SevenBit },
            smtputf8: notice.is_international(),
            // RFC 8689 section 5: the notice is protected as the message was.
            require_tls: envelope.require_tls,
            ret: None,
            envid: None,
        };
        let message = notice.compose();
        let mut transaction =
            Transaction::with_id(notice_id, shared.store.clone(), shared.clock, reply_envelope, Origin::default());
        transaction.write(&message).await?;
        Ok(Some(transaction))
    }

    async fn returned_text(&self) -> Result<ReturnedText, SpoolError> {
        let limit = self.shared.settings.max_returned_message.as_u64();
        read_up_to(self.content.source(), usize::try_from(limit).unwrap_or(usize::MAX)).await
    }
}

struct ReturnedText {
    octets: Vec<u8>,
    /// It is the whole message.
    whole: bool,
}

async fn read_up_to(mut source: Source, limit: usize) -> Result<ReturnedText, SpoolError> {
    let mut octets = Vec::new();
    while let Some(piece) = source.next().await? {
        octets.extend_from_slice(&piece);
        if octets.len() > limit {
            octets.truncate(limit);
            // Whole lines only.
            let end = memchr::memmem::rfind(&octets, b"\r\n").map_or(0, |end| end + 2);
            octets.truncate(end);
            return Ok(ReturnedText { octets, whole: false });
        }
    }
    Ok(ReturnedText { octets, whole: true })
}

fn report<'a>(envelope: &'a Envelope, at: usize, note: &'a Note) -> Option<Report<'a>> {
    let recipient = envelope.recipients.get(at)?;
    Some(Report { recipient, status: note.status, host: &note.host, reply: &note.reply, text: &note.text })
}
