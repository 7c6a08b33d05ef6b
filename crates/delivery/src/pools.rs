//! Connections that wait for their next use, by whom they lead to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Host, Pool};

/// Where a connection leads, and what it was made for: what is sure enough for one domain's mail need not be for
/// another's.
type Key = (Host, Option<Arc<str>>);

/// Above so many, those that hold nothing go.
const MANY: usize = 64;

/// The pools of a route.
#[derive(Debug)]
pub(crate) struct Pools {
    pools: Mutex<HashMap<Key, Arc<Pool>>>,
    keep_open: Duration,
    max_uses: u32,
    max_age: Duration,
}

impl Pools {
    pub(crate) fn new(keep_open: Duration, max_uses: u32, max_age: Duration) -> Self {
        Self { pools: Mutex::default(), keep_open, max_uses, max_age }
    }

    pub(crate) fn of(&self, host: &Host, domain: Option<&Arc<str>>) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() > MANY {
            pools.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_empty());
        }
        let new = || Arc::new(Pool::new(self.keep_open, self.max_uses, self.max_age));
        pools.entry((host.clone(), domain.cloned())).or_insert_with(new).clone()
    }
}
