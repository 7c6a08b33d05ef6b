//! What an administrator does to the queue.

use std::time::Duration;

use super::bench::*;
use crate::{Filter, MessageId, Order, OrderError, Settings};

const TEXT: &str = "Subject: test\r\nFrom: alice@example.org\r\n\r\nThe body\r\n";

/// Nothing is tried again by itself.
fn patient() -> Settings {
    let hours = Duration::from_secs(100 * 60 * 60);
    Settings { retry_interval: hours, max_retry_interval: hours, ..settings() }
}

fn routes(hop: &Hop, home: &Hop) -> delivery::Courier {
    courier(&[("example.net", hop.port), ("example.org", home.port)])
}

async fn listed(bench: &Bench, filter: &Filter) -> Vec<MessageId> {
    let page = bench.spool.page(filter, None, 100).await.unwrap();
    page.messages.iter().map(|message| message.id).collect()
}

#[tokio::test]
async fn what_is_deferred_is_tried_when_it_is_said() {
    let (hop, home) = (Hop::start(1).await, Hop::start(0).await);
    let mut bench = Bench::new(patient()).await;
    let id = bench.accept(envelope("<alice@example.org>", &["later@example.net"]), TEXT).await;
    bench.run(routes(&hop, &home));
    bench.until(|spool| spool.counters().deferred == 1).await;
    // Counted first, and then written down.
    let page = loop {
        let page = bench.spool.page(&Filter::default(), None, 10).await.unwrap();
        if page.messages[0].recipients[0].attempts > 0 {
            break page;
        }
        tokio::task::yield_now().await;
    };
    let waiting = &page.messages[0].recipients[0];
    assert_eq!((waiting.to.as_str(), waiting.attempts), ("later@example.net", 1));
    assert!(waiting.reason.contains("450 4.2.0 later"), "{waiting:?}");
    assert!(waiting.next > page.messages[0].arrived + 1000 * 60 * 60, "{waiting:?}");
    bench.spool.order(id, Order::Retry).await.unwrap();
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 1);
    assert!(matches!(bench.spool.order(id, Order::Retry).await, Err(OrderError::Gone)));
    bench.stop().await;
}

