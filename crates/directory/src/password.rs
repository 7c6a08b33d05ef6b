//! Passwords and their Argon2id hashes (RFC 9106): made, read, and verified at a bounded rate.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, phc};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::error::Error;

/// Memory that one verification may be made to take, KiB: the file's author is trusted, a slip of the pen is not.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Passes, lanes.
const MAX_PASSES: u32 = 64;
const MAX_LANES: u32 = 16;

/// A password in clear: wiped when dropped, never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the octets as the client sent them. They are compared as they are, without SASLprep.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// Whether there is none: a directory must never be asked about it (RFC 4513 section 5.1.2).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The octets, for whatever proves them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Hashes a password for a people file: Argon2id, 19 MiB, two passes, one lane, as OWASP asks at least.
///
/// Takes some tens of milliseconds of a core. Fails for an empty password and when the system has no random numbers.
pub fn hash_password(password: &Password) -> Result<String, Error> {
    if password.is_empty() {
        return Err(Error::Hash("the password is empty".to_owned()));
    }
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let hash: password_hash::Result<phc::PasswordHash> = hasher.hash_password(password.expose());
    hash.map(|hash| hash.to_string()).map_err(|error| Error::Hash(error.to_string()))
}

/// An Argon2id hash whose parameters are within bounds.
#[derive(Clone)]
pub(crate) struct Hash(Box<phc::PasswordHash>);

/// What a verification costs: equal parameters take equal time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    const DEFAULT: Self =
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST, lanes: Params::DEFAULT_P_COST };
}

impl Default for Cost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Hash {
    /// Reads a PHC string. The error repeats nothing of it: it may be a password in the wrong place.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let hash = phc::PasswordHash::new(text)
            .map_err(|_| "not a password hash: make one with `postern password` ($argon2id$v=19$…)")?;
        if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
            return Err("only Argon2id hashes of version 19 are taken: make one with `postern password`");
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err("the hash is cut off: salt and output must be there");
        }
        let params = Params::try_from(&hash).map_err(|_| "the hash's parameters are not Argon2's (m, t, p)")?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
            return Err("the hash is too expensive: at most m=262144 (256 MiB), t=64, p=16");
        }
        Ok(Self(Box::new(hash)))
    }

    /// As [`Hash::parse`], of any of Argon2's three kinds: what directories hold was not made here.
    pub(crate) fn parse_any(text: &str) -> Result<Self, &'static str> {
        let hash = phc::PasswordHash::new(text).map_err(|_| "an {ARGON2} value that is none")?;
        if !hash.algorithm.as_str().starts_with("argon2") || hash.salt.is_none() || hash.hash.is_none() {
            return Err("an {ARGON2} value that is none");
        }
        let params = Params::try_from(&hash).map_err(|_| "an {ARGON2} value whose parameters are none")?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
            return Err("an {ARGON2} value that is too expensive to verify");
        }
        Ok(Self(Box::new(hash)))
    }

    /// Whether `password` is the one that was hashed; the error is a fault of this process.
    pub(crate) fn is(&self, password: &[u8]) -> Result<bool, String> {
        match Argon2::default().verify_password(password, self.phc()) {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// As the library knows it.
    pub(crate) fn phc(&self) -> &phc::PasswordHash {
        &self.0
    }

    pub(crate) fn cost(&self) -> Cost {
        let params = Params::try_from(self.0.as_ref()).unwrap_or_default();
        Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() }
    }

    /// A hash that no password has, of a given cost. Output of zeros: 2^-256 is "no".
    pub(crate) fn dummy(cost: &Cost) -> Result<Self, Error> {
        let make = || -> password_hash::Result<phc::PasswordHash> {
            let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)?;
            Ok(phc::PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params)?,
                salt: Some(Salt::new(b"nobody's salt.16")?),
                hash: Some(Output::new(&[0; Params::DEFAULT_OUTPUT_LEN])?),
            })
        };
        make().map(|hash| Self(Box::new(hash))).map_err(|error| Error::Hash(error.to_string()))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({:?})", self.cost())
    }
}

