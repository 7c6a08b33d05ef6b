use bytes::BufMut;
use proptest::prelude::*;

use crate::framing::{ChunkDecoder, DataDecoder, Inbound, LineError};

fn inbound(octets: &[u8]) -> Inbound {
    let mut inbound = Inbound::new(4096);
    assert_eq!(inbound.extend(octets), octets.len());
    inbound
}

fn next(inbound: &mut Inbound, limit: usize) -> Result<Option<String>, LineError> {
    inbound.next_line(limit).map(|line| line.map(|line| String::from_utf8(line.to_vec()).unwrap()))
}

fn line(text: &str) -> Result<Option<String>, LineError> {
    Ok(Some(text.to_owned()))
}

#[test]
fn pipelined_lines() {
    let mut inbound = inbound(b"EHLO a\r\n\r\nMAIL");
    assert_eq!(next(&mut inbound, 512), line("EHLO a"));
    assert_eq!(next(&mut inbound, 512), line(""));
    assert_eq!(next(&mut inbound, 512), Ok(None));
    assert_eq!(inbound.pending(), b"MAIL");
    inbound.extend(b" FROM:<>\r");
    assert_eq!(next(&mut inbound, 512), Ok(None));
    inbound.extend(b"\n");
    assert_eq!(next(&mut inbound, 512), line("MAIL FROM:<>"));
    assert!(inbound.is_empty());
}

#[test]
fn bare_line_ends() {
    let cases: [(&[u8], LineError, &[u8]); 6] = [
        (b"NOOP\nQUIT\r\n", LineError::BareLf, b"QUIT\r\n"),
        (b"NOOP\rQUIT\r\n", LineError::BareCr, b"QUIT\r\n"),
        (b"NOOP\r\r\n", LineError::BareCr, b"\r\n"),
        (b"\n", LineError::BareLf, b""),
        (b"NOOP\n\r\n", LineError::BareLf, b"\r\n"),
        (b"NOOP\r\0\n", LineError::BareCr, b"\0\n"),
    ];
    for (octets, error, rest) in cases {
        let mut inbound = inbound(octets);
        assert_eq!(next(&mut inbound, 512), Err(error));
        assert!(error.is_fatal());
        assert_eq!(inbound.pending(), rest);
    }
}

#[test]
fn the_limit_counts_the_crlf() {
    let fits = [vec![b'a'; 510], b"\r\n".to_vec()].concat();
    assert!(matches!(next(&mut inbound(&fits), 512), Ok(Some(_))));
    // The CR of a line that fits may come alone.
    assert_eq!(next(&mut inbound(&fits[..511]), 512), Ok(None));
    assert!(matches!(next(&mut inbound(&fits), 511), Err(LineError::TooLong)));
}

#[test]
fn long_lines_are_drained_to_their_end() {
    assert!(!LineError::TooLong.is_fatal());
    let long = [vec![b'a'; 700], b"\n\r.\r\nNOOP\r\n".to_vec()].concat();
    // Once a line is too long, only its end counts.
    for piece in [1, 7, 64, 512, 1000] {
        let mut inbound = Inbound::new(1000);
        let mut results = Vec::new();
        for octets in long.chunks(piece) {
            assert_eq!(inbound.extend(octets), octets.len());
            loop {
                match next(&mut inbound, 512) {
                    Ok(None) => break,
                    other => results.push(other),
                }
            }
        }
        assert_eq!(results, [Err(LineError::TooLong), line("NOOP")], "by {piece}");
    }
}

#[test]
fn a_line_without_end_is_not_read_for_ever() {
    let mut inbound = Inbound::new(1 << 16);
    let mut sent = 0;
    loop {
        sent += inbound.extend(&[b'a'; 1 << 12]);
        match inbound.next_line(512) {
            Ok(None) => assert!(sent < 2 << 20),
            other => break assert_eq!(other, Err(LineError::Endless)),
        }
    }
}

#[test]
fn memory_is_bounded() {
    let mut inbound = Inbound::new(100);
    assert_eq!(inbound.extend(&[b'a'; 300]), 100);
    assert_eq!(inbound.space(4096).remaining_mut(), 0);
    // A full buffer without a line end is a line too long, and there is room again.
    assert_eq!(next(&mut inbound, 512), Ok(None));
    assert_eq!(inbound.space(4096).remaining_mut(), 100);
    assert_eq!(inbound.space(10).remaining_mut(), 10);
}

#[test]
fn commands_around_data_and_chunks() {
    let mut inbound = inbound(b"DATA\r\na\r\n..b\r\n.\r\nBDAT 4 LAST\r\n.\r\nxQUIT\r\n");
    let mut content = Vec::new();
    assert_eq!(next(&mut inbound, 512), line("DATA"));
    assert!(inbound.decode_data(&mut DataDecoder::new(), &mut content));
    assert_eq!(content, b"a\r\n.b\r\n");
    assert_eq!(next(&mut inbound, 512), line("BDAT 4 LAST"));
    let mut chunk = ChunkDecoder::new();
    chunk.begin(4);
    content.clear();
    assert!(inbound.decode_chunk(&mut chunk, &mut content));
    assert_eq!(content, b".\r\nx");
    assert_eq!(next(&mut inbound, 512), line("QUIT"));
    inbound.extend(b"half of a message");
    assert!(!inbound.decode_data(&mut DataDecoder::new(), &mut content));
    assert!(inbound.is_empty());
}

proptest! {
    #[test]
    fn lines_come_out_as_they_went_in(
        lines in proptest::collection::vec("[ -~]{0,40}", 0..10),
        piece in 1..50_usize,
    ) {
        let octets: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
        let mut inbound = Inbound::new(128);
        let mut found = Vec::new();
        for octets in octets.chunks(piece) {
            prop_assert_eq!(inbound.extend(octets), octets.len());
            while let Some(line) = next(&mut inbound, 64).unwrap() {
                found.push(line);
            }
        }
        prop_assert_eq!(found, lines);
    }

    #[test]
    fn progress_is_certain(octets: Vec<u8>, limit in 0..600_usize) {
        let mut inbound = Inbound::new(4096);
        inbound.extend(&octets);
        // Each result other than None takes an octet at least.
        let results = (0..=octets.len()).take_while(|_| inbound.next_line(limit) != Ok(None)).count();
        prop_assert!(results <= octets.len());
        prop_assert!(inbound.pending().len() <= octets.len());
    }
}
