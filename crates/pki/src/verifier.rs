//! A trust that asks: judges from what is known, fetches what the judgement lacks, and judges again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::knowledge::{Knowledge, Lack};
use crate::settings::OnUnknownStatus;
use crate::time::Time;
use crate::trust::Trust;
use crate::verdict::{Revocation, Verdict};

/// Judges chains under one trust, and gets what it lacks for that; cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    trust: Arc<Trust>,
    knowledge: Knowledge,
    max_wait: Duration,
}

/// Each round fetches what the one before has found out to be lacking: an issuer, its issuer, a list, an answer.
const MAX_ROUNDS: usize = 6;
/// Fetched for one judgement, in all.
const MAX_FETCHES: usize = 24;

impl Verifier {
    /// `max_wait` is how long a judgement may wait for the network.
    pub fn new(trust: Arc<Trust>, knowledge: Knowledge, max_wait: Duration) -> Self {
        Self { trust, knowledge, max_wait }
    }

    /// The trust.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Changes when verdicts that were still to hold may not hold any more; see [`Knowledge::generation`].
    pub fn generation(&self) -> u64 {
        self.knowledge.generation()
    }

    /// Judges the chain that a client presented, its own certificate first, the rest in any order. Waits for the network
    /// only where something is lacking, and no longer than `max_wait`: what has not come by then stays unknown.
    pub async fn verify(&self, chain: &[impl AsRef<[u8]>], at: Time) -> Arc<Verdict> {
        let deadline = Instant::now() + self.max_wait;
        let mut fetches = 0;
        for _ in 0..MAX_ROUNDS {
            let verdict = self.trust.verify_knowing(chain, &self.knowledge, at);
            let room = MAX_FETCHES.saturating_sub(fetches);
            let lacks: Vec<Lack> = verdict.lacks.iter().take(room).cloned().collect();
            fetches += lacks.len();
            if lacks.is_empty() || tokio::time::timeout_at(deadline, self.get(lacks)).await.is_err() {
                break;
            }
        }
        let verdict = self.trust.verify_knowing(chain, &self.knowledge, at);
        self.tell_unknown(&verdict);
        verdict
    }

    async fn get(&self, lacks: Vec<Lack>) {
        let mut fetching = JoinSet::new();
        for lack in lacks {
            let (knowledge, trust) = (self.knowledge.clone(), Arc::clone(&self.trust));
            fetching.spawn(async move { knowledge.get(lack, trust.name()).await });
        }
        while fetching.join_next().await.is_some() {}
    }

    /// Names who is being refused because something is old or out of reach; a person has to act, and not the client.
    fn tell_unknown(&self, verdict: &Verdict) {
        if let (Revocation::Unknown(why), Some(leaf)) = (&verdict.revocation, &verdict.leaf) {
            let consequence = self.trust.on_unknown_status();
            // Nobody set anything up that could tell, and it is let pass: there is nothing to act on.
            if consequence == OnUnknownStatus::Allow && why.has_nothing_to_go_by() {
                return;
            }
            tracing::warn!(certificate = %leaf, trust = self.trust.name(), %why, ?consequence, "revocation unknown");
        }
    }
}
