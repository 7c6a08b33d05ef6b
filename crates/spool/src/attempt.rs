//! One attempt for one message along one route: deliver, write down what came of it, tell the sender.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Cause, Courier, MessageSource, Outcome, What};
use protocol::{Body, EnhancedCode, Envelope, Recipient, Return, ReversePath};
use tokio_util::sync::CancellationToken;

use crate::active::{Active, Content, Progressing};
use crate::clock::{Millis, millis};
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::notice::{Action, Notice, Report, Returned, header_of};
use crate::schedule::Way;
use crate::shared::{Shared, count};
use crate::state::{Note, Status};
use crate::store::{Change, ReadError, Source, Write};
use crate::transaction::Transaction;

/// RFC 3463 section 3.5.
const NO_ROUTE: EnhancedCode = EnhancedCode(5, 4, 4);
const TOO_OLD: EnhancedCode = EnhancedCode(5, 4, 7);
/// The disk is asked again after this.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// Everything an attempt needs.
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) courier: Courier,
    pub(crate) active: Arc<Active>,
    pub(crate) way: Way,
    /// The stop does not wait any longer.
    pub(crate) break_off: CancellationToken,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When to look at the message again; `None` when it is dealt with.
    pub(crate) due: Option<Millis>,
    /// The route could not be reached.
    pub(crate) unreachable: Option<Cause>,
}

impl Attempt {
    /// Delivers to the recipients whose time has come, or takes `given` for what came of it.
    pub(crate) async fn run(self, given: Option<Cause>) -> Ended {
        let content = match self.active.content(&self.shared.store).await {
            Ok(content) => content,
            Err(error) => return Ended { due: give_way(&self.shared, self.active.id, error).await, unreachable: None },
        };
        let now = self.shared.clock.now();
        let recipients = {
            let mut progress = content.progress.lock().await;
            let due: Vec<usize> = progress.due(now).filter(|&at| way(&self.courier, content, at) == self.way).collect();
            progress.mark(&due, true);
            due
        };
        if recipients.is_empty() {
            return Ended { due: content.progress.lock().await.state.due(), unreachable: None };
        }
        let mut source = content.source();
        let outcomes = match (given, self.way) {
            (Some(cause), _) => vec![Outcome::Deferred(cause); recipients.len()],
            (None, None) => recipients.iter().map(|&at| no_route(&content.envelope, at)).collect(),
            (None, Some(route)) => {
                let deliver = self.courier.deliver(route, &content.envelope, &recipients, &mut source);
                tokio::select! {
                    outcomes = deliver => outcomes,
                    () = self.break_off.cancelled() => {
                        content.progress.lock().await.mark(&recipients, false);
                        return Ended { due: Some(now), unreachable: None };
                    }
                }
            }
        };
        if let Some(why) = source.damage() {
            let due = give_way(&self.shared, self.active.id, ReadError::Damaged(why.to_owned())).await;
            return Ended { due, unreachable: None };
        }
        let unreachable = unreachable(&outcomes);
        let due = Record { attempt: &self, content, recipients, outcomes }.write().await;
        Ended { due, unreachable }
    }
}

/// Which way a recipient's mail goes.
pub(crate) fn way(courier: &Courier, content: &Content, at: usize) -> Way {
    content.envelope.recipients.get(at).and_then(|recipient| courier.route(recipient.mailbox.domain()))
}

fn no_route(envelope: &Envelope, at: usize) -> Outcome {
    let domain = envelope.recipients.get(at).map(|recipient| recipient.mailbox.domain().to_string());
    let text = format!("no route is configured for {}", domain.unwrap_or_default());
    Outcome::Failed(Cause { host: None, what: What::Local { status: NO_ROUTE, text }, unreachable: false })
}

fn unreachable(outcomes: &[Outcome]) -> Option<Cause> {
    outcomes.iter().try_fold(None, |_, outcome| match outcome {
        Outcome::Deferred(cause) if cause.unreachable => Some(Some(cause.clone())),
        _ => None,
    })?
}

/// A message that cannot be read: damaged ones are put aside, others may be readable later.
pub(crate) async fn give_way(shared: &Shared, id: MessageId, error: ReadError) -> Option<Millis> {
    match error {
        ReadError::Gone => None,
        ReadError::Damaged(why) => match shared.store.quarantine(id, why.clone()).await {
            Ok(kept) => {
                count(&shared.counts.quarantined, 1);
                tracing::error!(message = %id, why, kept = %kept.display(), "a damaged message is not delivered");
                None
            }
            Err(error) => {
                tracing::error!(message = %id, why, %error, "a damaged message cannot be put into the quarantine yet");
                Some(shared.clock.now().saturating_add(millis(shared.settings.retry_interval)))
            }
        },
        ReadError::Io(error) => {
            tracing::error!(message = %id, %error, "a message cannot be read now");
            Some(shared.clock.now().saturating_add(millis(shared.settings.retry_interval)))
        }
    }
}

/// What came of an attempt, on its way into the store.
struct Record<'a> {
    attempt: &'a Attempt,
    content: &'a Content,
    recipients: Vec<usize>,
    outcomes: Vec<Outcome>,
}

