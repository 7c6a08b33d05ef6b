//! Who is told what.

use std::time::Duration;

use protocol::{Notify, Return};

use super::bench::*;

const TEXT: &str = "Subject: test\r\nFrom: alice@example.org\r\n\r\nThe body\r\n";

/// Runs one message to the end; gives back the notices, which go to `home`.
async fn notices(envelope: protocol::Envelope, text: &str, settings: crate::Settings, refusals: usize) -> Vec<String> {
    let (hop, home) = (Hop::start(refusals).await, Hop::start(0).await);
    let mut bench = Bench::new(settings).await;
    bench.accept(envelope, text).await;
    bench.run(courier(&[("example.net", hop.port), ("example.org", home.port)]));
    bench.until_empty().await;
    bench.stop().await;
    home.messages()
}

#[tokio::test]
async fn a_refusal_comes_back_to_the_sender() {
    let mut envelope = envelope("<alice@example.org>", &["ok@example.net", "never@example.net"]);
    envelope.ret = Some(Return::Full);
    let notices = notices(envelope, TEXT, settings(), 0).await;
    assert_eq!(notices.len(), 1);
    let notice = &notices[0];
    for expected in [
        "MAIL FROM:<>\r\n",
        "RCPT TO:<alice@example.org>\r\n",
        "From: Mail Delivery System <MAILER-DAEMON@gateway.example.org>",
        "Final-Recipient: rfc822; never@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        "Remote-MTA: dns; [127.0.0.1]",
        "Diagnostic-Code: smtp; 550 5.1.1 nobody",
        "Content-Type: message/rfc822",
        "The body",
    ] {
        assert!(notice.contains(expected), "{expected}\n{notice}");
    }
    assert!(!notice.contains("ok@example.net"), "{notice}");
}

#[tokio::test]
async fn who_is_told() {
    let never = Some(Notify::NEVER);
    let failure = Some(Notify { success: false, failure: true, delay: false });
    let success = Some(Notify { success: true, failure: false, delay: false });
    let table = [
        ("<alice@example.org>", "never@example.net", None, 1),
        ("<alice@example.org>", "never@example.net", never, 0),
        ("<alice@example.org>", "never@example.net", failure, 1),
        ("<alice@example.org>", "never@example.net", success, 0),
        ("<>", "never@example.net", None, 0),
        ("<>", "never@example.net", failure, 0),
        ("<alice@example.org>", "ok@example.net", None, 0),
        ("<alice@example.org>", "ok@example.net", success, 1),
        ("<>", "ok@example.net", success, 0),
        // No route.
        ("<alice@example.org>", "ok@elsewhere.example", None, 1),
    ];
    for (from, to, notify, expected) in table {
        let mut envelope = envelope(from, &[to]);
        envelope.recipients[0].notify = notify;
        let found = notices(envelope, TEXT, settings(), 0).await;
        assert_eq!(found.len(), expected, "{from} {to} {notify:?}: {found:?}");
        if to.starts_with("ok@example.net") {
            assert!(found.iter().all(|notice| notice.contains("Action: relayed")));
        }
        if to.contains("elsewhere") {
            assert!(
                found[0].contains("Status: 5.4.4") && found[0].contains("no route is configured for elsewhere.example")
            );
        }
    }
}

/// RFC 3464 section 2.3.3: an LMTP server is the end of the way, an SMTP server is not.
#[tokio::test]
async fn what_is_delivered_is_not_called_relayed() {
    let mut envelope = envelope("<alice@example.org>", &["ok1@example.net", "ok2@example.net", "ok3@example.net"]);
    for at in [0, 2] {
        envelope.recipients[at].notify = Some(Notify { success: true, failure: true, delay: false });
    }
    for (protocol, action) in [("smtp", "relayed"), ("lmtp", "delivered")] {
        let (hop, home) = (Hop::start(0).await, Hop::start(0).await);
        let mut bench = Bench::new(settings()).await;
        bench.accept(envelope.clone(), TEXT).await;
        let routes = [("example.net", hop.port), ("example.org", home.port)];
        bench.run(courier_with(&routes, &format!("protocol = '{protocol}'")));
        bench.until_empty().await;
        bench.stop().await;
        let notices = home.messages();
        assert_eq!(notices.len(), 1, "one for all: {notices:?}");
        for (name, told) in [("ok1", 1), ("ok2", 0), ("ok3", 1)] {
            let report =
                format!("Final-Recipient: rfc822; {name}@example.net\r\nAction: {action}\r\nStatus: 2.0.0\r\n");
            assert_eq!(notices[0].matches(&report).count(), told, "{}", notices[0]);
        }
    }
}

