//! One server: its connections, and whether it is well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::ldap::connection::Connection;
use crate::ldap::connector::Connector;
use crate::ldap::schema::Wanted;
use crate::server_url::ServerUrl;

/// Operations on one connection, from which one more connection is worth its while.
const BUSY: usize = 16;
/// Searches under way for each connection there may be, beyond which others wait.
const FULL: usize = 256;
/// The wait after the first failure; doubled after each, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long what the schema said is believed.
const SCHEMA_HOLDS: Duration = Duration::from_secs(3600);
/// The longest that making a connection may take, schema and all. Queries do not wait for it beyond their own time.
const CONNECTING: Duration = Duration::from_secs(20);

/// A server of a pool.
pub(crate) struct Server {
    url: ServerUrl,
    directory: String,
    connector: Connector,
    wanted: Wanted,
    /// Search connections at most.
    connections: usize,
    state: Mutex<State>,
    /// Told when `state` changed for better or worse.
    changed: watch::Sender<()>,
    places: Semaphore,
    binds: Semaphore,
    searches: AtomicU64,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    /// Idle ones, for the binds of users.
    binding: Vec<Connection>,
    connecting: bool,
    /// The connection being made takes longer than a question could wait: others are asked first meanwhile.
    overdue: bool,
    down: Option<Down>,
    failures: u32,
    total_failures: u64,
    schema_read: Option<Instant>,
    /// When one more connection may be tried beside those that are there.
    grow_at: Option<Instant>,
    was_up: bool,
}

#[derive(Clone)]
struct Down {
    why: String,
    since: Instant,
    retry_at: Instant,
}

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// Its URL.
    pub server: String,
    /// Connections for searches.
    pub connections: usize,
    /// Searches under way.
    pub in_flight: usize,
    /// Searches so far.
    pub searches: u64,
    /// Failures so far: connections that could not be made, and silences.
    pub failures: u64,
    /// Why it is not asked for the time being; `None` when it is well or was not asked yet.
    pub down: Option<ServerDown>,
}

/// A server that is not asked for the time being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerDown {
    /// The last failure.
    pub why: String,
    /// Since when it fails.
    pub since: Duration,
    /// In how long it is tried again.
    pub next_try: Duration,
}

