//! Torn writes and flipped bits: whatever happens to the files, what is sound is delivered, and what is not is reported.

use std::os::unix::fs::FileExt;

use super::*;
use crate::state::State;
use crate::store::record::{SEGMENT_HEADER, VERSION};

const SEGMENT: u64 = 1024 * 1024;

/// A log of one segment, and where it ended after each message.
async fn log_of(messages: usize) -> (Bench, Vec<(MessageId, u64)>) {
    let bench = Bench::new(SEGMENT).await;
    let mut ends = Vec::new();
    for seed in 0..messages {
        let id = bench.accept(&text(seed, 150)).await.unwrap();
        ends.push((id, bench.store().usage().disk_octets));
    }
    bench.store().close().await;
    (bench, ends)
}

#[tokio::test]
async fn a_tail_cut_anywhere_loses_only_what_was_not_acknowledged() {
    let (bench, ends) = log_of(4).await;
    let length = ends[3].1;
    for cut in 0..=length {
        let folder = folder();
        copy(bench.folder.path(), folder.path());
        segment_file(folder.path(), 1).set_len(cut).unwrap();
        let cut_bench = Bench::of(folder.path(), SEGMENT).await;
        for (seed, &(id, end)) in ends.iter().enumerate() {
            match end <= cut {
                true => assert!(cut_bench.text(id).await.unwrap() == text(seed, 150), "cut at {cut}"),
                false => assert!(matches!(cut_bench.text(id).await, Err(ReadError::Gone)), "cut at {cut}"),
            }
        }
        assert_eq!(cut_bench.problems(), Vec::<String>::new(), "cut at {cut}");
        // And it goes on from there, without finding the tear again.
        let id = cut_bench.accept(b"after the crash").await.unwrap();
        let again = Bench::of(cut_bench.folder.path(), SEGMENT).await;
        assert_eq!(again.text(id).await.unwrap(), b"after the crash");
        assert_eq!(again.opened.as_ref().unwrap().report.torn_octets, 0, "cut at {cut}");
        cut_bench.store().close().await;
        again.store().close().await;
    }
}

#[tokio::test]
async fn a_tail_of_zeros_is_a_torn_write() {
    let (bench, ends) = log_of(2).await;
    segment_file(bench.folder.path(), 1).set_len(ends[1].1 + 10_000).unwrap();
    let again = Bench::of(bench.folder.path(), SEGMENT).await;
    assert_eq!(again.problems(), Vec::<String>::new());
    assert_eq!(again.opened.as_ref().unwrap().report.torn_octets, 10_000);
    assert_eq!(again.store().usage().messages, 2);
}

/// Flips one bit of the octet, and looks at what the store makes of it.
async fn flip(bench: &Bench, ends: &[(MessageId, u64)], sealed: bool, at: u64) {
    let folder = folder();
    copy(bench.folder.path(), folder.path());
    let file = segment_file(folder.path(), 1);
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).unwrap();
    octet[0] ^= 1 << (at % 8);
    file.write_all_at(&octet, at).unwrap();
    let flipped = Bench::of(folder.path(), SEGMENT).await;
    let mut missing = Vec::new();
    for (seed, &(id, _)) in ends.iter().enumerate() {
        match flipped.text(id).await {
            Ok(read) => assert!(read == text(seed, 150), "flipped {at}: another text"),
            Err(ReadError::Damaged(_)) => assert!(sealed, "flipped {at}: the newest segment is verified at the start"),
            Err(ReadError::Gone) => missing.push(id),
            Err(ReadError::Io(error)) => panic!("flipped {at}: {error}"),
        }
    }
    assert!(missing.len() <= 1 || at < SEGMENT_HEADER as u64, "flipped {at}: {} messages gone", missing.len());
    let report = &flipped.opened.as_ref().unwrap().report;
    // Only the very last write can be taken for one that was under way.
    let under_way = !sealed && missing.iter().all(|&id| id == ends.last().unwrap().0);
    let problems = flipped.problems();
    assert!(missing.is_empty() || under_way || !problems.is_empty(), "flipped {at}: lost without a word");
    for problem in &report.problems {
        let kept = problem.kept.as_ref().unwrap_or_else(|| panic!("flipped {at}: {problem} without anything kept"));
        assert!(kept.exists(), "flipped {at}: {}", kept.display());
    }
    // A second start says nothing new.
    flipped.store().close().await;
    let again = Bench::of(flipped.folder.path(), SEGMENT).await;
    assert_eq!(again.problems(), Vec::<String>::new(), "flipped {at}, second start after {problems:?}");
    again.store().close().await;
}

#[tokio::test]
async fn any_octet_of_the_newest_segment_flipped() {
    let (bench, ends) = log_of(3).await;
    for at in 0..ends[2].1 {
        flip(&bench, &ends, false, at).await;
    }
}

#[tokio::test]
async fn any_octet_of_an_older_segment_flipped() {
    let (bench, ends) = log_of(3).await;
    let mut bench = bench;
    bench.reopen().await;
    bench.accept(b"in the next segment").await.unwrap();
    bench.store().close().await;
    assert_eq!(bench.segments(), [1, 2]);
    for at in 0..ends[2].1 {
        flip(&bench, &ends, true, at).await;
    }
}

