//! The servers of a directory, as one: asked in order, each question once more elsewhere if a server fails it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::time::timeout_at;

use crate::ldap::connection::Answer;
use crate::ldap::message::{Ended, Operation, simple_bind};
use crate::ldap::server::{Server, ServerHealth};

/// How often a question is put, on whatever servers.
const TRIES: usize = 2;

/// The servers.
pub(crate) struct Pool {
    servers: Vec<Arc<Server>>,
    /// Each question starts at the next server, instead of always at the first.
    balance: bool,
    turn: AtomicUsize,
}

/// What a server said, and which.
pub(crate) struct Asked<T> {
    pub(crate) server: Arc<Server>,
    pub(crate) answer: T,
}

/// Results that say "not now, not I" (RFC 4511 appendix A.2): another server may know.
fn elsewhere(ended: &Ended) -> bool {
    matches!(ended.code, 51 | 52)
}

impl Pool {
    pub(crate) fn new(servers: Vec<Arc<Server>>, balance: bool) -> Self {
        Self { servers, balance, turn: AtomicUsize::new(0) }
    }

    pub(crate) fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        self.servers.iter().map(|server| server.health()).collect()
    }

    /// Whom to ask, in order. Servers that are down come last, and are looked after meanwhile.
    fn order(&self) -> Vec<Arc<Server>> {
        let start = if self.balance { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let count = self.servers.len();
        let turned = self.servers.iter().cycle().skip(start.checked_rem(count).unwrap_or(0)).take(count);
        let (down, mut order): (Vec<_>, Vec<_>) = turned.cloned().partition(|server| server.is_down());
        if !order.is_empty() {
            down.iter().for_each(Server::probe);
        }
        order.extend(down);
        order
    }

    /// Searches. The error says of each server that was tried why it did not answer.
    pub(crate) async fn search(
        &self,
        operation: &Operation,
        keep: usize,
        deadline: Instant,
    ) -> Result<Asked<Answer>, String> {
        let mut trying = Trying::new(self.order(), deadline);
        while let Some((server, until)) = trying.next() {
            let searching = match timeout_at(until, server.searching()).await {
                Ok(Ok(searching)) => searching,
                Ok(Err(why)) => {
                    trying.failed(&server, why);
                    continue;
                }
                Err(_) => {
                    server.kept_waiting();
                    trying.failed(&server, "no connection in time".to_owned());
                    continue;
                }
            };
            trying.sent += 1;
            let sent = Instant::now();
            match timeout_at(until, searching.connection.call(operation.clone(), keep)).await {
                Ok(Ok(answer)) if elsewhere(&answer.ended) => trying.failed(&server, answer.ended.told()),
                Ok(Ok(answer)) => return Ok(Asked { server: Arc::clone(&server), answer }),
                Ok(Err(lost)) => trying.lost(Arc::clone(&server), lost.to_string()),
                Err(_) => {
                    server.silent(&searching.connection, sent);
                    trying.failed(&server, "no answer in time".to_owned());
                }
            }
        }
        Err(trying.told())
    }

    /// Binds as a user. What the server says of the password is the answer; the error is about servers only.
    pub(crate) async fn bind(&self, name: &str, password: &[u8], deadline: Instant) -> Result<Asked<Ended>, String> {
        let mut trying = Trying::new(self.order(), deadline);
        while let Some((server, until)) = trying.next() {
            let binding = match timeout_at(until, server.binding()).await {
                Ok(Ok(binding)) => binding,
                Ok(Err(why)) => {
                    trying.failed(&server, why);
                    continue;
                }
                Err(_) => {
                    trying.failed(&server, "no connection in time".to_owned());
                    continue;
                }
            };
            trying.sent += 1;
            let sent = Instant::now();
            match timeout_at(until, binding.connection.call(simple_bind(name, password), 0)).await {
                Ok(Ok(answer)) => {
                    binding.give_back();
                    match elsewhere(&answer.ended) {
                        true => trying.failed(&server, answer.ended.told()),
                        false => return Ok(Asked { server, answer: answer.ended }),
                    }
                }
                Ok(Err(lost)) => trying.lost(Arc::clone(&server), lost.to_string()),
                Err(_) => {
                    server.silent(&binding.connection, sent);
                    // Its outcome is not known, and no other bind may follow it on this connection.
                    binding.connection.close("a bind was not answered in time");
                    trying.failed(&server, "no answer in time".to_owned());
                }
            }
        }
        Err(trying.told())
    }
}

/// The servers that are left for a question, and the time.
struct Trying {
    left: std::collections::VecDeque<Arc<Server>>,
    deadline: Instant,
    sent: usize,
    reasons: Vec<String>,
}

impl Trying {
    fn new(order: Vec<Arc<Server>>, deadline: Instant) -> Self {
        Self { left: order.into(), deadline, sent: 0, reasons: Vec::new() }
    }

    /// The next server, and until when it may take: half of what is left, where another one could still be asked.
    fn next(&mut self) -> Option<(Arc<Server>, tokio::time::Instant)> {
        let now = Instant::now();
        if self.sent >= TRIES || now >= self.deadline {
            return None;
        }
        let server = self.left.pop_front()?;
        let left = self.deadline.saturating_duration_since(now);
        let share = if self.left.is_empty() || self.sent + 1 >= TRIES { left } else { left / 2 };
        Some((server, (now + share).into()))
    }

    fn failed(&mut self, server: &Arc<Server>, why: String) {
        self.reasons.push(format!("{}: {why}", server.url()));
    }

    /// The connection broke under the question. Servers close what was idle for long: a new one to the same server will
    /// do, where there is no other.
    fn lost(&mut self, server: Arc<Server>, why: String) {
        self.failed(&server, why);
        if self.left.iter().all(|other| other.is_down()) {
            self.left.push_front(server);
        }
    }

    fn told(self) -> String {
        match self.reasons.is_empty() {
            true => "no time was left to ask".to_owned(),
            false => self.reasons.join("; "),
        }
    }
}
