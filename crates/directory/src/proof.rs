//! Whether a password is a person's: by a bind, or by an attribute. For nobody the same work is done, and as much time
//! taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::account::{BindResult, bind_result};
use crate::answers::WrongPassword;
use crate::ldap::message::FoundEntry;
use crate::ldap::pool::Pool;
use crate::password::{Password, Verifier};
use crate::step::{Question, Sight, Step, Trace};
use crate::stored_password::StoredPassword;

/// A name that nobody has: its bind fails as one with a wrong password does.
const NOBODY: &str = "cn=nobody of the gateway 5d1f3c0a";

/// How passwords of one directory are proved.
pub(crate) struct Proof {
    /// The attribute; `None`: by a bind.
    attribute: Option<String>,
    verifier: Verifier,
    /// What the last person's attribute held: an unknown user's password is held against it too.
    last: Mutex<Option<Arc<Vec<StoredPassword>>>>,
    usual: Usual,
}

impl Proof {
    pub(crate) fn new(attribute: Option<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { attribute, verifier: Verifier::new(cores), last: Mutex::default(), usual: Usual::default() }
    }

    pub(crate) fn verifications(&self) -> u64 {
        self.verifier.runs()
    }

    /// What a search must ask for, so that [`Proof::prove`] finds it.
    pub(crate) fn attributes(&self, others: &[String]) -> Vec<String> {
        others.iter().cloned().chain(self.attribute.clone()).collect()
    }

    /// Proves a password of `entry`, or makes as if, for nobody. The error says why no server judged it.
    pub(crate) async fn prove(
        &self,
        pool: &Pool,
        entry: Option<&FoundEntry>,
        password: &Password,
        deadline: Instant,
        trace: &Trace,
    ) -> Result<BindResult, String> {
        match &self.attribute {
            None => self.by_bind(pool, entry, password, deadline, trace).await,
            Some(attribute) => self.by_attribute(attribute, entry, password, trace).await,
        }
    }

    async fn by_bind(
        &self,
        pool: &Pool,
        entry: Option<&FoundEntry>,
        password: &Password,
        deadline: Instant,
        trace: &Trace,
    ) -> Result<BindResult, String> {
        // An empty name would make it an anonymous bind (RFC 4513 section 5.1.1).
        let dn = entry.map(|entry| entry.dn.as_str()).filter(|dn| !dn.is_empty());
        let began = Instant::now();
        let asked = pool.bind(dn.unwrap_or(NOBODY), password.expose(), deadline).await?;
        if trace.is_heard() {
            let bind = format!("bind as {:?}", dn.unwrap_or(NOBODY));
            let server = Some(asked.server.url().to_string());
            trace.tell(Step { server, took: Some(began.elapsed()), ..step(bind, asked.answer.told()) });
        }
        let result = bind_result(&asked.answer);
        match (&result, entry) {
            // Whatever the server says of a name that is nobody's.
            (_, None) => {
                self.usual.wait(began).await;
                Ok(BindResult::Wrong(WrongPassword::UnknownUser))
            }
            (BindResult::Unclear, _) => Err(format!("{}: bind as {dn:?}: {}", asked.server.url(), asked.answer.told())),
            (BindResult::Wrong(_), _) => {
                self.usual.learn(began.elapsed());
                Ok(result)
            }
            _ => Ok(result),
        }
    }

    async fn by_attribute(
        &self,
        attribute: &str,
        entry: Option<&FoundEntry>,
        password: &Password,
        trace: &Trace,
    ) -> Result<BindResult, String> {
        let mut stored = Vec::new();
        for value in entry.iter().flat_map(|entry| entry.values(attribute)) {
            match StoredPassword::parse(value) {
                Ok(one) => stored.push(one),
                Err(why) => {
                    let dn = entry.map(|entry| entry.dn.as_str());
                    tracing::warn!(dn, attribute, why, "a stored password can't be used");
                }
            }
        }
        let own = !stored.is_empty();
        let values = stored.len();
        let compared = if own { Some(self.keep(stored)) } else { self.kept() };
        let check = move |password: &[u8]| {
            // All of them: which one it was is nobody's business.
            compared.iter().flat_map(|all| all.iter()).fold(false, |right, one| one.is(password) | right)
        };
        let right = self.verifier.run(password, check).await?;
        if trace.is_heard() {
            let said = match (own, right) {
                (false, _) => "there is none that can be used",
                (true, false) => "it is none of them",
                (true, true) => "it is one of them",
            };
            trace.tell(step(format!("compared with {values} values of {attribute}"), said.to_owned()));
        }
        Ok(match (own, right) {
            (false, _) => BindResult::Wrong(WrongPassword::NoPassword),
            (true, false) => BindResult::Wrong(WrongPassword::Mismatch),
            (true, true) => BindResult::Right,
        })
    }

    fn kept(&self) -> Option<Arc<Vec<StoredPassword>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, stored: Vec<StoredPassword>) -> Arc<Vec<StoredPassword>> {
        let stored = Arc::new(stored);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&stored));
        stored
    }
}

fn step(asked: String, said: String) -> Step {
    Step {
        question: Question::Password,
        asked,
        base: None,
        scope: None,
        server: None,
        took: None,
        remembered: false,
        found: Sight::Said(said),
    }
}

/// How long a bind with a wrong password takes here, as an average of the last ones: servers answer for a name that they
/// do not have without hashing anything.
#[derive(Default)]
struct Usual(AtomicU64);

impl Usual {
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mix = |known: u64| Some(if known == 0 { took } else { known - known / 8 + took / 8 });
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, mix);
    }

    /// Until it took as long as that, from `began` on.
    async fn wait(&self, began: Instant) {
        let usual = Duration::from_micros(self.0.load(Ordering::Relaxed));
        tokio::time::sleep_until((began + usual).into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers answer for an unknown name at once; the client must not see that.
    #[tokio::test]
    async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
        let usual = Usual::default();
        usual.learn(Duration::from_millis(80));
        let began = Instant::now();
        usual.wait(began).await;
        assert!(began.elapsed() >= Duration::from_millis(80));
        // What others take moves it slowly: an eighth of the way each time.
        usual.learn(Duration::from_millis(160));
        assert_eq!(usual.0.load(Ordering::Relaxed), 90_000);
    }
}
