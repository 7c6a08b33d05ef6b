//! Spools of older versions are read and carried on; those of later ones are refused.

use super::*;
use crate::state::{State, Status};
use crate::store::segment::Segment;

/// A log as a program of format 1 left it, see its README.md.
pub(super) fn format_1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format-1")
}

/// The messages in every fixture: id, length of the text.
const MESSAGES: [(u64, usize); 6] =
    [(1_001, 2_000), (2_000, 0), (2_001, 150), (2_002, 5_000), (2_003, 70_000), (2_005, 300)];

async fn holds_all(bench: &Bench) {
    for (raw, length) in MESSAGES {
        let id = MessageId::from_raw(raw);
        let seed = if raw == 1_001 { 1 } else { usize::try_from(raw).unwrap() };
        assert!(bench.text(id).await.unwrap() == text(seed, length), "message {raw}");
        let loaded = bench.store().load(id).await.unwrap();
        let mut state = State::fresh(2);
        match raw {
            1_001 => (state.recipients[0].attempts, state.recipients[1].next) = (9, 77_000),
            2_002 => {
                state.recipients[0].status = Status::Delivered;
                (state.recipients[1].attempts, state.recipients[1].next) = (3, 99_000);
            }
            _ => {}
        }
        assert_eq!(loaded.state, state, "message {raw}");
    }
}

#[tokio::test]
async fn format_1_is_opened_carried_on_and_left_behind() {
    let folder = folder();
    for entry in std::fs::read_dir(format_1().join("log")).unwrap() {
        let name = entry.unwrap().file_name();
        std::fs::create_dir_all(folder.path().join("log")).unwrap();
        std::fs::copy(format_1().join("log").join(&name), folder.path().join("log").join(&name)).unwrap();
    }
    std::fs::create_dir(folder.path().join("quarantine")).unwrap();
    let mut bench = Bench::of(folder.path(), 8 * 1024).await;
    assert_eq!(bench.opened.as_ref().unwrap().report.torn_octets, 184, "the message whose write a crash cut");
    let old = bench.segments();
    let mut expected: Vec<_> = MESSAGES.iter().map(|&(raw, _)| MessageId::from_raw(raw)).collect();
    expected.push(bench.accept(b"in format 2").await.unwrap());
    // Twice: from format 1, and from what format 2 tells of it.
    for _ in 0..2 {
        assert_eq!(bench.problems(), Vec::<String>::new());
        assert_eq!(bench.store().usage().messages, expected.len());
        holds_all(&bench).await;
        assert!(bench.text(MessageId::from_raw(2_006)).await.is_err());
        bench.reopen().await;
    }
    let version = |number| Segment::open(&bench.log(), number).unwrap().header.version;
    assert!(old.iter().all(|&number| version(number) == 1), "what is there is not written anew");
    let new = *bench.segments().last().unwrap();
    assert_eq!(version(new), super::super::record::VERSION);
    assert_eq!(forget_contents(bench.folder.path()), 1, "the first new segment tells of the last old one");
    // As the messages are delivered, the old segments go.
    for id in expected {
        bench.done(id).await;
    }
    bench.until(|| bench.segments().iter().all(|number| !old.contains(number))).await;
}
