//! `[spool]` as the administrator writes it.

use std::time::Duration;

use bytesize::ByteSize;
use delivery::duration;
use protocol::Mailbox;
use serde::Deserialize;

/// `[spool]`: how long to try, and what to send back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The wait after the first failed attempt; doubled after each further one (RFC 5321 section 4.5.4.1).
    #[serde(with = "duration")]
    pub retry_interval: Duration,
    /// The longest wait between two attempts.
    #[serde(with = "duration")]
    pub max_retry_interval: Duration,
    /// The age at which an attempt that fails was the last one. RFC 5321 section 4.5.4.1 advises four or five days.
    #[serde(with = "duration")]
    pub give_up_after: Duration,
    /// The age at which the sender is told, once, that it takes long; zero: never.
    #[serde(with = "duration")]
    pub delay_notice_after: Duration,
    /// Who is told of messages without a sender, such as notices, that cannot be delivered. They are only logged without.
    pub double_bounce_to: Option<Mailbox>,
    /// Largest message that comes back whole in a notice, where its sender asked for that; above it, the header only.
    pub max_returned_message: ByteSize,
    /// Most attempts at a time, over all routes; a route with none under way may always have one.
    pub max_deliveries: u32,
    /// How long a stop waits for attempts under way before it breaks them off.
    #[serde(with = "duration")]
    pub stop_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retry_interval: Duration::from_secs(60),
            max_retry_interval: Duration::from_secs(60 * 60),
            give_up_after: Duration::from_secs(5 * 24 * 60 * 60),
            delay_notice_after: Duration::from_secs(4 * 60 * 60),
            double_bounce_to: None,
            max_returned_message: ByteSize::kib(64),
            max_deliveries: 100,
            stop_grace: Duration::from_secs(10),
        }
    }
}
