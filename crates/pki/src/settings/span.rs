//! Time spans, as administrators write them.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A time span, written `90s`, `15m`, `4h` or `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text.trim())
            .map(Self)
            .map_err(|error| format!("`{text}` is no time span ({error}); write 90s, 15m, 4h or 2d"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
