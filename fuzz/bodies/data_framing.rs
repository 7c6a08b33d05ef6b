//! Lines, DATA and BDAT. The first octet says how the rest is cut; no cut may make a difference.

use postern_protocol::framing::Progress;
use postern_protocol::{ChunkDecoder, DataDecoder, DotStuffer, Inbound, Violation};

pub(crate) fn run(octets: &[u8]) {
    let Some((&cut, wire)) = octets.split_first() else { return };
    let piece = usize::from(cut).max(1);
    data(wire, piece);
    chunks(wire, piece);
    stuffing(wire, piece);
    lines(wire, piece);
}

/// The RFC's own words for the end, RFC 5321 section 4.1.1.4: CRLF "." CRLF, DATA's CRLF being the first.
fn end_by_the_letter(wire: &[u8]) -> Option<usize> {
    if wire.starts_with(b".\r\n") {
        return Some(3);
    }
    wire.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 5)
}

fn decode(wire: &[u8], piece: usize) -> (Vec<u8>, Option<usize>, Option<Violation>) {
    let mut decoder = DataDecoder::new();
    let mut content = Vec::new();
    for (at, octets) in wire.chunks(piece).enumerate() {
        let before = content.len();
        let progress = decoder.push(octets, &mut content);
        assert!(content.len() - before <= octets.len() + 1);
        if let Progress::End(end) = progress {
            return (content, Some(at * piece + end), decoder.violation());
        }
    }
    (content, None, decoder.violation())
}

fn data(wire: &[u8], piece: usize) {
    let whole = decode(wire, wire.len().max(1));
    assert_eq!(decode(wire, piece), whole);
    assert_eq!(whole.1, end_by_the_letter(wire));
    assert!(!has_bare(&whole.0));
    let message = &wire[..whole.1.unwrap_or(wire.len())];
    if whole.1.is_some() {
        assert_eq!(whole.2.is_some(), has_bare(message));
    }
}

/// Whether there is a CR without LF or a LF without CR.
fn has_bare(octets: &[u8]) -> bool {
    let lone_lf = octets.iter().enumerate().any(|(at, &octet)| octet == b'\n' && (at == 0 || octets[at - 1] != b'\r'));
    let lone_cr = octets.iter().enumerate().any(|(at, &octet)| octet == b'\r' && octets.get(at + 1) != Some(&b'\n'));
    lone_lf || lone_cr
}

fn chunks(wire: &[u8], piece: usize) {
    let mut decoder = ChunkDecoder::new();
    let mut content = Vec::new();
    for chunk in wire.chunks(piece) {
        decoder.begin(chunk.len() as u64);
        // In reads of two octets, with the next command behind.
        let stream = [chunk, b"\r\n.\r\nBDAT"].concat();
        let mut at = 0;
        while decoder.remaining() > 0 {
            at += decoder.push(&stream[at..(at + 2).min(stream.len())], &mut content);
        }
        assert_eq!(at, chunk.len());
    }
    assert_eq!(decoder.finish().is_err(), has_bare(wire));
    assert!(!has_bare(&content));
    if decoder.finish().is_ok() {
        assert_eq!(content, wire);
        assert_eq!(decoder.ends_with_crlf(), wire.is_empty() || wire.ends_with(b"\r\n"));
    }
}

fn stuffing(content: &[u8], piece: usize) {
    let mut stuffer = DotStuffer::new();
    let mut wire = Vec::new();
    content.chunks(piece).for_each(|octets| stuffer.push(octets, &mut wire));
    stuffer.finish(&mut wire);
    let (decoded, end, violation) = decode(&wire, piece);
    assert_eq!((end, violation), (Some(wire.len()), None));
    if !has_bare(content) {
        let closed = content.is_empty() || content.ends_with(b"\r\n");
        assert_eq!(decoded, if closed { content.to_vec() } else { [content, b"\r\n"].concat() });
    }
}

fn lines(wire: &[u8], piece: usize) {
    const LIMIT: usize = 40;
    let read = |piece: usize| {
        let mut inbound = Inbound::new(4096);
        let mut results = Vec::new();
        for mut octets in wire.chunks(piece) {
            while !octets.is_empty() {
                let taken = inbound.extend(octets);
                assert!(taken > 0, "there is room after every None");
                octets = &octets[taken..];
                loop {
                    match inbound.next_line(LIMIT) {
                        Ok(None) => break,
                        result => results.push(result),
                    }
                    assert!(results.len() <= wire.len());
                }
            }
        }
        results
    };
    let whole = read(wire.len().max(1));
    assert_eq!(read(piece), whole);
    for line in whole.into_iter().flatten().flatten() {
        assert!(line.len() + 2 <= LIMIT && !line.contains(&b'\r') && !line.contains(&b'\n'));
    }
}
