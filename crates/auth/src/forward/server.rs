//! One server that judges passwords: its connections, and how it fares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::{Answer, Cause, Connection, Mechanism, Opener, Pool, ServerUrl, Verdict, WireError, authenticate};
use protocol::EnhancedCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How long a connection waits for the next login: shorter than servers let one wait that says nothing.
const READY_FOR: Duration = Duration::from_secs(10);
/// Passwords that a server refuses on one connection, before it is left: servers hold many against a client.
const MAX_REFUSALS: u32 = 3;
/// A connection is left after this, so that a server's other addresses get their share.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// Logins that come closer after each other than this find a connection that was made ready for them.
const THICK: Duration = Duration::from_secs(5);
/// A connection that waited shows that it still lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// Who had less time than that to connect, having waited for a place, tells nothing of the server.
const FAIR: Duration = Duration::from_secs(1);
/// A server that could not be reached is left alone, twice as long after each failure.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// RFC 3463 section 3.8: no TLS, TLS that failed.
const NO_TLS: EnhancedCode = EnhancedCode(4, 7, 4);
const TLS_FAILED: EnhancedCode = EnhancedCode(4, 7, 5);

/// A server of a forward.
pub(super) struct Server {
    forward: String,
    url: ServerUrl,
    opener: Opener,
    pool: Pool,
    /// One for each connection, those in the pool excepted: whoever has one takes from the pool first, so that no more
    /// are open than there are places.
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// Why it is left alone, and until when.
    rest: Option<(String, Instant)>,
    last_login: Option<Instant>,
}

/// Why a server did not answer.
pub(super) enum Trouble {
    /// The password was not sent.
    Unasked(String),
    /// It was.
    Unanswered(String),
}

/// Why no password can be asked about, and what would be right.
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) mend: &'static str,
}

impl Server {
    pub(super) fn new(forward: &str, url: ServerUrl, opener: Opener, connections: usize) -> Arc<Self> {
        Arc::new(Self {
            forward: forward.to_owned(),
            url,
            opener,
            pool: Pool::new(READY_FOR, MAX_REFUSALS, MAX_AGE),
            places: Arc::new(Semaphore::new(connections)),
            state: Mutex::default(),
        })
    }

