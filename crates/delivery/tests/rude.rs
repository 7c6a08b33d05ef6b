//! What becomes of the recipients when the next hop misbehaves in ways no real server does on demand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod peers;

use std::time::{Duration, Instant};

use peers::scripted::Do::*;
use peers::scripted::{Do, PIPELINING, PLAIN, Scripted, hello};
use peers::{clear, deliver, deliver_text, envelope, line, lines};

fn script(parts: &[&[Do]]) -> Vec<Do> {
    parts.concat()
}

/// MAIL, one RCPT and DATA, all well.
const ENVELOPE: &[Do] = &[
    Hear("MAIL FROM:<alice@example.org>"),
    Say("250 ok"),
    Hear("RCPT TO:<bob@example.net>"),
    Say("250 ok"),
    Hear("DATA"),
    Say("354 go on"),
];

/// Runs one recipient against one script for one connection.
async fn outcome(script: Vec<Do>) -> String {
    let peer = Scripted::start(vec![script]).await;
    let courier = clear(&[peer.port]);
    let outcomes = deliver(&courier, &envelope(&["bob@example.net"])).await;
    line(&outcomes[0]).replace(&format!("127.0.0.1:{}: ", peer.port), "")
}

#[tokio::test]
async fn each_stage_each_failure() {
    let h = || hello(PLAIN);
    let table: Vec<(&str, Vec<Do>, &str)> = vec![
        (
            "all well",
            script(&[&h(), ENVELOPE, &[HearText, Say("250 2.0.0 taken as 17")]]),
            "delivered 250 2.0.0 taken as 17",
        ),
        // Before the transaction it is about the host: another try may do.
        ("no greeting", vec![Stall], "deferred 4.4.2 no answer within the time (the greeting)"),
        ("greeting 554", vec![Say("554 no mail here")], "deferred 5.0.0 554 no mail here (in reply to connecting)"),
        ("greeting 421", vec![Say("421 4.3.2 busy")], "deferred 4.3.2 421 4.3.2 busy (in reply to connecting)"),
        ("closed at once", vec![], "deferred 4.4.2 the connection was closed (the greeting)"),
        ("not SMTP", vec![Say("SSH-2.0-OpenSSH_9")], "deferred 4.5.0 what came is no SMTP reply"),
        ("dripping", vec![Drip], "deferred 4.4.2 no answer within the time (the greeting)"),
        ("babbling", vec![Say("220 hi"), Hear("EHLO"), Babble], "deferred 4.5.0 what came is no SMTP reply"),
        ("EHLO stalls", vec![Say("220 hi"), Hear("EHLO"), Stall], "deferred 4.4.2 no answer within the time (EHLO)"),
        (
            "nonsense is advertised",
            script(&[
                &[Say("220 hi"), Hear("EHLO")],
                &[Say(
                    "250-\n250-SIZE -1\n250-SIZE 99999999999999999999999\n250-AUTH\n250-LIMITS =,x\n250-8BITMIME=\n250 \u{1}",
                )],
                ENVELOPE,
                &[HearText, Say("250 ok")],
            ]),
            "delivered 250 ok",
        ),
        ("EHLO 421", vec![Say("220 hi"), Hear("EHLO"), Say("421 no")], "deferred 4.0.0 421 no (in reply to EHLO)"),
        (
            "HELO does",
            script(&[
                &[Say("220 hi"), Hear("EHLO"), Say("502 what?"), Hear("HELO gateway.example.org"), Say("250 hi")],
                ENVELOPE,
                &[HearText, Say("250 ok")],
            ]),
            "delivered 250 ok",
        ),
        // MAIL
        (
            "MAIL 550",
            script(&[&h(), &[Hear("MAIL"), Say("550 5.7.1 not you"), Hear("RSET"), Say("250 ok")]]),
            "failed 5.7.1 550 5.7.1 not you (in reply to MAIL FROM)",
        ),
        (
            "MAIL 451",
            script(&[&h(), &[Hear("MAIL"), Say("451 later"), Hear("RSET"), Say("250 ok")]]),
            "deferred 4.0.0 451 later (in reply to MAIL FROM)",
        ),
        ("MAIL stalls", script(&[&h(), &[Hear("MAIL"), Stall]]), "deferred 4.4.2 no answer within the time"),
        ("closed at MAIL", script(&[&h(), &[Hear("MAIL")]]), "deferred 4.4.2 the connection was closed"),
        // RCPT
        (
            "RCPT 550",
            script(&[
                &h(),
                &[Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Say("550 5.1.1 who?"), Hear("RSET"), Say("250 ok")],
            ]),
            "failed 5.1.1 550 5.1.1 who? (in reply to RCPT TO)",
        ),
        (
            "RCPT 450",
            script(&[
                &h(),
                &[Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Say("450 4.2.0 greylisted"), Hear("RSET"), Say("250 ok")],
            ]),
            "deferred 4.2.0 450 4.2.0 greylisted (in reply to RCPT TO)",
        ),
        (
            "a false enhanced code",
            script(&[
                &h(),
                &[Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Say("550 4.1.1 who?"), Hear("RSET"), Say("250 ok")],
            ]),
            "failed 5.0.0 550",
        ),
        (
            "closed at RCPT",
            script(&[&h(), &[Hear("MAIL"), Say("250 ok"), Hear("RCPT")]]),
            "deferred 4.4.2 the connection was closed",
        ),
        (
            "RCPT stalls",
            script(&[&h(), &[Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Stall]]),
            "deferred 4.4.2 no answer within the time",
        ),
        (
            "RCPT drips",
            script(&[&h(), &[Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Drip]]),
            "deferred 4.4.2 no answer within the time",
        ),
        // DATA
        (
            "DATA 554",
            script(&[&h(), &ENVELOPE[..5], &[Say("554 no"), Hear("RSET"), Say("250 ok")]]),
            "failed 5.0.0 554 no (in reply to DATA)",
        ),
        (
            "DATA 250",
            script(&[&h(), &ENVELOPE[..5], &[Say("250 what do you mean"), Hear("RSET"), Say("250 ok")]]),
            "deferred 4.0.0 250 what do you mean (in reply to DATA)",
        ),
        ("DATA stalls", script(&[&h(), &ENVELOPE[..5], &[Stall]]), "deferred 4.4.2 no answer within the time"),
        // After the dot
        (
            "552 after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Say("552 5.3.4 too big")]]),
            "failed 5.3.4 552 5.3.4 too big (in reply to end of DATA)",
        ),
        (
            "451 after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Say("451 4.3.0 later")]]),
            "deferred 4.3.0 451 4.3.0 later (in reply to end of DATA)",
        ),
        (
            "421 after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Say("421 4.3.2 shutting down")]]),
            "deferred 4.3.2 421",
        ),
        (
            "garbage after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Say("OK!")]]),
            "deferred 4.4.2 what came is no SMTP reply",
        ),
        (
            "silence after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Stall]]),
            "deferred 4.4.2 no answer within the time",
        ),
        (
            "dripping after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Drip]]),
            "deferred 4.4.2 no answer within the time",
        ),
        (
            "babbling after the dot",
            script(&[&h(), ENVELOPE, &[HearText, Babble]]),
            "deferred 4.4.2 what came is no SMTP reply",
        ),
        ("several lines", script(&[&h(), ENVELOPE, &[HearText, Say("250-one\n250 two")]]), "delivered 250 one / two"),
    ];
    let mut wrong = Vec::new();
    for (name, script, expected) in table {
        let found = outcome(script).await;
        if !found.starts_with(expected) {
            wrong.push(format!("{name}:\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_lost_reply_is_counted_and_tried_nowhere_else() {
    for last in [&[HearText][..], &[HearText, Stall]] {
        let peer = Scripted::start(vec![script(&[&hello(PLAIN), ENVELOPE, last])]).await;
        let second = Scripted::start(vec![script(&[&hello(PLAIN), ENVELOPE, &[HearText, Say("250 ok")]])]).await;
        let courier = clear(&[peer.port, second.port]);
        let outcomes = deliver(&courier, &envelope(&["bob@example.net"])).await;
        assert!(line(&outcomes[0]).contains("may have been taken"), "{outcomes:?}");
        assert_eq!(courier.counters().replies_lost, 1);
        assert_eq!(second.heard(), Vec::<String>::new(), "the second host was asked");
    }
}

#[tokio::test]
async fn the_text_is_stuffed_and_ends_with_a_line() {
    let peer = Scripted::start(vec![script(&[&hello(PLAIN), ENVELOPE, &[HearText, Say("250 ok")]])]).await;
    let courier = clear(&[peer.port]);
    let text = b"Subject: x\r\n\r\n.\r\n.hidden\r\n..\r\nno end";
    let outcomes = deliver_text(&courier, &envelope(&["bob@example.net"]), text).await;
    assert_eq!(lines(&outcomes), ["delivered 250 ok"]);
    let heard = peer.finish().await;
    assert_eq!(heard[heard.len() - 7..], ["Subject: x", "", "..", "..hidden", "...", "no end", "."]);
}

#[tokio::test]
async fn pipelined_refusals_reach_the_right_recipients() {
    let peer = Scripted::start(vec![script(&[
        &hello(PIPELINING),
        &[Hear("MAIL"), Hear("RCPT TO:<a@"), Hear("RCPT TO:<b@"), Hear("RCPT TO:<c@"), Hear("DATA")],
        &[Say("250 ok\n250 a\n550 5.1.1 b\n450 4.2.1 c\n354 go"), HearText, Say("250 taken")],
    ])])
    .await;
    let courier = clear(&[peer.port]);
    let outcomes = deliver(&courier, &envelope(&["a@example.net", "b@example.net", "c@example.net"])).await;
    let found: Vec<String> =
        lines(&outcomes).iter().map(|line| line.replace(&format!("127.0.0.1:{}: ", peer.port), "")).collect();
    assert_eq!(
        found,
        [
            "delivered 250 taken",
            "failed 5.1.1 550 5.1.1 b (in reply to RCPT TO)",
            "deferred 4.2.1 450 4.2.1 c (in reply to RCPT TO)"
        ]
    );
}

#[tokio::test]
async fn an_open_data_without_recipients_is_closed_with_nothing_sent() {
    let peer = Scripted::start(vec![script(&[
        &hello(PIPELINING),
        &[
            Hear("MAIL"),
            Hear("RCPT"),
            Hear("DATA"),
            Say("250 ok\n550 5.1.1 no\n354 go"),
            Hear("."),
            Say("554 no recipients"),
        ],
        &[Hear("RSET"), Say("250 ok"), Hear("QUIT"), Say("221 bye")],
    ])])
    .await;
    let courier = clear(&[peer.port]);
    let outcomes = deliver(&courier, &envelope(&["bob@example.net"])).await;
    assert!(line(&outcomes[0]).starts_with("failed 5.1.1"), "{outcomes:?}");
    // The connection is kept for a while and then closed politely.
    peer.finish().await;
}

#[tokio::test]
async fn too_many_recipients_go_in_another_transaction_at_once() {
    let peer = Scripted::start(vec![script(&[
        &hello(PLAIN),
        &[
            Hear("MAIL"),
            Say("250 ok"),
            Hear("RCPT TO:<a@"),
            Say("250 ok"),
            Hear("RCPT TO:<b@"),
            Say("452 4.5.3 too many"),
        ],
        &[Hear("RCPT TO:<c@"), Say("452 4.2.2 mailbox full"), Hear("DATA"), Say("354 go"), HearText, Say("250 first")],
        &[
            Hear("MAIL"),
            Say("250 ok"),
            Hear("RCPT TO:<b@"),
            Say("250 ok"),
            Hear("DATA"),
            Say("354 go"),
            HearText,
            Say("250 second"),
        ],
    ])])
    .await;
    let courier = clear(&[peer.port]);
    let outcomes = deliver(&courier, &envelope(&["a@example.net", "b@example.net", "c@example.net"])).await;
    let found = lines(&outcomes);
    assert_eq!(found[..2], ["delivered 250 first", "delivered 250 second"]);
    assert!(found[2].starts_with("deferred 4.2.2"), "{found:?}");
}

#[tokio::test]
async fn the_next_host_gets_what_the_first_did_not_take() {
    let first = Scripted::start(vec![script(&[
        &hello(PLAIN),
        &[
            Hear("MAIL"),
            Say("250 ok"),
            Hear("RCPT TO:<a@"),
            Say("250 ok"),
            Hear("RCPT TO:<b@"),
            Say("451 4.3.0 not now"),
        ],
        &[Hear("RCPT TO:<c@"), Say("550 5.1.1 never"), Hear("DATA"), Say("354 go"), HearText, Say("250 ok")],
    ])])
    .await;
    let second = Scripted::start(vec![script(&[
        &hello(PLAIN),
        &[
            Hear("MAIL"),
            Say("250 ok"),
            Hear("RCPT TO:<b@"),
            Say("250 ok"),
            Hear("DATA"),
            Say("354 go"),
            HearText,
            Say("250 second"),
        ],
    ])])
    .await;
    let closed = peers::free_port();
    let courier = clear(&[closed, first.port, second.port]);
    let outcomes = deliver(&courier, &envelope(&["a@example.net", "b@example.net", "c@example.net"])).await;
    let found = lines(&outcomes);
    assert_eq!(found[0], "delivered 250 ok");
    assert_eq!(found[1], "delivered 250 second");
    assert!(found[2].starts_with("failed 5.1.1"), "{found:?}");
}

#[tokio::test]
async fn what_a_host_said_is_not_hidden_by_a_host_that_is_away() {
    let first = Scripted::start(vec![script(&[
        &hello(PLAIN),
        &[Hear("MAIL"), Say("451 4.7.1 greylisted"), Hear("RSET"), Say("250 ok")],
    ])])
    .await;
    let courier = clear(&[first.port, peers::free_port()]);
    let outcomes = deliver(&courier, &envelope(&["bob@example.net"])).await;
    assert!(line(&outcomes[0]).starts_with("deferred 4.7.1"), "{outcomes:?}");
    let postern_delivery::Outcome::Deferred(cause) = &outcomes[0] else { panic!() };
    assert!(!cause.unreachable);
    let courier = clear(&[peers::free_port()]);
    let postern_delivery::Outcome::Deferred(cause) = &deliver(&courier, &envelope(&["bob@example.net"])).await[0]
    else {
        panic!()
    };
    assert!(cause.unreachable);
}

#[tokio::test]
async fn a_stale_connection_is_no_failure() {
    let peer = Scripted::start(vec![
        // Closed right after the first message, without a word.
        script(&[&hello(PLAIN), ENVELOPE, &[HearText, Say("250 first")]]),
        script(&[&hello(PLAIN), ENVELOPE, &[HearText, Say("250 second")]]),
    ])
    .await;
    let courier = clear(&[peer.port]);
    assert_eq!(lines(&deliver(&courier, &envelope(&["bob@example.net"])).await), ["delivered 250 first"]);
    assert_eq!(lines(&deliver(&courier, &envelope(&["bob@example.net"])).await), ["delivered 250 second"]);
}

#[tokio::test]
async fn the_reason_for_closing_in_the_middle_is_heard() {
    let large = "x".repeat(70).into_bytes();
    let text: Vec<u8> = std::iter::repeat_n([&large[..], b"\r\n"].concat(), 200_000).flatten().collect();
    let peer =
        Scripted::start(vec![script(&[&hello(PLAIN), ENVELOPE, &[HearSome(100_000), Say("552 5.3.4 too much")]])])
            .await;
    let courier = clear(&[peer.port]);
    let outcomes = deliver_text(&courier, &envelope(&["bob@example.net"]), &text).await;
    // The kernel may throw the reply away with the connection; then it is a break like any other.
    let found = line(&outcomes[0]);
    assert!(found.starts_with("failed 5.3.4") || found.contains("in the middle of the message"), "{found}");
    assert_eq!(courier.counters().replies_lost, 0);
}

#[tokio::test]
async fn a_host_that_takes_octets_slowly_is_given_up() {
    let text = vec![b'x'; 20_000_000];
    let peer = Scripted::start(vec![script(&[&hello(PLAIN), ENVELOPE, &[HearSome(1000), Do::Say("")], &[Drip]])]).await;
    let courier = clear(&[peer.port]);
    let start = Instant::now();
    let outcomes = deliver_text(&courier, &envelope(&["bob@example.net"]), &text).await;
    assert!(line(&outcomes[0]).starts_with("deferred"), "{outcomes:?}");
    assert!(start.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn the_whole_attempt_has_an_end() {
    // Each step is just within its time.
    let slow = vec![Drip];
    let peer = Scripted::start(vec![slow.clone(), slow.clone(), slow.clone(), slow]).await;
    let hosts = format!("['127.0.0.1:{0}', '127.0.0.1:{0}', '127.0.0.1:{0}', '127.0.0.1:{0}']", peer.port);
    let timeouts = "timeouts = { greeting = '1s', attempt = '2500ms' }";
    let courier = peers::courier(&format!("hosts = {hosts}\ntls = 'none'\n{timeouts}"));
    let start = Instant::now();
    let outcomes = deliver(&courier, &envelope(&["bob@example.net"])).await;
    assert!(line(&outcomes[0]).starts_with("deferred"), "{outcomes:?}");
    let elapsed = start.elapsed();
    assert!(elapsed > Duration::from_secs(2) && elapsed < Duration::from_millis(3_500), "{elapsed:?}");
}

#[tokio::test]
async fn octets_before_tls_end_the_session() {
    for mode in ["may", "require"] {
        let peer = Scripted::start(vec![script(&[
            &[Say("220 hi"), Hear("EHLO"), Say("250-rude.example\n250 STARTTLS"), Hear("STARTTLS")],
            &[Raw(b"220 go ahead\r\n250-rude.example\r\n250 AUTH PLAIN\r\n"), Stall],
        ])])
        .await;
        let courier = peers::courier(&format!("hosts = ['127.0.0.1:{}']\ntls = '{mode}'", peer.port));
        let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
        assert!(found.contains("before TLS began"), "{mode}: {found}");
    }
}

#[tokio::test]
async fn never_clear_text_where_tls_is_required() {
    let answers: [Vec<Do>; 3] = [
        hello(PLAIN),
        script(&[&hello("250-rude.example\n250 STARTTLS"), &[Hear("STARTTLS"), Say("454 4.7.0 not now")]]),
        script(&[
            &hello("250-rude.example\n250 STARTTLS"),
            &[Hear("STARTTLS"), Say("220 go"), HearSome(50), Raw(b"no TLS at all\r\n")],
        ]),
    ];
    for answer in answers {
        let peer = Scripted::start(vec![answer]).await;
        let courier = peers::courier(&format!("hosts = ['127.0.0.1:{}']\ntls = 'require'", peer.port));
        let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
        assert!(found.starts_with("deferred 4.7."), "{found}");
        assert!(!peer.heard().iter().any(|line| line.starts_with("MAIL")), "{:?}", peer.heard());
    }
}

#[tokio::test]
async fn who_does_not_offer_the_required_tls_is_told_goodbye() {
    let no_offer = script(&[&hello(PLAIN), &[Hear("QUIT"), Say("221 bye")]]);
    let refused = script(&[
        &hello("250-rude.example\n250 STARTTLS"),
        &[Hear("STARTTLS"), Say("454 4.7.0 not now"), Hear("QUIT"), Say("221 bye")],
    ]);
    for answer in [no_offer, refused] {
        let peer = Scripted::start(vec![answer]).await;
        let courier = peers::courier(&format!("hosts = ['127.0.0.1:{}']\ntls = 'require'", peer.port));
        let found = line(&deliver(&courier, &envelope(&["bob@example.net"])).await[0]);
        assert!(found.starts_with("deferred 4.7.4"), "{found}");
        assert_eq!(peer.finish().await.last().map(String::as_str), Some("QUIT"));
    }
}

/// RFC 2033 section 4.2.
#[tokio::test]
async fn lmtp_replies_are_each_recipients_own() {
    let begin: &[Do] = &[
        Say("220 store"),
        Hear("LHLO gateway.example.org"),
        Say("250-store\n250 PIPELINING"),
        Hear("MAIL"),
        Hear("RCPT TO:<a@"),
        Hear("RCPT TO:<b@"),
        Hear("RCPT TO:<c@"),
        Hear("RCPT TO:<d@"),
        Hear("DATA"),
        Say("250 ok\n250 a\n550 5.1.1 b\n250 c\n250 d\n354 go"),
        HearText,
    ];
    let all = ["a@example.net", "b@example.net", "c@example.net", "d@example.net"];
    let lost = "deferred 4.4.2 the connection was closed (the reply to the whole message); it may have been taken, and come twice";
    for (end, expected, lost) in [
        (
            &[Say("250 taken"), Say("452 4.2.2 full"), Say("552 5.3.4 large"), Hear("QUIT")][..],
            [
                "delivered 250 taken for good",
                "failed 5.1.1 550 5.1.1 b (in reply to RCPT TO)",
                "deferred 4.2.2 452 4.2.2 full (in reply to end of DATA)",
                "failed 5.3.4 552 5.3.4 large (in reply to end of DATA)",
            ],
            0,
        ),
        (
            &[Say("250 taken")],
            ["delivered 250 taken for good", "failed 5.1.1 550 5.1.1 b (in reply to RCPT TO)", lost, lost],
            1,
        ),
    ] {
        let peer = Scripted::start(vec![script(&[begin, end])]).await;
        let toml = format!("hosts = ['127.0.0.1:{}']\nprotocol = 'lmtp'\ntls = 'none'\nkeep_open = '0s'", peer.port);
        let courier = peers::courier(&toml);
        let found = lines(&deliver(&courier, &envelope(&all)).await);
        let found: Vec<_> = found.iter().map(|line| line.replace(&format!("127.0.0.1:{}: ", peer.port), "")).collect();
        assert_eq!(found, expected);
        assert_eq!(courier.counters().replies_lost, lost);
        peer.finish().await;
    }
}

#[tokio::test]
async fn clear_text_where_tls_may_be_and_does_not_work() {
    let peer = Scripted::start(vec![
        script(&[
            &hello("250-rude.example\n250 STARTTLS"),
            &[Hear("STARTTLS"), Say("220 go"), HearSome(50), Raw(b"no TLS at all\r\n")],
        ]),
        script(&[&hello("250-rude.example\n250 STARTTLS"), ENVELOPE, &[HearText, Say("250 ok")]]),
    ])
    .await;
    let courier = peers::courier(&format!("hosts = ['127.0.0.1:{}']\ntls = 'may'", peer.port));
    assert_eq!(lines(&deliver(&courier, &envelope(&["bob@example.net"])).await), ["delivered 250 ok"]);
}

#[tokio::test]
async fn what_the_next_hop_lacks() {
    use protocol::{Body, Notify, Return};
    let taken = |mail: &'static str, rcpt: &'static str, extensions: &'static str| {
        script(&[
            &hello(extensions),
            &[
                Hear(mail),
                Say("250 ok"),
                Hear(rcpt),
                Say("250 ok"),
                Hear("DATA"),
                Say("354 go"),
                HearText,
                Say("250 ok"),
            ],
        ])
    };
    let mut eight_bit = envelope(&["bob@example.net"]);
    eight_bit.body = Body::EightBitMime;
    let mut international = envelope(&["bob@example.net"]);
    international.smtputf8 = true;
    let mut dsn = envelope(&["bob@example.net"]);
    dsn.ret = Some(Return::Headers);
    dsn.envid = Some("QQ314159".parse().unwrap());
    dsn.recipients[0].notify = Some(Notify { success: true, failure: true, delay: false });
    dsn.recipients[0].original = Some("rfc822;bob@example.net".parse().unwrap());
    let ascii = b"Subject: x\r\n\r\nplain\r\n".as_slice();
    let german = "Subject: x\r\n\r\nÄrger\r\n".as_bytes();
    let everything = "250-rude.example\n250-SIZE 1000\n250-8BITMIME\n250-DSN\n250 SMTPUTF8";
    let table = [
        ("8-bit text, no 8BITMIME", &eight_bit, german, hello(PLAIN), "failed 5.6.3"),
        (
            "7-bit text called 8-bit, no 8BITMIME",
            &eight_bit,
            ascii,
            taken("MAIL FROM:<alice@example.org>", "RCPT", PLAIN),
            "delivered",
        ),
        (
            "8BITMIME",
            &eight_bit,
            german,
            taken("MAIL FROM:<alice@example.org> SIZE=22 BODY=8BITMIME", "RCPT", everything),
            "delivered",
        ),
        ("no SMTPUTF8", &international, ascii, hello(PLAIN), "failed 5.6.7"),
        (
            "SMTPUTF8",
            &international,
            ascii,
            taken("MAIL FROM:<alice@example.org> SIZE=21 SMTPUTF8", "RCPT", everything),
            "delivered",
        ),
        ("too large", &eight_bit, &[b'x'; 1001], hello(everything), "failed 5.3.4"),
        (
            "no DSN",
            &dsn,
            ascii,
            taken("MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.net>", PLAIN),
            "delivered 250 ok",
        ),
        (
            "DSN",
            &dsn,
            ascii,
            taken(
                "MAIL FROM:<alice@example.org> SIZE=21 RET=HDRS ENVID=QQ314159",
                "RCPT TO:<bob@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.net",
                everything,
            ),
            "delivered 250 ok dsn",
        ),
    ];
    for (name, envelope, text, script, expected) in table {
        let peer = Scripted::start(vec![script]).await;
        let courier = clear(&[peer.port]);
        let found = line(&deliver_text(&courier, envelope, text).await[0]);
        assert!(found.starts_with(expected), "{name}: {found}");
        let heard = peer.heard();
        assert!(name != "no DSN" || heard.iter().any(|line| line == "RCPT TO:<bob@example.net>"), "{heard:?}");
    }
}

#[tokio::test]
async fn limits_a_host_announces_are_kept() {
    const LIMITS: &str = "250-rude.example\n250 LIMITS MAILMAX=2 RCPTMAX=1";
    let taken: &[Do] =
        &[Hear("MAIL"), Say("250 ok"), Hear("RCPT"), Say("250 ok"), Hear("DATA"), Say("354 go"), HearText];
    let done: &[Do] = &[Say("250 ok")];
    let peer = Scripted::start(vec![
        script(&[&hello(LIMITS), taken, done, taken, done, &[Hear("QUIT"), Say("221 bye")]]),
        script(&[&hello(LIMITS), taken, done]),
    ])
    .await;
    let courier = clear(&[peer.port]);
    let outcomes = deliver(&courier, &envelope(&["a@example.net", "b@example.net", "c@example.net"])).await;
    assert_eq!(lines(&outcomes), ["delivered 250 ok"; 3]);
    peer.finish().await;
}
