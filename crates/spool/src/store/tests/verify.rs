//! Verifying finds and names every damaged octet, and nothing else, beside a store at work too.

use super::*;
use crate::state::State;
use crate::store::record::SEGMENT_HEADER;
use crate::store::{Damage, Finding, Verification};

const SEGMENT: u64 = 8 * 1024;

fn verify(folder: &Path) -> (Verification, Vec<Damage>) {
    let mut damages = Vec::new();
    let mut read_before = 0;
    let found = crate::store::verify(folder, &mut |finding| match finding {
        Finding::Progress { read, .. } => {
            assert!(read >= read_before);
            read_before = read;
        }
        Finding::Damage(damage) => damages.push(damage),
    });
    let found = found.unwrap();
    assert_eq!(found.damaged, damages.len());
    (found, damages)
}

fn told(damages: &[Damage]) -> Vec<String> {
    damages.iter().map(ToString::to_string).collect()
}

/// Everything that a log can have: moved messages, large ones, states, dropped transactions, several segments.
async fn varied() -> (Bench, Vec<MessageId>) {
    let mut bench = Bench::new(SEGMENT).await;
    let mut ids = vec![bench.accept(&text(0, 2_000)).await.unwrap()];
    bench.change(ids[0], Change::State(State::fresh(2).encode())).await.unwrap();
    for seed in 1..100 {
        bench.done(bench.accept(&text(seed, 2_000)).await.unwrap()).await;
    }
    bench.until(|| bench.segments()[0] > 1).await;
    bench.begin().write(&text(7, 70_000)).await.unwrap();
    for (seed, length) in [(200, 0), (201, 300), (202, 70_000), (203, 400)] {
        ids.push(bench.accept(&text(seed, length)).await.unwrap());
    }
    bench.change(ids[2], Change::State(State::fresh(2).encode())).await.unwrap();
    bench.reopen().await;
    ids.push(bench.accept(b"in the last segment").await.unwrap());
    bench.store().close().await;
    (bench, ids)
}

#[tokio::test]
async fn a_sound_store_is_sound() {
    let (bench, ids) = varied().await;
    let (found, damages) = verify(bench.folder.path());
    assert_eq!(told(&damages), Vec::<String>::new());
    assert_eq!((found.messages, found.unfinished_octets), (ids.len(), 0));
    assert_eq!(found.segments, bench.segments().len());
    let headers = SEGMENT_HEADER as u64 * found.segments as u64;
    let on_disk: u64 = bench
        .segments()
        .iter()
        .map(|&number| segment_file(bench.folder.path(), number).metadata().unwrap().len())
        .sum();
    assert_eq!(found.octets + headers, on_disk, "every octet was read");
}

#[tokio::test]
async fn format_1_is_sound_and_its_torn_end_is_no_damage() {
    let (found, damages) = verify(&formats::format_1());
    assert_eq!(told(&damages), Vec::<String>::new());
    assert_eq!((found.messages, found.unfinished_octets), (6, 184));
}