    /// Asks about a user name and a password. A connection is there before `patience` ends, or the server is not asked; the
    /// answer may take until `deadline`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        user: &str,
        password: &[u8],
        patience: Instant,
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        let unasked = |why: String| Trouble::Unasked(format!("{}: {why}", self.url));
        self.rests().map_err(unasked)?;
        let place = timeout_at(patience, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(unasked("all connections to it are in use".to_owned())) };
        // Meanwhile others may have found it dead.
        self.may_try().map_err(unasked)?;
        let connection = self.connection(patience).await;
        let (mut connection, mechanism) = connection.map_err(|failure| unasked(failure.why))?;
        self.recover();
        connection.set_deadline(deadline);
        match authenticate(&mut connection, mechanism, user, password, deadline - Instant::now()).await {
            Ok(answer) => {
                self.log(user, &answer);
                self.release(connection, &answer, place);
                Ok(answer)
            }
            Err(error) => {
                tracing::warn!(forward = self.forward, server = %self.url, %error, mend = "its own log may tell why", "the forwarding server did not answer a login");
                Err(Trouble::Unanswered(format!("{}: {error} (AUTH)", self.url)))
            }
        }
    }

    /// Connects and says goodbye: whether a password could be asked about, and by which mechanism.
    pub(super) async fn look(&self, deadline: Instant) -> Result<Mechanism, Failure> {
        let (connection, mechanism) = self.open(deadline).await?;
        self.recover();
        connection.quit().await;
        Ok(mechanism)
    }

    pub(super) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// One that waits, or a new one; over which a password may go.
    async fn connection(&self, patience: Instant) -> Result<(Connection, Mechanism), Failure> {
        while let Some(mut connection) = self.pool.take() {
            let limit = SIGN_OF_LIFE.min(patience.saturating_duration_since(Instant::now()) / 4);
            connection.set_deadline(patience);
            // What came unasked would be taken for the answer to a password.
            if !connection.is_quiet() {
                continue;
            }
            match connection.command(b"NOOP\r\n", limit).await {
                Ok(reply) if reply.code() == 250 && connection.is_quiet() => {
                    if let Some(mechanism) = Mechanism::first_of(&Mechanism::SENDING, &connection.extensions) {
                        return Ok((connection, mechanism));
                    }
                }
                // The network may have gone under all of them, and each would be waited for.
                Err(WireError::Timeout) => while self.pool.take().is_some() {},
                _ => {}
            }
        }
        self.open(patience).await
    }

    async fn open(&self, deadline: Instant) -> Result<(Connection, Mechanism), Failure> {
        let fair = deadline.saturating_duration_since(Instant::now()) >= FAIR.min(self.opener.limits.connect / 4);
        let connection = self.opener.open(deadline).await.map_err(|cause| {
            let failure = Failure { why: what(&cause), mend: mend(&cause) };
            if fair { self.fail(failure) } else { failure }
        })?;
        let Some(mechanism) = Mechanism::first_of(&Mechanism::SENDING, &connection.extensions) else {
            let offered = connection.extensions.auth.join(" ");
            tokio::spawn(connection.quit());
            let why = match offered.is_empty() {
                true => "it does not offer AUTH".to_owned(),
                false => format!("of its mechanisms, {offered}, none is PLAIN or LOGIN"),
            };
            let mend = "let it offer AUTH PLAIN on this port, as to a mail client";
            return Err(self.fail(Failure { why, mend }));
        };
        Ok((connection, mechanism))
    }

    /// After a successful AUTH no other one can follow (RFC 4954 section 4), and RSET logs nobody out.
    fn release(self: &Arc<Self>, connection: Connection, answer: &Answer, place: OwnedSemaphorePermit) {
        let mut connection = connection;
        connection.uses = connection.uses.saturating_add(1);
        let now = Instant::now();
        let before = self.state().last_login.replace(now);
        if answer.usable {
            self.pool.put(connection);
            return;
        }
        let thick = before.is_some_and(|before| now.duration_since(before) < THICK);
        let successor = thick && answer.verdict == Verdict::Right;
        let server = Arc::clone(self);
        tokio::spawn(async move {
            connection.quit().await;
            if successor && let Ok((fresh, _)) = server.open(Instant::now() + server.opener.limits.connect).await {
                server.pool.put(fresh);
            }
            drop(place);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is left alone now.
    fn rests(&self) -> Result<(), String> {
        match &self.state().rest {
            Some((why, until)) if *until > Instant::now() => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// While it rests, nobody tries; after that, one does.
    fn may_try(&self) -> Result<(), String> {
        let mut state = self.state();
        let failures = state.failures;
        match &mut state.rest {
            Some((why, until)) if *until > Instant::now() => Err(why.clone()),
            Some((_, until)) => {
                *until = Instant::now() + rest(failures);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn fail(&self, failure: Failure) -> Failure {
        let mut state = self.state();
        let Failure { why, mend } = &failure;
        if state.rest.is_none() {
            tracing::warn!(forward = self.forward, server = %self.url, why, mend, "the forwarding server cannot be asked");
        }
        state.rest = Some((why.clone(), Instant::now() + rest(state.failures)));
        state.failures = state.failures.saturating_add(1);
        failure
    }

    fn recover(&self) {
        let mut state = self.state();
        state.failures = 0;
        if state.rest.take().is_some() {
            tracing::info!(forward = self.forward, server = %self.url, "the forwarding server can be asked again");
        }
    }

    /// What it said, in its own words: the client is told none of it.
    fn log(&self, user: &str, answer: &Answer) {
        let (forward, server, reply) = (&self.forward, &self.url, &answer.reply);
        match answer.verdict {
            Verdict::Right => {
                tracing::debug!(forward, %server, user, %reply, "the forwarding server takes the password")
            }
            Verdict::Wrong | Verdict::Disabled => {
                tracing::info!(forward, %server, user, %reply, "the forwarding server refuses the password");
            }
            Verdict::Unclear => {
                let mend = match reply.code() {
                    530 | 538 | 523 => "it wants TLS: write smtps://, or leave starttls out",
                    500..=504 => "it announces AUTH and does not do it: see its settings and its log",
                    421 | 450 | 451 | 454 => "it asks to try again later: its own log tells why",
                    _ => "this is no answer to a password: its own log tells why",
                };
                tracing::warn!(forward, %server, user, %reply, mend, "the forwarding server does not judge the password");
            }
        }
    }
}

fn rest(failures: u32) -> Duration {
    FIRST_REST.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST_REST)
}

/// The cause without its host, which the server's URL names.
fn what(cause: &Cause) -> String {
    Cause { host: None, ..cause.clone() }.to_string()
}

fn mend(cause: &Cause) -> &'static str {
    match cause.status() {
        NO_TLS => "write smtps:// if it has a port with TLS from the start; passwords go out inside TLS only",
        TLS_FAILED => "`ca` names the authority of its certificate, and `servers` the name that is in it",
        _ => "is it up, and is this its submission port?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_bound() {
        for (failures, milliseconds) in [(0, 250), (1, 500), (2, 1000), (5, 8000), (6, 10_000), (u32::MAX, 10_000)] {
            assert_eq!(rest(failures), Duration::from_millis(milliseconds));
        }
    }
}
