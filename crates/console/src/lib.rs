//! What operators look at: metrics and health, over HTTP.
//!
//! [`serve`] answers `/metrics` in OpenMetrics, `/live` and `/ready`. What it tells it asks the [`Sources`] at that moment; it
//! keeps nothing, and has no names of people.

mod serve;
mod health;
mod metrics;
mod sources;
mod settings;

pub use serve::serve;
pub use settings::MetricsSettings;
pub use sources::Sources;
