//! The spool as the rest of the gateway sees it.

use std::path::Path;
use std::sync::Arc;

use delivery::{Courier, MessageSource, Origin};
use policy::Permit;
use protocol::{Domain, Envelope};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::error::SpoolError;
use crate::id::MessageId;
use crate::listing::{self, Filter, Page, Summary};
use crate::order::{Order, OrderError};
use crate::run;
use crate::settings::Settings;
use crate::shared::{Counters, Counts, Shared};
use crate::store::{self, Due, Finding, RecoveryReport, Store, Tuning, Verification};
use crate::transaction::Transaction;

/// Orders that wait to be heard.
const ORDERS: usize = 64;

/// Accepted mail until it is delivered. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

impl Spool {
    /// Opens the spool in `state_dir/spool`, made when it is missing, and recovers what is there. `hostname` is who
    /// notices to senders come from.
    ///
    /// # Errors
    /// When the folder cannot be used, another process has it open, or it was written by a later version. Damaged
    /// content is no error: see [`RecoveryReport::problems`].
    pub async fn open(
        settings: &Settings,
        state_dir: &Path,
        hostname: &Domain,
    ) -> Result<(Self, RecoveryReport), SpoolError> {
        Self::open_tuned(settings, state_dir, hostname, Tuning::default()).await
    }

    pub(crate) async fn open_tuned(
        settings: &Settings,
        state_dir: &Path,
        hostname: &Domain,
        tuning: Tuning,
    ) -> Result<(Self, RecoveryReport), SpoolError> {
        let folder = state_dir.join("spool");
        let opened = store::blocking(move || Store::open(&folder, &tuning)).await??;
        let clock = Clock::start();
        let shared = Shared {
            set_back: clock.now_micros() < opened.store.ids().last().raw(),
            store: opened.store,
            clock,
            settings: settings.clone(),
            hostname: hostname.clone(),
            arrivals: Mutex::new(opened.arrivals),
            returns: opened.returns,
            courier: watch::Sender::new(None),
            counts: Counts::default(),
            orders: {
                let (sender, receiver) = mpsc::channel(ORDERS);
                (sender, Mutex::new(receiver))
            },
        };
        let latest = shared.latest();
        for Due { id, at } in opened.found {
            // As `State::end_waits_beyond` has it.
            let at = if at > latest { 0 } else { at };
            let _ = shared.returns.send(Due { id, at });
        }
        Ok((Self { shared: Arc::new(shared) }, opened.report))
    }

    /// Begins to take a message that came from there. Only who holds a permit for its sender can.
    #[must_use]
    pub fn begin(&self, _: &Permit, origin: Origin, envelope: Envelope) -> Transaction {
        Transaction::new(self.shared.store.clone(), self.shared.clock, envelope, origin)
    }

    /// Accepts a message that the gateway itself has written; nothing a client has sent. `id` is of [`next_id`](Self::next_id).
    ///
    /// # Errors
    /// When the disk is full or fails; the message is then not accepted.
    pub async fn accept_own(&self, id: MessageId, envelope: Envelope, text: &[u8]) -> Result<(), SpoolError> {
        let (store, clock) = (self.shared.store.clone(), self.shared.clock);
        let mut transaction = Transaction::with_id(id, store, clock, envelope, Origin::default());
        transaction.write(text).await?;
        transaction.commit_with(Vec::new(), false).await?;
        Ok(())
    }

    /// An id for a message that goes on without being kept here.
    #[must_use]
    pub fn next_id(&self) -> MessageId {
        self.shared.store.ids().next(self.shared.clock.now_micros())
    }

    /// Delivers what is there and what comes, until `shutdown`. Then it waits for the attempts under way, as long as
    /// the settings say, and breaks off the rest: nothing is lost by that, a message half sent is sent again.
    ///
    /// One at a time: a second call waits for the first to end.
    pub async fn run(&self, courier: Courier, shutdown: CancellationToken) {
        run::run(self.shared.clone(), courier, shutdown).await;
    }

    /// Changes the routes under a running [`run`](Self::run). Attempts under way end as they began.
    pub fn use_courier(&self, courier: Courier) {
        self.shared.courier.send_replace(Some(courier));
    }

    /// The messages of the queue that are meant, at most `limit`, after this one.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn page(&self, filter: &Filter, after: Option<MessageId>, limit: usize) -> std::io::Result<Page> {
        listing::page(&self.shared, filter, after, limit).await
    }

    /// A part of the summary of those that are meant: add up until there is no `next`.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn summary(&self, filter: &Filter, after: Option<MessageId>) -> std::io::Result<Summary> {
        listing::summary(&self.shared, filter, after).await
    }

    /// Does something to a message; when this returns, it is on disk. Only while [`run`](Self::run) does.
    ///
    /// # Errors
    /// When the message is not there, or the order cannot be carried out.
    pub async fn order(&self, id: MessageId, order: Order) -> Result<(), OrderError> {
        let (done, answer) = oneshot::channel();
        self.shared.orders.0.send((id, order, done)).await.map_err(|_| OrderError::Stopped)?;
        answer.await.map_err(|_| OrderError::Stopped)?
    }

    /// A message's envelope, and its text.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub async fn open_message(&self, id: MessageId) -> Result<(Envelope, impl MessageSource + use<>), OrderError> {
        let loaded = self.shared.store.load(id).await?;
        Ok((loaded.envelope, loaded.source))
    }

    /// What has happened, and what there is.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Messages accepted and not yet dealt with.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.store.usage().messages
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what is waiting and lets go of the folder; what is asked later is answered with [`SpoolError::Closed`].
    pub async fn close(&self) {
        self.shared.store.close().await;
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Checks every record and every message in `state_dir/spool`, and says what is damaged, and how far it is, as it goes.
/// It changes nothing, and may run beside the gateway. Blocks.
///
/// # Errors
/// When there is no spool, it cannot be read, or it was written by a later version. Damage is none: it is told.
pub fn verify(state_dir: &Path, mut tell: impl FnMut(Finding)) -> Result<Verification, SpoolError> {
    store::verify(&state_dir.join("spool"), &mut tell)
}
