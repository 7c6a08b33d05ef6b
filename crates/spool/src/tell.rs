//! Tells senders what came of their messages: who is told, of what, and the notice on its way into the store.

use delivery::{MessageSource, Origin};
use protocol::{Body, Envelope, Mailbox, Recipient, Return, ReversePath};

use crate::active::Content;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::notice::{Action, Notice, Report, Returned, header_of};
use crate::settings::Settings;
use crate::shared::{Shared, count};
use crate::state::Note;
use crate::store::{Change, Source, Write};
use crate::transaction::Transaction;

/// What there is to tell of one recipient.
#[derive(Debug)]
pub(crate) struct Told {
    /// Which.
    pub(crate) at: usize,
    pub(crate) action: Action,
    pub(crate) note: Note,
}

/// Whether somebody is told when it comes to that for this recipient.
pub(crate) fn is_told(settings: &Settings, envelope: &Envelope, recipient: &Recipient, action: Action) -> bool {
    // RFC 3461 section 4.1: without NOTIFY, failures are told, and delays may be.
    let wanted = match action {
        Action::Failed => recipient.notify.is_none_or(|notify| notify.failure),
        Action::Delayed { .. } => recipient.notify.is_none_or(|notify| notify.delay),
        Action::Delivered | Action::Relayed => recipient.notify.is_some_and(|notify| notify.success),
    };
    wanted && addressee(settings, envelope, action).is_some_and(|to| !is_double_bounce(envelope, recipient, to))
}

/// RFC 5321 section 6.1: never the null sender. What fails then is for the postmaster, where there is one.
fn addressee<'a>(settings: &'a Settings, envelope: &'a Envelope, action: Action) -> Option<&'a Mailbox> {
    let postmaster = || settings.double_bounce_to.as_ref().filter(|_| action == Action::Failed);
    envelope.reverse_path.mailbox().or_else(postmaster)
}

/// What does not reach the postmaster ends here: a notice of it would go the same way.
fn is_double_bounce(envelope: &Envelope, recipient: &Recipient, to: &Mailbox) -> bool {
    envelope.reverse_path == ReversePath::Null && recipient.mailbox.same_as(to)
}

/// Writes a change of a message's state down, and one notice of all that is told, if any: both or none.
pub(crate) async fn write(
    shared: &Shared,
    id: MessageId,
    content: &Content,
    told: &[Told],
    change: Change,
) -> Result<(), SpoolError> {
    let changes = vec![(id, change)];
    let Some((notice, to)) = notice(shared, id, content, told).await? else {
        return shared.store.write(Write { message: None, changes, essential: true }).await;
    };
    let notice_id = notice.commit_with(changes, true).await?;
    count(&shared.counts.notices, 1);
    tracing::info!(id = %notice_id, about = %id, %to, "a notice is queued");
    Ok(())
}

/// A notice, written but not accepted yet, and to whom.
async fn notice<'a>(
    shared: &'a Shared,
    id: MessageId,
    content: &'a Content,
    told: &[Told],
) -> Result<Option<(Transaction, &'a Mailbox)>, SpoolError> {
    let envelope = &content.envelope;
    let Some(to) = told.first().and_then(|told| addressee(&shared.settings, envelope, told.action)) else {
        return Ok(None);
    };
    let limit = usize::try_from(shared.settings.max_returned_message.as_u64()).unwrap_or(usize::MAX);
    let text = read_up_to(content.source(), limit).await?;
    // RFC 3461 section 4.3: RET is for failures. RFC 8689 section 5: with REQUIRETLS as if it were RET=HDRS.
    let full = envelope.ret == Some(Return::Full) && !envelope.require_tls;
    let whole = told.iter().any(|told| told.action == Action::Failed) && full && text.whole;
    let mut reports: Vec<Report<'_>> = told.iter().filter_map(|told| report(envelope, told)).collect();
    reports.sort_by_key(|report| report.action.rank());
    let notice_id = shared.store.ids().next(shared.clock.now_micros());
    let notice = Notice {
        id: notice_id,
        hostname: &shared.hostname,
        to,
        envelope,
        subject_id: id,
        arrived: content.arrived,
        now: shared.clock.now(),
        reports,
        returned: if whole { Returned::Message(&text.octets) } else { Returned::Header(header_of(&text.octets)) },
    };
    let reply_envelope = Envelope {
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient { mailbox: to.clone(), notify: None, original: None }],
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
    Ok(Some((transaction, to)))
}

fn report<'a>(envelope: &'a Envelope, told: &'a Told) -> Option<Report<'a>> {
    let recipient = envelope.recipients.get(told.at)?;
    let Note { status, host, reply, text } = &told.note;
    Some(Report { recipient, action: told.action, status: *status, host, reply, text })
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
