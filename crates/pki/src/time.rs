//! Instants as certificates and lists write them: whole seconds, UTC, from the year 0 to 9999.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

use crate::der::{Malformed, Tlv, tag};

/// An instant in whole seconds, UTC, counted from 1970 and negative before it (certificates may begin in 1950).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(i64);

const SECONDS_PER_DAY: i64 = 86_400;

impl Time {
    /// `99991231235959Z`: RFC 5280 section 4.1.2.5 gives it the meaning "no well-defined expiration".
    pub const NEVER: Self = Self(253_402_300_799);

    /// The system clock, now.
    pub fn now() -> Self {
        // A clock before 1970 reads as 1970: every certificate is then not yet valid, which is the safe side.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This instant and `duration` more.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
    }

    /// This instant and `duration` less.
    pub(crate) fn earlier(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to this instant; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// From a calendar date and time of day (UTC); `None` where the calendar has no such instant.
    pub fn from_civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Self> {
        let in_range = (0..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        in_range.then(|| Self(days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second))
    }

    /// Calendar date and time of day (UTC): year, month, day, hour, minute, second.
    pub(crate) fn civil(self) -> [i64; 6] {
        let (year, month, day) = civil_from_days(self.0.div_euclid(SECONDS_PER_DAY));
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        [year, month, day, second / 3600, second / 60 % 60, second % 60]
    }

    /// From `YYYY-MM-DDTHH:MM:SSZ`, the form that [`Display`](fmt::Display) writes.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 20
            && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')]
                .iter()
                .all(|&(at, sign)| bytes.get(at) == Some(&sign));
        if !shape {
            return None;
        }
        let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
        Self::from_civil(
            number(0, 4)?,
            number(5, 7)?,
            number(8, 10)?,
            number(11, 13)?,
            number(14, 16)?,
            number(17, 19)?,
        )
    }

    /// Reads a `Time` (RFC 5280 section 4.1.2.5): UTCTime with seconds and `Z`, or GeneralizedTime without fractions.
    pub(crate) fn from_tlv(tlv: Tlv<'_>, what: &'static str) -> Result<Self, Malformed> {
        let (year_digits, text) = match tlv.tag {
            tag::UTC_TIME => (2, tlv.value),
            tag::GENERALIZED_TIME => (4, tlv.value),
            _ => return Err(Malformed::new(what, "neither UTCTime nor GeneralizedTime")),
        };
        let bad = Malformed::new(what, "not a date of the form [YY]YYMMDDHHMMSSZ");
        let Some((b'Z', written)) = text.split_last() else { return Err(bad) };
        if written.len() != year_digits + 10 {
            return Err(bad);
        }
        let number = |from: usize, len: usize| digits(written.get(from..from + len)?);
        let rest = year_digits;
        let read = || {
            let year = match (year_digits, number(0, year_digits)?) {
                // RFC 5280 section 4.1.2.5.1: 50 to 99 are of the twentieth century.
                (2, short) if short >= 50 => 1900 + short,
                (2, short) => 2000 + short,
                (_, year) => year,
            };
            Self::from_civil(
                year,
                number(rest, 2)?,
                number(rest + 2, 2)?,
                number(rest + 4, 2)?,
                number(rest + 6, 2)?,
                number(rest + 8, 2)?,
            )
        };
        read().ok_or(bad)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::from_rfc3339(&text).ok_or_else(|| format!("{text:?} is not an instant: write 2026-11-24T12:00:00Z"))
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Both ways between a date and its day number, in years that begin in March so that the leap day comes last:
// the algorithms of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(tag: u8, text: &str) -> Option<String> {
        let tlv = Tlv { tag, value: text.as_bytes(), raw: &[], offset: 0 };
        Time::from_tlv(tlv, "time").ok().map(|time| time.to_string())
    }

    #[test]
    fn times_of_rfc_5280() {
        let rows = [
            (tag::UTC_TIME, "500101120100Z", Some("1950-01-01T12:01:00Z")),
            (tag::UTC_TIME, "491231235959Z", Some("2049-12-31T23:59:59Z")),
            (tag::UTC_TIME, "000229000000Z", Some("2000-02-29T00:00:00Z")),
            (tag::UTC_TIME, "010229000000Z", None),
            (tag::UTC_TIME, "0102280000Z", None),
            (tag::UTC_TIME, "010228000000+0000", None),
            (tag::UTC_TIME, "01022800000 Z", None),
            (tag::GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59Z")),
            (tag::GENERALIZED_TIME, "20500101000000Z", Some("2050-01-01T00:00:00Z")),
            (tag::GENERALIZED_TIME, "20500101000000.5Z", None),
            (tag::GENERALIZED_TIME, "20501301000000Z", None),
            (tag::GENERALIZED_TIME, "20500101240000Z", None),
            (tag::GENERALIZED_TIME, "", None),
        ];
        for (tag, text, expected) in rows {
            assert_eq!(read(tag, text).as_deref(), expected, "{text}");
        }
        assert_eq!(Time::NEVER.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Time::from_unix(0).to_string(), "1970-01-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn text_and_back(seconds in -60_000_000_000_i64..253_402_300_799) {
            let time = Time::from_unix(seconds);
            prop_assert_eq!(Time::from_rfc3339(&time.to_string()), Some(time));
        }
    }
}
