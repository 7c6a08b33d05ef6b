//! Durations as administrators write them: `"90s"`, `"5m"`, `"5d"`. For `#[serde(with = "delivery::duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// Reads a duration from text.
///
/// # Errors
/// When the text is none; the message shows what would be right.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        D::Error::custom(format!("\"{text}\" is not a duration such as \"30s\", \"5m\" or \"2h\": {error}"))
    })
}

/// The same for a setting that need not be there. For `deserialize_with`.
///
/// # Errors
/// As above.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}
