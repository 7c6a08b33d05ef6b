use super::*;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn event(what: What, reason: &'static str) -> Event {
    Event { what, reason: reason.into() }
}

fn see(ledger: &Ledger, who: &str, when: &str) {
    let somebody = Somebody { rule: Rule::Certificate, who: who.to_owned() };
    let when = at(when);
    ledger.counts().see(somebody, Sighting { reason: "missing".into(), times: 1, first: when, last: when });
}

fn filled() -> Statistics {
    let statistics = Statistics::default();
    let ledger = statistics.ledger("submission", "office");
    for (when, event) in [
        ("2026-11-20T23:59:59Z", event(What::Session, "sent mail")),
        ("2026-11-21T00:00:00Z", event(What::Session, "sent mail")),
        ("2026-11-21T10:00:00Z", event(What::Session, "sent mail")),
        ("2026-11-21T10:00:00Z", event(What::WouldRefuse(Rule::Certificate), "missing")),
        ("2026-11-21T10:00:00Z", event(What::FellBack, "missing")),
    ] {
        ledger.counts().count(event, at(when));
    }
    see(&ledger, "alice", "2026-11-20T10:00:00Z");
    see(&ledger, "bob", "2026-11-21T10:00:00Z");
    see(&ledger, "alice", "2026-11-21T11:00:00Z");
    statistics.monitor_from(
        [("submission", "office", [Rule::Certificate].into_iter().collect::<Rules>())],
        date("2026-11-20"),
    );
    statistics
}

#[test]
fn days_are_utc_and_events_apart() {
    let snapshot = filled().snapshot_at(90, date("2026-11-21"));
    let ledger = &snapshot.ledgers[0];
    assert_eq!((ledger.listener.as_str(), ledger.policy.as_str()), ("submission", "office"));
    let days: Vec<&str> = ledger.days.iter().map(|day| day.day.as_str()).collect();
    assert_eq!(days, ["2026-11-20", "2026-11-21"]);
    let counts: Vec<_> = ledger.days[1]
        .counts
        .iter()
        .map(|row| (row.what.as_str(), row.rule.as_deref(), row.reason.as_str(), row.count))
        .collect();
    assert_eq!(
        counts,
        [
            ("fell back to AUTH", None, "missing", 1),
            ("session", None, "sent mail", 2),
            ("would be refused", Some("certificate"), "missing", 1),
        ]
    );
    let people: Vec<_> = ledger.would_be_refused.iter().map(|one| (one.who.as_str(), one.times)).collect();
    assert_eq!(people, [("alice", 2), ("bob", 1)], "the last seen first");
    assert_eq!(ledger.would_be_refused[0].first, "2026-11-20T10:00:00Z");
    assert_eq!(ledger.would_be_refused[0].last, "2026-11-21T11:00:00Z");
}

#[test]
fn what_is_restored_is_what_was_counted_and_counting_goes_on() {
    let before = filled().snapshot_at(90, date("2026-11-21"));
    let text = serde_json::to_string(&before).unwrap();
    let read: Snapshot = serde_json::from_str(&text).unwrap();
    let statistics = Statistics::default();
    statistics.restore(&read).unwrap();
    assert_eq!(statistics.snapshot_at(90, date("2026-11-21")), before);
    let ledger = statistics.ledger("submission", "office");
    ledger.counts().count(event(What::Session, "sent mail"), at("2026-11-21T12:00:00Z"));
    see(&ledger, "bob", "2026-11-21T12:00:00Z");
    let after = statistics.snapshot_at(90, date("2026-11-21"));
    assert_eq!(after.ledgers[0].days[1].counts[1].count, 3);
    assert_eq!(after.ledgers[0].would_be_refused[0].who, "bob");
}

