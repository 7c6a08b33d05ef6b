//! Against a peer that this file scripts: what a server must never be able to do to the gateway.

use std::time::Duration;

use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::filter::Filter;
use crate::ldap::ber::{element, number, tag};
use crate::ldap::message::Depth;
use crate::ldap::message::Search;

fn search() -> Operation {
    let filter = Filter::Present("objectClass".to_owned());
    Search { base: "", depth: Depth::Base, filter: &filter, attributes: &[], size_limit: 2, time_limit: 1 }.operation()
}

fn whole(id: i32, operation: &[u8]) -> Vec<u8> {
    element(tag::SEQUENCE, &[number(tag::INTEGER, id), operation.to_vec()].concat())
}

fn entry(dn: &str) -> Vec<u8> {
    element(0x64, &[element(tag::OCTET_STRING, dn.as_bytes()), element(tag::SEQUENCE, b"")].concat())
}

fn done(tag: u8, code: u8) -> Vec<u8> {
    let empty = element(tag::OCTET_STRING, b"");
    element(tag, &[element(tag::ENUMERATED, &[code]), empty.clone(), empty].concat())
}

/// The next message that the client sends: its id, and the tag of its operation.
async fn heard(peer: &mut DuplexStream) -> Option<(i32, u8)> {
    let mut octets = Vec::new();
    loop {
        if let Some(length) = message_length(&octets, MAX_MESSAGE).unwrap() {
            assert_eq!(length, octets.len());
            let mut message = crate::ldap::ber::Reader::new(&octets);
            let mut message = crate::ldap::ber::Reader::new(message.expect(tag::SEQUENCE).unwrap());
            let id = message.number(tag::INTEGER).unwrap();
            return Some((id, message.peek().unwrap()));
        }
        let mut one = [0];
        if peer.read(&mut one).await.unwrap() == 0 {
            return None;
        }
        octets.push(one[0]);
    }
}

#[tokio::test]
async fn answers_find_their_questions_in_any_order() {
    let (ours, mut peer) = duplex(1 << 16);
    let connection = Connection::over(ours);
    let ask = || {
        let connection = connection.clone();
        tokio::spawn(async move { connection.call(search(), 1).await })
    };
    let first = ask();
    let (one, _) = heard(&mut peer).await.unwrap();
    let second = ask();
    let (two, _) = heard(&mut peer).await.unwrap();
    assert_ne!(one, two);
    // Entries mixed, references and what nobody asked for between them, the ends in the other order.
    let sent = [
        whole(one, &entry("cn=one")),
        whole(two, &entry("cn=two")),
        whole(one, &element(0x73, b"ldap://elsewhere")),
        whole(99, &entry("cn=nobody asked")),
        whole(99, &done(0x65, 0)),
        whole(two, &entry("cn=more")),
        whole(two, &done(0x65, 4)),
        whole(one, &done(0x65, 0)),
    ];
    for octets in sent.concat().chunks(7) {
        peer.write_all(octets).await.unwrap();
    }
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!((first.entries[0].dn.as_str(), first.seen, first.ended.code), ("cn=one", 1, 0));
    // One was to be kept; two were counted.
    assert_eq!((second.entries.len(), second.seen, second.ended.code), (1, 2, 4));
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test]
async fn what_is_no_ldap_ends_the_connection_and_nothing_else() {
    let mut nested = vec![0x30, 0x84, 0, 0x0f, 0xff, 0xff];
    nested.extend(std::iter::repeat_n([0x30_u8, 0x84, 0, 0x0f, 0xff, 0xff], 150_000).flatten());
    for (what, octets, told) in [
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "no SEQUENCE"),
        ("a message without end", vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], "larger than anything"),
        ("an indefinite length", vec![0x30, 0x80, 0, 0], "indefinite"),
        ("no id", whole(0, &[])[..2].iter().copied().chain([4, 1, 0]).collect(), ""),
        ("an entry cut short", whole(1, &[0x64, 5, 4, 9, b'x', 0, 0]), "cut short"),
        ("sequences in sequences", nested, ""),
        ("a notice of disconnection", whole(0, &done(0x78, 52)), "notice of disconnection: unavailable (52)"),
        ("a closed door", Vec::new(), "closed"),
    ] {
        let (ours, mut peer) = duplex(1 << 22);
        let connection = Connection::over(ours);
        let asking = {
            let connection = connection.clone();
            tokio::spawn(async move { connection.call(search(), 1).await })
        };
        heard(&mut peer).await.unwrap();
        peer.write_all(&octets).await.unwrap();
        drop(peer);
        let answer = tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap().unwrap();
        let why = answer.unwrap_err().to_string();
        assert!(why.contains(told), "{what}: {why}");
        assert!(connection.is_closed(), "{what}");
        assert!(connection.call(search(), 1).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_is_abandoned() {
    let (ours, mut peer) = duplex(1 << 16);
    let connection = Connection::over(ours);
    let waiting = tokio::time::timeout(Duration::from_millis(10), connection.call(search(), 1)).await;
    assert!(waiting.is_err());
    let (id, operation) = heard(&mut peer).await.unwrap();
    assert_eq!(operation, 0x63);
    assert_eq!(heard(&mut peer).await.unwrap().1, 0x50, "an abandon request follows");
    assert_eq!(connection.in_flight(), 0);
    // Its late answer is nobody's.
    peer.write_all(&[whole(id, &entry("cn=late")), whole(id, &done(0x65, 0))].concat()).await.unwrap();
    let asking = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.call(search(), 1).await })
    };
    let (next, _) = heard(&mut peer).await.unwrap();
    peer.write_all(&whole(next, &done(0x65, 0))).await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().seen, 0);
    // The last who holds it says goodbye.
    drop(connection);
    assert_eq!(heard(&mut peer).await.unwrap().1, 0x42);
    assert_eq!(heard(&mut peer).await, None);
}

#[tokio::test]
async fn a_flood_of_entries_is_counted_and_not_kept() {
    let (ours, mut peer) = duplex(1 << 16);
    let connection = Connection::over(ours);
    let asking = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.call(search(), 2).await })
    };
    let (id, _) = heard(&mut peer).await.unwrap();
    for _ in 0..10_000 {
        peer.write_all(&whole(id, &entry("cn=flood"))).await.unwrap();
    }
    peer.write_all(&whole(id, &done(0x65, 0))).await.unwrap();
    let answer = asking.await.unwrap().unwrap();
    assert_eq!((answer.entries.len(), answer.seen), (2, 10_000));
}
