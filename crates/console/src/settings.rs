//! `[metrics]` as the administrator writes it.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[metrics]`: where metrics and health can be asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Addresses with ports; none: nowhere. Whoever can reach them can read them.
    pub bind: Vec<SocketAddr>,
}
