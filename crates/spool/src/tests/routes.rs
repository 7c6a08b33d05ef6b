//! Routes do not wait for each other, and one that is down is not beaten.

use std::time::{Duration, Instant};

use super::bench::*;

const TEXT: &str = "Subject: test\r\n\r\nHello\r\n";

#[tokio::test]
async fn a_slow_route_delays_no_other() {
    let (slow, fast) = (Hop::start(0).await, Hop::start(0).await);
    let mut bench = Bench::new(settings()).await;
    // More than the slow route's connections, and a message for both.
    for _ in 0..50 {
        bench.accept(envelope("<alice@example.org>", &["stall@slow.example"]), TEXT).await;
    }
    let both = bench.accept(envelope("<alice@example.org>", &["stall@slow.example", "ok@fast.example"]), TEXT).await;
    for _ in 0..50 {
        bench.accept(envelope("<alice@example.org>", &["ok@fast.example"]), TEXT).await;
    }
    bench.run(courier(&[("slow.example", slow.port), ("fast.example", fast.port)]));
    let messages = fast.until_messages(51).await;
    assert!(messages.iter().all(|message| message.contains("RCPT TO:<ok@fast.example>")));
    assert!(slow.attempts() <= 20, "{} connections", slow.attempts());
    // What was delivered is written down at once, not when the slow one is through.
    let store = bench.spool.shared().store.clone();
    bench.until(|spool| spool.counters().delivered == 51).await;
    bench.until(|spool| spool.len() == 51).await;
    let state = store.load(both).await.unwrap().state;
    assert_eq!(state.pending().map(|(at, _)| at).collect::<Vec<_>>(), [0]);
    bench.stop().await;
}

#[tokio::test]
async fn slow_routes_that_use_up_everything_leave_room_for_one() {
    let (slow, fast) = (Hop::start(0).await, Hop::start(0).await);
    let mut bench = Bench::new(crate::Settings { max_deliveries: 2, ..settings() }).await;
    for _ in 0..5 {
        bench.accept(envelope("<alice@example.org>", &["stall@slow.example"]), TEXT).await;
    }
    bench.run(courier(&[("slow.example", slow.port), ("fast.example", fast.port)]));
    slow.until_attempts(2).await;
    for _ in 0..5 {
        bench.accept(envelope("<alice@example.org>", &["ok@fast.example"]), TEXT).await;
    }
    fast.until_messages(5).await;
    assert_eq!(slow.attempts(), 2);
    bench.stop().await;
}

#[tokio::test]
async fn one_transaction_for_all_recipients_of_a_route() {
    let hop = Hop::start(0).await;
    let mut bench = Bench::new(settings()).await;
    bench.run(courier(&[("*", hop.port)]));
    bench.accept(envelope("<alice@example.org>", &["ok1@a.example", "ok2@b.example", "ok3@c.example"]), TEXT).await;
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 1);
    assert_eq!(hop.messages()[0].matches("RCPT TO").count(), 3);
    bench.stop().await;
}

#[tokio::test]
async fn a_route_that_is_down_is_probed_and_not_beaten() {
    let mut settings = settings();
    settings.retry_interval = Duration::from_millis(300);
    let mut bench = Bench::new(settings).await;
    let port = closed_port();
    for _ in 0..200 {
        bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    }
    bench.run(courier(&[("*", port)]));
    bench.until(|spool| spool.counters().deferred > 0).await;
    let start = Instant::now();
    bench.until(|spool| spool.counters().deferred >= 23).await;
    assert!(start.elapsed() > Duration::from_millis(500), "20 at first, then one in 300 ms");
    assert!(bench.spool.counters().deferred < 40);
    let hop = Hop::start_at(port, 0).await;
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 200);
    bench.stop().await;
}

#[tokio::test]
async fn routes_change_under_a_running_spool() {
    let hop = Hop::start(0).await;
    let mut bench = Bench::new(settings()).await;
    bench.run(courier(&[("*", closed_port())]));
    for _ in 0..100 {
        bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    }
    bench.until(|spool| spool.counters().deferred > 0).await;
    bench.spool.use_courier(courier(&[("*", hop.port)]));
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 100);
    bench.stop().await;
}
