use proptest::collection::vec;
use proptest::prelude::*;

use super::split;
use crate::framing::{DataDecoder, Progress, Violation};

/// Content, where it ended (octets of input), first violation.
type Outcome = (Vec<u8>, Option<usize>, Option<Violation>);

fn decode(pieces: &[&[u8]]) -> Outcome {
    let mut decoder = DataDecoder::new();
    let mut content = Vec::new();
    let mut consumed = 0;
    for piece in pieces {
        let before = content.len();
        let progress = decoder.push(piece, &mut content);
        assert!(content.len() - before <= piece.len() + 1, "output is bounded by input");
        match progress {
            Progress::More => consumed += piece.len(),
            Progress::End(end) => {
                assert!(end <= piece.len());
                assert_eq!(decoder.length(), content.len() as u64);
                return (content, Some(consumed + end), decoder.violation());
            }
        }
    }
    (content, None, decoder.violation())
}

/// The whole, and cut after each octet.
fn decode_both_ways(input: &[u8]) -> Outcome {
    let whole = decode(&[input]);
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(decode(&single), whole, "{:?}", String::from_utf8_lossy(input));
    whole
}

#[test]
fn messages() {
    // On the wire, content, what follows.
    let cases: [(&[u8], &[u8], &[u8]); 14] = [
        (b".\r\n", b"", b""),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"Subject: x\r\n\r\nbody\r\n.\r\n", b"Subject: x\r\n\r\nbody\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b"...\r\n.\r\n", b"..\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
        (b"a\r\n..b\r\nc.\r\n.\r\n", b"a\r\n.b\r\nc.\r\n", b""),
        (b"\r\n\r\n\r\n.\r\n", b"\r\n\r\n\r\n", b""),
        (b"nul \0 and \xff pass\r\n.\r\n", b"nul \0 and \xff pass\r\n", b""),
        (b". \r\n.\r\n", b" \r\n", b""),
        (b"..\r\n..\r\n.\r\n.\r\n", b".\r\n.\r\n", b".\r\n"),
    ];
    for (wire, content, rest) in cases {
        let shown = String::from_utf8_lossy(wire);
        assert_eq!(decode_both_ways(wire), (content.to_vec(), Some(wire.len() - rest.len()), None), "{shown:?}");
    }
}

#[test]
fn what_has_not_ended() {
    let cases: [(&[u8], &[u8]); 8] = [
        (b"", b""),
        (b".", b""),
        (b".\r", b""),
        (b"a", b"a"),
        // The CR waits for its LF.
        (b"a\r", b"a"),
        (b"a\r\n", b"a\r\n"),
        (b"a\r\n.", b"a\r\n"),
        (b"a\r\n.\r", b"a\r\n"),
    ];
    for (wire, content) in cases {
        assert_eq!(decode_both_ways(wire), (content.to_vec(), None, None), "{:?}", String::from_utf8_lossy(wire));
    }
}