impl Server {
    pub(crate) fn new(
        url: ServerUrl,
        directory: String,
        connector: Connector,
        wanted: Wanted,
        connections: usize,
        binds: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            url,
            directory,
            connector,
            wanted,
            connections,
            state: Mutex::default(),
            changed: watch::channel(()).0,
            places: Semaphore::new(FULL.saturating_mul(connections)),
            binds: Semaphore::new(binds),
            searches: AtomicU64::new(0),
        })
    }

    pub(crate) fn url(&self) -> &ServerUrl {
        &self.url
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others are to be asked before it.
    pub(crate) fn is_down(&self) -> bool {
        let state = self.state();
        state.down.is_some() || state.overdue
    }

    /// A question waited in vain for its connection.
    pub(crate) fn kept_waiting(&self) {
        let mut state = self.state();
        state.overdue = state.connecting && state.connections.is_empty();
    }

    /// Tries a server that is down again, where its time has come. Nobody waits for it.
    pub(crate) fn probe(self: &Arc<Self>) {
        let mut state = self.state();
        if state.down.as_ref().is_some_and(|down| down.retry_at <= Instant::now()) {
            self.start_connecting(&mut state);
        }
    }

    /// A connection for a search. Waits for one to be made, or for others to end where very many are under way; fails at
    /// once while the server is down.
    pub(crate) async fn searching(self: &Arc<Self>) -> Result<Searching<'_>, String> {
        let place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let mut changed = self.changed.subscribe();
        loop {
            {
                let mut state = self.state();
                state.connections.retain(|connection| !connection.is_closed());
                let least = state.connections.iter().map(|one| (one.in_flight(), one)).min_by_key(|one| one.0);
                if let Some((in_flight, connection)) = least {
                    let connection = connection.clone();
                    let may_grow = state.grow_at.is_none_or(|at| at <= Instant::now());
                    if in_flight >= BUSY && state.connections.len() < self.connections && may_grow {
                        self.start_connecting(&mut state);
                    }
                    self.searches.fetch_add(1, Ordering::Relaxed);
                    return Ok(Searching { connection, _place: place });
                }
                if let Some(down) = state.down.as_ref().filter(|down| down.retry_at > Instant::now()) {
                    return Err(down.why.clone());
                }
                self.start_connecting(&mut state);
                changed.mark_unchanged();
            }
            if changed.changed().await.is_err() {
                return Err("it is being closed".to_owned());
            }
        }
    }

    /// One at a time, however many wait: a server that comes back is not stampeded.
    fn start_connecting(self: &Arc<Self>, state: &mut State) {
        if state.connecting {
            return;
        }
        state.connecting = true;
        let read_schema = state.schema_read.is_none_or(|read| read.elapsed() > SCHEMA_HOLDS);
        let server = Arc::clone(self);
        tokio::spawn(async move {
            // Told also when this task is dropped with its runtime.
            let landing = Landing { server: &server };
            let outcome = match tokio::time::timeout(CONNECTING, server.open(read_schema)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("no connection within {} s", CONNECTING.as_secs())),
            };
            server.landed(outcome, read_schema);
            drop(landing);
        });
    }

    async fn open(&self, read_schema: bool) -> Result<Connection, String> {
        let connection = self.connector.connect_and_bind(&self.url).await?;
        if read_schema {
            self.wanted.admit(&connection, &self.directory, &self.url).await?;
        }
        Ok(connection)
    }

    fn landed(&self, outcome: Result<Connection, String>, read_schema: bool) {
        let mut state = self.state();
        state.overdue = false;
        match outcome {
            Ok(connection) => {
                if !state.was_up || state.down.is_some() {
                    tracing::info!(directory = self.directory, server = %self.url, "the directory server answers");
                }
                state.connections.push(connection);
                state.was_up = true;
                state.down = None;
                state.failures = 0;
                if read_schema {
                    state.schema_read = Some(Instant::now());
                }
            }
            // One more could not be had; those that are there still serve.
            Err(why) if state.connections.iter().any(|one| !one.is_closed()) => {
                tracing::debug!(directory = self.directory, server = %self.url, why, "no further connection");
                state.total_failures = state.total_failures.saturating_add(1);
                state.grow_at = Some(Instant::now() + LONGEST_WAIT);
            }
            Err(why) => self.fail(&mut state, why),
        }
    }

    /// A question on `connection` got no answer since `sent`. A server that answered others meanwhile is slow; one that
    /// answered nobody is dead or half-open: its connections are closed, and it is left alone for a while.
    pub(crate) fn silent(&self, connection: &Connection, sent: Instant) {
        let mut state = self.state();
        if state.connections.iter().chain([connection]).all(|one| one.silent_since(sent)) {
            self.fail(&mut state, "it fell silent".to_owned());
        }
        if connection.silent_since(sent) {
            connection.close("it fell silent");
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// It could not be reached.
    fn unreachable(&self, why: String) {
        self.fail(&mut self.state(), why);
        self.changed.send_replace(());
    }

    fn fail(&self, state: &mut State, why: String) {
        let now = Instant::now();
        let since = match &state.down {
            Some(down) => down.since,
            None => {
                tracing::warn!(directory = self.directory, server = %self.url, why, "the directory server fails");
                now
            }
        };
        let wait = back_off(state.failures, rand_unit());
        state.failures = state.failures.saturating_add(1);
        state.total_failures = state.total_failures.saturating_add(1);
        for connection in state.connections.drain(..).chain(state.binding.drain(..)) {
            connection.close(&why);
        }
        state.down = Some(Down { why, since, retry_at: now + wait });
    }

    /// A connection for the bind of a user; nobody else uses it meanwhile.
    pub(crate) async fn binding(&self) -> Result<Binding<'_>, String> {
        let place = self.binds.acquire().await.map_err(|error| error.to_string())?;
        {
            let mut state = self.state();
            if let Some(down) = state.down.as_ref().filter(|down| down.retry_at > Instant::now()) {
                return Err(down.why.clone());
            }
            state.binding.retain(|connection| !connection.is_closed());
            if let Some(connection) = state.binding.pop() {
                return Ok(Binding { server: self, connection, _place: place });
            }
        }
        match self.connector.connect(&self.url).await {
            Ok(connection) => Ok(Binding { server: self, connection, _place: place }),
            Err(why) => {
                self.unreachable(why.clone());
                Err(why)
            }
        }
    }

    /// How it fares.
    pub(crate) fn health(&self) -> ServerHealth {
        let mut state = self.state();
        state.connections.retain(|connection| !connection.is_closed());
        let now = Instant::now();
        ServerHealth {
            server: self.url.to_string(),
            connections: state.connections.len(),
            in_flight: state.connections.iter().map(Connection::in_flight).sum(),
            searches: self.searches.load(Ordering::Relaxed),
            failures: state.total_failures,
            down: state.down.as_ref().map(|down| ServerDown {
                why: down.why.clone(),
                since: now.saturating_duration_since(down.since),
                next_try: down.retry_at.saturating_duration_since(now),
            }),
        }
    }

    /// A connection of its own, for a check.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

struct Landing<'a> {
    server: &'a Server,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.server.state().connecting = false;
        self.server.changed.send_replace(());
    }
}

/// A connection for one search, which others use too.
pub(crate) struct Searching<'a> {
    pub(crate) connection: Connection,
    _place: SemaphorePermit<'a>,
}

/// A connection on which a user binds.
pub(crate) struct Binding<'a> {
    server: &'a Server,
    pub(crate) connection: Connection,
    _place: SemaphorePermit<'a>,
}

impl Binding<'_> {
    /// The server answered: the next user may have it.
    pub(crate) fn give_back(self) {
        self.server.state().binding.push(self.connection.clone());
    }
}

/// Twice as long after each failure, and never the same for two gateways: half of it is chance (`unit`, 0 to 1).
fn back_off(failures: u32, unit: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + unit / 2.0)
}

/// Chance, not secrecy.
fn rand_unit() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let chance = RandomState::new().hash_one(Instant::now());
    f64::from(u32::try_from(chance >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_half_of_them_is_chance() {
        for (failures, longest) in [(0, 250), (1, 500), (2, 1000), (5, 8000), (6, 10_000), (u32::MAX, 10_000)] {
            assert_eq!(back_off(failures, 1.0), Duration::from_millis(longest));
            assert_eq!(back_off(failures, 0.0), Duration::from_millis(longest / 2));
        }
        assert!((0..100).map(|_| rand_unit()).all(|unit| (0.0..=1.0).contains(&unit)));
        assert_ne!(rand_unit().to_bits(), rand_unit().to_bits());
    }
}