#[tokio::test]
async fn every_octet_counts() {
    let mut bench = Bench::new(SEGMENT).await;
    let id = bench.accept(&text(1, 150)).await.unwrap();
    bench.change(id, Change::State(State::fresh(2).encode())).await.unwrap();
    bench.done(bench.accept(&text(2, 50)).await.unwrap()).await;
    bench.reopen().await;
    bench.accept(b"in the next segment").await.unwrap();
    bench.done(id).await;
    bench.store().close().await;
    // The first segment is needed no longer: keep the cleaner's hands off by looking at copies.
    for number in bench.segments() {
        let file = segment_file(bench.folder.path(), number);
        for at in 0..file.metadata().unwrap().len() {
            let mut octet = [0];
            file.read_exact_at(&mut octet, at).unwrap();
            file.write_all_at(&[octet[0] ^ (1 << (at % 8))], at).unwrap();
            let (_, damages) = verify(bench.folder.path());
            assert!(!damages.is_empty(), "octet {at} of segment {number}");
            let here = damages[0].segment == Some(number) && damages[0].octet.is_none_or(|octet| octet <= at);
            assert!(here, "octet {at} of segment {number}: {:?}", told(&damages));
            file.write_all_at(&octet, at).unwrap();
        }
    }
    assert_eq!(told(&verify(bench.folder.path()).1), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_damaged_is_named() {
    let (bench, ids) = varied().await;
    let (text_of, accepted_of) = {
        let again = Bench::of(bench.folder.path(), SEGMENT).await;
        let entry = |id| again.store().index.get(id).unwrap();
        let text_of = entry(ids[2]).accepted;
        let accepted_of = entry(ids[4]).accepted;
        again.store().close().await;
        (text_of, accepted_of)
    };
    // The text stands before the Accepted record.
    segment_file(bench.folder.path(), text_of.segment).write_all_at(b"!", u64::from(text_of.offset) - 1).unwrap();
    segment_file(bench.folder.path(), accepted_of.segment)
        .write_all_at(b"!", u64::from(accepted_of.offset) + 60)
        .unwrap();
    let (found, damages) = verify(bench.folder.path());
    let told = told(&damages);
    assert_eq!(found.messages, ids.len() - 2);
    assert_eq!(told.len(), 4, "{told:?}");
    let (text_damaged, accepted_damaged) = (ids[2], ids[4]);
    assert!(told[0].ends_with(&format!("message {text_damaged}: its Body record has a wrong checksum")), "{told:?}");
    assert_eq!(damages[1].octet, Some(accepted_of.offset.into()));
    assert!(
        told[1].ends_with(&format!("message {accepted_damaged}: its Accepted record has a wrong checksum")),
        "{told:?}"
    );
    let undeliverable = "a piece of its text is missing or damaged; it cannot be delivered";
    assert_eq!(told[2], format!("message {text_damaged}: {undeliverable}"));
    assert!(told[3].starts_with(&format!("message {accepted_damaged}: ")), "{told:?}");
}

#[tokio::test]
async fn missing_and_shortened_segments_are_named() {
    let (bench, _) = varied().await;
    let segments = bench.segments();
    let lost = segments[segments.len() - 2];
    std::fs::remove_file(super::super::segment::path(&bench.log(), lost)).unwrap();
    let (_, damages) = verify(bench.folder.path());
    assert!(told(&damages)[0].contains("are missing"), "{:?}", told(&damages));
    let (bench, _) = varied().await;
    let segments = bench.segments();
    let lost = segments[segments.len() - 2];
    let file = segment_file(bench.folder.path(), lost);
    file.set_len(file.metadata().unwrap().len() - 7).unwrap();
    let (_, damages) = verify(bench.folder.path());
    assert!(told(&damages)[0].contains(&format!("segment {lost}, octet ")), "{:?}", told(&damages));
    assert!(told(&damages)[0].contains("its last 7 octets are missing"), "{:?}", told(&damages));
}

#[tokio::test]
async fn no_spool_is_an_error() {
    assert!(matches!(crate::store::verify(folder().path(), &mut |_| ()), Err(SpoolError::Folder { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_store_at_work_it_finds_nothing_that_is_not_there() {
    let bench = Bench::new(SEGMENT).await;
    let stuck = bench.accept(&text(0, 70_000)).await.unwrap();
    let folder = bench.folder.path().to_owned();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader_stop = stop.clone();
    let reader = std::thread::spawn(move || {
        let mut rounds = 0;
        while !reader_stop.load(std::sync::atomic::Ordering::Relaxed) || rounds < 5 {
            let (_, damages) = verify(&folder);
            assert_eq!(told(&damages), Vec::<String>::new(), "round {rounds}");
            rounds += 1;
        }
        rounds
    });
    for seed in 1..1_500 {
        bench.done(bench.accept(&text(seed, seed % 4_000)).await.unwrap()).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(reader.join().unwrap() >= 5);
    assert!(bench.segments()[0] > 10, "the cleaner was at work");
    assert_eq!(bench.text(stuck).await.unwrap(), text(0, 70_000));
}
