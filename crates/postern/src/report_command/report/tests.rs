use session::Day;

use super::*;

const RULE: &str = "certificate";

fn row(what: &str, rule: Option<&str>, reason: &str, count: u64) -> DayCount {
    DayCount { what: what.to_owned(), rule: rule.map(str::to_owned), reason: reason.to_owned(), count }
}

fn day(day: &str, sent: u64, let_through: u64) -> Day {
    let mut counts = vec![row("session", None, "sent mail", sent)];
    if let_through > 0 {
        counts.push(row("session", None, "let through", let_through));
        counts.push(row("would be refused", Some(RULE), "missing", let_through));
    }
    Day { day: day.to_owned(), counts }
}

fn ledger(since: Option<&str>, days: Vec<Day>) -> LedgerSnapshot {
    let monitored = since.map(|since| (RULE.to_owned(), since.to_owned())).into_iter().collect();
    let (listener, policy) = ("submission".to_owned(), "office".to_owned());
    LedgerSnapshot { listener, policy, monitored, days, would_be_refused: Vec::new() }
}

fn status(since: Option<&str>, days: Vec<Day>) -> RuleStatus {
    RuleStatus::new(&ledger(since, days), RULE, date("2026-11-18"), date("2026-11-24"))
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// Monitored since, would-be refusals as day:count, sessions with mail each day from the 18th on; what is said of it.
#[test]
fn safe_is_since_the_last_who_would_have_been_refused_and_not_before_it_was_monitored() {
    for (since, refusals, sent, safe, days, sessions) in [
        (Some("2026-11-18"), &[][..], 5, Some("2026-11-18"), 6, 35),
        (Some("2026-11-18"), &[("2026-11-20", 3)], 5, Some("2026-11-21"), 3, 20),
        (Some("2026-11-18"), &[("2026-11-20", 3), ("2026-11-23", 1)], 5, Some("2026-11-24"), 0, 5),
        (Some("2026-11-18"), &[("2026-11-24", 1)], 5, None, 0, 0),
        // Days before it was monitored prove nothing.
        (Some("2026-11-22"), &[("2026-11-19", 1)], 5, Some("2026-11-22"), 2, 15),
        (Some("2026-11-24"), &[], 5, Some("2026-11-24"), 0, 5),
        (Some("2026-11-18"), &[], 0, Some("2026-11-18"), 6, 0),
        // No longer monitored.
        (None, &[("2026-11-19", 1)], 5, None, 0, 0),
    ] {
        let days_of = (18..=24).map(|number| {
            let text = format!("2026-11-{number}");
            let refused = refusals.iter().find(|(day, _)| *day == text).map_or(0, |(_, count)| *count);
            day(&text, sent, refused)
        });
        let status = status(since, days_of.collect());
        let got = (status.safe_since.as_deref(), status.safe_days, status.sessions_since);
        assert_eq!(got, (safe, days, sessions), "{since:?} {refusals:?} {sent}");
        assert_eq!(status.last.as_deref(), refusals.last().map(|(day, _)| *day));
    }
}

#[test]
fn verdicts_are_sentences() {
    let said = |since, days| status(Some(since), days).verdict();
    assert_eq!(
        said("2026-11-18", vec![day("2026-11-20", 7, 2), day("2026-11-23", 8, 0)]),
        "certificate: monitored since 2026-11-18; 2 would have been refused, the last on 2026-11-20; \
         safe since 2026-11-21: 3 days, 8 sessions with mail"
    );
    assert_eq!(
        said("2026-11-18", vec![]),
        "certificate: monitored since 2026-11-18; nobody would have been refused; \
         no session has sent mail since, so nobody knows"
    );
    assert!(
        said("2026-11-18", vec![day("2026-11-24", 7, 2)])
            .ends_with("not safe to enforce: somebody would have been refused today")
    );
}

fn scope(days: u16) -> Scope<'static> {
    Scope { days, listener: None, policy: None, top: 2 }
}

fn snapshot() -> Snapshot {
    let mut office =
        ledger(Some("2026-11-01"), vec![day("2026-11-10", 1, 1), day("2026-11-23", 40, 10), day("2026-11-24", 5, 0)]);
    let seen = |who: &str, times, last: &str| WouldBeRefused {
        rule: RULE.to_owned(),
        who: who.to_owned(),
        reason: "missing".to_owned(),
        times,
        first: "2026-11-01T00:00:00Z".to_owned(),
        last: last.to_owned(),
    };
    office.would_be_refused = vec![
        seen("carol", 2, "2026-11-24T10:00:00Z"),
        seen("the archive's scanner", 9, "2026-11-23T10:00:00Z"),
        seen("bob", 2, "2026-11-23T10:00:00Z"),
        seen("somebody long ago", 99, "2026-11-10T10:00:00Z"),
    ];
    let mut other = ledger(None, vec![day("2026-11-24", 1, 0)]);
    other.listener = "inbound".to_owned();
    Snapshot { version: 1, ledgers: vec![office, other] }
}

#[test]
fn a_report_is_of_its_days_and_places() {
    let report = Report::new(&snapshot(), &scope(7), date("2026-11-24")).unwrap();
    assert_eq!((report.from.as_str(), report.to.as_str(), report.places.len()), ("2026-11-18", "2026-11-24", 2));
    let office = &report.places[0];
    assert_eq!(office.days.keys().collect::<Vec<_>>(), ["2026-11-23", "2026-11-24"]);
    let people: Vec<&str> = office.would_be_refused.iter().map(|one| one.who.as_str()).collect();
    assert_eq!(people, ["the archive's scanner", "carol"], "the most often first, and no more than asked for");
    let sessions = report.sessions();
    assert_eq!(sessions.len(), 7);
    let last = sessions[6].1;
    assert_eq!((last.sent, last.let_through, last.refused), (6, 0, 0), "all places together");

    let only = Scope { listener: Some("inbound"), ..scope(7) };
    assert_eq!(Report::new(&snapshot(), &only, date("2026-11-24")).unwrap().places.len(), 1);
    let none = Scope { policy: Some("ofice"), ..scope(7) };
    let error = Report::new(&snapshot(), &none, date("2026-11-24")).unwrap_err();
    assert!(error.contains("submission/office, inbound/office"), "{error}");
}

#[test]
fn bars_are_as_long_as_their_share_and_what_there_is_is_seen() {
    let report = Report::new(&snapshot(), &scope(2), date("2026-11-24")).unwrap();
    let chart = chart::terminal(&report);
    let lines: Vec<&str> = chart.lines().collect();
    assert_eq!(lines[0], "sessions:  █ sent mail  ▒ would be refused  ░ refused");
    assert_eq!(lines[1], format!("11-23 {}{} 40 + 10 + 0", "█".repeat(40), "▒".repeat(10)));
    assert_eq!(lines[2], "11-24 ██████ 6 + 0 + 0");
}

#[test]
fn pictures_are_well_formed_however_many_days_there_are() {
    for days in [1, 7, 90, 1000] {
        let svg = chart::svg(&Report::new(&snapshot(), &scope(days), date("2026-11-24")).unwrap());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
        assert_eq!(svg.matches("2026-11-23: 10 would be refused").count(), usize::from(days > 1));
    }
    let nothing = Report::new(&Snapshot { version: 1, ledgers: vec![] }, &scope(7), date("2026-11-24")).unwrap();
    assert!(nothing.text().contains("Nothing was counted yet") && chart::svg(&nothing).ends_with("</svg>\n"));
}
