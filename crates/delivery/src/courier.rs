//! The routes, and a message's way along one of them: host after host until somebody has taken it or refused it.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::{Addresses, Cause, Connection, Dialect, Host, Limits, Opener, Pool, Source, Tls};
use dns::Resolver;
use policy::Permit;
use protocol::{Domain, EnhancedCode, Envelope, Recipient};
use serde_spanned::Spanned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::destination::Destination;
use crate::dkim::Signers;
use crate::error::DeliveryError;
use crate::login::Login;
use crate::maildir::Maildir;
use crate::means::Means;
use crate::next_hops::{self, Absent, NextHop};
use crate::origin::Origin;
use crate::outcome::Outcome;
use crate::outcomes::Outcomes;
use crate::pools::Pools;
use crate::relay::{Peer, Refused, Relay};
use crate::scope::{Condition, Scope};
use crate::settings::{DomainPattern, Hosts, RouteSettings, Timeouts, TlsMode};
use crate::source::{MessageSource, Prefixed};
use crate::tls::sts::Policies;
use crate::tls::{self, Plan, RouteTls, Via};
use crate::tls_required;
use crate::tls_tally::{Applied, Failed, TlsTally};
use crate::transaction::{After, Answer, Transacted, Transaction, unreadable};
use crate::xclient;

/// How often policies are looked at, to renew those that are old.
const RENEWAL: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// Knows the routes and delivers along them. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Courier {
    pub(crate) routes: Arc<[Route]>,
    pub(crate) resolver: Arc<Resolver>,
    signers: Arc<Signers>,
    counts: Arc<Counts>,
    tally: Option<Arc<TlsTally>>,
    policies: Option<Policies>,
}

#[derive(Debug)]
pub(crate) struct Route {
    domains: Spanned<Vec<DomainPattern>>,
    scope: Scope,
    pub(crate) target: Target,
    max_connections: usize,
    max_recipients: usize,
    patience: Patience,
}

/// Where a route leads.
#[derive(Debug)]
pub(crate) enum Target {
    Hosts(Box<ByHosts>),
    Maildir(Maildir),
}

