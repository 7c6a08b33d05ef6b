use proptest::prelude::*;

use super::split;
use crate::framing::{DataDecoder, DotStuffer, Progress};

pub(super) fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
    let mut stuffer = DotStuffer::new();
    let mut wire = Vec::new();
    for piece in pieces {
        stuffer.push(piece, &mut wire);
    }
    stuffer.finish(&mut wire);
    wire
}

#[test]
fn contents() {
    let cases: [(&[u8], &[u8]); 17] = [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.b\r\n", b"a\r\n..b\r\n.\r\n"),
        (b"a.\r\n", b"a.\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b"\r\n\r\n..\r\n", b"\r\n\r\n...\r\n.\r\n"),
        // What the server would never have let in does not get out either.
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r.\rb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
        (b"a\n", b"a\r\n.\r\n"),
        (b"a\r\r\n", b"a\r\n\r\n.\r\n"),
        (b"a\n\r\n", b"a\r\n\r\n.\r\n"),
        (b"a\n\r", b"a\r\n\r\n.\r\n"),
        (b"\r.", b"\r\n..\r\n.\r\n"),
    ];
    for (content, wire) in cases {
        let shown = String::from_utf8_lossy(content);
        assert_eq!(String::from_utf8_lossy(&stuff(&[content])), String::from_utf8_lossy(wire), "{shown:?}");
        assert_eq!(stuff(&content.chunks(1).collect::<Vec<_>>()), wire, "{shown:?} octet by octet");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_content_ends_itself(
        content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..40),
        cuts in proptest::collection::vec(0..20_usize, 0..6),
    ) {
        let wire = stuff(&split(&content, &cuts));
        let mut decoder = DataDecoder::new();
        prop_assert_eq!(decoder.push(&wire, &mut Vec::new()), Progress::End(wire.len()));
        prop_assert_eq!(decoder.violation(), None);
        prop_assert!(wire.len() <= 2 * content.len() + 5);
    }
}