/// What some server somewhere took for the end of a message (SMTP smuggling, 2023, and its relatives).
#[test]
fn smuggling() {
    use Violation::{BareCr, BareLf};
    let cases: [(&[u8], Violation); 21] = [
        (b"\n.\n", BareLf),
        (b"\n.\r\n", BareLf),
        (b"\n.\r", BareLf),
        (b"\r.\r", BareCr),
        (b"\r.\r\n", BareCr),
        (b"\r.\n", BareCr),
        (b"\r\n.\n", BareLf),
        (b"\r\n.\r", BareCr),
        (b"\r\n.\r\r\n", BareCr),
        (b"\r\n\r.\r\n", BareCr),
        (b"\r\n.\0\r\n\n.\n", BareLf),
        (b"\r\n\n.\r\n", BareLf),
        (b"\n\r\n..\r\n", BareLf),
        (b"\r\r\n..\r\n", BareCr),
        (b"\r\n.\r\0\n", BareCr),
        (b"\r\0\n.\r\n", BareCr),
        (b"\n\n.\n\n", BareLf),
        (b"\r\r.\r\r", BareCr),
        (b"\n\r.\n\r", BareLf),
        (b"\x0b.\x0b\n", BareLf),
        (b"\xe2\x80\xa8.\n", BareLf),
    ];
    for (middle, violation) in cases {
        let smuggled =
            [b"before", middle, b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\n"].concat();
        let shown = String::from_utf8_lossy(&smuggled).into_owned();
        let (content, end, found) = decode_both_ways(&smuggled);
        assert_eq!((end, found), (None, Some(violation)), "{shown:?}");
        // Nothing from the violation on comes out; the true end is found all the same.
        assert!(!content.windows(4).any(|window| window == b"MAIL"), "{shown:?}");
        let ended = [&smuggled, b".\r\nQUIT\r\n".as_slice()].concat();
        assert_eq!(decode_both_ways(&ended), (content, Some(smuggled.len() + 3), Some(violation)), "{shown:?}");
    }
}

#[test]
fn content_stops_at_the_violation() {
    let cases: [(&[u8], &[u8]); 5] = [
        (b"a\r\nb\nc\r\n.\r\n", b"a\r\nb"),
        (b"a\r\nb\rc\r\n.\r\n", b"a\r\nb"),
        (b"a\r\n.\n.\r\n.\r\n", b"a\r\n"),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n"),
        (b"a\r\n..\nb\r\n.\r\n", b"a\r\n."),
    ];
    for (wire, content) in cases {
        let (found, end, _) = decode_both_ways(wire);
        assert_eq!((found.as_slice(), end), (content, Some(wire.len())), "{:?}", String::from_utf8_lossy(wire));
    }
}

#[test]
fn discarded_content_is_counted() {
    let mut decoder = DataDecoder::new();
    let mut content = Vec::new();
    assert_eq!(decoder.push(b"kept\r\n", &mut content), Progress::More);
    decoder.discard();
    assert_eq!(decoder.push(b"lost\r\n..\r\n.\r\n", &mut content), Progress::End(13));
    assert_eq!((content.as_slice(), decoder.length()), (b"kept\r\n".as_slice(), 15));
}

/// Octets that matter to the decoder, and some that do not.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => Just(b'\r'), 3 => Just(b'\n'), 3 => Just(b'.'), 1 => any::<u8>()], 0..60)
}

/// Lines as the RFC has them.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    vec("\\.{0,3}[a\\.\0 ]{0,10}", 0..12)
        .prop_map(|lines| lines.into_iter().flat_map(|line| [line.into_bytes(), b"\r\n".to_vec()].concat()).collect())
}

/// The end by the letter: the first CRLF "." CRLF, DATA's own CRLF being the first.
fn end_by_the_letter(wire: &[u8]) -> Option<usize> {
    let with_command = [b"\r\n", wire].concat();
    let at = with_command.windows(5).position(|window| window == b"\r\n.\r\n")?;
    Some(at + 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_split_gives_the_same(wire in octets(), cuts in vec(0..20_usize, 0..10)) {
        prop_assert_eq!(decode(&split(&wire, &cuts)), decode(&[&wire]));
        prop_assert_eq!(decode(&wire.chunks(1).collect::<Vec<_>>()), decode(&[&wire]));
    }

    #[test]
    fn the_end_is_where_the_rfc_has_it(wire in octets()) {
        prop_assert_eq!(decode(&[&wire]).1, end_by_the_letter(&wire));
    }

    #[test]
    fn content_has_whole_line_ends_only(wire in octets()) {
        let (content, _, _) = decode(&[&wire]);
        let bare = String::from_utf8_lossy(&content).replace("\r\n", "");
        prop_assert!(!bare.contains(['\r', '\n']));
    }

    #[test]
    fn stuffed_content_comes_back(content in lines(), cuts in vec(0..20_usize, 0..10), more in vec(0..20_usize, 0..10)) {
        let wire = super::stuffing::stuff(&split(&content, &cuts));
        prop_assert_eq!(decode(&split(&wire, &more)), (content, Some(wire.len()), None));
    }
}
