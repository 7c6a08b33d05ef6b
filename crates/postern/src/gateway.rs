//! The running gateway: starts the parts of a configuration, exchanges them at a reload, stops them in order.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use delivery::{Courier, TlsTally};
use directory::{Directory, Reload};
use pki::Knowledge;
use session::{
    Connections, Failures, Hours, Listener, RelayMode, RelaySettings, Server, ServerKey, Serving, Statistics,
};
use spool::{RecoveryReport, Spool, SpoolError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Configuration, ListenerPlan};
use crate::control;
use crate::directories;
use crate::forwards;
use crate::stapling;
use crate::statistics_file;
use crate::tls_reports::{self, Reports};

/// Why the gateway does not start, or a reload is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("listener {name:?} cannot listen on {address}: {error}")]
    Bind { name: String, address: SocketAddr, error: io::Error },
    #[error("the spool in {dir}: {error}")]
    Spool { dir: PathBuf, error: SpoolError },
    #[error("{0} cannot change while the gateway runs: restart it")]
    NeedsRestart(&'static str),
}

/// Files that may change under the gateway are looked at this often.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) struct Gateway {
    hostname: protocol::Domain,
    state_dir: PathBuf,
    listeners: HashMap<(String, SocketAddr), Listener>,
    sessions: TaskTracker,
    connections: Arc<Connections>,
    hours: Arc<Hours>,
    statistics: Arc<Statistics>,
    keep_days: u16,
    tls_tally: Arc<TlsTally>,
    failures: Arc<Failures>,
    spool: Spool,
    /// No new sessions, and the old ones to end.
    stop: CancellationToken,
    stop_timeout: Duration,
    /// No deliveries any more.
    stop_delivery: CancellationToken,
    delivery: JoinHandle<()>,
    watching: JoinHandle<()>,
}

impl Gateway {
    /// Recovers the spool, binds the listeners, and serves.
    pub(crate) async fn start(mut configuration: Configuration) -> Result<Self, GatewayError> {
        let state_dir = configuration.state_dir.clone();
        let (spool, recovered) = Spool::open(&configuration.spool, &state_dir, &configuration.hostname)
            .await
            .map_err(|error| GatewayError::Spool { dir: state_dir.clone(), error })?;
        log_recovery(&recovered);
        let tls_tally = Arc::new(TlsTally::default());
        tls_reports::restore(&tls_tally, &state_dir);
        configuration.courier = counting(configuration.courier, configuration.tls_reports.as_ref(), &tls_tally);
        let stop_delivery = CancellationToken::new();
        let delivery = tokio::spawn({
            let (spool, courier, stop) = (spool.clone(), configuration.courier.clone(), stop_delivery.clone());
            async move { spool.run(courier, stop).await }
        });
        let statistics = Arc::new(Statistics::default());
        statistics_file::restore(&statistics, &state_dir);
        let keep_days = configuration.keep_days;
        let connections = Arc::<Connections>::default();
        let mut gateway = Self {
            hostname: configuration.hostname,
            state_dir,
            listeners: HashMap::new(),
            sessions: TaskTracker::new(),
            connections: Arc::clone(&connections),
            hours: Arc::default(),
            statistics: Arc::clone(&statistics),
            keep_days,
            tls_tally: Arc::clone(&tls_tally),
            failures: Arc::default(),
            spool: spool.clone(),
            stop: CancellationToken::new(),
            stop_timeout: configuration.limits.stop_timeout,
            stop_delivery,
            delivery,
            watching: watch(
                configuration.server_key,
                configuration.directories,
                configuration.forwards,
                configuration.knowledge,
                (configuration.courier.clone(), configuration.tls_reports),
                configuration.state_dir,
                Told { statistics, keep_days, spool, connections, tally: tls_tally, metrics: configuration.metrics },
            ),
        };
        let server = gateway.server(
            configuration.limits,
            (configuration.trace, configuration.identity_key),
            configuration.log.kept_facts(),
            configuration.names,
            inline(configuration.relay, &configuration.courier),
        );
        gateway.listen(configuration.listeners, &server).await?;
        Ok(gateway)
    }

    fn server(
        &self,
        limits: session::Limits,
        (trace, identity_key): (session::TraceSettings, Option<Arc<session::IdentityKey>>),
        facts: session::KeptFacts,
        names: Option<session::Names>,
        relay: Option<Courier>,
    ) -> Arc<Server> {
        Arc::new(Server {
            hostname: self.hostname.clone(),
            limits,
            trace,
            identity_key,
            facts,
            spool: self.spool.clone(),
            relay,
            connections: Arc::clone(&self.connections),
            hours: Arc::clone(&self.hours),
            statistics: Arc::clone(&self.statistics),
            failures: Arc::clone(&self.failures),
            names,
            stop: self.stop.clone(),
        })
    }