/// Recipients of whom the sender is to be told.
#[derive(Default)]
struct Told {
    failed: Vec<(usize, Note)>,
    relayed: Vec<(usize, Note)>,
}

impl Record<'_> {
    /// Writes the outcomes and the notices, durably; when to look at the message again.
    async fn write(&self) -> Option<Millis> {
        let mut progress = self.content.progress.lock().await;
        let told = self.apply(&mut progress);
        progress.mark(&self.recipients, false);
        let due = progress.state.due();
        let id = self.attempt.active.id;
        loop {
            let change = || if due.is_some() { Change::State(progress.state.encode()) } else { Change::Done };
            let Err(error) = self.commit(&told, change).await else { return due };
            if matches!(error, SpoolError::Closed) || self.attempt.break_off.is_cancelled() {
                tracing::error!(message = %id, %error, "what came of an attempt could not be written down; it will be repeated");
                return due;
            }
            tracing::error!(message = %id, %error, "what came of an attempt cannot be written down yet");
            tokio::select! {
                () = tokio::time::sleep(DISK_RETRY) => {}
                () = self.attempt.break_off.cancelled() => {}
            }
        }
    }

    fn apply(&self, progress: &mut Progressing) -> Told {
        let shared = &self.attempt.shared;
        let now = shared.clock.now();
        let too_old = now.saturating_sub(self.content.arrived) >= millis(shared.settings.give_up_after);
        let mut told = Told::default();
        for (&at, outcome) in self.recipients.iter().zip(&self.outcomes) {
            let (Some(state), Some(recipient)) =
                (progress.state.recipients.get_mut(at), self.content.envelope.recipients.get(at))
            else {
                continue;
            };
            state.attempts = state.attempts.saturating_add(1);
            match outcome {
                Outcome::Delivered { host, reply, dsn } => {
                    state.status = Status::Delivered;
                    state.last = None;
                    count(&shared.counts.delivered, 1);
                    if !dsn && recipient.notify.is_some_and(|notify| notify.success) {
                        let status = reply.enhanced().unwrap_or(EnhancedCode(2, 0, 0));
                        let (host, text) = (host.address(), reply.to_string());
                        told.relayed.push((at, Note { status, host, reply: text.clone(), text }));
                    }
                    self.log(recipient, &format!("{host}: {reply}"), "delivered");
                }
                Outcome::Deferred(cause) if !too_old => {
                    let wait = backoff(shared, state.attempts);
                    state.next = now.saturating_add(wait);
                    state.last = Some(Note::new(cause));
                    count(&shared.counts.deferred, 1);
                    let again = humantime::format_duration(Duration::from_secs(wait / 1000));
                    self.log(recipient, &cause.to_string(), &format!("deferred, again in {again}"));
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
                    self.log(recipient, &note.text, next);
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

    fn log(&self, recipient: &Recipient, reply: &str, next: &str) {
        let from = &self.content.envelope.reverse_path;
        tracing::info!(message = %self.attempt.active.id, %from, to = %recipient.mailbox, reply, "{next}");
    }

    /// The notices first: a crash in between repeats one, and loses none.
    async fn commit(&self, told: &Told, change: impl Fn() -> Change) -> Result<(), SpoolError> {
        let id = self.attempt.active.id;
        let shared = &self.attempt.shared;
        let mut notices = Vec::new();
        for (action, reports) in [(Action::Failed, &told.failed), (Action::Relayed, &told.relayed)] {
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
            tracing::info!(message = %notice_id, about = %id, %to, "a notice to the sender is queued");
        }
        Ok(())
    }

    /// A notice, written but not accepted yet.
    async fn notice(&self, action: Action, reports: &[(usize, Note)]) -> Result<Option<Transaction>, SpoolError> {
        let shared = &self.attempt.shared;
        let envelope = &self.content.envelope;
        let Some(sender) = envelope.reverse_path.mailbox() else { return Ok(None) };
        let text = self.returned_text().await?;
        let whole = action == Action::Failed && envelope.ret == Some(Return::Full) && text.whole;
        let notice_id = shared.store.ids().next(shared.clock.now_micros());
        let notice = Notice {
            action,
            id: notice_id,
            hostname: &shared.hostname,
            to: sender,
            envelope,
            subject_id: self.attempt.active.id,
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
            ret: None,
            envid: None,
        };
        let message = notice.compose();
        let mut transaction =
            Transaction::with_id(notice_id, shared.store.clone(), shared.clock, reply_envelope, String::new());
        transaction.write(&message).await?;
        Ok(Some(transaction))
    }

    async fn returned_text(&self) -> Result<ReturnedText, SpoolError> {
        let limit = self.attempt.shared.settings.max_returned_message.as_u64();
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

/// Doubles with each attempt up to the longest wait, and varies by a fifth, so that messages deferred together do not
/// come back together.
fn backoff(shared: &Shared, attempts: u32) -> Millis {
    let settings = &shared.settings;
    let doubled = millis(settings.retry_interval).checked_shl(attempts.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
    let wait = doubled.min(millis(settings.max_retry_interval)).max(1);
    let spread = wait / 5;
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), attempts);
    wait.saturating_sub(spread).saturating_add(random.checked_rem(spread.saturating_mul(2).max(1)).unwrap_or_default())
}
