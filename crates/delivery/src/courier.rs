//! The routes, and a message's way along one of them: host after host until somebody has taken it or refused it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::{Cause, Connection, Dialect, Host, Limits, Opener, Pool, Tls};
use protocol::{Envelope, Recipient};
use tokio::time::Instant;

use crate::error::DeliveryError;
use crate::login::Login;
use crate::means::Means;
use crate::origin::Origin;
use crate::outcome::Outcome;
use crate::outcomes::Outcomes;
use crate::scope::Scope;
use crate::settings::{DomainPattern, RouteSettings, Timeouts, TlsMode};
use crate::source::MessageSource;
use crate::tls::sts::Policies;
use crate::tls::{self, Plan, RouteTls, Via};
use crate::tls_required;
use crate::transaction::{After, Answer, Transacted, Transaction};

/// How often policies are looked at, to renew those that are old.
const RENEWAL: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// Knows the routes and delivers along them. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Courier {
    routes: Arc<[Route]>,
    counts: Arc<Counts>,
    policies: Option<Policies>,
}

#[derive(Debug)]
struct Route {
    domains: Vec<DomainPattern>,
    scope: Scope,
    hosts: Vec<NextHop>,
    tls: RouteTls,
    max_connections: usize,
    max_recipients: usize,
    timeouts: Timeouts,
    login: Option<Login>,
    patience: Patience,
}

#[derive(Debug)]
struct NextHop {
    opener: Opener,
    pool: Pool,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    reused: AtomicU64,
    replies_lost: AtomicU64,
}

/// Where mail goes: what has one takes the same way, and waits when that is closed. Another courier, built from other
/// settings, has destinations of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    route: u32,
    /// The recipient's domain in A-labels, where the way depends on it.
    domain: Option<Arc<str>>,
}

/// How long a route goes on with its mail, where that is not the spool's own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Patience {
    /// The wait after the first failed attempt.
    pub retry_interval: Option<Duration>,
    /// The longest wait between two attempts.
    pub max_retry_interval: Option<Duration>,
    /// The age at which an attempt that fails was the last one.
    pub give_up_after: Option<Duration>,
}

/// What has happened since the start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections opened.
    pub connections: u64,
    /// Transactions over a connection that was opened for an earlier one.
    pub reused: u64,
    /// Messages of which nobody knows whether the next hop took them: sent whole, and then no reply. Each may become
    /// a duplicate.
    pub replies_lost: u64,
}

impl Courier {
    /// Builds the routes.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, each with its place in the file.
    pub fn new(settings: &[RouteSettings], means: &Means) -> Result<Self, Vec<DeliveryError>> {
        let hostname: Arc<str> = means.hostname.as_str().into();
        let policies = tls::policies(means);
        let mut errors = Vec::new();
        let mut routes = Vec::new();
        for settings in settings {
            check(settings, &mut errors);
            match (RouteTls::of_route(settings, means, policies.clone()), Login::of(settings)) {
                (Ok(tls), Ok(login)) => routes.push(Route::new(settings, tls, login, &hostname)),
                (tls, login) => errors.extend([tls.err(), login.err()].into_iter().flatten()),
            }
        }
        if errors.is_empty() {
            Ok(Self { routes: routes.into(), counts: Arc::default(), policies })
        } else {
            Err(errors)
        }
    }

    /// Where a message goes for the recipient at this position of the envelope: along the first route that is for both.
    #[must_use]
    pub fn destination(&self, origin: &Origin, envelope: &Envelope, recipient: usize) -> Option<Destination> {
        let domain = envelope.recipients.get(recipient)?.mailbox.domain();
        let is_for = |route: &Route| {
            route.scope.includes(origin, &envelope.reverse_path)
                && route.domains.iter().any(|pattern| pattern.matches(domain))
        };
        let at = self.routes.iter().position(is_for)?;
        let by_domain = self.routes.get(at)?.tls.is_by_domain();
        let domain = by_domain.then(|| domain.to_a_labels()).flatten().map(Arc::from);
        Some(Destination { route: u32::try_from(at).ok()?, domain })
    }

    /// How many attempts towards a destination may be under way at a time; counting them is the caller's business.
    #[must_use]
    pub fn max_connections(&self, destination: &Destination) -> usize {
        self.get(destination).map_or(1, |route| route.max_connections)
    }

    /// How patient the destination's route is.
    #[must_use]
    pub fn patience(&self, destination: &Destination) -> Patience {
        self.get(destination).map(|route| route.patience).unwrap_or_default()
    }

    /// Looks after what routes know of other domains (MTA-STS policies), as long as it is polled.
    pub async fn look_after(&self) {
        let mut rounds = tokio::time::interval(RENEWAL);
        loop {
            rounds.tick().await;
            if let Some(policies) = &self.policies {
                policies.renew_kept().await;
            }
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            connections: self.counts.connections.load(Ordering::Relaxed),
            reused: self.counts.reused.load(Ordering::Relaxed),
            replies_lost: self.counts.replies_lost.load(Ordering::Relaxed),
        }
    }