/// The way to hosts.
#[derive(Debug)]
pub(crate) struct ByHosts {
    pub(crate) hosts: Hosts,
    /// Who this gateway is: mail that would go there has come to its end.
    pub(crate) own_names: Vec<Arc<str>>,
    /// What EHLO says.
    hello: Arc<str>,
    source: Source,
    implicit_tls: bool,
    pub(crate) dialect: Dialect,
    pools: Pools,
    pub(crate) tls: RouteTls,
    max_recipients: usize,
    timeouts: Timeouts,
    login: Option<Login>,
    dkim: bool,
    xclient: bool,
    /// For messages handed on while they come in; those of the spool are counted by it.
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    reused: AtomicU64,
    replies_lost: AtomicU64,
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
            if let Some(maildir) = &settings.maildir {
                let maildir = Maildir::new(maildir.get_ref().clone(), hostname.clone());
                routes.push(Route::new(settings, Target::Maildir(maildir)));
                continue;
            }
            match (RouteTls::of_route(settings, means, policies.clone()), Login::of(settings)) {
                (Ok(tls), Ok(login)) => {
                    let target = Target::Hosts(Box::new(ByHosts::new(settings, tls, login, &hostname)));
                    routes.push(Route::new(settings, target));
                }
                (tls, login) => errors.extend([tls.err(), login.err()].into_iter().flatten()),
            }
        }
        if errors.is_empty() {
            let resolver = means.resolver.clone().unwrap_or_else(|| Arc::new(Resolver::alone()));
            let signers = Arc::clone(&means.signers);
            Ok(Self { routes: routes.into(), resolver, signers, counts: Arc::default(), tally: None, policies })
        } else {
            Err(errors)
        }
    }

    /// Counts TLS sessions for reports to the domains that they are for (RFC 8460): those whose TLS is by DANE or MTA-STS.
    #[must_use]
    pub fn counting(self, tally: Option<Arc<TlsTally>>) -> Self {
        Self { tally, ..self }
    }

    /// Where a message goes for the recipient at this position of the envelope: along the first route that is for both.
    #[must_use]
    pub fn destination(&self, origin: &Origin, envelope: &Envelope, recipient: usize) -> Option<Destination> {
        let domain = envelope.recipients.get(recipient)?.mailbox.domain();
        let is_for = |route: &Route| route.unmet(origin, envelope, domain).is_none();
        let at = self.routes.iter().position(is_for)?;
        let route = self.routes.get(at)?;
        let domain = match &route.target {
            Target::Hosts(way) => way.domain_that_counts(domain),
            Target::Maildir(_) => None,
        };
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

    pub(crate) fn get(&self, destination: &Destination) -> Option<&Route> {
        self.routes.get(usize::try_from(destination.route).ok()?)
    }

    /// The most recipients that go to a host in one transaction; more are delivered in several.
    #[must_use]
    pub fn max_recipients(&self, destination: &Destination) -> usize {
        self.get(destination).map_or(1, |route| route.max_recipients)
    }

    /// Opens a transaction at the next hop, for a message that is only coming in: who holds a permit for its sender can
    /// hand it on. `size` is what the client said.
    ///
    /// # Errors
    /// The next hop's refusal of the sender, or why there is none.
    pub async fn relay(
        &self,
        _: &Permit,
        origin: &Origin,
        destination: &Destination,
        envelope: &Envelope,
        size: Option<u64>,
    ) -> Result<Relay, Cause> {
        let mut last = Cause::local(None, EnhancedCode(4, 4, 4), "there is no such route any more");
        // `check` has no Maildir here.
        let Some(Target::Hosts(route)) = self.get(destination).map(|route| &route.target) else { return Err(last) };
        let now = Instant::now();
        let deadline = now.checked_add(route.timeouts.attempt).unwrap_or(now);
        let waiting = timeout(route.timeouts.connect, route.room.clone().acquire_owned());
        let Ok(Ok(room)) = waiting.await else {
            return Err(Cause::local(None, EnhancedCode(4, 4, 5), "all connections of the route are in use"));
        };
        let room = Arc::new(room);
        let (domain, resolver) = (destination.domain.as_ref(), &*self.resolver);
        let hops = next_hops::resolve(&route.hosts, domain.map(AsRef::as_ref), &route.own_names, resolver).await;
        let hops = match hops {
            Ok(hops) => hops,
            Err(Outcome::Deferred(cause) | Outcome::Failed(cause)) => return Err(cause),
            Err(Outcome::Delivered { .. }) => return Err(last),
        };
        // Its header has not come yet, and with it what would waive TLS (RFC 8689 section 4.2).
        let via = Via { domain: domain.map(AsRef::as_ref), secure: true, only_look: false, tls_not_required: false };
        for hop in &hops {
            let pool = route.pools.of(&hop.host, domain);
            let counts = &self.counts;
            let tally = self.tally.as_deref();
            let pool_of = pool.clone();
            let visit = Visit {
                route,
                hop,
                via,
                pool: pool_of,
                resolver,
                counts,
                tally,
                deadline,
                origin,
                envelope,
                recipients: &[],
            };
            loop {
                let connection = match visit.connect().await {
                    Ok(connection) => connection,
                    Err(NotConnected::Nowhere(cause) | NotConnected::Refused(cause)) => {
                        last = cause;
                        break;
                    }
                };
                let peer = Peer {
                    destination: destination.clone(),
                    host: hop.host.clone(),
                    timeouts: route.timeouts.clone(),
                    pool: pool.clone(),
                    _room: room.clone(),
                };
                match Relay::begin(peer, connection, envelope, size).await {
                    Ok(relay) => return Ok(relay),
                    Err(Refused { stale: true, .. }) => {}
                    Err(Refused { cause, .. }) if cause.is_permanent() => return Err(cause),
                    Err(Refused { cause, .. }) => {
                        last = cause;
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// Tries to hand the message to the next hop, for the recipients at these positions of the envelope. One outcome for
    /// each, in their order.
    pub async fn deliver<S: MessageSource>(
        &self,
        destination: &Destination,
        origin: &Origin,
        envelope: &Envelope,
        recipients: &[usize],
        source: &mut S,
    ) -> Vec<Outcome> {
        let mut outcomes = Outcomes::new(recipients.len());
        self.deliver_into(&mut outcomes, destination, origin, envelope, recipients, source).await;
        outcomes.finish()
    }

    /// The same for who may have to break it off: dropping the future does so, and what was final by then is in
    /// `outcomes`, which is for as many recipients.
    pub async fn deliver_into<S: MessageSource>(
        &self,
        outcomes: &mut Outcomes,
        destination: &Destination,
        origin: &Origin,
        envelope: &Envelope,
        recipients: &[usize],
        source: &mut S,
    ) {
        let route = match self.get(destination).map(|route| &route.target) {
            Some(Target::Hosts(route)) => route,
            Some(Target::Maildir(maildir)) => {
                for (at, recipient) in recipients.iter().enumerate() {
                    if let Some(recipient) = envelope.recipients.get(*recipient) {
                        let outcome = maildir.deliver(&envelope.reverse_path, &recipient.mailbox, source).await;
                        outcomes.settle(at, outcome);
                    }
                }
                return;
            }
            None => return,
        };
        let now = Instant::now();
        let deadline = now.checked_add(route.timeouts.attempt).unwrap_or(now);
        let (domain, resolver) = (destination.domain.as_ref(), &*self.resolver);
        let hops = match next_hops::resolve(&route.hosts, domain.map(AsRef::as_ref), &route.own_names, resolver).await {
            Ok(hops) => hops,
            Err(Outcome::Deferred(cause)) => {
                return outcomes.open().iter().for_each(|&at| outcomes.defer(at, cause.clone()));
            }
            Err(outcome) => return outcomes.open().iter().for_each(|&at| outcomes.settle(at, outcome.clone())),
        };
        let tls_not_required = match route.tls.is_of_recipients() && !envelope.require_tls {
            true => tls_required::is_waived(source).await,
            false => false,
        };
        let via = Via { domain: domain.map(AsRef::as_ref), secure: true, only_look: false, tls_not_required };
        let fields = match route.dkim {
            true => self.signers.sign(source).await,
            false => Ok(String::new()),
        };
        let mut source = match fields {
            Ok(fields) => Prefixed::new(fields, source),
            Err(error) => {
                outcomes.open().iter().for_each(|&at| outcomes.defer(at, unreadable(&error)));
                return;
            }
        };
        let mut absent = Vec::new();
        for hop in &hops {
            if outcomes.open().is_empty() || Instant::now() >= deadline {
                break;
            }
            let pool = route.pools.of(&hop.host, domain);
            let (counts, tally) = (&*self.counts, self.tally.as_deref());
            let visit =
                Visit { route, hop, via, pool, resolver, counts, tally, deadline, origin, envelope, recipients };
            absent.extend(visit.run(&mut source, outcomes).await);
        }
        if let Some(cause) = absent.last().filter(|_| absent.len() == hops.len()) {
            outcomes.open().iter().for_each(|&at| outcomes.settle(at, next_hops::nowhere(cause)));
        }
    }
}

fn check(settings: &RouteSettings, errors: &mut Vec<DeliveryError>) {
    if settings.domains.get_ref().is_empty() {
        errors.push(DeliveryError::NoDomains(settings.domains.span()));
    }
    if let Some(maildir) = &settings.maildir {
        errors.extend(beside_maildir(settings, &maildir.span()));
        return;
    }
    let lmtp = settings.protocol == Dialect::Lmtp;
    let span = Some(settings.hosts.span()).filter(|span| !span.is_empty()).unwrap_or_else(|| settings.domains.span());
    let smtp_port = |host: &&Host| lmtp && host.port() == client::SMTP_PORT;
    match settings.hosts.get_ref() {
        Hosts::Listed(hosts) if hosts.is_empty() => errors.push(DeliveryError::NoHosts(span)),
        Hosts::Listed(hosts) => {
            if let Some(host) = hosts.iter().map(|listed| &listed.host).find(smtp_port) {
                errors.push(DeliveryError::LmtpPort { host: host.clone(), span });
            }
        }
        Hosts::Mx { .. } if lmtp => errors.push(DeliveryError::LmtpMx(span)),
        Hosts::Mx { .. } => {}
    }
    let sources = settings.source.get_ref();
    let (v4, v6): (Vec<&IpAddr>, Vec<&IpAddr>) = sources.iter().partition(|address| address.is_ipv4());
    if v4.len() > 1 || v6.len() > 1 {
        errors.push(DeliveryError::TwoSources(settings.source.span()));
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

/// What says how to reach hosts, where there are none.
fn beside_maildir(settings: &RouteSettings, span: &Range<usize>) -> Option<DeliveryError> {
    if !settings.hosts.span().is_empty() {
        return Some(DeliveryError::HostsAndMaildir(span.clone()));
    }
    let about_hosts = [
        ("protocol", settings.protocol != Dialect::Smtp),
        ("implicit_tls", *settings.implicit_tls.get_ref()),
        ("source", !settings.source.get_ref().is_empty()),
        ("hello", settings.hello.is_some()),
        ("ca", settings.ca.is_some()),
        ("trust", settings.trust.is_some()),
        ("client_certificate", settings.client_certificate.is_some()),
        ("auth", settings.auth.is_some()),
        ("dkim", settings.dkim),
        ("xclient", settings.xclient),
    ];
    let (key, _) = about_hosts.into_iter().find(|(_, is_set)| *is_set)?;
    Some(DeliveryError::NotForMaildir { key, span: span.clone() })
}

impl ByHosts {
    fn new(settings: &RouteSettings, tls: RouteTls, login: Option<Login>, hostname: &Arc<str>) -> Self {
        let hello = settings.hello.as_ref().map_or_else(|| hostname.clone(), |hello| hello.as_str().into());
        Self {
            tls,
            hosts: settings.hosts.get_ref().clone(),
            own_names: vec![hostname.clone(), hello.clone()],
            hello,
            source: source(settings.source.get_ref()),
            implicit_tls: *settings.implicit_tls.get_ref(),
            dialect: settings.protocol,
            pools: Pools::new(
                settings.keep_open,
                *settings.max_messages_per_connection.get_ref(),
                settings.max_time_per_connection,
            ),
            max_recipients: size(&settings.max_recipients),
            timeouts: settings.timeouts.clone(),
            login,
            dkim: settings.dkim,
            xclient: settings.xclient,
            room: Arc::new(Semaphore::new(size(&settings.max_connections).min(Semaphore::MAX_PERMITS))),
        }
    }

    /// In A-labels, where the way depends on it.
    fn domain_that_counts(&self, domain: &Domain) -> Option<Arc<str>> {
        let counts = match self.hosts {
            Hosts::Mx { .. } => domain.to_a_labels().or_else(|| Some(domain.as_str().to_ascii_lowercase())),
            Hosts::Listed(_) if self.tls.is_by_domain() => domain.to_a_labels(),
            Hosts::Listed(_) => None,
        };
        counts.map(Arc::from)
    }
}

fn size(setting: &Spanned<u32>) -> usize {
    usize::try_from(*setting.get_ref()).unwrap_or(usize::MAX)
}

impl Route {
    fn new(settings: &RouteSettings, target: Target) -> Self {
        Self {
            domains: settings.domains.clone(),
            scope: Scope::of(settings),
            target,
            max_connections: size(&settings.max_connections),
            max_recipients: size(&settings.max_recipients),
            patience: Patience {
                retry_interval: settings.retry_interval,
                max_retry_interval: settings.max_retry_interval,
                give_up_after: settings.give_up_after,
            },
        }
    }

    /// The first condition that keeps mail for a recipient of this domain out.
    pub(crate) fn unmet(&self, origin: &Origin, envelope: &Envelope, domain: &Domain) -> Option<Condition> {
        let is_meant = self.domains.get_ref().iter().any(|pattern| pattern.matches(domain));
        if is_meant { self.scope.unmet(origin, &envelope.reverse_path) } else { Some(Condition::Domains) }
    }

    /// Where it stands in the configuration file.
    pub(crate) fn span(&self) -> Range<usize> {
        self.domains.span()
    }
}

fn source(addresses: &[IpAddr]) -> Source {
    let v4 = addresses.iter().find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None });
    let v6 = addresses.iter().find_map(|address| if let IpAddr::V6(v6) = address { Some(*v6) } else { None });
    Source { v4, v6 }
}

fn limits(timeouts: &Timeouts) -> Limits {
    let Timeouts { connect, handshake, greeting, command, .. } = *timeouts;
    Limits { connect, handshake, greeting, command }
}

/// The message at one host.
struct Visit<'a> {
    route: &'a ByHosts,
    hop: &'a NextHop,
    via: Via<'a>,
    pool: Arc<Pool>,
    resolver: &'a Resolver,
    counts: &'a Counts,
    tally: Option<&'a TlsTally>,
    deadline: Instant,
    origin: &'a Origin,
    envelope: &'a Envelope,
    recipients: &'a [usize],
}

/// Why there is no connection.
enum NotConnected {
    /// There is no such host.
    Nowhere(Cause),
    Refused(Cause),
}

impl From<Cause> for NotConnected {
    fn from(cause: Cause) -> Self {
        Self::Refused(cause)
    }
}

impl From<Absent> for NotConnected {
    fn from(absent: Absent) -> Self {
        if absent.for_good { Self::Nowhere(absent.cause) } else { Self::Refused(absent.cause) }
    }
}

impl Visit<'_> {
    /// With the cause, when there is no such host.
    async fn run(&self, source: &mut impl MessageSource, outcomes: &mut Outcomes) -> Option<Cause> {
        let mut open = outcomes.open();
        let mut connection = None;
        while !open.is_empty() {
            let current = match connection.take() {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(connection) => connection,
                    Err(NotConnected::Nowhere(cause)) => {
                        open.iter().for_each(|&at| outcomes.defer(at, cause.clone()));
                        return Some(cause);
                    }
                    Err(NotConnected::Refused(cause)) => {
                        open.iter().for_each(|&at| outcomes.defer(at, cause.clone()));
                        return None;
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
        None
    }

    /// RFC 9422 section 4.2 lets a host say how many recipients it takes at a time.
    fn batch_size(&self, connection: &Connection) -> usize {
        let limit = connection.extensions.limits.rcpt_max.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(usize::MAX).min(self.route.max_recipients).max(1)
    }

    async fn connect(&self) -> Result<Connection, NotConnected> {
        let host = &self.hop.host;
        let (plan, applied) = self.route.tls.plan(host, Via { secure: self.hop.secure, ..self.via }).await;
        let plan = plan.inspect_err(|cause| self.tally(applied.as_ref(), Err(cause)))?;
        if let Some(mut connection) = self.pool.take().filter(|connection| plan.is_met_by(connection)) {
            connection.set_deadline(self.deadline);
            match self.present(&mut connection).await {
                Ok(()) => return Ok(connection),
                // In another's name for good, or it had waited for too long: a fresh one will tell.
                Err(_) => drop(tokio::spawn(connection.quit())),
            }
        }
        let found = self.hop.addresses(self.resolver).await?;
        let opened = self.open(&plan, &found.records).await;
        self.tally(applied.as_ref(), opened.as_ref());
        let mut connection = match opened {
            Err(cause) if plan.only_tests && cause.tls.is_some() => {
                tracing::warn!(%host, %cause, "TLS as the policy (testing) has it fails; going on without");
                self.open(&self.route.tls.opportunistic()?, &found.records).await?
            }
            opened => opened?,
        };
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        match self.present(&mut connection).await {
            Ok(()) => Ok(connection),
            Err(cause) => {
                xclient::log(&cause, host);
                tokio::spawn(connection.quit());
                Err(NotConnected::Refused(cause))
            }
        }
    }

    /// A session, for the recipient's side: RFC 8460 section 4.
    fn tally(&self, applied: Option<&Applied>, opened: Result<&Connection, &Cause>) {
        let (Some(tally), Some(applied), Some(domain)) = (self.tally, applied, self.via.domain) else { return };
        let cause = match opened {
            Ok(connection) => connection.downgraded.as_deref(),
            // Whoever cannot be reached says nothing about TLS.
            Err(cause) if cause.tls.is_none() => return,
            Err(cause) => Some(cause),
        };
        let failure = cause.and_then(|cause| cause.tls).or(applied.shortcoming);
        let failed = failure.map(|failure| Failed { failure, ends: cause.and_then(|cause| cause.ends.as_deref()) });
        tally.count(domain, applied, &self.hop.host.address(), failed);
    }

    /// Tells the host whose message comes.
    async fn present(&self, connection: &mut Connection) -> Result<(), Cause> {
        match self.route.xclient {
            true => xclient::present(self.opener(Tls::Never, &[]), connection, self.origin).await,
            false => Ok(()),
        }
    }

    fn opener(&self, tls: Tls, addresses: &[IpAddr]) -> Opener {
        Opener {
            host: self.hop.host.clone(),
            addresses: Addresses::Known(addresses.to_vec()),
            source: self.route.source,
            tls,
            implicit_tls: self.route.implicit_tls,
            limits: limits(&self.route.timeouts),
            hostname: self.route.hello.clone(),
            dialect: self.route.dialect,
        }
    }

    async fn open(&self, plan: &Plan, addresses: &[IpAddr]) -> Result<Connection, Cause> {
        let opener = self.opener(plan.tls.clone(), addresses);
        let mut connection = opener.open(self.deadline).await?;
        plan.check(&opener.host, &mut connection).await?;
        if let Some(login) = &self.route.login {
            let logged_in = login.run(&mut connection, &self.hop.host, self.route.timeouts.command).await;
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
        let transaction =
            Transaction { host: &self.hop.host, timeouts: &self.route.timeouts, envelope: self.envelope, recipients };
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
        if !connection.has_room() || !self.pool.may_serve_again(&connection) {
            tokio::spawn(connection.quit());
            return None;
        }
        connection.kept = true;
        if wanted {
            return Some(connection);
        }
        self.pool.put(connection);
        None
    }
}