#[tokio::test]
async fn a_text_found_damaged_is_put_aside() {
    let mut bench = Bench::new(SEGMENT).await;
    let id = bench.accept(&text(1, 150)).await.unwrap();
    let other = bench.accept(&text(2, 150)).await.unwrap();
    bench.reopen().await;
    segment_file(bench.folder.path(), 1).write_all_at(b"!", SEGMENT_HEADER as u64 + 60).unwrap();
    let Err(ReadError::Damaged(why)) = bench.text(id).await else { panic!("the damage was not seen") };
    let kept = bench.store().quarantine(id, why).await.unwrap();
    assert!(std::fs::read_to_string(&kept).unwrap().contains("checksum"));
    assert!(std::fs::read_to_string(&kept).unwrap().contains("MAIL FROM:<alice@example.org>"));
    let saved = std::fs::read(kept.with_extension("eml")).unwrap();
    assert_eq!(saved.len(), 150);
    assert_eq!(bench.text(other).await.unwrap(), text(2, 150));
    bench.reopen().await;
    assert!(matches!(bench.text(id).await, Err(ReadError::Gone)));
    assert_eq!(bench.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_next_segment_tells_is_not_read_at_the_start() {
    let mut bench = Bench::new(SEGMENT).await;
    let ids = [bench.accept(&text(0, 150)).await.unwrap(), bench.accept(&text(1, 150)).await.unwrap()];
    let mut state = State::fresh(2);
    state.recipients[0].attempts = 3;
    bench.change(ids[1], Change::State(state.encode())).await.unwrap();
    let end = bench.store().usage().disk_octets;
    bench.reopen().await;
    bench.accept(b"in the next segment").await.unwrap();
    bench.reopen().await;
    // Behind the store's back: first the newest record, then all.
    let file = segment_file(bench.folder.path(), 1);
    file.write_all_at(b"!", end - 1).unwrap();
    bench.reopen().await;
    assert_eq!(bench.problems(), Vec::<String>::new());
    assert_eq!(bench.text(ids[1]).await.unwrap(), text(1, 150));
    assert_eq!(bench.store().load(ids[1]).await.unwrap().state, State::fresh(2), "rather twice than not at all");
    file.write_all_at(&vec![b'!'; 300], SEGMENT_HEADER as u64).unwrap();
    bench.reopen().await;
    assert_eq!(bench.store().usage().messages, 3);
    assert!(matches!(bench.text(ids[0]).await, Err(ReadError::Damaged(_))));
    // Nothing is told: everything is read.
    bench.store().close().await;
    forget_contents(bench.folder.path());
    bench.reopen().await;
    assert!(!bench.problems().is_empty());
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    let mut bench = Bench::new(SEGMENT).await;
    for _ in 0..3 {
        bench.accept(b"one in each segment").await.unwrap();
        bench.reopen().await;
    }
    bench.store().close().await;
    assert_eq!(bench.segments(), [1, 2, 3]);
    std::fs::remove_file(bench.log().join("0000000002.log")).unwrap();
    let found = Bench::of(bench.folder.path(), SEGMENT).await;
    assert_eq!(found.store().usage().messages, 2);
    assert_eq!(found.problems().len(), 1);
    assert!(found.problems()[0].contains("missing"), "{:?}", found.problems());
}

#[tokio::test]
async fn a_shortened_older_segment_is_reported() {
    let mut bench = Bench::new(SEGMENT).await;
    bench.accept(&text(0, 150)).await.unwrap();
    let id = bench.accept(&text(1, 150)).await.unwrap();
    bench.reopen().await;
    bench.accept(b"in the next segment").await.unwrap();
    bench.store().close().await;
    let file = segment_file(bench.folder.path(), 1);
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    let found = Bench::of(bench.folder.path(), SEGMENT).await;
    assert!(matches!(found.text(id).await, Err(ReadError::Gone)));
    assert!(!found.problems().is_empty());
}

#[tokio::test]
async fn a_later_format_is_refused() {
    let (bench, _) = log_of(1).await;
    let file = segment_file(bench.folder.path(), 1);
    let mut header = [0; SEGMENT_HEADER];
    file.read_exact_at(&mut header, 0).unwrap();
    header[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let crc = crc32fast::hash(&header[..SEGMENT_HEADER - 4]);
    header[SEGMENT_HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
    let opened = Store::open(bench.folder.path(), &bench.tuning);
    let Err(error) = opened else { panic!("it was opened") };
    assert!(matches!(error, SpoolError::Version { found, .. } if found == VERSION + 1));
    assert!(error.to_string().contains("run the version that wrote it, or a later one"), "{error}");
}

#[tokio::test]
async fn records_in_a_message_are_text() {
    // A sender who knows the format and not the marker; damage before it makes the reader search.
    let bench = Bench::new(SEGMENT).await;
    let mut planted = Vec::new();
    let header = crate::store::record::RecordHeader {
        kind: crate::store::record::Kind::Done,
        length: 0,
        id: MessageId::from_raw(1),
        batch: 1,
        payload_crc: 0,
    };
    header.encode(0x0123_4567_89ab_cdef, &mut planted);
    let first = bench.accept(&planted.repeat(20)).await.unwrap();
    let second = bench.accept(b"behind").await.unwrap();
    bench.store().close().await;
    segment_file(bench.folder.path(), 1).write_all_at(&[0xff; 40], SEGMENT_HEADER as u64).unwrap();
    let found = Bench::of(bench.folder.path(), SEGMENT).await;
    assert!(found.text(first).await.is_err());
    assert_eq!(found.text(second).await.unwrap(), b"behind");
    assert!(!found.problems().is_empty());
}