    fn get(&self, destination: &Destination) -> Option<&Route> {
        self.routes.get(usize::try_from(destination.route).ok()?)
    }

    /// The most recipients that go to a host in one transaction; more are delivered in several.
    #[must_use]
    pub fn max_recipients(&self, destination: &Destination) -> usize {
        self.get(destination).map_or(1, |route| route.max_recipients)
    }

    /// Tries to hand the message to the next hop, for the recipients at these positions of the envelope. One outcome for
    /// each, in their order.
    pub async fn deliver<S: MessageSource>(
        &self,
        destination: &Destination,
        envelope: &Envelope,
        recipients: &[usize],
        source: &mut S,
    ) -> Vec<Outcome> {
        let mut outcomes = Outcomes::new(recipients.len());
        self.deliver_into(&mut outcomes, destination, envelope, recipients, source).await;
        outcomes.finish()
    }

    /// The same for who may have to break it off: dropping the future does so, and what was final by then is in
    /// `outcomes`, which is for as many recipients.
    pub async fn deliver_into<S: MessageSource>(
        &self,
        outcomes: &mut Outcomes,
        destination: &Destination,
        envelope: &Envelope,
        recipients: &[usize],
        source: &mut S,
    ) {
        let Some(route) = self.get(destination) else { return };
        let now = Instant::now();
        let deadline = now.checked_add(route.timeouts.attempt).unwrap_or(now);
        let tls_not_required = match route.tls.is_of_recipients() && !envelope.require_tls {
            true => tls_required::is_waived(source).await,
            false => false,
        };
        let via = Via { domain: destination.domain.as_deref(), tls_not_required };
        for hop in &route.hosts {
            if outcomes.open().is_empty() || Instant::now() >= deadline {
                break;
            }
            let visit = Visit { route, hop, via, counts: &self.counts, deadline, envelope, recipients };
            visit.run(source, outcomes).await;
        }
    }
}

fn check(settings: &RouteSettings, errors: &mut Vec<DeliveryError>) {
    if settings.domains.get_ref().is_empty() {
        errors.push(DeliveryError::NoDomains(settings.domains.span()));
    }
    if settings.hosts.get_ref().is_empty() {
        errors.push(DeliveryError::NoHosts(settings.hosts.span()));
    }
    let smtp_port = |host: &&Host| settings.protocol == Dialect::Lmtp && host.port() == client::SMTP_PORT;
    if let Some(host) = settings.hosts.get_ref().iter().find(smtp_port) {
        errors.push(DeliveryError::LmtpPort { host: host.clone(), span: settings.hosts.span() });
    }
    if *settings.implicit_tls.get_ref() && !matches!(settings.tls, TlsMode::Require | TlsMode::Verify) {
        errors.push(DeliveryError::ImplicitTls(settings.implicit_tls.span()));
    }
    let positive = [
        ("max_connections", &settings.max_connections),
        ("max_messages_per_connection", &settings.max_messages_per_connection),
        ("max_recipients", &settings.max_recipients),
    ];
    for (key, value) in positive.into_iter().filter(|(_, value)| *value.get_ref() == 0) {
        errors.push(DeliveryError::AtLeastOne { key, span: value.span() });
    }
}

impl Route {
    fn new(settings: &RouteSettings, tls: RouteTls, login: Option<Login>, hostname: &Arc<str>) -> Self {
        let hop = |host: &Host| NextHop {
            opener: Opener {
                host: host.clone(),
                tls: Tls::Never,
                implicit_tls: *settings.implicit_tls.get_ref(),
                limits: limits(&settings.timeouts),
                hostname: hostname.clone(),
                dialect: settings.protocol,
            },
            pool: Pool::new(
                settings.keep_open,
                *settings.max_messages_per_connection.get_ref(),
                settings.max_time_per_connection,
            ),
        };
        let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            domains: settings.domains.get_ref().clone(),
            scope: Scope::of(settings),
            tls,
            hosts: settings.hosts.get_ref().iter().map(hop).collect(),
            max_connections: size(*settings.max_connections.get_ref()),
            max_recipients: size(*settings.max_recipients.get_ref()),
            timeouts: settings.timeouts.clone(),
            login,
            patience: Patience {
                retry_interval: settings.retry_interval,
                max_retry_interval: settings.max_retry_interval,
                give_up_after: settings.give_up_after,
            },
        }
    }
}

fn limits(timeouts: &Timeouts) -> Limits {
    let Timeouts { connect, handshake, greeting, command, .. } = *timeouts;
    Limits { connect, handshake, greeting, command }
}

/// Whether the host will take one transaction more: RFC 9422 section 4.1.
fn has_room(connection: &Connection) -> bool {
    connection.extensions.limits.mail_max.is_none_or(|limit| connection.uses < limit)
}

