//! The spool as the rest of the gateway sees it.

use std::path::Path;
use std::sync::Arc;

use policy::Permit;
use protocol::{Domain, Envelope};
use tokio::sync::{Mutex, mpsc};

use crate::clock::Clock;
use crate::error::SpoolError;
use crate::settings::Settings;
use crate::store::{self, Due, RecoveryReport, Store, Tuning};
use crate::transaction::Transaction;

/// Accepted mail until it is delivered. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    clock: Clock,
    settings: Settings,
    hostname: Domain,
    arrivals: Mutex<mpsc::UnboundedReceiver<Due>>,
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
        let shared = Shared {
            store: opened.store,
            clock: Clock::start(),
            settings: settings.clone(),
            hostname: hostname.clone(),
            arrivals: Mutex::new(opened.arrivals),
        };
        Ok((Self { shared: Arc::new(shared) }, opened.report))
    }

    /// Begins to take a message. Only who holds a permit for its sender can.
    #[must_use]
    pub fn begin(&self, permit: &Permit, envelope: Envelope) -> Transaction {
        let identity = permit.identity().map(|identity| identity.principal.user_id.to_string()).unwrap_or_default();
        Transaction::new(self.shared.store.clone(), self.shared.clock, envelope, identity)
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
}