    /// Binds what is new, exchanges what stays, drops what is gone; all or nothing.
    async fn listen(&mut self, plans: Vec<ListenerPlan>, server: &Arc<Server>) -> Result<(), GatewayError> {
        let monitored = monitored(&plans);
        let mut fresh = Vec::new();
        let mut kept = Vec::new();
        for plan in plans {
            let serving = Arc::new(serving(&plan, server));
            for address in plan.bind {
                let key = (plan.name.clone(), address);
                match self.listeners.contains_key(&key) {
                    true => kept.push((key, Arc::clone(&serving))),
                    false => {
                        let bound = Listener::bind(address, Arc::clone(&serving));
                        let bound =
                            bound.map_err(|error| GatewayError::Bind { name: plan.name.clone(), address, error })?;
                        fresh.push((key, bound));
                    }
                }
            }
        }
        let mut listeners = HashMap::new();
        for (key, serving) in kept {
            if let Some(listener) = self.listeners.remove(&key) {
                listener.serve(serving);
                listeners.insert(key, listener);
            }
        }
        for (key, mut listener) in fresh {
            tracing::info!(listener = key.0, address = %listener.address(), "listening");
            listener.start(&self.sessions);
            listeners.insert(key, listener);
        }
        for gone in std::mem::replace(&mut self.listeners, listeners).into_values() {
            gone.close().await;
        }
        self.statistics.monitor(monitored.iter().map(|(listener, policy, rules)| (&**listener, &**policy, *rules)));
        Ok(())
    }

    /// New sessions get the new configuration, running ones keep theirs.
    pub(crate) async fn reload(&mut self, mut configuration: Configuration) -> Result<(), GatewayError> {
        if configuration.hostname != self.hostname {
            return Err(GatewayError::NeedsRestart("hostname"));
        }
        if configuration.state_dir != self.state_dir {
            return Err(GatewayError::NeedsRestart("state_dir"));
        }
        configuration.courier = counting(configuration.courier, configuration.tls_reports.as_ref(), &self.tls_tally);
        let server = self.server(
            configuration.limits.clone(),
            (configuration.trace, configuration.identity_key),
            configuration.log.kept_facts(),
            configuration.names,
            inline(configuration.relay, &configuration.courier),
        );
        self.listen(configuration.listeners, &server).await?;
        self.stop_timeout = configuration.limits.stop_timeout;
        self.keep_days = configuration.keep_days;
        self.spool.use_courier(configuration.courier.clone());
        self.watching.abort();
        self.watching = watch(
            configuration.server_key,
            configuration.directories,
            configuration.forwards,
            configuration.knowledge,
            (configuration.courier, configuration.tls_reports),
            configuration.state_dir,
            Told {
                statistics: Arc::clone(&self.statistics),
                keep_days: self.keep_days,
                spool: self.spool.clone(),
                connections: Arc::clone(&self.connections),
                tally: Arc::clone(&self.tls_tally),
                metrics: configuration.metrics,
            },
        );
        Ok(())
    }

    /// Takes no new sessions, lets transactions under way end, then stops delivery; accepted mail stays in the spool.
    pub(crate) async fn stop(mut self) {
        tracing::info!(sessions = self.sessions.len(), "stopping");
        self.stop.cancel();
        self.sessions.close();
        self.listeners.clear();
        if tokio::time::timeout(self.stop_timeout, self.sessions.wait()).await.is_err() {
            tracing::warn!(sessions = self.sessions.len(), "sessions did not end in time and are cut off");
        }
        self.stop_delivery.cancel();
        if let Err(error) = self.delivery.await {
            tracing::error!(%error, "delivery ended badly");
        }
        self.watching.abort();
        statistics_file::save(&self.statistics, &self.state_dir, self.keep_days).await;
        tls_reports::save(&self.tls_tally, &self.state_dir).await;
        self.spool.close().await;
        tracing::info!("stopped");
    }
}

/// TLS sessions are counted where they are reported.
fn counting(courier: Courier, reports: Option<&Reports>, tally: &Arc<TlsTally>) -> Courier {
    courier.counting(reports.map(|_| Arc::clone(tally)))
}

