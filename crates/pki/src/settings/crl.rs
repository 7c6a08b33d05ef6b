//! The settings of `[crl]`, as they stand in the file.

use std::time::Duration;

use serde::Deserialize;

use crate::location::Location;
use crate::settings::schedule::Schedule;
use crate::settings::span::Span;

/// `[crl]`: which connections are checked, and where the lists come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlSettings {
    /// Check client certificates.
    #[serde(default = "yes")]
    pub check_inbound: bool,
    /// Check next hops' server certificates.
    #[serde(default = "yes")]
    pub check_outbound: bool,
    /// Also fetch what a certificate's own distribution points name, from `fetch.allowed_hosts`.
    #[serde(default)]
    pub follow_distribution_points: bool,
    /// How long after its nextUpdate a list may still be used.
    #[serde(default)]
    pub grace: Span,
    /// The largest list that is read, in bytes.
    #[serde(default = "max_size")]
    pub max_size: u64,
    /// `[[crl.source]]`.
    #[serde(default)]
    pub source: Vec<CrlSourceSettings>,
}

impl Default for CrlSettings {
    fn default() -> Self {
        Self {
            check_inbound: true,
            check_outbound: true,
            follow_distribution_points: false,
            grace: Span::default(),
            max_size: max_size(),
            source: Vec::new(),
        }
    }
}

/// `[[crl.source]]`: one place that a list comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlSourceSettings {
    /// What logs and status call it.
    pub name: String,
    /// How the list is written.
    #[serde(default)]
    pub format: CrlFormat,
    /// Where it is.
    pub primary: Location,
    /// Where it is too, tried when the primary fails.
    #[serde(default)]
    pub secondary: Option<Location>,
    /// How often it is looked at; see [`CrlSourceSettings::schedule`] for when it is left out.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// `false` leaves it out.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl CrlSourceSettings {
    /// Its schedule. Without one a file is looked at each minute, since that costs no more than one `stat`, and a server
    /// is asked each hour.
    pub fn schedule(&self) -> Schedule {
        let default = if self.primary.path().is_some() { 60 } else { 3600 };
        self.schedule.clone().unwrap_or(Schedule::Every(Duration::from_secs(default)))
    }
}

fn yes() -> bool {
    true
}

fn max_size() -> u64 {
    1 << 30
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrlFormat {
    /// DER.
    Asn1,
    /// Base64 between `-----BEGIN X509 CRL-----` and its end.
    Pem,
    /// Whichever of the two the first octet says.
    #[default]
    Auto,
}
