//! What can be asked about the queue, and the gateway's answers.

use serde::{Deserialize, Serialize};
use spool::{Filter, MessageId, Order, Page, Spool, Summary};

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum QueueRequest {
    /// A part of the queue, after this message.
    Page { filter: Filter, after: Option<MessageId>, limit: usize },
    /// A part of the summary, likewise.
    Summary { filter: Filter, after: Option<MessageId> },
    /// Something is to be done to these.
    Order { order: Order, ids: Vec<MessageId> },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum QueueAnswer {
    Page(Page),
    Summary(Summary),
    /// What was not done, and why.
    Ordered(Vec<(MessageId, String)>),
    /// The disk fails.
    Failed(String),
}

/// Messages of one page at most, whatever is asked for.
pub(crate) const MAX_PAGE: usize = 500;

/// The answer to who runs under this user id. What is done is logged.
pub(crate) async fn answer(spool: &Spool, request: QueueRequest, uid: Option<u32>) -> QueueAnswer {
    let failed = |error: std::io::Error| QueueAnswer::Failed(error.to_string());
    match request {
        QueueRequest::Page { filter, after, limit } => {
            spool.page(&filter, after, limit.clamp(1, MAX_PAGE)).await.map_or_else(failed, QueueAnswer::Page)
        }
        QueueRequest::Summary { filter, after } => {
            spool.summary(&filter, after).await.map_or_else(failed, QueueAnswer::Summary)
        }
        QueueRequest::Order { order, ids } => {
            let mut refused = Vec::new();
            for id in ids.into_iter().take(MAX_PAGE) {
                match spool.order(id, order).await {
                    Ok(()) => tracing::warn!(%id, uid, "an administrator's order: {}", name(order)),
                    Err(error) => {
                        tracing::warn!(%id, uid, %error, "an administrator's order was refused: {}", name(order));
                        refused.push((id, error.to_string()));
                    }
                }
            }
            QueueAnswer::Ordered(refused)
        }
    }
}

fn name(order: Order) -> &'static str {
    match order {
        Order::Retry => "retry",
        Order::Hold => "hold",
        Order::Release => "release",
        Order::Bounce => "bounce",
        Order::Delete => "delete",
    }
}