/// The message at one host.
struct Visit<'a> {
    route: &'a Route,
    hop: &'a NextHop,
    via: Via<'a>,
    counts: &'a Counts,
    deadline: Instant,
    envelope: &'a Envelope,
    recipients: &'a [usize],
}

impl Visit<'_> {
    async fn run(&self, source: &mut impl MessageSource, outcomes: &mut Outcomes) {
        let mut open = outcomes.open();
        let mut connection = None;
        while !open.is_empty() {
            let current = match connection.take() {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(connection) => connection,
                    Err(cause) => {
                        open.iter().for_each(|&at| outcomes.defer(at, cause.clone()));
                        return;
                    }
                },
            };
            let batch: Vec<usize> = open.iter().copied().take(self.batch_size(&current)).collect();
            let Some((current, transacted)) = self.transact(current, &batch, source).await else { continue };
            let mut again = Vec::new();
            for (&at, answer) in batch.iter().zip(transacted.answers) {
                match answer {
                    Answer::Final(outcome) => outcomes.settle(at, outcome),
                    Answer::Deferred(cause) => outcomes.defer(at, cause),
                    Answer::Again(cause) => {
                        outcomes.defer(at, cause);
                        again.push(at);
                    }
                }
            }
            open.drain(..batch.len());
            again.append(&mut open);
            open = again;
            connection = self.release(current, transacted.after, !open.is_empty()).await;
        }
    }

    /// RFC 9422 section 4.2 lets a host say how many recipients it takes at a time.
    fn batch_size(&self, connection: &Connection) -> usize {
        let limit = connection.extensions.limits.rcpt_max.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(usize::MAX).min(self.route.max_recipients).max(1)
    }

    async fn connect(&self) -> Result<Connection, Cause> {
        let host = &self.hop.opener.host;
        let plan = self.route.tls.plan(host, self.via).await?;
        if let Some(mut connection) = self.hop.pool.take().filter(|connection| plan.is_met_by(connection)) {
            connection.set_deadline(self.deadline);
            return Ok(connection);
        }
        let connection = match self.open(&plan).await {
            Err(cause) if plan.only_tests && cause.tls.is_some() => {
                tracing::warn!(%host, %cause, "TLS as the policy (testing) has it fails; going on without");
                self.open(&self.route.tls.opportunistic()?).await?
            }
            opened => opened?,
        };
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    async fn open(&self, plan: &Plan) -> Result<Connection, Cause> {
        let opener = Opener { tls: plan.tls.clone(), ..self.hop.opener.clone() };
        let mut connection = opener.open(self.deadline).await?;
        plan.check(&opener.host, &mut connection).await?;
        if let Some(login) = &self.route.login {
            let logged_in = login.run(&mut connection, &self.hop.opener.host, self.route.timeouts.command).await;
            if let Err(cause) = logged_in {
                tokio::spawn(connection.quit());
                return Err(cause);
            }
        }
        Ok(connection)
    }

    /// `None` when the connection was an old one that turned out to be closed: nothing has happened then.
    async fn transact(
        &self,
        mut connection: Connection,
        batch: &[usize],
        source: &mut impl MessageSource,
    ) -> Option<(Connection, Transacted)> {
        let recipient = |at: &usize| self.envelope.recipients.get(*self.recipients.get(*at)?);
        let recipients: Vec<&Recipient> = batch.iter().filter_map(recipient).collect();
        let reused = connection.kept;
        let transaction = Transaction {
            host: &self.hop.opener.host,
            timeouts: &self.route.timeouts,
            envelope: self.envelope,
            recipients,
        };
        connection.uses = connection.uses.saturating_add(1);
        let transacted = transaction.run(&mut connection, source).await;
        if reused && transacted.after == After::NeverBegun {
            return None;
        }
        self.counts.reused.fetch_add(u64::from(reused), Ordering::Relaxed);
        self.counts.replies_lost.fetch_add(u64::from(transacted.reply_lost), Ordering::Relaxed);
        Some((connection, transacted))
    }

    /// Keeps the connection for the next transaction, this message's or another one's.
    async fn release(&self, mut connection: Connection, after: After, wanted: bool) -> Option<Connection> {
        match after {
            After::Closed | After::NeverBegun => return None,
            After::Reset => {
                let limit = self.route.timeouts.command;
                let reply = connection.command(b"RSET\r\n", limit).await;
                if !reply.is_ok_and(|reply| reply.is_positive()) {
                    return None;
                }
            }
            After::Idle => {}
        }
        if !has_room(&connection) || !self.hop.pool.may_serve_again(&connection) {
            tokio::spawn(connection.quit());
            return None;
        }
        connection.kept = true;
        if wanted {
            return Some(connection);
        }
        self.hop.pool.put(connection);
        None
    }
}
