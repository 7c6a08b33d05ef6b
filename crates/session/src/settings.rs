//! What an administrator writes under `[tls]`, `[limits]`, `[trace]` and `[[listener]]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use delivery::duration;
use policy::{AddressRange, MinVersion, SenderGroupSettings};
use serde::Deserialize;
use serde_spanned::Spanned;

/// `[tls]`: the server's own certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM, the server's certificate first, then the chain. Read again when the file changes.
    pub certificate: Spanned<PathBuf>,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: Spanned<PathBuf>,
    /// The oldest version spoken.
    #[serde(default)]
    pub min_version: MinVersion,
}

/// One `[[listener]]`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// For logs and explanations; unique.
    pub name: Spanned<String>,
    /// Addresses with ports.
    pub bind: Spanned<Vec<SocketAddr>>,
    /// How TLS begins.
    pub tls: ListenerTls,
    /// The authentication profile's name; without it nobody is identified here.
    pub authentication: Option<Spanned<String>>,
    /// Load balancers, whose connections must begin with a PROXY header; from others it is no SMTP and refused.
    #[serde(default)]
    pub proxy_protocol_from: Vec<AddressRange>,
    /// Asked in order.
    #[serde(default)]
    pub sender_groups: Vec<SenderGroupSettings>,
    /// The policy of clients in no group.
    pub default_policy: Spanned<String>,
}

/// How TLS begins on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerTls {
    /// In clear text, then STARTTLS (RFC 3207); port 587.
    Starttls,
    /// From the first byte (RFC 8314 section 3.3); port 465.
    Implicit,
}

/// `[limits]`: what holds whatever the policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSettings {
    /// Connections of all listeners at a time.
    pub max_connections: u32,
    /// Refused commands after which the session ends.
    pub max_errors: u32,
    /// Wait for the next command, or for the next octets of a message (RFC 5321 section 4.5.3.2.7: 5 minutes).
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// The TLS handshake, and a PROXY header.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// One message, from DATA to its end.
    #[serde(with = "duration")]
    pub message_timeout: Duration,
    /// The whole session.
    #[serde(with = "duration")]
    pub session_timeout: Duration,
    /// How long a stop waits for transactions under way.
    #[serde(with = "duration")]
    pub stop_timeout: Duration,
}

/// The checked form: nothing is left to check.
pub type Limits = LimitsSettings;

impl Default for LimitsSettings {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            max_connections: 10_000,
            max_errors: 20,
            idle_timeout: 5 * MINUTE,
            handshake_timeout: Duration::from_secs(30),
            message_timeout: 30 * MINUTE,
            session_timeout: 2 * 60 * MINUTE,
            stop_timeout: Duration::from_secs(30),
        }
    }
}

/// `[trace]`: what a relayed message tells of its submission.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceSettings {
    /// Put the verified certificate's subject into the Received field.
    pub certificate_subject: bool,
}
