//! Forwards against servers: a scripted one that is as rude as no real one is, and Postfix with Cyrus SASL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code, unreachable_pub)] // the peers are delivery's, and not all of them is used here

mod cyrus;
#[path = "../../../delivery/tests/peers/postfix.rs"]
mod postfix;
mod real;
mod rude;
#[path = "../../../delivery/tests/peers/scripted.rs"]
mod scripted;

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use postern_auth::{Forward, ForwardSettings, PasswordFact};
use protocol::Domain;

/// What scripts greet.
pub(crate) const HOSTNAME: &str = "gateway.example.org";

pub(crate) fn forward(toml: &str) -> Forward {
    let settings: ForwardSettings = toml::from_str(toml).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Forward::open("mx", &settings, &Domain::parse(HOSTNAME).unwrap(), &provider).unwrap()
}

/// Asks as a session would.
pub(crate) async fn ask(forward: &Forward, user: &str, password: &str) -> PasswordFact {
    forward.password(user, &directory::Password::new(password)).await
}

/// All at once; the answers as they come.
pub(crate) async fn ask_all(forward: &Arc<Forward>, logins: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut asking = tokio::task::JoinSet::new();
    for (user, password) in logins.iter().copied() {
        let forward = Arc::clone(forward);
        asking.spawn(async move { told(&ask(&forward, user, password).await) });
    }
    asking.join_all().await
}

/// In a word; with why, where nobody could say.
pub(crate) fn told(fact: &PasswordFact) -> String {
    match fact {
        PasswordFact::Right(principal) => format!("right {}", principal.user_id),
        PasswordFact::Wrong(why) => format!("wrong: {why}"),
        PasswordFact::AccountDisabled => "disabled".to_owned(),
        PasswordFact::TokenRefused(why) => format!("token: {why}"),
        PasswordFact::Unavailable(why) => format!("unavailable: {why}"),
    }
}

pub(crate) const REFUSED: &str = "wrong: the forwarding server does not take this user with this password";

/// Everything that is logged from now on, while the guard lives, on this thread.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Whether a program is there; says so where it is not.
pub(crate) fn has(program: &str) -> bool {
    let there = Path::new(program).exists();
    assert!(there || std::env::var("CI").as_deref() != Ok("true"), "missing in CI: {program}");
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) async fn until_listening(port: u16) {
    until(&format!("something listens at port {port}"), async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    })
    .await;
}

pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..1000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("waited in vain until {what}");
}