/// Runs verifications beside the async threads, no more at once than there are cores: each takes a core and its memory.
#[derive(Debug)]
pub(crate) struct Verifier {
    places: Arc<Semaphore>,
    runs: AtomicU64,
}

impl Verifier {
    pub(crate) fn new(parallel: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(parallel.max(1))), runs: AtomicU64::new(0) }
    }

    /// Verifications run so far, dummies too.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Runs a verification when there is a place for it; the error is a fault of this process.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        password: &Password,
        check: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, String> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|error| error.to_string())?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let password = password.clone();
        let run = tokio::task::spawn_blocking(move || {
            // The place is held by the work: a client that goes away does not make room for one more.
            let _place = place;
            check(password.expose())
        });
        run.await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A cheap hash, so that tests do not wait.
    pub(crate) fn cheap_hash(password: &str) -> String {
        let params = Params::new(8, 1, 1, None).unwrap();
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: phc::PasswordHash = hasher.hash_password(password.as_bytes()).unwrap();
        hash.to_string()
    }

    #[test]
    fn never_shown() {
        assert_eq!(format!("{:?}", Password::new("secret")), "Password(…)");
        let hash = Hash::parse(&cheap_hash("secret")).unwrap();
        assert_eq!(format!("{hash:?}"), "Hash(Cost { memory_kib: 8, passes: 1, lanes: 1 })");
    }

    #[test]
    fn made_and_verified() {
        let text = hash_password(&Password::new("Grüße")).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = Hash::parse(&text).unwrap();
        assert_eq!(hash.cost(), Cost::default());
        assert_eq!(hash.is("Grüße".as_bytes()), Ok(true));
        assert_eq!(hash.is("Grüsse".as_bytes()), Ok(false));
        assert!(hash_password(&Password::new("")).is_err());
    }

    #[test]
    fn a_dummy_costs_the_same_and_is_nobodys() {
        let cost = Hash::parse(&cheap_hash("x")).unwrap().cost();
        let dummy = Hash::dummy(&cost).unwrap();
        assert_eq!(dummy.cost(), cost);
        assert_eq!(dummy.is(b"x"), Ok(false));
    }

    /// A hash made elsewhere: the reference implementation's `argon2 somesalt… -id` and Python's argon2-cffi write this.
    #[test]
    fn hashes_of_others() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = Hash::parse(text).unwrap();
        assert_eq!(hash.is(b"password"), Ok(true));
    }

    #[test]
    fn refused_with_a_mend_that_repeats_nothing() {
        let good = cheap_hash("x");
        for (text, says) in [
            ("hunter2".to_owned(), "postern password"),
            (String::new(), "postern password"),
            (good.replace("argon2id", "argon2i"), "Argon2id"),
            (good.replace("v=19", "v=16"), "version 19"),
            (good.replace("v=19$", ""), "version 19"),
            (good.rsplit_once('$').unwrap().0.to_owned(), "cut off"),
            (good.replace("m=8", "m=1000000"), "too expensive"),
            (good.replace("t=1", "t=1000"), "too expensive"),
            ("$2b$12$abcdefghijklmnopqrstuu5LoRvnVSzWkYcXa7VIwrXh1ibv0H9Ha".to_owned(), "$argon2id$"),
            ("{SSHA}abcdef".to_owned(), "postern password"),
        ] {
            let error = Hash::parse(&text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn no_more_at_once_than_places() {
        let verifier = Arc::new(Verifier::new(1));
        let held = Arc::clone(&verifier.places).acquire_owned().await.unwrap();
        let password = Password::new("x");
        let mut waiting = Box::pin(verifier.run(&password, |password| password == b"x"));
        assert!(futures_poll_once(&mut waiting).is_none());
        assert_eq!(verifier.runs(), 0);
        drop(held);
        assert_eq!(waiting.await, Ok(true));
    }

    fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
