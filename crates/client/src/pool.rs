//! Connections to one server that wait for their next use.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;

/// The idle connections to one server.
pub struct Pool {
    idle: Arc<Mutex<Idle>>,
    keep_open: Duration,
    max_uses: u32,
    max_age: Duration,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, Connection)>,
    /// A task is there that closes them in time.
    watched: bool,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("idle", &lock(&self.idle).connections.len()).finish_non_exhaustive()
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Keeps each connection unused for so long, for so many uses, and until it is so old.
    #[must_use]
    pub fn new(keep_open: Duration, max_uses: u32, max_age: Duration) -> Self {
        Self { idle: Arc::default(), keep_open, max_uses, max_age }
    }

    /// Whether it holds no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.idle).connections.is_empty()
    }

    /// The connection used last, which is the one least likely to have been closed.
    #[must_use]
    pub fn take(&self) -> Option<Connection> {
        let (until, connection) = lock(&self.idle).connections.pop()?;
        (until > Instant::now()).then_some(connection)
    }

    /// Whether the connection is neither used up nor too old for one use more.
    #[must_use]
    pub fn may_serve_again(&self, connection: &Connection) -> bool {
        connection.uses < self.max_uses && connection.opened.elapsed() < self.max_age
    }

    /// Keeps a connection for the next use, or says QUIT to one that has served long enough. In a tokio runtime.
    pub fn put(&self, mut connection: Connection) {
        connection.kept = true;
        if !self.may_serve_again(&connection) || !connection.has_room() || self.keep_open.is_zero() {
            tokio::spawn(connection.quit());
            return;
        }
        let mut idle = lock(&self.idle);
        idle.connections.push((Instant::now() + self.keep_open, connection));
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(watch(self.idle.clone()));
        }
    }
}

/// Closes each connection when its time has come; ends when none is left.
async fn watch(pool: Arc<Mutex<Idle>>) {
    loop {
        let next = {
            let mut idle = lock(&pool);
            let next = idle.connections.iter().map(|(until, _)| *until).min();
            idle.watched = next.is_some();
            next
        };
        let Some(next) = next else { return };
        sleep_until(next).await;
        let now = Instant::now();
        let expired: Vec<_> = lock(&pool).connections.extract_if(.., |(until, _)| *until <= now).collect();
        for (_, connection) in expired {
            connection.quit().await;
        }
    }
}
