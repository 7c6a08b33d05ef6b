use std::time::Duration;

use super::*;

fn settings() -> FailedLoginsSettings {
    FailedLoginsSettings::default()
}

fn client(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// As a session does: waits, then fails.
async fn guess(failures: &Failures, from: IpAddr, user: &str) -> Result<u64, TooManyLogins> {
    let wait = failures.admit(from, user, &settings())?;
    tokio::time::sleep(wait).await;
    failures.failed(from, user, &settings());
    Ok(wait.as_secs())
}

#[tokio::test(start_paused = true)]
async fn waits_grow_to_a_bound_and_end() {
    let failures = Failures::default();
    for expected in [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(guess(&failures, client(1), "alice").await, Ok(expected));
    }
    // Another name does not help, another client does.
    assert_eq!(guess(&failures, client(1), "bob").await, Ok(30));
    assert_eq!(failures.admit(client(2), "carol", &settings()), Ok(Duration::ZERO));
    // The name is guarded from everywhere.
    assert_eq!(failures.admit(client(2), "ALICE", &settings()), Ok(Duration::from_secs(30)));
    tokio::time::advance(settings().forget_after + Duration::from_secs(61)).await;
    assert_eq!(guess(&failures, client(1), "alice").await, Ok(0));
}

/// Nobody is locked out of their own account by somebody else.
#[tokio::test(start_paused = true)]
async fn who_was_right_last_waits_for_no_one_else() {
    let failures = Failures::default();
    failures.succeeded(client(9), "alice");
    for _ in 0..10 {
        guess(&failures, client(1), "alice").await.unwrap();
    }
    assert_eq!(failures.admit(client(9), "alice", &settings()), Ok(Duration::ZERO));
    assert!(failures.admit(client(8), "alice", &settings()).unwrap() > Duration::ZERO);
    // Having an account is no licence to guess at others.
    for _ in 0..8 {
        failures.failed(client(7), "bob", &settings());
    }
    failures.failed(client(7), "mallory", &settings());
    failures.succeeded(client(7), "mallory");
    assert!(failures.admit(client(7), "bob", &settings()).unwrap() > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn at_the_same_time_they_wait_one_after_the_other() {
    let failures = Failures::default();
    for _ in 0..8 {
        failures.failed(client(1), "alice", &settings());
    }
    let waits: Vec<_> = (0..5).map(|_| failures.admit(client(1), "alice", &settings())).collect();
    let seconds = |seconds| Ok(Duration::from_secs(seconds));
    assert_eq!(waits, [seconds(16), seconds(32), seconds(48), Err(TooManyLogins), Err(TooManyLogins)]);
    tokio::time::advance(Duration::from_secs(48)).await;
    assert_eq!(failures.admit(client(1), "alice", &settings()), seconds(16));
}

#[tokio::test(start_paused = true)]
async fn one_password_on_many_names_is_seen_over_a_network() {
    let failures = Failures::default();
    let mut told = Vec::new();
    for number in 0..20_u8 {
        told.extend(failures.failed(client(number), &format!("user{number}"), &settings()));
    }
    assert_eq!(told, [Spraying { network: IpAddr::from([192, 0, 2, 0]), accounts: 10 }], "told once");
    // Everybody of that network waits, whatever they did; others do not.
    assert_eq!(failures.admit(client(200), "zoe", &settings()), Ok(settings().longest_wait));
    assert_eq!(failures.admit(IpAddr::from([192, 0, 3, 1]), "zoe", &settings()), Ok(Duration::ZERO));
    tokio::time::advance(settings().forget_after + Duration::from_secs(1)).await;
    assert_eq!(failures.admit(client(201), "zoe", &settings()), Ok(Duration::ZERO));
}

#[test]
fn networks() {
    for (address, network) in
        [("192.0.2.77", "192.0.2.0"), ("::ffff:192.0.2.77", "192.0.2.0"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1::")]
    {
        assert_eq!(wide(address.parse().unwrap()), network.parse::<IpAddr>().unwrap(), "{address}");
    }
}

#[test]
fn the_exempt_never_wait_and_are_not_counted() {
    let failures = Failures::default();
    let exempt = FailedLoginsSettings { exempt: vec!["192.0.2.0/24".parse().unwrap()], ..settings() };
    for number in 0..50 {
        assert_eq!(failures.failed(client(1), &format!("user{number}"), &exempt), None);
        assert_eq!(failures.admit(client(1), "alice", &exempt), Ok(Duration::ZERO));
    }
    assert_eq!(failures.admit(client(1), "alice", &settings()), Ok(Duration::ZERO));
}

#[test]
fn memory_is_bounded() {
    let failures = Failures::default();
    for number in 0..u32::try_from(MAX_KEYS).unwrap() + 100 {
        failures.failed(IpAddr::from((number << 8).to_be_bytes()), &number.to_string(), &settings());
    }
    let memory = failures.memory();
    assert_eq!((memory.clients.len(), memory.identities.len(), memory.networks.len()), (MAX_KEYS, MAX_KEYS, MAX_KEYS));
}
