//! Who goes next.

mod invariants;

use super::*;
use protocol::EnhancedCode;

fn id(number: u64) -> MessageId {
    MessageId::from_raw(number * 1000)
}

fn away() -> Cause {
    Cause { unreachable: true, ..Cause::local(None, EnhancedCode(4, 4, 1), "away") }
}

/// Routes of a real courier.
fn ways(count: usize) -> Vec<Way> {
    #[derive(serde::Deserialize)]
    struct File {
        route: Vec<delivery::RouteSettings>,
    }
    let route = |number| format!("[[route]]\ndomains = ['d{number}']\nhosts = ['h']\ntls = 'none'\n");
    let toml: String = (0..count).map(route).collect();
    let file: File = toml::from_str(&toml).unwrap();
    let domain = |text: &str| protocol::Domain::parse(text).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let courier =
        delivery::Courier::new(&file.route, &delivery::Means::alone(domain("gateway.example.org"), provider)).unwrap();
    let way = |number: usize| {
        let mailbox = protocol::Mailbox::parse(&format!("x@d{number}")).unwrap();
        let envelope = protocol::Envelope {
            reverse_path: protocol::ReversePath::Null,
            recipients: vec![protocol::Recipient { mailbox, notify: None, original: None }],
            body: protocol::Body::SevenBit,
            smtputf8: false,
            require_tls: false,
            ret: None,
            envid: None,
        };
        courier.destination(&delivery::Origin::default(), &envelope, 0)
    };
    (0..count).map(way).collect()
}

/// A schedule at some time; what goes down rests for 100.
struct Desk {
    schedule: Schedule,
    now: Millis,
    terms: Terms,
}

impl Desk {
    fn new(most: u32) -> Self {
        Self { schedule: Schedule::default(), now: 0, terms: Terms { most, life: 1_000_000 } }
    }

    fn ready(&mut self, numbers: std::ops::Range<u64>, way: &Way) {
        for number in numbers {
            self.schedule.ready(id(number), way.clone(), self.now, self.terms);
        }
    }

    fn start(&mut self) -> Option<Start> {
        self.schedule.start(self.now, false)
    }

    fn start_all(&mut self) -> Vec<Start> {
        std::iter::from_fn(|| self.start()).collect()
    }

    /// So many attempts one after the other that come to nothing.
    fn fail(&mut self, count: usize) {
        for _ in 0..count {
            let start = self.start().unwrap();
            self.end(&start, Went::Badly(away()));
        }
    }

    fn end(&mut self, start: &Start, went: Went) {
        self.schedule
            .end((start.id, start.lane), start.given.is_some(), went, self.now, |times| 100 * u64::from(times));
    }
}

#[test]
fn messages_wait_for_their_time() {
    let mut schedule = Schedule::default();
    schedule.wait(50, id(2));
    schedule.wait(10, id(1));
    schedule.wait(10, id(1));
    assert_eq!(schedule.next_wait(), Some(10));
    assert_eq!(schedule.next_due(9), None);
    assert_eq!(schedule.next_due(10), Some(id(1)));
    assert_eq!(schedule.next_due(10), None);
    assert_eq!(schedule.next_due(99), Some(id(2)));
    assert_eq!(schedule.next_wait(), None);
}

#[test]
fn who_has_nothing_under_way_goes_first_and_a_full_way_is_passed_over() {
    let ways = ways(2);
    let (a, b) = (&ways[0], &ways[1]);
    let mut desk = Desk::new(3);
    desk.ready(0..4, a);
    desk.ready(10..12, b);
    // Ready twice is ready once.
    desk.ready(0..1, a);
    let started = desk.start_all();
    let order: Vec<u64> = started.iter().map(|start| start.id.raw() / 1000).collect();
    assert_eq!(order, [0, 10, 1, 11, 2], "in turn, and a has room for three");
    desk.end(&started[0], Went::Well);
    assert_eq!(desk.start().map(|start| (start.id, start.way)), Some((id(3), a.clone())));
    assert_eq!(desk.start(), None);
}

#[test]
fn when_all_is_full_each_way_still_has_one() {
    let ways = ways(3);
    let mut desk = Desk::new(9);
    desk.ready(0..5, &ways[0]);
    desk.start();
    desk.ready(10..12, &ways[1]);
    desk.ready(20..22, &ways[2]);
    let full: Vec<u64> =
        std::iter::from_fn(|| desk.schedule.start(0, true)).map(|start| start.id.raw() / 1000).collect();
    assert_eq!(full, [10, 20]);
}