#[tokio::test]
async fn the_message_comes_back_whole_only_on_request_and_within_bounds() {
    let long = TEXT.to_owned() + &"a line of the body\r\n".repeat(10_000);
    let table = [
        (None, TEXT, false),
        (Some(Return::Headers), TEXT, false),
        (Some(Return::Full), TEXT, true),
        (Some(Return::Full), &long, false),
    ];
    for (ret, text, whole) in table {
        let mut envelope = envelope("<alice@example.org>", &["never@example.net"]);
        envelope.ret = ret;
        let notice = notices(envelope, text, settings(), 0).await.remove(0);
        assert!(notice.contains("Subject: test"));
        assert_eq!(notice.contains("The body"), whole, "{ret:?}");
        assert_eq!(notice.contains("text/rfc822-headers"), !whole);
    }
}

#[tokio::test]
async fn what_is_tried_for_too_long_comes_back() {
    let mut settings = settings();
    settings.give_up_after = Duration::from_millis(250);
    let found =
        notices(envelope("<alice@example.org>", &["later@example.net"]), TEXT, settings.clone(), usize::MAX).await;
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("Status: 5.4.7") && found[0].contains("Diagnostic-Code: smtp; 450 4.2.0 later"),
        "{}",
        found[0]
    );
    // And a notice that cannot be delivered is dropped, not answered.
    let found = notices(envelope("<>", &["later@example.net"]), TEXT, settings, usize::MAX).await;
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn behind_a_route_that_is_down_messages_grow_old_too() {
    let home = Hop::start(0).await;
    let mut settings = settings();
    settings.give_up_after = Duration::from_millis(500);
    settings.retry_interval = Duration::from_millis(200);
    let mut bench = Bench::new(settings).await;
    for _ in 0..100 {
        bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    }
    bench.run(courier(&[("example.net", closed_port()), ("example.org", home.port)]));
    let notices = home.until_messages(100).await;
    assert!(notices.iter().all(|notice| notice.contains("cannot be connected to")), "{}", notices[0]);
    bench.until_empty().await;
    bench.stop().await;
}

fn notify(success: bool, failure: bool, delay: bool) -> Option<Notify> {
    Some(Notify { success, failure, delay })
}

/// RFC 3461 section 4.1: where NOTIFY says nothing, the choice is ours.
#[tokio::test]
async fn who_is_told_of_a_delay() {
    let table = [
        ("<alice@example.org>", None, 1),
        ("<alice@example.org>", notify(false, true, true), 1),
        ("<alice@example.org>", notify(false, true, false), 0),
        ("<alice@example.org>", Some(Notify::NEVER), 0),
        ("<>", None, 0),
        ("<>", notify(false, false, true), 0),
    ];
    for after in [Duration::from_millis(250), Duration::ZERO] {
        let settings = crate::Settings { delay_notice_after: after, ..settings() };
        for (from, notify, expected) in table {
            let (hop, home) = (Hop::start(usize::MAX).await, Hop::start(0).await);
            let mut bench = Bench::new(settings.clone()).await;
            let mut envelope = envelope(from, &["later@example.net", "ok@example.net", "later2@example.net"]);
            envelope.recipients[0].notify = notify;
            envelope.recipients[2].notify = notify;
            bench.accept(envelope, TEXT).await;
            bench.run(courier(&[("example.net", hop.port), ("example.org", home.port)]));
            // Once, however often it is tried.
            hop.until_attempts(9).await;
            bench.until(|spool| spool.counters().deferred >= 8).await;
            bench.stop().await;
            let mut bench = bench.restart(settings.clone()).await;
            let before = hop.attempts();
            bench.run(courier(&[("example.net", hop.port), ("example.org", home.port)]));
            hop.until_attempts(before + 4).await;
            bench.until(|spool| spool.len() == 1).await;
            bench.stop().await;
            let notices = home.messages();
            let expected = if after.is_zero() { 0 } else { expected };
            assert_eq!(notices.len(), expected, "{from} {notify:?}: {notices:?}");
            for notice in notices {
                for told in ["later@", "later2@"] {
                    let report =
                        format!("Final-Recipient: rfc822; {told}example.net\r\nAction: delayed\r\nStatus: 4.2.0\r\n");
                    assert_eq!(notice.matches(&report).count(), 1, "{notice}");
                }
                assert_eq!(notice.matches("Will-Retry-Until: ").count(), 2, "{notice}");
                assert!(
                    !notice.contains("ok@example.net") && notice.contains("Diagnostic-Code: smtp; 450 4.2.0 later")
                );
            }
        }
    }
}

