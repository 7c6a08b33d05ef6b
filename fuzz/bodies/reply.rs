//! Replies of the next hop. The first octet says how the rest is cut; no cut may make a difference.

use postern_protocol::framing::ReplyError;
use postern_protocol::{Extensions, Reply, ReplyParser};

pub(crate) fn run(octets: &[u8]) {
    let Some((&cut, wire)) = octets.split_first() else { return };
    let whole = read(wire, 4096);
    assert_eq!(read(wire, usize::from(cut).max(1)), whole);
    for reply in whole.0 {
        let mut sent = Vec::new();
        reply.write_utf8_to(&mut sent);
        assert_eq!(sent.iter().filter(|&&octet| octet == b'\n').count(), reply.lines().len());
        assert!(!reply.to_string().contains(char::is_control));
        let offered = Extensions::parse(&reply);
        assert_eq!(Extensions::parse(&offered.to_reply("name")), offered);
    }
}

fn read(wire: &[u8], piece: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    for mut octets in wire.chunks(piece) {
        while !octets.is_empty() {
            let taken = parser.extend(octets);
            assert!(taken > 0, "there is room after every None");
            octets = &octets[taken..];
            loop {
                match parser.next_reply() {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
    }
    (replies, None)
}
