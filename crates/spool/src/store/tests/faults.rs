//! Disks that are full or fail. Nothing acknowledged is lost, and what was refused is not there.

use super::*;

const SEGMENT: u64 = 1024 * 1024;

/// What is live after a crash right now.
async fn after_a_crash(bench: &Bench) -> Bench {
    Bench::of(bench.folder.path(), SEGMENT).await
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let bench = Bench::new(SEGMENT).await;
    let kept = bench.accept(&text(1, 5_000)).await.unwrap();
    bench.tuning.faults.plan().space = Some(2_000);
    assert!(matches!(bench.accept(&text(2, 5_000)).await, Err(SpoolError::Full)));
    let mut large = bench.begin();
    assert!(matches!(large.write(&text(3, 200_000)).await, Err(SpoolError::Full)));
    assert!(matches!(large.commit_with(Vec::new(), false).await, Err(SpoolError::Broken)));
    let crashed = after_a_crash(&bench).await;
    assert_eq!(crashed.store().usage().messages, 1);
    assert_eq!(crashed.text(kept).await.unwrap(), text(1, 5_000));
    assert_eq!(crashed.problems(), Vec::<String>::new());
    bench.tuning.faults.plan().space = None;
    let next = bench.accept(&text(4, 5_000)).await.unwrap();
    assert_eq!(bench.text(next).await.unwrap(), text(4, 5_000));
    assert_eq!(bench.segments(), [1], "the segment goes on where it was");
}

#[tokio::test]
async fn on_a_full_disk_what_is_delivered_can_be_written_down_and_frees_space() {
    let mut bench = Bench::new(SEGMENT).await;
    let mut ids = Vec::new();
    for seed in 0..10 {
        ids.push(bench.accept(&text(seed, 300_000)).await.unwrap());
    }
    bench.tuning.faults.plan().space = Some(10);
    assert!(matches!(bench.accept(b"new").await, Err(SpoolError::Full)));
    for id in ids {
        bench.done(id).await;
    }
    assert!(!bench.folder.path().join("reserve").exists(), "the reserve was used");
    // The reserve's space is there, but it is not for new mail.
    assert!(matches!(bench.accept(b"new").await, Err(SpoolError::Full)));
    bench.until(|| bench.segments().len() == 1).await;
    bench.tuning.faults.plan().space = None;
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while bench.accept(b"new").await.is_err() {
        assert!(tokio::time::Instant::now() < patience, "mail is taken again when the reserve is whole");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(bench.folder.path().join("reserve").exists());
    bench.reopen().await;
    assert_eq!(bench.store().usage().messages, 1);
}

/// Until the disk is asked again.
async fn accept_in_time(bench: &Bench, text: &[u8]) -> MessageId {
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match bench.accept(text).await {
            Ok(id) => return id,
            Err(error) => assert!(tokio::time::Instant::now() < patience, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_unsynced_is_trusted() {
    let bench = Bench::new(SEGMENT).await;
    let kept = bench.accept(&text(1, 5_000)).await.unwrap();
    let mut open = bench.begin();
    open.write(&text(2, 100_000)).await.unwrap();
    bench.tuning.faults.plan().failing_syncs = 1;
    assert!(matches!(bench.accept(&text(3, 5_000)).await, Err(SpoolError::Io(_))));
    // The kernel would call the next sync of the same file a success.
    let next = accept_in_time(&bench, &text(4, 5_000)).await;
    assert_eq!(bench.segments(), [1, 2]);
    assert!(
        matches!(open.commit_with(Vec::new(), false).await, Err(SpoolError::Io(_))),
        "a piece of it may never have reached the disk"
    );
    let crashed = after_a_crash(&bench).await;
    assert_eq!(crashed.store().usage().messages, 2);
    assert_eq!(crashed.text(kept).await.unwrap(), text(1, 5_000));
    assert_eq!(crashed.text(next).await.unwrap(), text(4, 5_000));
    assert_eq!(crashed.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_failed_sync_left_on_disk_is_not_found_later() {
    let bench = Bench::new(SEGMENT).await;
    bench.accept(b"first").await.unwrap();
    let before = bench.store().usage().disk_octets;
    bench.tuning.faults.plan().failing_syncs = 1;
    assert!(bench.accept(b"refused").await.is_err());
    let path = super::super::segment::path(&bench.log(), 1);
    accept_in_time(&bench, b"second").await;
    // As if the truncation had not reached the disk either, and the records of the refused message had.
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(before + 500).unwrap();
    let crashed = after_a_crash(&bench).await;
    assert_eq!(crashed.store().usage().messages, 2);
    assert_eq!(crashed.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_write_ends_the_segment() {
    let bench = Bench::new(SEGMENT).await;
    let kept = bench.accept(b"first").await.unwrap();
    bench.tuning.faults.plan().failing_writes = 1;
    assert!(matches!(bench.accept(b"refused").await, Err(SpoolError::Io(_))));
    let next = accept_in_time(&bench, b"second").await;
    let crashed = after_a_crash(&bench).await;
    assert_eq!(crashed.store().usage().messages, 2);
    assert_eq!(crashed.text(kept).await.unwrap(), b"first");
    assert_eq!(crashed.text(next).await.unwrap(), b"second");
}

#[tokio::test]
async fn a_disk_that_keeps_failing_is_not_strewn_with_segments() {
    let bench = Bench::new(SEGMENT).await;
    bench.accept(b"first").await.unwrap();
    bench.tuning.faults.plan().failing_syncs = usize::MAX;
    for _ in 0..200 {
        assert!(bench.accept(b"refused").await.is_err());
    }
    assert!(bench.segments().len() <= 2, "{:?}", bench.segments());
}

#[tokio::test]
async fn a_file_in_the_way_is_an_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("log"), "no folder").unwrap();
    let opened = Store::open(folder.path(), &Tuning::default());
    assert!(matches!(opened.map(drop), Err(SpoolError::Folder { .. })));
}

/// The real thing: a small tmpfs, filled to the brim.
#[tokio::test]
async fn a_real_full_disk() {
    let mount = TempDir::new().unwrap();
    let done = |command: &mut std::process::Command| command.status().is_ok_and(|status| status.success());
    let path = mount.path().to_str().unwrap();
    if !done(std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs", path])) {
        eprintln!("SKIPPED: no tmpfs can be mounted here (needs root)");
        return;
    }
    let opened = Store::open(mount.path(), &Tuning { segment_size: 256 * 1024, ..Tuning::default() }).unwrap();
    let store = opened.store;
    let mut ids = Vec::new();
    let refused = loop {
        let mut transaction = Transaction::new(store.clone(), Clock::start(), envelope(), delivery::Origin::default());
        let written = transaction.write(&text(ids.len(), 50_000)).await;
        match written {
            Ok(()) => match transaction.commit_with(Vec::new(), false).await {
                Ok(id) => ids.push(id),
                Err(error) => break error,
            },
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SpoolError::Full), "{refused}");
    assert!(ids.len() > 10);
    let write = |id| Write { message: None, changes: vec![(id, Change::Done)], essential: true };
    for &id in &ids[1..] {
        store.write(write(id)).await.unwrap();
    }
    store.close().await;
    let again = Store::open(mount.path(), &Tuning::default()).unwrap();
    assert_eq!(again.store.usage().messages, 1);
    assert!(again.report.problems.is_empty(), "{:?}", again.report.problems);
    again.store.close().await;
    assert!(done(std::process::Command::new("umount").arg(path)));
}
