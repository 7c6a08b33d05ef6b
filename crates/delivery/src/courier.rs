//! The routes, and a message's way along one of them: host after host until somebody has taken it or refused it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::{Domain, EnhancedCode, Envelope};
use rustls::crypto::CryptoProvider;
use tokio::time::Instant;

use crate::attempt::{self, Hop, Verdict};
use crate::error::DeliveryError;
use crate::outcome::{Cause, Outcome, What};
use crate::pool::Pool;
use crate::settings::{DomainPattern, Host, RouteSettings};
use crate::source::MessageSource;
use crate::tls::{self, Tls};

/// Knows the routes and delivers along them. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Courier {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hostname: String,
    routes: Vec<Route>,
    counters: Arc<Counts>,
}

#[derive(Debug)]
struct Route {
    domains: Vec<DomainPattern>,
    hosts: Vec<Host>,
    settings: RouteSettings,
    tls: Tls,
    pools: Vec<Pool>,
}

/// A route of one courier. Another courier, built from other settings, numbers its routes anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u32);

/// What has happened since the start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections opened.
    pub connections: u64,
    /// Messages that went over a connection opened for an earlier one.
    pub reused: u64,
    /// Messages of which nobody knows whether the next hop took them: sent whole, and then no reply. Each may become
    /// a duplicate.
    pub replies_lost: u64,
}
