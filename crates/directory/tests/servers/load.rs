//! Many at a time: one search for equal questions, few connections for all, no stampede.

use std::time::{Duration, Instant};

use postern_directory::Token;

use crate::bed::{Bed, Slapd};
use crate::proxy::Proxy;

const BY_NAME: &str = "[certificate_query]\nfilter = \"(caccn={cn})\"\n";
const ALICE: &str = "DOE.ALICE.Q.1234567890";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sessions_of_a_thousand_people_cause_a_thousand_searches() {
    let slapd = Slapd::start();
    let wire = Proxy::to(slapd.tls_port).await;
    let bed = slapd.asked_at(&[&wire.url("ldaps")], "timeout = \"30s\"", BY_NAME);
    let asking: Vec<_> = (0..10_000_usize)
        .map(|session| {
            let bed = Bed(bed.0.clone());
            let number = session % 1000;
            tokio::spawn(async move { (bed.by_name(&format!("BULK.{number:010}")).await, number) })
        })
        .collect();
    for asking in asking {
        let (answer, number) = asking.await.unwrap();
        // The others are nobody, which takes a search as well.
        match number {
            1..=120 => assert_eq!(answer, format!("bulk{number:05}")),
            _ => assert!(answer.starts_with("nobody"), "{answer}"),
        }
    }
    // In slapd's log values are as its matching rule folds them.
    assert_eq!(slapd.logged("filter=\"(caccn=bulk."), 1000);
    assert_eq!(bed.0.health()[0].searches, 1000);
    assert!(wire.connections() <= 2, "{}", wire.connections());
}

#[tokio::test]
async fn answers_are_remembered_for_their_time_and_forgotten_when_told() {
    let slapd = Slapd::start();
    let searches = || slapd.logged("SRCH base=\"ou=people");
    let bed = slapd.directory("cache = { positive = \"1h\", negative = \"1h\" }", BY_NAME);
    for _ in 0..3 {
        assert_eq!(bed.by_name(ALICE).await, "alice");
        assert!(bed.by_name("NOBODY").await.starts_with("nobody"));
        assert_eq!(bed.by_name("TWIN.1234567897").await, "several");
        // Without a password it may be remembered.
        assert_eq!(bed.presume("alice").await, "alice NotConfigured");
    }
    assert_eq!(searches(), 4);
    let generation = bed.0.generation();
    bed.0.flush();
    assert_eq!(bed.0.generation(), generation + 1);
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(searches(), 5);
    // Passwords are proved by what is true now.
    for turn in 1..=3 {
        assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured");
        assert_eq!(searches(), 5 + turn);
    }
    // What rests on the clock is not remembered.
    let timed = slapd.directory("", "[certificate_query]\nfilter = \"(&(caccn={cn})(!(cacemergency>={t})))\"\n");
    for turn in 1..=3 {
        let values: [(Token, &[u8]); 2] = [(Token::CommonName, ALICE.as_bytes()), (Token::Now, b"20261124000000Z")];
        assert_eq!(timed.certificate(&values).await, "alice");
        assert_eq!(searches(), 8 + turn);
    }
}

#[tokio::test]
async fn a_short_memory_ends() {
    let slapd = Slapd::start();
    let bed = slapd.directory("cache = { positive = \"100ms\", negative = \"0s\" }", BY_NAME);
    let searches = || slapd.logged("SRCH base=\"ou=people");
    let began = Instant::now();
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert_eq!(bed.by_name(ALICE).await, "alice");
    if began.elapsed() < Duration::from_millis(100) {
        assert_eq!(searches(), 1);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bed.by_name(ALICE).await, "alice");
    assert!(searches() >= 2);
}

/// Hundreds wait for a server that is down; when it comes back, one connection is made for all of them.
#[tokio::test]
async fn no_stampede() {
    let mut slapd = Slapd::start();
    let wire = Proxy::to(slapd.tls_port).await;
    let settings = "timeout = \"20s\"\ncache = { positive = \"0s\", negative = \"0s\" }";
    let bed = slapd.asked_at(&[&wire.url("ldaps")], settings, BY_NAME);
    slapd.kill();
    assert!(bed.by_name(ALICE).await.starts_with("unavailable"));
    let tried = wire.connections();
    // While it is left alone, questions fail at once and open nothing.
    for number in 0..200 {
        assert!(bed.by_name(&format!("BULK.{number:010}")).await.starts_with("unavailable"));
    }
    assert!(wire.connections() <= tried + 2, "{}", wire.connections());
    slapd.run();
    let end = Instant::now() + Duration::from_secs(30);
    while bed.by_name(ALICE).await != "alice" {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = wire.connections();
    let asking: Vec<_> = (1..=120)
        .map(|number: usize| {
            let bed = Bed(bed.0.clone());
            tokio::spawn(async move { bed.by_name(&format!("BULK.{number:010}")).await })
        })
        .collect();
    for asking in asking {
        assert!(asking.await.unwrap().starts_with("bulk"));
    }
    assert!(wire.connections() <= before + 1, "{} after {before}", wire.connections());
}

/// Binds of users go over connections of their own, few and used again; the searches' identity stays the gateway's.
#[tokio::test]
async fn binds_do_not_touch_searches() {
    let slapd = Slapd::start();
    let wire = Proxy::to(slapd.tls_port).await;
    let bed = slapd.asked_at(&[&wire.url("ldaps")], "timeout = \"30s\"\nbind_connections = 3", "");
    let asking: Vec<_> = (0..200_usize)
        .map(|session| {
            let bed = Bed(bed.0.clone());
            tokio::spawn(async move {
                match session % 3 {
                    0 => assert_eq!(bed.password("alice", "wrong").await, "wrong password"),
                    1 => assert_eq!(bed.password("alice", "alice-pw").await, "alice NotConfigured"),
                    _ => assert_eq!(bed.password("zoe", "x").await, "unknown user"),
                }
            })
        })
        .collect();
    for asking in asking {
        asking.await.unwrap();
    }
    assert!(wire.connections() <= 5, "{}", wire.connections());
    assert_eq!(slapd.logged("RESULT tag=97"), 200 + bed.0.health()[0].connections);
}