#[test]
fn a_destination_gets_more_as_it_goes_well_and_less_when_it_does_not() {
    let way = &ways(1)[0];
    let mut desk = Desk::new(8);
    desk.ready(0..1000, way);
    let mut under_way = desk.start_all();
    assert_eq!(under_way.len(), 5, "it begins with a few");
    let mut sizes = vec![5];
    for _ in 0..40 {
        let first = under_way.remove(0);
        desk.end(&first, Went::Well);
        under_way.append(&mut desk.start_all());
        sizes.push(under_way.len());
    }
    sizes.dedup();
    assert_eq!(sizes, [5, 6, 7, 8], "up to the route's own limit");
    let first = under_way.remove(0);
    desk.end(&first, Went::Badly(away()));
    assert_eq!(desk.start(), None, "four are under way too many");
    while under_way.len() >= 4 {
        let first = under_way.remove(0);
        desk.end(&first, Went::Nowhere);
    }
    under_way.append(&mut desk.start_all());
    assert_eq!(under_way.len(), 4, "a half is left");
    // One that goes well between two that do not: it limps, and is not down.
    for _ in 0..10 {
        for went in [Went::Badly(away()), Went::Well] {
            let start = under_way.pop().or_else(|| desk.start()).unwrap();
            desk.end(&start, went);
            under_way.append(&mut desk.start_all());
        }
        assert_eq!(desk.schedule.next_turn(), None);
    }
}

#[test]
fn a_destination_that_is_down_is_probed_by_one_message_at_a_time_and_later_each_time() {
    let way = &ways(1)[0];
    let mut desk = Desk::new(20);
    desk.ready(0..9, way);
    let cohort = desk.start_all();
    assert_eq!(cohort.len(), 5);
    desk.end(&cohort[0], Went::Badly(away()));
    assert_eq!(desk.start(), None, "the window has shrunk");
    assert_eq!(desk.schedule.next_turn(), None, "and nothing is down yet");
    cohort[1..].iter().for_each(|start| desk.end(start, Went::Badly(away())));
    assert_eq!(desk.schedule.next_turn(), Some(100), "the rest of those who set out together says nothing new");
    desk.now = 99;
    assert_eq!(desk.start(), None);
    desk.now = 100;
    let probe = desk.start().unwrap();
    assert_eq!(probe.id, id(5));
    assert_eq!(desk.start(), None, "the probe is under way");
    desk.end(&probe, Went::Badly(away()));
    assert_eq!(desk.schedule.next_turn(), Some(300), "twice as long");
    desk.now = 300;
    let probe = desk.start().unwrap();
    desk.end(&probe, Went::Well);
    assert_eq!(desk.start_all().len(), 2, "it is up again, and all that is left goes, within the window");
}

#[test]
fn a_destination_that_is_down_is_forgotten_in_time() {
    let way = &ways(1)[0];
    let mut desk = Desk::new(1);
    desk.ready(0..3, way);
    desk.fail(3);
    assert_eq!(desk.schedule.lanes.len(), 1, "who comes meanwhile is not to try");
    desk.ready(3..4, way);
    assert_eq!(desk.start(), None);
    desk.now = 100;
    desk.fail(1);
    desk.now = 300;
    assert_eq!(desk.start(), None);
    assert_eq!(
        (desk.schedule.lanes.len(), desk.schedule.numbers.len(), desk.schedule.turns.len(), desk.schedule.taken.len()),
        (0, 0, 0, 0)
    );
}

#[test]
fn what_grows_old_behind_a_destination_that_is_down_is_given_up() {
    let ways = ways(2);
    let mut desk = Desk::new(2);
    desk.terms.life = 10;
    desk.ready(0..6, &ways[0]);
    desk.now = 20;
    let first = desk.start_all();
    assert!(first.iter().all(|start| start.given.is_none()), "nothing is down, so it is tried");
    first.iter().for_each(|start| desk.end(start, Went::Badly(away())));
    desk.fail(1);
    let last = desk.start().unwrap();
    desk.end(&last, Went::Badly(away()));
    let given = desk.start_all();
    assert_eq!(given.len(), 2, "{given:?}");
    assert!(given.iter().all(|start| start.given == Some(away())));
    desk.ready(100..101, &ways[0]);
    given.iter().for_each(|start| desk.end(start, Went::Badly(away())));
    assert_eq!(desk.start(), None, "the last is not old");
    assert_eq!(desk.schedule.next_turn(), Some(110), "but soon will be: before the next probe, at 120");
    desk.now = 110;
    let last = desk.start().unwrap();
    assert_eq!((last.id, last.given), (id(100), Some(away())));
}

#[test]
fn changed_routes_put_everything_back() {
    let ways = ways(2);
    let (a, b) = (&ways[0], &ways[1]);
    let mut desk = Desk::new(1);
    desk.ready(1..2, a);
    desk.ready(1..3, b);
    desk.ready(2..3, a);
    let under_way = desk.start().unwrap();
    desk.schedule.forget_ways(0);
    let back: Vec<_> = std::iter::from_fn(|| desk.schedule.next_due(0)).collect();
    assert_eq!(back, [id(1), id(2)]);
    // The same words may mean another way now: what is said of the old one does not touch it.
    desk.ready(2..3, a);
    desk.end(&under_way, Went::Badly(away()));
    assert_eq!(desk.start().map(|start| (start.id, start.way)), Some((id(2), a.clone())));
    assert_eq!(desk.schedule.lanes.len(), 1, "the old lane is gone");
}
