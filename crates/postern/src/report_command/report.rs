//! A report: counts of some days, and for each monitored rule whether it is safe to enforce.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use comfy_table::CellAlignment;
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::Serialize;
use session::{DayCount, LedgerSnapshot, Snapshot, WouldBeRefused};

use super::chart;
use crate::table::table;

/// What of the counts is wanted.
pub(super) struct Scope<'a> {
    pub(super) days: u16,
    pub(super) listener: Option<&'a str>,
    pub(super) policy: Option<&'a str>,
    /// How many who would be refused.
    pub(super) top: usize,
}

/// Some days, the last of which is today.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) places: Vec<Place>,
    #[serde(skip)]
    dates: Vec<Date>,
}

/// A listener and a policy.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) listener: String,
    pub(super) policy: String,
    /// The oldest first; without days on which nothing happened.
    pub(super) days: BTreeMap<String, Vec<DayCount>>,
    pub(super) rules: Vec<RuleStatus>,
    /// Those seen most often first.
    pub(super) would_be_refused: Vec<WouldBeRefused>,
}

/// A rule that is monitored, or was.
#[derive(Debug, Serialize)]
pub(super) struct RuleStatus {
    pub(super) rule: String,
    /// Since when without a break; absent when it is no longer.
    pub(super) monitored_since: Option<String>,
    /// Within the report's days.
    pub(super) would_be_refused: u64,
    /// Of all days that are kept.
    pub(super) last: Option<String>,
    /// The first day since which nobody would have been refused; absent when that was today.
    pub(super) safe_since: Option<String>,
    /// Whole days since then, today not counted.
    pub(super) safe_days: i32,
    /// Sessions that sent mail since then.
    pub(super) sessions_since: u64,
}

/// Sessions of a day, each in one part.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sessions {
    pub(super) sent: u64,
    pub(super) let_through: u64,
    pub(super) refused: u64,
}

/// How often something happened: in all, and on each day.
#[derive(Default)]
struct Sums<'d> {
    all: u64,
    by_day: BTreeMap<&'d str, u64>,
}

/// Columns of a table that are days.
const DAY_COLUMNS: usize = 7;

impl Report {
    /// `Err` says which names there are.
    pub(super) fn new(snapshot: &Snapshot, scope: &Scope<'_>, today: Date) -> Result<Self, String> {
        let back = |days: u16| today.checked_sub(i64::from(days).days()).unwrap_or(Date::MIN);
        let dates: Vec<Date> = (0..scope.days.clamp(1, 1000)).rev().map(back).collect();
        let from = back(scope.days.clamp(1, 1000) - 1);
        let named = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| wanted == name);
        let wanted =
            |ledger: &&LedgerSnapshot| named(scope.listener, &ledger.listener) && named(scope.policy, &ledger.policy);
        let places: Vec<Place> =
            snapshot.ledgers.iter().filter(wanted).map(|ledger| Place::new(ledger, from, today, scope.top)).collect();
        if places.is_empty() && (scope.listener, scope.policy) != (None, None) {
            let there: Vec<String> =
                snapshot.ledgers.iter().map(|ledger| format!("{}/{}", ledger.listener, ledger.policy)).collect();
            return Err(format!(
                "nothing was counted of these; of listener and policy there are: {}",
                there.join(", ")
            ));
        }
        Ok(Self { from: from.to_string(), to: today.to_string(), places, dates })
    }

    /// Sessions of each of its days, all places together.
    pub(super) fn sessions(&self) -> Vec<(String, Sessions)> {
        let of_day = |day: &str| {
            let rows = self.places.iter().filter_map(|place| place.days.get(day)).flatten();
            rows.filter(|row| row.what == "session").fold(Sessions::default(), |mut sum, row| {
                let part = match row.reason.as_str() {
                    "let through" => &mut sum.let_through,
                    "sent mail" => &mut sum.sent,
                    "refused" => &mut sum.refused,
                    _ => return sum,
                };
                *part = part.saturating_add(row.count);
                sum
            })
        };
        let days = self.dates.iter().map(ToString::to_string);
        days.map(|day| (day.clone(), of_day(&day))).collect()
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} to {}, days in UTC\n\n{}\n", self.from, self.to, chart::terminal(self));
        if self.places.is_empty() {
            text.push_str("Nothing was counted yet.\n");
        }
        for place in &self.places {
            text.push_str(&format!("listener {:?}, policy {:?}\n", place.listener, place.policy));
            text.push_str(&place.counts(&self.dates));
            text.push_str(&place.verdicts());
            text.push('\n');
        }
        text
    }
}

impl Place {
    fn new(ledger: &LedgerSnapshot, from: Date, today: Date, top: usize) -> Self {
        let day = |text: &str| text.parse::<Date>().ok();
        let within = |text: &str| day(text).is_some_and(|day| (from..=today).contains(&day));
        let days = ledger.days.iter().filter(|one| within(&one.day)).map(|one| (one.day.clone(), one.counts.clone()));
        let mut rules: Vec<&str> = ledger.monitored.keys().map(String::as_str).collect();
        let told = ledger.days.iter().flat_map(|one| &one.counts).filter_map(|row| row.rule.as_deref());
        rules.extend(told);
        rules.sort_unstable();
        rules.dedup();
        let mut people: Vec<WouldBeRefused> =
            ledger.would_be_refused.iter().filter(|one| one.last.get(..10).is_some_and(within)).cloned().collect();
        let order = |one: &WouldBeRefused| {
            let last = one.last.get(..10).unwrap_or_default().to_owned();
            (Reverse((one.times, last)), one.who.clone(), one.rule.clone())
        };
        people.sort_by_cached_key(order);
        people.truncate(top);
        Self {
            listener: ledger.listener.clone(),
            policy: ledger.policy.clone(),
            days: days.collect(),
            rules: rules.into_iter().map(|rule| RuleStatus::new(ledger, rule, from, today)).collect(),
            would_be_refused: people,
        }
    }