#[tokio::test]
async fn of_a_delay_behind_a_destination_that_is_down_each_sender_is_told_in_time() {
    let home = Hop::start(0).await;
    let hours = Duration::from_secs(100 * 60 * 60);
    // Only the first is ever tried.
    let settings = crate::Settings {
        retry_interval: hours,
        max_retry_interval: hours,
        delay_notice_after: Duration::from_millis(700),
        ..settings()
    };
    let mut bench = Bench::new(settings).await;
    for _ in 0..50 {
        bench.accept(envelope("<alice@example.org>", &["ok@example.net"]), TEXT).await;
    }
    bench.run(courier(&[("example.net", closed_port()), ("example.org", home.port)]));
    let notices = home.until_messages(50).await;
    assert!(notices.iter().all(|notice| notice.contains("Action: delayed\r\nStatus: 4.4.")), "{}", notices[0]);
    bench.until(|spool| spool.len() == 50).await;
    bench.stop().await;
    assert_eq!(home.messages().len(), 50);
}

/// RFC 3464 section 2.3: each recipient has its own action.
#[tokio::test]
async fn what_comes_of_one_attempt_is_told_in_one_notice() {
    let mut envelope = envelope("<alice@example.org>", &["ok@example.net", "never@example.net", "never2@example.net"]);
    envelope.recipients[0].notify = notify(true, true, false);
    let found = notices(envelope, TEXT, settings(), 0).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let actions: Vec<&str> = found[0].lines().filter(|line| line.starts_with("Action: ")).collect();
    assert_eq!(actions, ["Action: failed", "Action: failed", "Action: relayed"]);
    assert!(found[0].contains("Subject: Undelivered mail returned to sender\r\n"));
}

#[tokio::test]
async fn what_has_no_sender_comes_to_the_postmaster_and_no_further() {
    let postmaster = |address: &str| {
        let settings = settings();
        crate::Settings { double_bounce_to: Some(address.parse().unwrap()), ..settings }
    };
    let ours = postmaster("postmaster@example.org");
    let table = [
        ("<>", "never@example.net", None, &ours, 1),
        ("<>", "never@example.net", Some(Notify::NEVER), &ours, 0),
        ("<>", "ok@example.net", notify(true, true, true), &ours, 0),
        ("<>", "never@example.net", None, &settings(), 0),
        // Who has a sender is nothing to the postmaster …
        ("<alice@elsewhere.example>", "ok@example.net", None, &ours, 0),
        // … until the notice does not reach that one.
        ("<alice@nowhere.example>", "never@example.net", None, &ours, 1),
        // The postmaster's own mail does not come back to the postmaster.
        ("<>", "never@example.net", None, &postmaster("Never@example.net"), 0),
        ("<>", "never@example.net", None, &postmaster("postmaster@nowhere.example"), 0),
    ];
    for (from, to, notify, settings, expected) in table {
        let mut envelope = envelope(from, &[to]);
        envelope.recipients[0].notify = notify;
        let found = notices(envelope, TEXT, settings.clone(), 0).await;
        assert_eq!(found.len(), expected, "{from} {to} {notify:?}: {found:?}");
        for notice in found {
            assert!(notice.contains("MAIL FROM:<>\r\nRCPT TO:<postmaster@example.org>"), "{notice}");
            assert!(notice.contains("Subject: Undelivered mail without a sender\r\n"), "{notice}");
        }
    }
}
