//! Who goes next.

use super::*;
use protocol::EnhancedCode;

fn id(number: u64) -> MessageId {
    MessageId::from_raw(number)
}

fn down() -> Cause {
    Cause { unreachable: true, ..Cause::local(None, EnhancedCode(4, 4, 1), "away") }
}

/// Two routes of a real courier.
fn ways() -> (Way, Way) {
    #[derive(serde::Deserialize)]
    struct File {
        route: Vec<delivery::RouteSettings>,
    }
    let toml = "[[route]]\ndomains = ['a']\nhosts = ['a']\ntls = 'none'\n[[route]]\ndomains = ['b']\nhosts = ['b']\ntls = 'none'\n";
    let file: File = toml::from_str(toml).unwrap();
    let domain = |text: &str| protocol::Domain::parse(text).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let courier =
        delivery::Courier::new(&file.route, &delivery::Means::alone(domain("gateway.example.org"), provider)).unwrap();
    let way = |to: &str| {
        let recipient =
            protocol::Recipient { mailbox: protocol::Mailbox::parse(to).unwrap(), notify: None, original: None };
        let envelope = protocol::Envelope {
            reverse_path: protocol::ReversePath::Null,
            recipients: vec![recipient],
            body: protocol::Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        };
        courier.destination(&delivery::Origin::default(), &envelope, 0)
    };
    (way("x@a"), way("x@b"))
}

/// The next attempt, when nothing is too old.
fn start(schedule: &mut Schedule, now: Millis, room: usize) -> Option<(MessageId, Way)> {
    schedule.start(now, |_| room, |_| false).map(|(id, way, _)| (id, way))
}

#[test]
fn messages_wait_for_their_time() {
    let mut schedule = Schedule::default();
    schedule.wait(50, id(2));
    schedule.wait(10, id(1));
    schedule.wait(10, id(1));
    assert_eq!(schedule.next_time(), Some(10));
    assert_eq!(schedule.next_due(9), None);
    assert_eq!(schedule.next_due(10), Some(id(1)));
    assert_eq!(schedule.next_due(10), None);
    assert_eq!(schedule.next_due(99), Some(id(2)));
    assert_eq!(schedule.next_time(), None);
}

#[test]
fn ways_take_turns_and_a_full_one_is_passed_over() {
    let (a, b) = ways();
    let mut schedule = Schedule::default();
    for number in 0..4 {
        schedule.ready(id(number), a.clone());
    }
    schedule.ready(id(10), b.clone());
    // Ready twice is ready once.
    schedule.ready(id(0), a.clone());
    let started: Vec<_> = std::iter::from_fn(|| start(&mut schedule, 0, 3)).collect();
    assert_eq!(started.len(), 4, "{started:?}");
    assert_eq!(started.iter().position(|(id, _)| *id == self::id(10)), Some(1), "b does not wait for a");
    schedule.end(id(0), &a, None);
    assert_eq!(start(&mut schedule, 0, 3), Some((id(3), a.clone())));
    assert_eq!(start(&mut schedule, 0, 3), None);
}

#[test]
fn a_route_that_is_down_is_probed_by_one_message_at_a_time() {
    let (a, _) = ways();
    let mut schedule = Schedule::default();
    (0..5).for_each(|number| schedule.ready(id(number), a.clone()));
    assert_eq!(start(&mut schedule, 0, 1), Some((id(0), a.clone())));
    schedule.end(id(0), &a, Some((100, down())));
    assert_eq!(start(&mut schedule, 99, 9), None);
    assert_eq!(schedule.next_time(), Some(100));
    assert_eq!(start(&mut schedule, 100, 9), Some((id(1), a.clone())));
    assert_eq!(start(&mut schedule, 100, 9), None, "the probe is under way");
    assert_eq!(schedule.next_time(), None);
    schedule.end(id(1), &a, None);
    assert_eq!(std::iter::from_fn(|| start(&mut schedule, 101, 9)).count(), 3, "it is up again");
}

#[test]
fn what_grows_old_behind_a_route_that_is_down_is_given_up() {
    let (a, b) = ways();
    let mut schedule = Schedule::default();
    (0..4).for_each(|number| schedule.ready(id(number), a.clone()));
    let is_stale = |id: MessageId| id < self::id(3);
    assert_eq!(schedule.start(0, |_| 2, is_stale), Some((id(0), a.clone(), None)), "nothing is down, so it is tried");
    schedule.end(id(0), &a, Some((100, down())));
    assert_eq!(schedule.start(50, |_| 2, is_stale), Some((id(1), a.clone(), Some(down()))));
    assert_eq!(schedule.start(50, |_| 2, is_stale), Some((id(2), a.clone(), Some(down()))));
    assert_eq!(schedule.start(50, |_| 9, is_stale), None, "the last is not old");
    schedule.end(id(1), &a, Some((150, down())));
    schedule.end(id(2), &a, Some((150, down())));
    schedule.ready(id(1), b.clone());
    assert_eq!(schedule.start(50, |_| 9, is_stale), Some((id(1), b.clone(), None)), "b is not down");
}

#[test]
fn changed_routes_put_everything_back() {
    let (a, b) = ways();
    let mut schedule = Schedule::default();
    schedule.ready(id(1), a.clone());
    schedule.ready(id(1), b.clone());
    schedule.ready(id(2), a.clone());
    let (under_way, way) = start(&mut schedule, 0, 1).unwrap();
    schedule.forget_ways();
    let back: Vec<_> = std::iter::from_fn(|| schedule.next_due(0)).collect();
    assert_eq!(back, [id(1), id(2)]);
    // The one under way is not started again before it has ended.
    schedule.ready(under_way, way.clone());
    assert_eq!(start(&mut schedule, 0, 9), None);
    schedule.end(under_way, &way, None);
    schedule.ready(under_way, way.clone());
    assert_eq!(start(&mut schedule, 0, 9), Some((under_way, way)));
}