    /// What happened, by day.
    fn counts(&self, dates: &[Date]) -> String {
        let shown = dates.get(dates.len().saturating_sub(DAY_COLUMNS)..).unwrap_or_default();
        let mut rows: BTreeMap<(&str, Option<&str>, &str), Sums<'_>> = BTreeMap::new();
        for (day, counts) in &self.days {
            for row in counts {
                let sums = rows.entry((&row.what, row.rule.as_deref(), &row.reason)).or_default();
                sums.all = sums.all.saturating_add(row.count);
                sums.by_day.insert(day, row.count);
            }
        }
        if rows.is_empty() {
            return "nothing happened in these days\n".to_owned();
        }
        let mut table = table();
        let days = shown.iter().map(|date| date.strftime("%m-%d").to_string());
        table.set_header(["what".to_owned(), "how, why".to_owned(), "all".to_owned()].into_iter().chain(days));
        for ((what, rule, reason), Sums { all, by_day }) in rows {
            let reason = rule.map_or_else(|| reason.to_owned(), |rule| format!("{rule}: {reason}"));
            let days = shown.iter().map(|date| {
                let count = by_day.get(date.to_string().as_str());
                count.map_or_else(String::new, ToString::to_string)
            });
            table.add_row([what.to_owned(), reason, all.to_string()].into_iter().chain(days));
        }
        table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        format!("{table}\n")
    }

    /// Whether it is safe, and who stands in the way.
    fn verdicts(&self) -> String {
        let mut text = String::new();
        for rule in self.rules.iter().filter(|rule| rule.monitored_since.is_some()) {
            text.push_str(&format!("  {}\n", rule.verdict()));
        }
        if self.would_be_refused.is_empty() {
            return text;
        }
        let mut table = table();
        table.set_header(["would be refused", "rule", "why", "times", "last seen"]);
        for one in &self.would_be_refused {
            table.add_row([one.who.as_str(), &one.rule, &one.reason, &one.times.to_string(), &one.last]);
        }
        format!("{text}{table}\n")
    }
}

impl RuleStatus {
    fn new(ledger: &LedgerSnapshot, rule: &str, from: Date, today: Date) -> Self {
        let of_rule = |counts: &[DayCount]| {
            let rows = counts.iter().filter(|row| row.rule.as_deref() == Some(rule));
            rows.fold(0_u64, |sum, row| sum.saturating_add(row.count))
        };
        let parsed = |text: &str| text.parse::<Date>().ok();
        let days: Vec<(Date, &[DayCount])> =
            ledger.days.iter().filter_map(|day| Some((parsed(&day.day)?, day.counts.as_slice()))).collect();
        let refusing = |(_, counts): &&(Date, &[DayCount])| of_rule(counts) > 0;
        let last = days.iter().filter(refusing).map(|(day, _)| *day).max();
        let monitored_since = ledger.monitored.get(rule).and_then(|day| parsed(day));
        let after = last.and_then(|day| day.tomorrow().ok());
        // Nobody was seen before it was monitored, whoever came.
        let safe = monitored_since.map(|since| after.map_or(since, |after| after.max(since)));
        let safe = safe.filter(|day| *day <= today);
        let sent = |counts: &[DayCount]| {
            let rows = counts.iter().filter(|row| row.what == "session" && row.reason != "refused");
            rows.filter(|row| row.reason != "sent nothing").fold(0_u64, |sum, row| sum.saturating_add(row.count))
        };
        let since = days.iter().filter(|(day, _)| safe.is_some_and(|safe| *day >= safe));
        Self {
            rule: rule.to_owned(),
            monitored_since: monitored_since.map(|day| day.to_string()),
            would_be_refused: days.iter().filter(|(day, _)| *day >= from).map(|(_, counts)| of_rule(counts)).sum(),
            last: last.map(|day| day.to_string()),
            safe_since: safe.map(|day| day.to_string()),
            safe_days: safe.map_or(0, |safe| (today - safe).get_days()),
            sessions_since: since.map(|(_, counts)| sent(counts)).sum(),
        }
    }

    fn verdict(&self) -> String {
        let Self { rule, would_be_refused, safe_days, sessions_since, .. } = self;
        let since = self.monitored_since.as_deref().unwrap_or_default();
        let told = match &self.last {
            None => "nobody would have been refused".to_owned(),
            Some(last) => format!("{would_be_refused} would have been refused, the last on {last}"),
        };
        let safe = match &self.safe_since {
            None => "not safe to enforce: somebody would have been refused today".to_owned(),
            Some(_) if *sessions_since == 0 => "no session has sent mail since, so nobody knows".to_owned(),
            Some(day) => format!("safe since {day}: {safe_days} days, {sessions_since} sessions with mail"),
        };
        format!("{rule}: monitored since {since}; {told}; {safe}")
    }
}

#[cfg(test)]
mod tests;
