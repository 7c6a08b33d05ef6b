//! What holds whatever happens, in whatever order; and what it costs.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Ready(u64, usize),
    Start { full: bool },
    End { which: usize, how: u8 },
    Later(Millis),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..60_u64, 0..4_usize).prop_map(|(number, way)| Step::Ready(number, way)),
        4 => any::<bool>().prop_map(|full| Step::Start { full }),
        4 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Step::End { which, how }),
        1 => (0..200_u64).prop_map(Step::Later),
    ]
}

/// What a plain list would do.
#[derive(Default)]
struct Model {
    ready: Vec<(MessageId, Way)>,
    under_way: Vec<Start>,
}

impl Model {
    fn under_way_for(&self, way: &Way) -> usize {
        self.under_way.iter().filter(|start| start.way == *way).count()
    }

    fn knows(&self, id: MessageId, way: &Way) -> bool {
        let under_way = self.under_way.iter().any(|start| start.id == id && start.way == *way);
        under_way || self.ready.contains(&(id, way.clone()))
    }
}

const MOST: u32 = 6;

fn take(desk: &mut Desk, model: &mut Model, full: bool) -> Option<Way> {
    let start = desk.schedule.start(desk.now, full)?;
    let place = model.ready.iter().position(|(id, way)| *id == start.id && *way == start.way);
    model.ready.remove(place.expect("it was ready, and is started once"));
    assert!(!full || model.under_way_for(&start.way) == 0, "when all is full, only for who has none");
    let way = start.way.clone();
    model.under_way.push(start);
    assert!(model.under_way_for(&way) <= usize::try_from(MOST).unwrap());
    Some(way)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_repeated_or_passed_over(steps in prop::collection::vec(step(), 1..200)) {
        thread_local!(static WAYS: Vec<Way> = ways(4));
        let ways = WAYS.with(Clone::clone);
        let mut desk = Desk::new(MOST);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Ready(number, way) => {
                    if !model.knows(id(number), &ways[way]) {
                        model.ready.push((id(number), ways[way].clone()));
                    }
                    desk.ready(number..number + 1, &ways[way]);
                }
                Step::Start { full } => drop(take(&mut desk, &mut model, full)),
                Step::End { which, how } if !model.under_way.is_empty() => {
                    let start = model.under_way.remove(which % model.under_way.len());
                    desk.end(&start, match how { 0 => Went::Nowhere, 1 => Went::Badly(away()), _ => Went::Well });
                }
                Step::End { .. } => {}
                Step::Later(by) => desk.now += by,
            }
            prop_assert_eq!(desk.schedule.taken.len(), model.ready.len() + model.under_way.len());
            prop_assert!(desk.schedule.lanes.len() <= ways.len());
        }
        // No way is passed over: with none under way and nothing down, as many starts as there are ways serve each.
        let mut open: Vec<Way> = model.ready.iter().map(|(_, way)| way.clone()).collect();
        open.sort_unstable();
        open.dedup();
        open.retain(|way| {
            let lane = desk.schedule.numbers.get(way).and_then(|number| desk.schedule.lanes.get(number)).unwrap();
            model.under_way_for(way) == 0 && lane.down.is_none()
        });
        let served: Vec<Way> = (0..ways.len()).filter_map(|_| take(&mut desk, &mut model, false)).collect();
        prop_assert!(open.iter().all(|way| served.contains(way)), "{:?} of {:?}", served, open);
        // And all of it comes to an end, without anything but time.
        let mut rounds = 0;
        while !model.ready.is_empty() || !model.under_way.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 2000, "stuck: {:?}", desk.schedule);
            while take(&mut desk, &mut model, false).is_some() {}
            match model.under_way.pop() {
                Some(start) => desk.end(&start, Went::Well),
                None => desk.now = desk.schedule.next_turn().expect("something is to be done some time"),
            }
        }
        desk.now += 1_000_000;
        prop_assert!(desk.start().is_none());
        prop_assert!(desk.schedule.lanes.is_empty() && desk.schedule.taken.is_empty() && desk.schedule.turns.is_empty());
    }
}

/// One destination that takes for ever, and others that are quick: they do not notice.
#[test]
fn a_slow_destination_delays_no_other() {
    let ways = ways(50);
    let mut desk = Desk::new(20);
    desk.ready(0..100_000, &ways[0]);
    for (number, way) in (1..).zip(&ways[1..]) {
        desk.ready(number * 1_000_000..number * 1_000_000 + 100, way);
    }
    let most = 30;
    let (mut under_way, mut served, mut steps) = (Vec::new(), HashMap::<Way, usize>::new(), 0);
    while served.values().sum::<usize>() < 49 * 100 {
        while under_way.len() < most * 2
            && let Some(start) = desk.schedule.start(0, under_way.len() >= most)
        {
            under_way.push(start);
        }
        steps += 1;
        let quick = under_way.iter().position(|start| start.way != ways[0]).expect("there is always a quick one");
        let start = under_way.remove(quick);
        *served.entry(start.way.clone()).or_default() += 1;
        desk.end(&start, Went::Well);
        let (least, most) =
            (ways[1..].iter().map(|way| served.get(way).copied().unwrap_or_default()).min(), served.values().max());
        assert!(*most.unwrap() - least.unwrap() <= 10, "they go along together: {served:?}");
    }
    assert_eq!(steps, 49 * 100);
    assert!(under_way.iter().filter(|start| start.way == ways[0]).count() <= 20);
}

/// Octets of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_message_costs_a_hundred_octets_and_no_step_depends_on_how_many_there_are() {
    const MESSAGES: u64 = 400_000;
    let ways = ways(1000);
    let before = resident();
    let mut desk = Desk::new(20);
    (0..MESSAGES).for_each(|number| desk.schedule.wait(number, id(number)));
    let waiting = (resident() - before) / usize::try_from(MESSAGES).unwrap();
    let mut number = 0;
    while let Some(id) = desk.schedule.next_due(MESSAGES) {
        desk.schedule.ready(id, ways[number % ways.len()].clone(), 0, desk.terms);
        number += 1;
    }
    let ready = (resident() - before) / usize::try_from(MESSAGES).unwrap();
    assert!(waiting <= 50 && ready <= 100, "{waiting} octets a message that waits, {ready} when all are ready");
    let begin = std::time::Instant::now();
    let starts = desk.start_all();
    assert_eq!(starts.len(), 5000);
    starts.iter().for_each(|start| desk.end(start, Went::Well));
    // Sorting a thousand destinations at each start took seconds.
    assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
}
