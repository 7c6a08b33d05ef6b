//! One connection: many operations at a time, each by its message id (RFC 4511 section 4.1.1.1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use zeroize::{Zeroize as _, Zeroizing};

use crate::ldap::ber::message_length;
use crate::ldap::message::{Ended, FoundEntry, Operation, Response, abandon, message, read, unbind};

/// Octets of one message: Active Directory's whole schema in one entry fits.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Requests that wait to be written.
const QUEUE: usize = 1024;
/// Octets written at once.
const BATCH: usize = 64 * 1024;

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The first of them, as many as were to be kept: not every server keeps to a size limit.
    pub(crate) entries: Vec<FoundEntry>,
    /// How many there were.
    pub(crate) seen: usize,
    pub(crate) ended: Ended,
}

/// The connection went away before the answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost: {0}")]
pub(crate) struct Lost(pub(crate) String);

/// A connection, closed when the last of its clones is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Operation>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    last_id: i32,
    waiting: HashMap<i32, Waiting>,
    closed: Option<String>,
    heard: Instant,
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Result<Answer, Lost>>,
    entries: Vec<FoundEntry>,
    keep: usize,
    seen: usize,
}

impl State {
    /// Ids go round; those still in use are left out.
    fn next_id(&mut self) -> i32 {
        loop {
            self.last_id = if self.last_id == i32::MAX { 1 } else { self.last_id + 1 };
            if !self.waiting.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, why: &str) {
        let waiting = {
            let mut state = self.state();
            state.closed.get_or_insert_with(|| why.to_owned());
            std::mem::take(&mut state.waiting)
        };
        for (_, waiting) in waiting {
            let _ = waiting.answer.send(Err(Lost(why.to_owned())));
        }
    }
}

impl Connection {
    /// Takes a stream and runs it on a task of its own.
    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let state = State { last_id: 0, waiting: HashMap::new(), closed: None, heard: Instant::now() };
        let shared = Arc::new(Shared(Mutex::new(state)));
        let (requests, queue) = mpsc::channel(QUEUE);
        let run = run(stream, Arc::clone(&shared), queue);
        let task = tokio::spawn(run).abort_handle();
        Self { shared, requests, task }
    }

    /// Whether it can't be used any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.state().closed.is_some()
    }

    /// Operations that wait for their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.shared.state().waiting.len()
    }

    /// Whether nothing at all came since then: a slow search among others is no dead server.
    pub(crate) fn silent_since(&self, then: Instant) -> bool {
        self.shared.state().heard < then
    }

    /// Ends it for all who use it.
    pub(crate) fn close(&self, why: &str) {
        self.shared.close(why);
        self.task.abort();
    }

    /// Runs an operation. The first `keep` entries are kept. Dropped before its end, the operation is abandoned.
    pub(crate) async fn call(&self, operation: Operation, keep: usize) -> Result<Answer, Lost> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.shared.state();
            if let Some(why) = &state.closed {
                return Err(Lost(why.clone()));
            }
            let id = state.next_id();
            state.waiting.insert(id, Waiting { answer, entries: Vec::new(), keep, seen: 0 });
            id
        };
        let _pending = Pending { connection: self, id };
        let gone = |_| Lost("its task ended".to_owned());
        self.requests.send(message(id, &operation)).await.map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }
}

/// An operation under way.
struct Pending<'a> {
    connection: &'a Connection,
    id: i32,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut state = self.connection.shared.state();
        if state.waiting.remove(&self.id).is_some() {
            // Best effort: a server that does not hear of it answers in vain.
            let _ = self.connection.requests.try_send(message(state.next_id(), &abandon(self.id)));
        }
    }
}

async fn run(stream: impl AsyncRead + AsyncWrite + Send, shared: Arc<Shared>, queue: mpsc::Receiver<Operation>) {
    let (reader, writer) = tokio::io::split(stream);
    // Whatever ends first ends both; a panic below would end them too.
    let _closing = Closing(Arc::clone(&shared));
    let why = tokio::select! {
        why = hear(reader, &shared) => why,
        why = say(writer, queue) => why,
    };
    shared.close(&why);
}

struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close("its task ended");
    }
}

async fn say(mut writer: WriteHalf<impl AsyncWrite>, mut queue: mpsc::Receiver<Operation>) -> String {
    let mut batch = Zeroizing::new(Vec::new());
    while let Some(first) = queue.recv().await {
        // A growing vector would leave copies behind, and one may hold a password: those go as they are.
        let sent = match queue.is_empty() {
            true => writer.write_all(&first).await,
            false => {
                batch.reserve_exact(BATCH);
                batch.extend_from_slice(&first);
                while batch.len() < BATCH / 2
                    && let Ok(next) = queue.try_recv()
                {
                    batch.extend_from_slice(&next);
                }
                let sent = writer.write_all(&batch).await;
                batch.zeroize();
                sent
            }
        };
        if let Err(error) = async { sent.and(writer.flush().await) }.await {
            return error.to_string();
        }
    }
    // Nobody holds it any more. Politely, but not for long: the server may not read.
    let goodbye = async {
        let _ = writer.write_all(&message(i32::MAX, &unbind())).await;
        let _ = writer.shutdown().await;
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), goodbye).await;
    "it was no longer needed".to_owned()
}

async fn hear(mut reader: ReadHalf<impl AsyncRead>, shared: &Shared) -> String {
    let mut octets = Vec::with_capacity(16 * 1024);
    loop {
        match reader.read_buf(&mut octets).await {
            Ok(0) => return "the server closed it".to_owned(),
            Ok(_) => shared.state().heard = Instant::now(),
            Err(error) => return error.to_string(),
        }
        let mut rest = octets.as_slice();
        loop {
            let length = match message_length(rest, MAX_MESSAGE) {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(error) => return error.to_string(),
            };
            let (first, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = others;
            match read(first) {
                Ok((id, response)) => {
                    if let Err(why) = take(shared, id, response) {
                        return why;
                    }
                }
                Err(error) => return error.to_string(),
            }
        }
        let done = octets.len().saturating_sub(rest.len());
        octets.drain(..done);
    }
}

/// Gives a response to whom it belongs; the error ends the connection.
fn take(shared: &Shared, id: i32, response: Response) -> Result<(), String> {
    if id == 0 {
        // RFC 4511 section 4.4.1: the server says why it is about to close.
        return match response {
            Response::Ended(ended) => Err(format!("notice of disconnection: {}", ended.told())),
            _ => Ok(()),
        };
    }
    let mut state = shared.state();
    match response {
        Response::Entry(entry) => {
            if let Some(waiting) = state.waiting.get_mut(&id) {
                waiting.seen = waiting.seen.saturating_add(1);
                if waiting.entries.len() < waiting.keep {
                    waiting.entries.push(entry);
                }
            }
        }
        Response::Ended(ended) => {
            if let Some(waiting) = state.waiting.remove(&id) {
                let Waiting { answer, entries, seen, .. } = waiting;
                let _ = answer.send(Ok(Answer { entries, seen, ended }));
            }
        }
        Response::Reference | Response::Other => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