#[test]
fn what_is_too_old_is_forgotten() {
    let statistics = filled();
    let snapshot = statistics.snapshot_at(1, date("2026-11-21"));
    assert_eq!(snapshot.ledgers[0].days.len(), 1);
    assert_eq!(snapshot.ledgers[0].would_be_refused.len(), 2);
    // Monitored, and nobody to refuse: that is what the administrator waits for.
    let snapshot = statistics.snapshot_at(30, date("2027-01-01"));
    let ledger = &snapshot.ledgers[0];
    assert_eq!((ledger.days.len(), ledger.would_be_refused.len(), ledger.monitored.len()), (0, 0, 1));
    statistics.monitor_from([], date("2027-01-01"));
    assert_eq!(statistics.snapshot_at(30, date("2027-01-01")).ledgers, []);
}

#[test]
fn monitoring_begins_when_it_begins_and_ends_when_it_ends() {
    let statistics = Statistics::default();
    let monitored = |statistics: &Statistics| {
        let snapshot = statistics.snapshot_at(90, date("2026-11-30"));
        snapshot.ledgers.into_iter().flat_map(|ledger| ledger.monitored).collect::<Vec<_>>()
    };
    let told = |rule: &str, day: &str| (rule.to_owned(), day.to_owned());
    let rules = |rules: &[Rule]| -> Rules { rules.iter().copied().collect() };
    statistics.monitor_from([("a", "p", rules(&[Rule::Tls]))], date("2026-11-20"));
    statistics.monitor_from([("a", "p", rules(&[Rule::Tls, Rule::Auth]))], date("2026-11-22"));
    assert_eq!(monitored(&statistics), [told("auth", "2026-11-22"), told("tls", "2026-11-20")]);
    // Enforced for a while, and tried out again: the days before count no more.
    statistics.monitor_from([("a", "p", rules(&[Rule::Auth]))], date("2026-11-23"));
    statistics.monitor_from([("a", "p", rules(&[Rule::Tls]))], date("2026-11-24"));
    assert_eq!(monitored(&statistics), [told("tls", "2026-11-24")]);
}

#[test]
fn people_are_bounded_and_the_last_seen_are_kept() {
    let statistics = Statistics::default();
    let ledger = statistics.ledger("submission", "office");
    see(&ledger, "somebody busy", "2026-11-20T00:00:00Z");
    for number in 0..MAX_PEOPLE * 2 {
        see(&ledger, &number.to_string(), "2026-11-21T00:00:00Z");
        if number % 100 == 0 {
            see(&ledger, "somebody busy", "2026-11-21T00:00:00Z");
        }
    }
    let people = statistics.snapshot_at(90, date("2026-11-21")).ledgers.remove(0).would_be_refused;
    assert_eq!(people.len(), MAX_PEOPLE);
    assert!(people.iter().any(|one| one.who == "somebody busy" && one.times == 11));
    ledger.would_refuse(Rule::Tls, "no TLS", &("ä\r\n".to_owned() + &"x".repeat(1000)));
    let newest = statistics.snapshot(90).ledgers.remove(0).would_be_refused.remove(0);
    assert_eq!(newest.who.chars().count(), MAX_NAME);
    assert!(newest.who.starts_with("äx"), "what is told fits on a line");
}

#[test]
fn what_no_gateway_of_this_version_wrote_is_refused() {
    let good = serde_json::to_string(&filled().snapshot_at(90, date("2026-11-21"))).unwrap();
    for (from, to, told) in [
        ("\"version\":1", "\"version\":2", "format 2 is not known here: 1 is"),
        ("\"session\"", "\"sessions\"", "\"sessions\" is nothing that is counted"),
        ("\"rule\":\"certificate\"", "\"rule\":\"card\"", "is nothing that is counted"),
        ("2026-11-21\"", "2026-13-21\"", "\"2026-13-21\" is nothing that is counted"),
        ("2026-11-21T11", "2026-11-21T99", "is nothing that is counted"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        let statistics = Statistics::default();
        let error = statistics.restore(&serde_json::from_str(&text).unwrap()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(statistics.snapshot_at(90, date("2026-11-21")).ledgers, [], "all or nothing");
    }
}

#[test]
fn changes_are_told_once() {
    let statistics = filled();
    assert!(statistics.take_changed());
    assert!(!statistics.take_changed());
    statistics.ledger("submission", "office").count(event(What::Message, "certificate"));
    assert!(statistics.take_changed() && !statistics.take_changed());
}
