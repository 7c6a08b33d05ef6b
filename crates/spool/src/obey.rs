//! Carries out what an administrator orders.

use std::sync::Arc;

use delivery::{Cause, Courier, Outcome};
use protocol::EnhancedCode;
use tokio_util::sync::CancellationToken;

use crate::active::{Active, Content, way};
use crate::clock::Millis;
use crate::order::{Order, OrderError};
use crate::patience::Patience;
use crate::record::Record;
use crate::schedule::Way;
use crate::shared::Shared;
use crate::state::Status;
use crate::store::{Change, Write};

/// RFC 3463 section 3.1: nothing more is known to whom the status goes.
const BOUNCED: EnhancedCode = EnhancedCode(5, 0, 0);

/// What the schedule is to know of an order that was carried out.
#[derive(Debug, Default)]
pub(crate) struct Obeyed {
    /// When the message was due before.
    pub(crate) before: Option<Millis>,
    /// When it is now.
    pub(crate) due: Option<Millis>,
    /// Ways not to wait for any longer.
    pub(crate) ways: Vec<Way>,
}

/// Carries out an order; what it came to is on disk then.
pub(crate) async fn obey(
    shared: &Arc<Shared>,
    courier: &Courier,
    active: &Active,
    order: Order,
    stop: &CancellationToken,
) -> Result<Obeyed, OrderError> {
    let content = active.content(shared).await?;
    match order {
        Order::Retry | Order::Hold | Order::Release => change(shared, courier, active, content, order).await,
        Order::Bounce | Order::Delete => end(shared, active, content, order, stop).await,
    }
}

async fn change(
    shared: &Shared,
    courier: &Courier,
    active: &Active,
    content: &Content,
    order: Order,
) -> Result<Obeyed, OrderError> {
    let now = shared.clock.now();
    let mut progress = content.progress.lock().await;
    let before = progress.state.due().ok_or(OrderError::Gone)?;
    let mut state = progress.state.clone();
    let mut ways = Vec::new();
    match order {
        Order::Retry if state.held => return Err(OrderError::Held),
        Order::Retry => {
            ways = state.pending().map(|(at, _)| way(courier, content, at)).collect();
            let pending = state.recipients.iter_mut().filter(|recipient| recipient.status == Status::Pending);
            pending.for_each(|recipient| recipient.next = recipient.next.min(now));
        }
        _ => state.held = order == Order::Hold,
    }
    if state != progress.state {
        let changes = vec![(active.id, Change::State(state.encode()))];
        shared.store.write(Write { message: None, changes, essential: true }).await?;
        progress.state = state;
    }
    Ok(Obeyed { before: Some(before), due: progress.state.due(), ways })
}

/// Attempts under way are broken off first: what the next hop has not taken by then, it does not get.
async fn end(
    shared: &Arc<Shared>,
    active: &Active,
    content: &Content,
    order: Order,
    stop: &CancellationToken,
) -> Result<Obeyed, OrderError> {
    active.break_off.cancel();
    let ended = content.progress.lock().await.ended.clone();
    let mut progress = loop {
        let notified = ended.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let progress = content.progress.lock().await;
        if progress.under_way.iter().all(|under_way| !under_way) {
            break progress;
        }
        drop(progress);
        notified.await;
    };
    let before = progress.state.due().ok_or(OrderError::Gone)?;
    let recipients: Vec<usize> = progress.state.pending().map(|(at, _)| at).collect();
    if order == Order::Delete {
        let changes = vec![(active.id, Change::Done)];
        shared.store.write(Write { message: None, changes, essential: true }).await?;
        recipients.iter().for_each(|&at| {
            if let Some(recipient) = progress.state.recipients.get_mut(at) {
                recipient.status = Status::Failed;
            }
        });
        return Ok(Obeyed { before: Some(before), ..Obeyed::default() });
    }
    progress.mark(&recipients, true);
    drop(progress);
    let cause = Cause::local(None, BOUNCED, "taken out of the queue by an administrator");
    let outcomes = vec![Outcome::Failed(cause); recipients.len()];
    let patience = Patience::with(&shared.settings, None);
    let record = Record { shared, id: active.id, content, recipients, outcomes, patience, break_off: stop };
    Ok(Obeyed { before: Some(before), due: record.write().await, ways: Vec::new() })
}