#[tokio::test]
async fn a_destination_that_is_down_is_tried_when_it_is_said() {
    let home = Hop::start(0).await;
    let port = closed_port();
    let mut bench = Bench::new(patient()).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await);
    }
    bench.run(courier(&[("example.net", port), ("example.org", home.port)]));
    bench.until(|spool| spool.counters().deferred >= 3).await;
    let hop = Hop::start_at(port, 0).await;
    for id in ids {
        // The first one wakes the others.
        let done = bench.spool.order(id, Order::Retry).await;
        assert!(matches!(done, Ok(()) | Err(OrderError::Gone)), "{done:?}");
    }
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 20);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_held_stays_over_a_restart_until_it_is_released() {
    let (hop, home) = (Hop::start(0).await, Hop::start(0).await);
    let mut bench = Bench::new(patient()).await;
    let held = bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    bench.run(courier(&[("example.net", closed_port()), ("example.org", home.port)]));
    bench.until(|spool| spool.counters().deferred >= 1).await;
    bench.spool.order(held, Order::Hold).await.unwrap();
    assert!(matches!(bench.spool.order(held, Order::Retry).await, Err(OrderError::Held)));
    let mut bench = bench.restart(settings()).await;
    assert_eq!(listed(&bench, &Filter { held: true, ..Filter::default() }).await, [held]);
    bench.run(routes(&hop, &home));
    let other = bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    hop.until_messages(1).await;
    bench.until(|spool| spool.len() == 1).await;
    assert_eq!(listed(&bench, &Filter::default()).await, [held], "not {other}");
    bench.spool.order(held, Order::Release).await.unwrap();
    // Released, it waits as it did before.
    bench.spool.order(held, Order::Retry).await.unwrap();
    bench.until_empty().await;
    assert_eq!(hop.messages().len(), 2);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_what_is_bounced_comes_back_even_from_an_attempt() {
    let (hop, home) = (Hop::start(usize::MAX).await, Hop::start(0).await);
    let mut bench = Bench::new(patient()).await;
    let mut ids = Vec::new();
    for to in ["later@example.net", "stall@example.net", "later2@example.net", "stall2@example.net"] {
        ids.push(bench.accept(envelope("<alice@example.org>", &[to]), TEXT).await);
    }
    bench.run(routes(&hop, &home));
    hop.until_attempts(4).await;
    bench.until(|spool| spool.counters().deferred == 2).await;
    for id in &ids[..2] {
        bench.spool.order(*id, Order::Delete).await.unwrap();
    }
    assert_eq!(bench.spool.len(), 2);
    for id in &ids[2..] {
        bench.spool.order(*id, Order::Bounce).await.unwrap();
    }
    let notices = home.until_messages(2).await;
    bench.until_empty().await;
    for notice in &notices {
        assert!(notice.contains("Status: 5.0.0") && notice.contains("2@example.net"), "{notice}");
        assert!(notice.contains("taken out of the queue by an administrator"), "{notice}");
    }
    assert_eq!(notices.len(), 2);
    let bench = bench.restart(patient()).await;
    assert_eq!(bench.report.messages, 0);
}

#[tokio::test]
async fn filters_pages_and_the_summary() {
    let bench = Bench::new(settings()).await;
    let mut ids = Vec::new();
    for number in 0..25 {
        let to = [format!("user{number}@a.example"), format!("user{number}@b.example")];
        let to: Vec<&str> = to.iter().take(1 + number % 2).map(String::as_str).collect();
        let from = if number < 5 { "<>" } else { "<alice@example.org>" };
        ids.push(bench.accept(envelope(from, &to), TEXT).await);
    }
    let all = Filter::default;
    let table = [
        (all(), 25),
        (Filter { sender: Some("ALICE".into()), ..all() }, 20),
        (Filter { sender: Some("<>".into()), ..all() }, 5),
        (Filter { recipient: Some("user7@".into()), ..all() }, 1),
        (Filter { domain: Some("B.example".into()), ..all() }, 12),
        (Filter { domain: Some("example".into()), ..all() }, 0),
        (Filter { older_than: Some(0), ..all() }, 25),
        (Filter { older_than: Some(60_000), ..all() }, 0),
        (Filter { held: true, ..all() }, 0),
        (Filter { ids: vec![ids[3], ids[1], ids[3]], ..all() }, 2),
        (Filter { ids: vec![ids[3]], sender: Some("alice".into()), ..all() }, 0),
    ];
    for (filter, count) in table {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = bench.spool.page(&filter, after, 4).await.unwrap();
            assert!(page.messages.len() <= 4);
            found.extend(page.messages.iter().map(|message| message.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), count, "{filter:?}");
        assert!(found.is_sorted(), "{found:?}");
    }
    let summary = bench.spool.summary(&all(), None).await.unwrap();
    assert_eq!((summary.messages, summary.held, summary.deferred, summary.next), (25, 0, 0, None));
    assert_eq!((summary.domains["a.example"][0], summary.domains["b.example"][0]), (25, 12));
}

#[tokio::test]
async fn the_counters_follow_the_queue_over_restarts() {
    let mut bench = Bench::new(patient()).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(bench.accept(envelope("<>", &["ok@example.net"]), TEXT).await);
    }
    let counted = |bench: &Bench| {
        let counters = bench.spool.counters();
        (counters.messages, counters.to_be_retried, counters.held, counters.oldest_age.is_some())
    };
    assert_eq!(counted(&bench), (4, 0, 0, true));
    // The others wait for the first, as the destination is down.
    bench.run(courier(&[("example.net", closed_port())]));
    bench.until(|spool| spool.counters().to_be_retried >= 1).await;
    for &id in &ids {
        bench.spool.order(id, Order::Hold).await.unwrap();
    }
    assert_eq!(counted(&bench), (4, 0, 4, true));
    for &id in &ids[2..] {
        bench.spool.order(id, Order::Release).await.unwrap();
        bench.spool.order(id, Order::Retry).await.unwrap();
    }
    bench.until(|spool| spool.counters().held == 2).await;
    let age = bench.spool.counters().oldest_age.unwrap();
    bench.spool.order(ids[0], Order::Delete).await.unwrap();
    assert!(bench.spool.counters().oldest_age.unwrap() > Duration::ZERO && age > Duration::ZERO);
    bench.stop().await;
    let before = counted(&bench);
    assert_eq!((before.0, before.2), (3, 1));
    let mut bench = bench.restart(patient()).await;
    assert_eq!(counted(&bench), before);
    bench.run(courier(&[("example.net", closed_port())]));
    for &id in &ids[1..] {
        bench.spool.order(id, Order::Delete).await.unwrap();
    }
    assert_eq!(counted(&bench), (0, 0, 0, false));
    bench.stop().await;
}
