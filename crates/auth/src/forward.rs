//! Passwords judged by another SMTP server: it is asked as a mail client would, by AUTH inside TLS.
//!
//! Such a server says yes or no and nothing else: neither who exists nor what a user may send as. The first is why there is
//! no answer without a password; the second is settled here, by `domains`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::{Dialect, Limits, MAX_PASSWORD, MAX_USER, Opener, Verdict};
use directory::{Order, Password, WrongPassword};
use protocol::{Domain, Mailbox};
use rustls::crypto::CryptoProvider;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::facts::PasswordFact;
use crate::principal::Principal;

mod server;
mod settings;

use server::{Server, Trouble};
pub use settings::{Domains, ForwardSettings, SettingFault};

/// Logins that are under way or wait at a time; more are told to come again.
const MAX_LOGINS: usize = 1000;
/// Servers that get to see one password, unless one of them answers.
const MAX_ASKED: u32 = 2;

/// A `[forward.NAME]`, ready to be asked.
pub struct Forward {
    name: String,
    servers: Vec<Arc<Server>>,
    balance: bool,
    turn: AtomicUsize,
    timeout: Duration,
    domains: Vec<Domain>,
    logins: Semaphore,
    clear_text: Option<String>,
    place: Range<usize>,
}

/// What a look at a server found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its URL.
    pub server: String,
    /// What is wrong, and what would be right; nothing where a password could be asked about.
    pub fault: Option<(String, &'static str)>,
}

impl Forward {
    /// Reads the files that the settings name; no server is asked yet. `hostname` is what EHLO says.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, each with its place in the file.
    pub fn open(
        name: &str,
        settings: &ForwardSettings,
        hostname: &Domain,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Vec<SettingFault>> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let timeout = settings.timeout.get_ref().0;
        let connections = usize::try_from(*settings.connections.get_ref()).unwrap_or(usize::MAX);
        let hostname: Arc<str> = hostname.as_str().into();
        let tls = settings.tls(provider).map_err(|fault| vec![fault])?;
        let server = |(url, tls): (&client::ServerUrl, client::Tls)| {
            let opener = Opener {
                host: url.host().clone(),
                addresses: client::Addresses::OfSystem,
                source: client::Source::default(),
                tls,
                implicit_tls: url.implicit_tls(),
                // The whole has an end; no step needs one of its own.
                limits: Limits { connect: timeout, handshake: timeout, greeting: timeout, command: timeout },
                hostname: hostname.clone(),
                dialect: Dialect::Smtp,
            };
            Server::new(name, url.clone(), opener, connections)
        };
        Ok(Self {
            name: name.to_owned(),
            servers: settings.servers.get_ref().iter().zip(tls).map(server).collect(),
            balance: *settings.order.get_ref() == Order::Balance,
            turn: AtomicUsize::new(0),
            timeout,
            domains: settings.domains.get_ref().0.clone(),
            logins: Semaphore::new(MAX_LOGINS),
            clear_text: settings.in_clear_text().map(ToString::to_string),
            place: settings.servers.span(),
        })
    }

    /// The NAME of `[forward.NAME]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What an administrator should look at, though it is no error.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(server) = &self.clear_text {
            notes.push(format!("passwords cross the network in clear text to {server}"));
        }
        if self.domains.is_empty() {
            let text = "without `domains` nobody has an address: who signs in can send under sender = \"any\" only";
            notes.push(text.to_owned());
        }
        notes
    }

    /// Where `servers` stands in the configuration, octets.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Connects to every server, in the order of the settings, as far as EHLO: could a password be asked about? What can't,
    /// is logged too.
    pub async fn look(&self) -> Vec<Look> {
        let mut looks = Vec::new();
        for server in &self.servers {
            let found = server.look(Instant::now() + self.timeout).await;
            let fault = found.err().map(|failure| (failure.why, failure.mend));
            looks.push(Look { server: server.url().to_string(), fault });
        }
        looks
    }

    /// Whether `password` is `user`'s. An unknown user and a wrong password are one answer, and take what the server takes.
    pub async fn password(&self, user: &str, password: &Password) -> PasswordFact {
        let password = password.expose();
        // RFC 4616 has no empty password and no NUL in one, and no server would take either for right.
        if password.is_empty() {
            return PasswordFact::Wrong(WrongPassword::Empty);
        }
        let Some(principal) = self.principal(user) else { return PasswordFact::Wrong(WrongPassword::UnknownUser) };
        if password.contains(&0) || password.len() > MAX_PASSWORD {
            return PasswordFact::Wrong(WrongPassword::Refused);
        }
        let Ok(_place) = self.logins.try_acquire() else {
            return self.unavailable("too many logins wait for it");
        };
        self.ask(user, password, principal).await
    }

    async fn ask(&self, user: &str, password: &[u8], principal: Principal) -> PasswordFact {
        let deadline = Instant::now() + self.timeout;
        let (mut asked, mut troubles) = (0, Vec::new());
        let mut servers = self.in_order().peekable();
        while let Some(server) = servers.next() {
            // One that does not come about leaves time for the next.
            let patience = match servers.peek() {
                Some(_) => Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2,
                None => deadline,
            };
            match server.ask(user, password, patience, deadline).await {
                Ok(answer) => match answer.verdict {
                    Verdict::Right => return PasswordFact::Right(principal),
                    Verdict::Wrong => return PasswordFact::Wrong(WrongPassword::Refused),
                    Verdict::Disabled => return PasswordFact::AccountDisabled,
                    Verdict::Unclear => {
                        asked += 1;
                        troubles.push(answer.reply.to_string());
                    }
                },
                Err(Trouble::Unanswered(why)) => {
                    asked += 1;
                    troubles.push(why);
                }
                Err(Trouble::Unasked(why)) => troubles.push(why),
            }
            if asked == MAX_ASKED || Instant::now() >= deadline {
                break;
            }
        }
        self.unavailable(&troubles.join("; "))
    }

    fn unavailable(&self, why: &str) -> PasswordFact {
        PasswordFact::Unavailable(format!("forward {}: {why}", self.name))
    }

    /// Each server once: from the first one on, or from the next one's turn.
    fn in_order(&self) -> impl Iterator<Item = &Arc<Server>> {
        let first = if self.balance { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let first = first.checked_rem(self.servers.len()).unwrap_or_default();
        self.servers.iter().cycle().skip(first).take(self.servers.len())
    }

    /// Who `user` is, if a server says yes to them; `None` for what is no user name: it would go into logs and fields.
    pub fn principal(&self, user: &str) -> Option<Principal> {
        let named = !user.is_empty() && user.len() <= MAX_USER && user.trim() == user;
        if !named || user.contains(char::is_control) {
            return None;
        }
        let first = self.domains.first();
        let written = match user.contains('@') {
            true => Mailbox::parse(user).ok(),
            false => first.and_then(|first| Mailbox::parse(&format!("{user}@{first}")).ok()),
        };
        // Some servers look at what stands before the @ only: what stands behind it is to be believed in these domains.
        let address = written.filter(|address| self.domains.contains(address.domain()));
        // `alice` and `alice@` the first domain are one person, and so are `alice` and `Alice`.
        let bare = address.as_ref().filter(|address| Some(address.domain()) == first && !user.starts_with('"'));
        let user_id = bare.map_or(user, |address| address.local_part()).to_ascii_lowercase();
        Some(Principal { user_id, addresses: address.into_iter().collect(), send_as: Vec::new() })
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
