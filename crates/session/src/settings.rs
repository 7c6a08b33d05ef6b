//! What an administrator writes under `[tls]`, `[limits]`, `[trace]` and `[[listener]]`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
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

/// `[relay]`: what a 250 after a message promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelaySettings {
    /// Who answers for a message.
    pub mode: RelayMode,
}

/// Who answers for a message after its 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayMode {
    /// This gateway: it is on disk here, and delivered later.
    #[default]
    Queued,
    /// The next hop: it takes the message as it comes in, and its replies are the client's.
    Inline,
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
    /// The recipients of clients that may not relay.
    pub recipients: Option<Spanned<String>>,
    /// Connections at a time; as many as `[limits]` allows when left out.
    pub max_connections: Option<Spanned<u32>>,
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
    /// How long who fails to log in has to wait.
    pub failed_logins: FailedLoginsSettings,
}

/// `[limits.failed_logins]`: who guesses waits. Counts are of all listeners together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailedLoginsSettings {
    /// Failures of a client, or under a name, before the first wait.
    pub free: u32,
    /// The first wait; each further failure doubles it.
    #[serde(with = "duration")]
    pub first_wait: Duration,
    /// The longest wait.
    #[serde(with = "duration")]
    pub longest_wait: Duration,
    /// How long after the last failure all is forgotten.
    #[serde(with = "duration")]
    pub forget_after: Duration,
    /// So many names that failed from one network (an IPv4 /24, an IPv6 /48) are one attack.
    pub spraying: NonZeroU32,
    /// Who never waits: a web mail server, through which everybody comes.
    pub exempt: Vec<AddressRange>,
}

const SPRAYING: NonZeroU32 = NonZeroU32::new(10).unwrap();

impl Default for FailedLoginsSettings {
    fn default() -> Self {
        Self {
            free: 3,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            forget_after: Duration::from_secs(15 * 60),
            spraying: SPRAYING,
            exempt: Vec::new(),
        }
    }
}

impl FailedLoginsSettings {
    pub(crate) fn is_exempt(&self, client: IpAddr) -> bool {
        self.exempt.iter().any(|range| range.holds(client))
    }
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
            failed_logins: FailedLoginsSettings::default(),
        }
    }
}

/// `[report]`: what `postern report` can tell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSettings {
    /// How long counts are kept.
    pub keep: KeepDays,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self { keep: KeepDays(90) }
    }
}

/// 1 to 1000 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeepDays(pub u16);

impl TryFrom<String> for KeepDays {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const DAY: u64 = 24 * 60 * 60;
        let time = humantime::parse_duration(&text).map_err(|_| format!("{text:?} is not a time: write 90d"))?;
        let days = u16::try_from(time.as_secs() / DAY).ok().filter(|days| (1..=1000).contains(days));
        days.map(Self).ok_or_else(|| format!("{text:?}: write 1d to 1000d"))
    }
}

/// `[log] facts`: what the log keeps of a session beside its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptFacts {
    /// Nothing: no session can be explained afterwards.
    None,
    /// What its judgements rested on.
    #[default]
    Decisions,
    /// Its certificates too, and what was tried and asked about them.
    Full,
}

/// `[trace]`: what a relayed message tells of its submission.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceSettings {
    /// Put the verified certificate's subject into the Received field.
    pub certificate_subject: bool,
    /// Put the identity into a field of its own, `Postern-Identity`.
    pub identity: bool,
    /// Sign that field: PEM, an Ed25519 key in PKCS#8. Readable to nobody else.
    pub identity_key: Option<Spanned<PathBuf>>,
}
