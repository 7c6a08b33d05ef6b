//! Random histories against a model, with crashes at any point, in segments so small that the cleaner always works.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::state::State;

const SEGMENT: u64 = 8 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Accept(usize),
    Done(usize),
    State(usize),
    Crash,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![0_usize..3_000, Just(70_000)].prop_map(Step::Accept),
        5 => any::<usize>().prop_map(Step::Done),
        3 => any::<usize>().prop_map(Step::State),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// What must be there: seed, length and attempts of each message.
type Model = BTreeMap<MessageId, (usize, usize, u32)>;

async fn matches(bench: &Bench, model: &Model) {
    assert_eq!(bench.problems(), Vec::<String>::new());
    assert_eq!(bench.store().usage().messages, model.len());
    for (&id, &(seed, length, attempts)) in model {
        assert!(bench.text(id).await.unwrap() == text(seed, length), "message {seed}");
        assert_eq!(bench.store().load(id).await.unwrap().state.recipients[0].attempts, attempts);
    }
}

async fn history(steps: Vec<Step>) {
    let mut bench = Bench::new(SEGMENT).await;
    let mut model = Model::new();
    for (seed, step) in steps.into_iter().enumerate() {
        let nth = |at: usize| model.keys().nth(at % model.len().max(1)).copied();
        match step {
            Step::Accept(length) => {
                let id = bench.accept(&text(seed, length)).await.unwrap();
                model.insert(id, (seed, length, 0));
            }
            Step::Done(at) => {
                if let Some(id) = nth(at) {
                    bench.done(id).await;
                    model.remove(&id);
                }
            }
            Step::State(at) => {
                if let Some(id) = nth(at) {
                    let (_, _, attempts) = model.get_mut(&id).unwrap();
                    *attempts += 1;
                    let mut state = State::fresh(2);
                    state.recipients[0].attempts = *attempts;
                    bench.change(id, Change::State(state.encode())).await.unwrap();
                }
            }
            // While the cleaner is at work; and again without what segments tell of those before them.
            Step::Crash => {
                let folder = folder();
                copy(bench.folder.path(), folder.path());
                let crashed = Bench::of(folder.path(), SEGMENT).await;
                matches(&crashed, &model).await;
                crashed.store().close().await;
                forget_contents(folder.path());
                let crashed = Bench::of(folder.path(), SEGMENT).await;
                matches(&crashed, &model).await;
                crashed.store().close().await;
            }
            Step::Restart => bench.reopen().await,
        }
    }
    matches(&bench, &model).await;
    bench.reopen().await;
    matches(&bench, &model).await;
    // Everything done: everything given back.
    for &id in model.keys() {
        bench.done(id).await;
    }
    bench.until(|| bench.segments().len() <= 1).await;
    bench.reopen().await;
    assert_eq!(bench.store().usage().messages, 0);
    bench.store().close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history(steps in proptest::collection::vec(step(), 1..120)) {
        tokio::runtime::Runtime::new().unwrap().block_on(history(steps));
    }
}

#[tokio::test]
async fn a_stuck_message_neither_pins_space_nor_gets_lost() {
    let mut bench = Bench::new(SEGMENT).await;
    let stuck = bench.accept(&text(0, 2_000)).await.unwrap();
    let mut state = State::fresh(2);
    state.recipients[0].attempts = 9;
    bench.change(stuck, Change::State(state.encode())).await.unwrap();
    for seed in 1..400 {
        bench.done(bench.accept(&text(seed, 2_000)).await.unwrap()).await;
    }
    bench.until(|| bench.store().usage().disk_octets < 6 * SEGMENT).await;
    assert!(bench.segments()[0] > 50, "the first segments are gone: {:?}", bench.segments());
    assert_eq!(bench.text(stuck).await.unwrap(), text(0, 2_000));
    bench.reopen().await;
    assert_eq!(bench.text(stuck).await.unwrap(), text(0, 2_000));
    assert_eq!(bench.store().load(stuck).await.unwrap().state, state);
    assert_eq!(bench.store().usage().messages, 1, "nothing has risen again");
}

#[tokio::test]
async fn a_message_stays_readable_while_it_is_moved() {
    let bench = Bench::new(SEGMENT).await;
    let stuck = bench.accept(&text(0, 200_000)).await.unwrap();
    let mut source = bench.store().load(stuck).await.unwrap().source;
    let mut read = source.next().await.unwrap().unwrap().to_vec();
    let oldest = bench.segments()[0];
    for seed in 1..800 {
        bench.done(bench.accept(&text(seed, 2_000)).await.unwrap()).await;
    }
    bench.until(|| bench.segments()[0] > oldest + 10).await;
    while let Some(octets) = source.next().await.unwrap() {
        read.extend_from_slice(&octets);
    }
    assert!(read == text(0, 200_000));
}
