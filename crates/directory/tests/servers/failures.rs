//! Servers that die, fall silent, and come back: a temporary failure at worst, never "wrong password", never "nobody".

use std::time::{Duration, Instant};

use crate::bed::{Bed, Slapd};
use crate::proxy::Proxy;

const BY_NAME: &str =
    "cache = { positive = \"0s\", negative = \"0s\" }\n[certificate_query]\nfilter = \"(caccn={cn})\"\n";
const ALICE: &str = "DOE.ALICE.Q.1234567890";

/// Asks until the answer is `alice`; all that comes before must be a temporary failure.
async fn until_alice(bed: &Bed) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = bed.by_name(ALICE).await;
        if answer == "alice" {
            return;
        }
        assert!(answer.starts_with("unavailable") && Instant::now() < end, "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_server_dies_and_comes_back_without_a_restart_of_ours() {
    let mut slapd = Slapd::start();
    let bed = slapd.directory("", BY_NAME);
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    slapd.kill();
    for _ in 0..3 {
        let began = Instant::now();
        let answers =
            [bed.by_name(ALICE).await, bed.password("alice", "alice-pw").await, bed.password("zoe", "x").await];
        for answer in answers {
            assert!(answer.starts_with("unavailable"), "{answer}");
        }
        assert!(began.elapsed() < Duration::from_secs(3));
    }
    let health = bed.0.health();
    assert!(health[0].down.as_ref().unwrap().why.contains("refused") && health[0].connections == 0, "{health:?}");
    slapd.run();
    until_alice(&bed).await;
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    assert!(bed.0.health()[0].down.is_none());
}

#[tokio::test]
async fn killed_under_load_the_next_server_answers_every_question() {
    let mut slapd = Slapd::start();
    let another = slapd.another();
    let bed = slapd.asked_at(&[&slapd.url(), &another.url()], "timeout = \"10s\"", BY_NAME);
    until_alice(&bed).await;
    let asking: Vec<_> = (0..40)
        .map(|worker: usize| {
            let bed = Bed(bed.0.clone());
            tokio::spawn(async move {
                for turn in 0..25 {
                    let number = 1 + (worker * 25 + turn) % 120;
                    let answer = bed.by_name(&format!("BULK.{number:010}")).await;
                    assert_eq!(answer, format!("bulk{number:05}"));
                    if turn % 5 == 0 {
                        assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
                        assert_eq!(bed.password("alice", "wrong").await, "wrong password");
                    }
                }
            })
        })
        .collect();
    // Under way, and far from its end.
    while bed.0.health()[0].searches < 20 {
        tokio::task::yield_now().await;
    }
    slapd.kill();
    for asking in asking {
        asking.await.unwrap();
    }
    let health = bed.0.health();
    assert!(health[1].searches > 0, "{health:?}");
    // The first is taken again once it is back.
    slapd.run();
    let end = Instant::now() + Duration::from_secs(30);
    while bed.0.health()[0].down.is_some() {
        assert_eq!(bed.by_name(ALICE).await, "alice");
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = bed.0.health()[0].searches;
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.0.health()[0].searches, before + 1);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_within_the_time_limit() {
    let slapd = Slapd::start();
    let another = slapd.another();
    let bed = slapd.asked_at(&[&slapd.url(), &another.url()], "timeout = \"2s\"", BY_NAME);
    until_alice(&bed).await;
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    slapd.freeze();
    let began = Instant::now();
    assert_eq!(bed.by_name(ALICE).await, "alice");
    let first = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(2)).contains(&first), "{first:?}");
    // It is known now: nobody waits for it again.
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(bed.by_name(ALICE).await, "alice");
        assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    }
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    another.freeze();
    let began = Instant::now();
    let answer = bed.by_name(ALICE).await;
    assert!(answer.starts_with("unavailable"), "{answer}");
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    let answer = bed.password("alice", "alice-pw").await;
    assert!(answer.starts_with("unavailable"), "{answer}");
    slapd.thaw();
    another.thaw();
    until_alice(&bed).await;
}

/// As after a firewall forgot a connection: no FIN, no RST, nothing.
#[tokio::test]
async fn a_half_open_connection_is_replaced() {
    let slapd = Slapd::start();
    let wire = Proxy::to(slapd.tls_port).await;
    let bed = slapd.asked_at(&[&wire.url("ldaps")], "timeout = \"1s\"", BY_NAME);
    until_alice(&bed).await;
    wire.hold(true);
    let answer = bed.by_name(ALICE).await;
    assert!(answer.starts_with("unavailable") && answer.contains("no answer in time"), "{answer}");
    wire.hold(false);
    until_alice(&bed).await;
}

#[tokio::test]
async fn a_slow_search_among_quick_ones_does_not_condemn_its_server() {
    let slapd = Slapd::start();
    let wire = Proxy::to(slapd.tls_port).await;
    let bed = slapd.asked_at(&[&wire.url("ldaps")], "timeout = \"1s\"", BY_NAME);
    until_alice(&bed).await;
    wire.delay(Duration::from_millis(300));
    assert_eq!(bed.by_name(ALICE).await, "alice");
    wire.delay(Duration::from_millis(1500));
    let answer = bed.by_name(ALICE).await;
    assert!(answer.starts_with("unavailable"), "{answer}");
    wire.delay(Duration::ZERO);
    until_alice(&bed).await;
}

/// slapd closes what was idle for a second: the next question has to make a new connection, and nobody sees it.
#[tokio::test]
async fn what_the_server_closed_when_idle_is_no_failure() {
    let slapd = Slapd::slanted(crate::bed::Slant { environment: &[("IDLE", "1")] });
    let wire = Proxy::to(slapd.tls_port).await;
    let bed = slapd.asked_at(&[&wire.url("ldaps")], "", BY_NAME);
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    let end = Instant::now() + Duration::from_secs(30);
    while wire.open() > 0 {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
    assert_eq!(bed.0.health()[0].failures, 0);
    assert_eq!(wire.connections(), 4);
}

/// A host that swallows what is sent to it: no connection, no refusal. One question waits for it, the others do not.
#[tokio::test]
async fn a_server_that_can_not_be_reached_is_passed_by_while_it_is_tried() {
    let slapd = Slapd::start();
    let wire = Proxy::to(slapd.tls_port).await;
    wire.hold(true);
    let bed = slapd.asked_at(&[&wire.url("ldaps"), &slapd.url()], "timeout = \"2s\"", BY_NAME);
    let began = Instant::now();
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(bed.by_name(ALICE).await, "alice");
    }
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    // It answers after all, and is the first again.
    wire.hold(false);
    let end = Instant::now() + Duration::from_secs(30);
    while bed.0.health()[0].searches == 0 {
        assert_eq!(bed.by_name(ALICE).await, "alice");
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn balanced_over_all_and_a_dead_one_is_left_out() {
    let mut slapd = Slapd::start();
    let another = slapd.another();
    let bed = slapd.asked_at(&[&slapd.url(), &another.url()], "order = \"balance\"", BY_NAME);
    for _ in 0..20 {
        until_alice(&bed).await;
    }
    let health = bed.0.health();
    assert_eq!((health[0].searches, health[1].searches), (10, 10), "{health:?}");
    slapd.kill();
    for _ in 0..20 {
        assert_eq!(bed.by_name(ALICE).await, "alice");
    }
    assert!(bed.0.health()[0].down.is_some());
}
