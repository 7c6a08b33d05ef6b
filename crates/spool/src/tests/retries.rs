//! Again and again until it is done, over restarts, and never twice.

use std::collections::HashSet;
use std::time::Duration;

use super::bench::*;

const TEXT: &str = "Subject: test\r\n\r\nHello\r\n";

#[tokio::test]
async fn a_thousand_messages_come_once_each() {
    let hop = Hop::start(0).await;
    let mut bench = Bench::new(settings()).await;
    bench.run(courier(&[("*", hop.port)]));
    for number in 0..1000 {
        bench
            .accept(envelope("<alice@example.org>", &["ok@example.net"]), &format!("Subject: {number}\r\n\r\nx\r\n"))
            .await;
    }
    bench.until_empty().await;
    let subjects: HashSet<String> = hop.messages().into_iter().collect();
    assert_eq!((hop.messages().len(), subjects.len()), (1000, 1000));
    bench.stop().await;
    assert_eq!(bench.spool.counters().delivered, 1000);
}

#[tokio::test]
async fn a_real_server_takes_it_all() {
    let Some(sink) = Sink::start().await else { return };
    let mut bench = Bench::new(settings()).await;
    for _ in 0..300 {
        bench.accept(envelope("<alice@example.org>", &["a@example.net", "b@example.net"]), &TEXT.repeat(1000)).await;
    }
    bench.run(courier(&[("*", sink.port)]));
    bench.until_empty().await;
    bench.stop().await;
    assert_eq!(bench.spool.counters().delivered, 600);
    // And the space is given back, all but the newest segment.
    bench.until(|spool| spool.counters().segments == 1).await;
}

#[tokio::test]
async fn later_is_later_and_only_for_those_concerned() {
    let hop = Hop::start(3).await;
    let mut bench = Bench::new(settings()).await;
    bench.accept(envelope("<alice@example.org>", &["ok@example.net", "later@example.net"]), TEXT).await;
    bench.run(courier(&[("*", hop.port)]));
    bench.until_empty().await;
    let messages = hop.messages();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("<ok@") && !messages[0].contains("<later@"));
    assert!(messages[1].contains("<later@") && !messages[1].contains("<ok@"));
    assert_eq!(bench.spool.counters().deferred, 3);
    bench.stop().await;
}

#[tokio::test]
async fn progress_survives_a_restart() {
    let hop = Hop::start(usize::MAX).await;
    let mut bench = Bench::new(settings()).await;
    let id = bench.accept(envelope("<alice@example.org>", &["ok@example.net", "later@example.net"]), TEXT).await;
    bench.run(courier(&[("*", hop.port)]));
    hop.until_attempts(4).await;
    let mut bench = bench.restart(settings()).await;
    assert_eq!((bench.report.messages, bench.report.problems.len()), (1, 0));
    let state = bench.spool.shared().store.load(id).await.unwrap().state;
    assert!(state.recipients[1].attempts >= 2);
    assert_eq!(state.recipients[1].last.as_ref().unwrap().reply, "450 4.2.0 later");
    drop(hop);
    let hop = Hop::start(0).await;
    bench.run(courier(&[("*", hop.port)]));
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 1);
    assert!(!hop.messages()[0].contains("<ok@"), "it had been delivered before");
    let bench = bench.restart(settings()).await;
    assert_eq!(bench.report.messages, 0);
}

#[tokio::test]
async fn a_stop_breaks_off_what_stalls_and_keeps_it() {
    let hop = Hop::start(0).await;
    let mut bench = Bench::new(settings()).await;
    bench.accept(envelope("<alice@example.org>", &["stall@example.net"]), TEXT).await;
    bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    bench.run(courier(&[("*", hop.port)]));
    hop.until_attempts(2).await;
    hop.until_messages(1).await;
    let start = std::time::Instant::now();
    let bench = bench.restart(settings()).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(bench.report.messages, 1);
}

#[tokio::test]
async fn a_run_after_a_run_goes_on() {
    let hop = Hop::start(0).await;
    let mut bench = Bench::new(settings()).await;
    bench.run(courier(&[("*", closed_port())]));
    for _ in 0..10 {
        bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    }
    bench.until(|spool| spool.counters().deferred > 0).await;
    bench.stop().await;
    bench.run(courier(&[("*", hop.port)]));
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 10);
    bench.stop().await;
}

#[tokio::test]
async fn a_damaged_message_is_put_aside_and_not_half_sent() {
    use std::os::unix::fs::FileExt;
    let hop = Hop::start(0).await;
    let bench = Bench::new(settings()).await;
    let text = TEXT.repeat(20_000);
    let id = bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), &text).await;
    // So that it is in an older segment, whose text is not read at the start.
    let bench = bench.restart(settings()).await;
    let other = bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    let mut bench = bench.restart(settings()).await;
    let file =
        std::fs::OpenOptions::new().write(true).open(bench.folder.path().join("spool/log/0000000001.log")).unwrap();
    file.write_all_at(b"!", 300_000).unwrap();
    bench.run(courier(&[("*", hop.port)]));
    // It is out of the spool a moment before it is counted.
    bench.until(|spool| spool.is_empty() && spool.counters().quarantined == 1).await;
    assert_eq!(hop.messages().len(), 1, "only the sound one, {other}");
    assert!(!hop.messages()[0].contains(&TEXT.repeat(2)));
    let why = std::fs::read_to_string(bench.quarantine().join(format!("{id}.txt"))).unwrap();
    assert!(why.contains("checksum"), "{why}");
    bench.stop().await;
}

#[tokio::test]
async fn of_many_recipients_each_transaction_is_written_down_before_the_next() {
    let hop = Hop::start(0).await;
    let mut bench = Bench::new(settings()).await;
    let mut recipients: Vec<String> = (0..100).map(|number| format!("ok{number}@example.net")).collect();
    recipients.push("stall@example.net".to_owned());
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    bench.accept(envelope("<alice@example.org>", &recipients), TEXT).await;
    bench.run(courier(&[("*", hop.port)]));
    hop.until_attempts(101).await;
    let mut bench = bench.restart(settings()).await;
    let hop_2 = Hop::start(0).await;
    bench.run(courier(&[("*", hop_2.port)]));
    hop_2.until_attempts(1).await;
    bench.stop().await;
    assert_eq!(hop.messages().len(), 1);
    assert_eq!(hop_2.attempts(), 1, "the hundred are not served again");
}
