//! Messages come out as they went in, and nothing else comes out.

use super::*;
use crate::store::ReadError;

const SEGMENT: u64 = 1024 * 1024;

#[tokio::test]
async fn messages_of_any_size_survive_a_restart() {
    let mut bench = Bench::new(SEGMENT).await;
    let sizes = [0, 1, 1000, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 300_000, 3_000_000];
    let mut ids = Vec::new();
    for (seed, &size) in sizes.iter().enumerate() {
        ids.push(bench.accept(&text(seed, size)).await.unwrap());
    }
    assert!(bench.segments().len() > 2, "the largest spans several segments");
    for _ in 0..2 {
        for (seed, (&size, &id)) in sizes.iter().zip(&ids).enumerate() {
            assert!(bench.text(id).await.unwrap() == text(seed, size), "message of {size} octets");
        }
        bench.reopen().await;
        assert_eq!(bench.problems(), Vec::<String>::new());
        assert_eq!(bench.store().usage().messages, sizes.len());
    }
}

#[tokio::test]
async fn messages_written_at_the_same_time_do_not_mix() {
    let bench = Bench::new(SEGMENT).await;
    let mut writers: Vec<_> = (0..5).map(|_| bench.begin()).collect();
    for piece in 0..40 {
        for (seed, writer) in writers.iter_mut().enumerate() {
            writer.write(&text(seed * 1000 + piece, 9_000)).await.unwrap();
        }
    }
    for (seed, writer) in writers.into_iter().enumerate() {
        let id = writer.commit_with(Vec::new(), false).await.unwrap();
        let expected: Vec<u8> = (0..40).flat_map(|piece| text(seed * 1000 + piece, 9_000)).collect();
        assert!(bench.text(id).await.unwrap() == expected);
    }
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_keeps_no_space() {
    let mut bench = Bench::new(SEGMENT).await;
    let mut dropped = bench.begin();
    dropped.write(&text(1, 2_500_000)).await.unwrap();
    assert!(bench.segments().len() > 1);
    let held = bench.segments();
    bench.done(bench.accept(b"wakes the cleaner").await.unwrap()).await;
    assert_eq!(bench.segments()[0], held[0], "the transaction is open");
    drop(dropped);
    bench.done(bench.accept(b"wakes the cleaner").await.unwrap()).await;
    bench.until(|| bench.segments().len() == 1).await;
    bench.reopen().await;
    assert_eq!(bench.store().usage().messages, 0);
}

#[tokio::test]
async fn what_is_done_stays_done_and_the_state_is_the_newest() {
    let mut bench = Bench::new(SEGMENT).await;
    let (kept, done) = (bench.accept(b"kept").await.unwrap(), bench.accept(b"done").await.unwrap());
    for attempts in 1..=3 {
        let mut state = bench.store().load(kept).await.unwrap().state;
        state.recipients[1].attempts = attempts;
        state.recipients[1].next = 5_000;
        state.recipients[0].next = 7_000;
        bench.change(kept, Change::State(state.encode())).await.unwrap();
    }
    bench.done(done).await;
    bench.reopen().await;
    assert!(matches!(bench.text(done).await, Err(ReadError::Gone)));
    assert_eq!(bench.store().load(kept).await.unwrap().state.recipients[1].attempts, 3);
    let found = &bench.opened.as_ref().unwrap().found;
    assert_eq!(*found, [Due { id: kept, at: 5_000 }], "the first of its recipients");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let bench = Bench::new(SEGMENT).await;
    let second = Store::open(bench.folder.path(), &bench.tuning);
    assert!(matches!(second.map(drop), Err(SpoolError::Locked(_))));
    bench.store().close().await;
    assert!(matches!(bench.accept(b"late").await, Err(SpoolError::Closed)));
    let third = Store::open(bench.folder.path(), &bench.tuning).unwrap();
    third.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_at_the_same_time_share_their_sync() {
    let bench = Bench::new(64 * SEGMENT).await;
    bench.accept(b"first").await.unwrap();
    let before = bench.tuning.faults.plan().syncs;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let transaction = bench.begin();
        tasks.spawn(transaction.commit_with(Vec::new(), false));
    }
    while let Some(committed) = tasks.join_next().await {
        committed.unwrap().unwrap();
    }
    let syncs = bench.tuning.faults.plan().syncs - before;
    assert!(syncs < 250, "{syncs} syncs for 500 messages");
}

#[tokio::test]
async fn a_write_given_up_half_way_breaks_the_transaction() {
    let bench = Bench::new(SEGMENT).await;
    let mut transaction = bench.begin();
    let large = text(1, 200_000);
    {
        // The disk waits as long as its plan is looked at.
        let _looked_at = bench.tuning.faults.plan();
        let write = transaction.write(&large);
        tokio::pin!(write);
        let waker = std::task::Waker::noop();
        assert!(write.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    }
    assert!(matches!(transaction.write(b"more").await, Err(SpoolError::Broken)));
    assert!(matches!(transaction.commit_with(Vec::new(), false).await, Err(SpoolError::Broken)));
}

#[tokio::test]
async fn ids_go_on_after_the_last_one_even_when_the_log_is_empty() {
    let mut bench = Bench::new(SEGMENT).await;
    let far = MessageId::from_raw((1 << 54) + 7);
    let transaction =
        Transaction::with_id(far, bench.store().clone(), Clock::start(), envelope(), delivery::Origin::default());
    bench.done(transaction.commit_with(Vec::new(), false).await.unwrap()).await;
    for _ in 0..3 {
        bench.reopen().await;
        let id = bench.accept(b"next").await.unwrap();
        assert!(id > far, "the clock is behind the last id");
        bench.done(id).await;
        bench.until(|| bench.segments().len() == 1).await;
    }
}
