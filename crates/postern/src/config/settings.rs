//! The shape of `postern.toml`. Each table's keys belong to the crate they set.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use serde::Deserialize;
use serde_spanned::Spanned;

/// The whole file. What must be there is optional here, so that its absence does not hide other problems.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) hostname: Option<Spanned<String>>,
    pub(crate) state_dir: Option<Spanned<PathBuf>>,
    pub(crate) tls: Option<session::TlsSettings>,
    #[serde(default)]
    pub(crate) limits: session::LimitsSettings,
    #[serde(default)]
    pub(crate) trace: session::TraceSettings,
    #[serde(default)]
    pub(crate) log: LogSettings,
    #[serde(default)]
    pub(crate) report: session::ReportSettings,
    #[serde(default)]
    pub(crate) metrics: console::MetricsSettings,
    #[serde(default)]
    pub(crate) trust: Named<pki::TrustSettings>,
    #[serde(default)]
    pub(crate) crl: pki::CrlSettings,
    #[serde(default)]
    pub(crate) ocsp: pki::OcspSettings,
    #[serde(default)]
    pub(crate) fetch: pki::FetchSettings,
    #[serde(default)]
    pub(crate) directory: Named<directory::Settings>,
    #[serde(default)]
    pub(crate) forward: Named<auth::ForwardSettings>,
    #[serde(default)]
    pub(crate) oauth: Named<auth::OauthSettings>,
    #[serde(default)]
    pub(crate) authentication: Named<auth::Settings>,
    #[serde(default)]
    pub(crate) policy: Named<policy::PolicySettings>,
    #[serde(default)]
    pub(crate) recipients: Named<policy::RecipientsSettings>,
    #[serde(default)]
    pub(crate) dns: dns::Settings,
    #[serde(default)]
    pub(crate) listener: Vec<session::ListenerSettings>,
    #[serde(default)]
    pub(crate) dkim: Named<delivery::DkimSettings>,
    pub(crate) tls_reports: Option<Spanned<crate::tls_reports::Settings>>,
    #[serde(default)]
    pub(crate) relay: session::RelaySettings,
    #[serde(default)]
    pub(crate) route: Vec<delivery::RouteSettings>,
    #[serde(default)]
    pub(crate) spool: spool::Settings,
}

/// `[table.NAME]`: the names are the administrator's own.
pub(crate) type Named<T> = BTreeMap<String, Spanned<T>>;

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSettings {
    /// How lines look.
    pub(crate) format: LogFormat,
    /// What is logged.
    pub(crate) level: LogLevel,
    /// What is kept of sessions, so that they can be explained afterwards.
    pub(crate) facts: session::KeptFacts,
}

impl LogSettings {
    /// Whether lines are objects of JSON.
    pub(crate) fn is_json(&self) -> bool {
        match self.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !std::io::stderr().is_terminal(),
        }
    }

    /// In text, which people read, facts would bury the rest; and nothing reads them there.
    pub(crate) fn kept_facts(&self) -> session::KeptFacts {
        if self.is_json() { self.facts } else { session::KeptFacts::None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    /// One line a session, one a delivery.
    #[default]
    Info,
    /// Each step of each judgement.
    Debug,
}
