//! The queue as an administrator sees it: page by page, so that its length costs time and no memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{Millis, millis};
use crate::id::MessageId;
use crate::shared::Shared;
use crate::state::{Progress, Status};
use crate::store::{Loaded, ReadError};

/// Messages that are looked at for one page; more wait for the next.
const SCAN: usize = 5000;
/// Rows of a summary for one page.
const ROWS: usize = 20_000;

/// Which messages are meant; each condition that is given must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Filter {
    /// The sender's address, or part of it; `<>` for the null sender.
    pub sender: Option<String>,
    /// The address of a recipient who is not served yet, or part of it.
    pub recipient: Option<String>,
    /// The domain of such a recipient.
    pub domain: Option<String>,
    /// Accepted so many milliseconds ago, or longer.
    pub older_than: Option<u64>,
    /// Held ones only.
    pub held: bool,
    /// These only.
    pub ids: Vec<MessageId>,
}

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Its id.
    pub id: MessageId,
    /// When it was accepted, milliseconds since 1970.
    pub arrived: u64,
    /// Octets.
    pub size: u64,
    /// `<alice@example.org>`, or `<>`.
    pub sender: String,
    /// User id of who sent it; empty when nobody was identified.
    pub identity: String,
    /// An administrator holds it.
    pub held: bool,
    /// Those still to be served.
    pub recipients: Vec<Waiting>,
    /// How many are not: they have been, or have been given up.
    pub done: usize,
}

/// A recipient still to be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The address.
    pub to: String,
    /// Attempts so far.
    pub attempts: u32,
    /// The next one, milliseconds since 1970; it may be late where a destination is down or busy.
    pub next: u64,
    /// What came of the last one; empty before the first.
    pub reason: String,
}

/// A part of the queue, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Page {
    /// Those that were meant.
    pub messages: Vec<Queued>,
    /// Ask for what comes after this one next; `None`: there is no more.
    pub next: Option<MessageId>,
}

/// Ages that a summary tells apart, in minutes: the last is without end.
pub const AGES: [u64; 10] = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560];

/// Recipients that wait, by domain and age.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Summary {
    /// For each domain, how many are below each of [`AGES`], and how many above all.
    pub domains: BTreeMap<String, [u64; AGES.len() + 1]>,
    /// Messages looked at.
    pub messages: u64,
    /// Of them, those held.
    pub held: u64,
    /// Of them, those that were tried and are to be tried again.
    pub deferred: u64,
    /// When the oldest was accepted, milliseconds since 1970.
    pub oldest: Option<u64>,
    /// As in [`Page`].
    pub next: Option<MessageId>,
}

impl Filter {
    fn means(&self, message: &Queued, now: Millis) -> bool {
        let contains = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
        };
        let recipient = |waiting: &Waiting| {
            contains(&waiting.to, &self.recipient)
                && self.domain.as_ref().is_none_or(|wanted| domain_of(&waiting.to).eq_ignore_ascii_case(wanted))
        };
        contains(&message.sender, &self.sender)
            && message.recipients.iter().any(recipient)
            && self.older_than.is_none_or(|age| now.saturating_sub(message.arrived) >= age)
            && (message.held || !self.held)
    }
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

/// The messages that are meant, at most so many, after this one.
pub(crate) async fn page(
    shared: &Shared,
    filter: &Filter,
    after: Option<MessageId>,
    limit: usize,
) -> Result<Page, std::io::Error> {
    let now = shared.clock.now();
    let mut page = Page::default();
    let (ids, more) = scope(shared, filter, after).await;
    let last = ids.last().copied();
    for id in ids {
        if let Some(message) = read(shared, id).await?.filter(|message| filter.means(message, now)) {
            page.messages.push(message);
            if page.messages.len() >= limit {
                page.next = Some(id);
                return Ok(page);
            }
        }
    }
    page.next = last.filter(|_| more);
    Ok(page)
}

/// How many wait for which domain for how long, of the messages after this one.
pub(crate) async fn summary(
    shared: &Shared,
    filter: &Filter,
    after: Option<MessageId>,
) -> Result<Summary, std::io::Error> {
    let now = shared.clock.now();
    let mut summary = Summary::default();
    let (ids, more) = scope(shared, filter, after).await;
    let last = ids.last().copied();
    for id in ids {
        let Some(message) = read(shared, id).await?.filter(|message| filter.means(message, now)) else { continue };
        summary.messages += 1;
        summary.held += u64::from(message.held);
        summary.deferred += u64::from(message.recipients.iter().any(|recipient| recipient.attempts > 0));
        summary.oldest = summary.oldest.into_iter().chain([message.arrived]).min();
        let minutes = now.saturating_sub(message.arrived) / millis(std::time::Duration::from_secs(60));
        let class = AGES.iter().position(|&age| minutes < age).unwrap_or(AGES.len());
        for recipient in &message.recipients {
            let row = summary.domains.entry(domain_of(&recipient.to).to_ascii_lowercase()).or_default();
            if let Some(count) = row.get_mut(class) {
                *count += 1;
            }
        }
        if summary.domains.len() >= ROWS {
            summary.next = Some(id);
            return Ok(summary);
        }
    }
    summary.next = last.filter(|_| more);
    Ok(summary)
}

/// The ids to look at for one page, and whether there are more.
async fn scope(shared: &Shared, filter: &Filter, after: Option<MessageId>) -> (Vec<MessageId>, bool) {
    if filter.ids.is_empty() {
        let ids = shared.store.ids_after(after, SCAN);
        let more = ids.len() == SCAN;
        return (ids, more);
    }
    let mut ids: Vec<MessageId> =
        filter.ids.iter().copied().filter(|id| after.is_none_or(|after| *id > after)).collect();
    ids.sort_unstable();
    ids.dedup();
    (ids, false)
}

/// `None` for what is there no longer; what is damaged is the delivery's business.
async fn read(shared: &Shared, id: MessageId) -> Result<Option<Queued>, std::io::Error> {
    match shared.store.load(id).await {
        Ok(loaded) => Ok(Some(queued(id, &loaded))),
        Err(ReadError::Gone | ReadError::Damaged(_)) => Ok(None),
        Err(ReadError::Io(error)) => Err(error),
    }
}

fn queued(id: MessageId, loaded: &Loaded) -> Queued {
    let waiting = |(at, progress): (usize, &Progress)| {
        let recipient = loaded.envelope.recipients.get(at)?;
        Some(Waiting {
            to: recipient.mailbox.to_string(),
            attempts: progress.attempts,
            next: progress.next,
            reason: progress.last.as_ref().map(|note| note.text.clone()).unwrap_or_default(),
        })
    };
    let done = loaded.state.recipients.iter().filter(|progress| progress.status != Status::Pending).count();
    Queued {
        id,
        arrived: loaded.arrived,
        size: delivery::MessageSource::size(&loaded.source),
        sender: loaded.envelope.reverse_path.to_string(),
        identity: loaded.origin.identity.clone(),
        held: loaded.state.held,
        recipients: loaded.state.pending().filter_map(waiting).collect(),
        done,
    }
}