/// By whom mail is handed on while it comes in.
fn inline(relay: RelaySettings, courier: &Courier) -> Option<Courier> {
    (relay.mode == RelayMode::Inline).then(|| courier.clone())
}

/// Which rules are monitored, by listener and policy.
fn monitored(plans: &[ListenerPlan]) -> Vec<(String, Arc<str>, policy::Rules)> {
    let of_plan = |plan: &ListenerPlan| {
        let profile = plan.profile.as_ref().map(|profile| &profile.rules);
        let policies: Vec<_> = plan.groups.policies().cloned().collect();
        policies
            .into_iter()
            .map(|policy| (plan.name.clone(), Arc::clone(&policy.name), policy.tried_out(profile)))
            .collect::<Vec<_>>()
    };
    plans.iter().flat_map(of_plan).collect()
}

/// What was damaged is told one by one; it is in the quarantine, and no other message suffers.
fn log_recovery(report: &RecoveryReport) {
    for problem in &report.problems {
        tracing::error!("{problem}");
    }
    let RecoveryReport { messages, segments, torn_octets, elapsed, .. } = report;
    tracing::info!(messages, segments, torn_octets, ?elapsed, "the spool is open");
}

fn serving(plan: &ListenerPlan, server: &Arc<Server>) -> Serving {
    Serving {
        name: plan.name.clone(),
        implicit_tls: plan.implicit_tls,
        proxy_protocol_from: plan.proxy_protocol_from.clone(),
        groups: plan.groups.clone(),
        max_connections: plan.max_connections,
        recipients: plan.recipients.clone(),
        basis: plan.basis.clone(),
        profile: plan.profile.clone(),
        tls: plan.tls.clone(),
        server: Arc::clone(server),
    }
}

/// What is told about a running gateway, beside what its configuration names.
struct Told {
    statistics: Arc<Statistics>,
    keep_days: u16,
    spool: Spool,
    connections: Arc<Connections>,
    tally: Arc<TlsTally>,
    /// Where.
    metrics: console::MetricsSettings,
}

/// Looks after what changes without a reload: the server's key, people files, CRLs, other domains' policies, the OCSP
/// answer about the server; and answers questions about it.
fn watch(
    key: Arc<ServerKey>,
    directories: Vec<Arc<Directory>>,
    forwards: Vec<Arc<auth::Forward>>,
    knowledge: Knowledge,
    (courier, reports): (Courier, Option<Reports>),
    state_dir: PathBuf,
    told: Told,
) -> JoinHandle<()> {
    let Told { statistics, keep_days, spool, connections, tally, metrics } = told;
    tokio::spawn(async move {
        let files = async {
            let mut looks = tokio::time::interval(WATCH_INTERVAL);
            loop {
                looks.tick().await;
                refresh_key(&key).await;
                for directory in &directories {
                    refresh_people(directory).await;
                }
            }
        };
        let crls = knowledge.crls();
        let asked = control::Asked {
            crls: crls.clone(),
            directories: directories.clone().into(),
            statistics: Arc::clone(&statistics),
            keep_days,
            spool: spool.clone(),
            tls: reports.is_some().then(|| Arc::clone(&tally)),
        };
        let sources = console::Sources {
            crls: crls.clone(),
            directories: directories.clone().into(),
            statistics: Arc::clone(&statistics),
            connections,
            spool: spool.clone(),
        };
        tokio::join!(
            files,
            directories::look(&directories),
            forwards::look(&forwards),
            crls.run(),
            courier.look_after(),
            stapling::run(&key, knowledge.ocsp()),
            statistics_file::keep(&statistics, &state_dir, keep_days),
            tls_reports::run(reports, &tally, &spool, &state_dir),
            control::serve(&state_dir, asked),
            console::serve(metrics, sources)
        );
    })
}

async fn refresh_key(key: &Arc<ServerKey>) {
    let key = Arc::clone(key);
    match tokio::task::spawn_blocking(move || key.reload_if_changed()).await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => tracing::info!("the server's new certificate is in use"),
        Ok(Err(error)) => tracing::error!(%error, "the server's new certificate is refused; the old one stays in use"),
        Err(error) => tracing::error!(%error, "the server's certificate could not be looked at"),
    }
}

async fn refresh_people(directory: &Directory) {
    match directory.reload_if_changed().await {
        Ok(Reload::Unchanged) => {}
        Ok(_) => tracing::info!(directory = directory.name(), people = directory.people(), "the people file changed"),
        Err(error) => {
            tracing::error!(directory = directory.name(), %error, "the new people file is refused; the old one stays in use");
        }
    }
}
