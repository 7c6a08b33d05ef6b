//! A message with an attempt under way: read once from the store, shared by all attempts for it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use delivery::{Courier, Origin};
use protocol::Envelope;
use tokio::sync::{Mutex, Notify, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::clock::Millis;
use crate::id::MessageId;
use crate::schedule::Way;
use crate::shared::Shared;
use crate::state::State;
use crate::store::{ReadError, Source};

/// A message being worked on.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) id: MessageId,
    content: OnceCell<Content>,
    /// Breaks off its attempts.
    pub(crate) break_off: CancellationToken,
}

/// What the store says of it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) arrived: Millis,
    pub(crate) envelope: Envelope,
    pub(crate) origin: Origin,
    source: Source,
    pub(crate) progress: Mutex<Progressing>,
}

/// How far it is, and which recipients an attempt is working on.
#[derive(Debug)]
pub(crate) struct Progressing {
    pub(crate) state: State,
    pub(crate) under_way: Vec<bool>,
    /// Something has ended.
    pub(crate) ended: Arc<Notify>,
}

impl Active {
    /// Reads the message, the first time it is asked.
    pub(crate) async fn content(&self, shared: &Shared) -> Result<&Content, ReadError> {
        let read = || async {
            let mut loaded = shared.store.load(self.id).await?;
            loaded.state.end_waits_beyond(shared.latest());
            let under_way = vec![false; loaded.state.recipients.len()];
            Ok(Content {
                arrived: loaded.arrived,
                envelope: loaded.envelope,
                origin: loaded.origin,
                source: loaded.source,
                progress: Mutex::new(Progressing { state: loaded.state, under_way, ended: Arc::default() }),
            })
        };
        self.content.get_or_try_init(read).await
    }
}

impl Content {
    /// The text, from its first octet.
    pub(crate) fn source(&self) -> Source {
        self.source.again()
    }
}

/// Which way a recipient's mail goes.
pub(crate) fn way(courier: &Courier, content: &Content, at: usize) -> Way {
    courier.destination(&content.origin, &content.envelope, at)
}

impl Progressing {
    /// The recipients to be served now by nobody else's attempt.
    pub(crate) fn due(&self, now: Millis) -> impl Iterator<Item = usize> {
        let free = |at: usize| !self.state.held && self.under_way.get(at) == Some(&false);
        self.state.pending().filter(move |(at, progress)| progress.next <= now && free(*at)).map(|(at, _)| at)
    }

    /// When the next recipient's turn comes that is not now.
    pub(crate) fn later(&self, now: Millis) -> Option<Millis> {
        if self.state.held {
            return self.state.due();
        }
        self.state.pending().map(|(_, progress)| progress.next).filter(|&next| next > now).min()
    }

    pub(crate) fn mark(&mut self, recipients: &[usize], under_way: bool) {
        for &at in recipients {
            if let Some(mark) = self.under_way.get_mut(at) {
                *mark = under_way;
            }
        }
        self.ended.notify_waiters();
    }
}

/// The messages being worked on.
#[derive(Debug, Default)]
pub(crate) struct ActiveMessages(HashMap<MessageId, Weak<Active>>);

impl ActiveMessages {
    /// The message, shared with whoever works on it already.
    pub(crate) fn get(&mut self, id: MessageId, break_off: &CancellationToken) -> Arc<Active> {
        let known = self.0.get(&id).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let active = Arc::new(Active { id, content: OnceCell::new(), break_off: break_off.child_token() });
            self.0.insert(id, Arc::downgrade(&active));
            active
        })
    }

    /// Forgets the message if nobody works on it any more.
    pub(crate) fn forget(&mut self, id: MessageId) {
        if self.0.get(&id).is_some_and(|active| active.strong_count() == 0) {
            self.0.remove(&id);
        }
    }
}
