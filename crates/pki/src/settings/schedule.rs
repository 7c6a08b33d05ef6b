//! When a source is looked at: every so often, or as a cron expression says.

use std::cmp::Ordering;
use std::str::FromStr;
use std::time::Duration;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use serde::Deserialize;

use crate::settings::span::Span;
use crate::time::Time;

/// When a source is looked at: `every 4h`, or a cron expression of five fields in UTC, as `15 */4 * * *`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Schedule {
    /// This long after the look before.
    Every(Duration),
    /// At these minutes.
    Cron(Box<Cron>),
}

impl Schedule {
    /// The first time after `time`.
    pub fn next(&self, time: Time) -> Time {
        match self {
            Self::Every(span) => time.plus(*span),
            // A checked expression has a next time, short of the end of the calendar.
            Self::Cron(cron) => cron.find_next_occurrence(&Utc(time), false).map_or(Time::NEVER, |found| found.0),
        }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(span) = text.strip_prefix("every ") {
            let Span(span) = span.parse()?;
            if span < Duration::from_secs(1) {
                return Err("a schedule of less than a second; write `every 1s` or more".to_owned());
            }
            return Ok(Self::Every(span));
        }
        if text.split_whitespace().count() != 5 {
            return Err(format!("`{text}` is no schedule; write `every 4h`, or a cron expression: `15 */4 * * *`"));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| format!("`{text}` is no cron expression: {error}"))?;
        let schedule = Self::Cron(Box::new(cron));
        if schedule.next(Time::now()) == Time::NEVER {
            return Err(format!("`{text}` never comes"));
        }
        Ok(schedule)
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// UTC, where every wall clock time is one instant.
#[derive(Clone)]
struct Utc(Time);

impl CronDateTime for Utc {
    fn to_civil(&self) -> CivilDateTime {
        let [year, month, day, hour, minute, second] = self.0.civil();
        // Parts of a calendar date, so none is negative and none is large.
        let [month, day, hour, minute, second] =
            [month, day, hour, minute, second].map(|number| u32::try_from(number).unwrap_or_default());
        let date = CivilDate::from_parts_unchecked(i32::try_from(year).unwrap_or(i32::MAX), month, day);
        CivilDateTime::new(date, CivilTime::from_parts_unchecked(hour, minute, second))
    }

    fn civil_weekday(&self) -> Weekday {
        // 1970 began on a Thursday.
        let days = self.0.unix().div_euclid(24 * 3600).rem_euclid(7);
        Weekday::Thursday.shift(i32::try_from(days).unwrap_or_default())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let [month, day, hour, minute, second] =
            [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()].map(i64::from);
        let time = Time::from_civil(i64::from(civil.year()), month, day, hour, minute, second);
        time.map(|time| Resolution::Single(Self(time))).ok_or(CronError::InvalidTime)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.unix().checked_add(seconds).map(|seconds| Self(Time::from_unix(seconds)))
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_come_at_their_minutes() {
        let rows = [
            ("15 */4 * * *", "2026-11-24T04:15:00Z", "2026-11-24T08:15:00Z"),
            ("0 0 1 * *", "2026-11-24T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("30 6 * * MON-FRI", "2026-11-27T06:30:00Z", "2026-11-30T06:30:00Z"),
            ("59 23 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T23:59:00Z"),
        ];
        for (text, from, expected) in rows {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.next(Time::from_rfc3339(from).unwrap()).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn spans_count_from_the_look_before() {
        let schedule: Schedule = "every 4h".parse().unwrap();
        assert_eq!(schedule.next(Time::from_unix(100)), Time::from_unix(100 + 4 * 3600));
    }

    #[test]
    fn what_is_no_schedule() {
        for (text, why) in [
            ("hourly", "no schedule"),
            ("every 10ms", "less than a second"),
            ("every 4 bananas", "time span"),
            ("61 * * * *", "no cron expression"),
            ("0 0 30 2 *", "never comes"),
            ("0 0 0 1 1 *", "no schedule"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
