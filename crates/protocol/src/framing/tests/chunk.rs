use proptest::collection::vec;
use proptest::prelude::*;

use super::split;
use crate::framing::{ChunkDecoder, Violation};

/// Decodes chunks, each fed in one piece or octet by octet: content, result, whether it ends with CRLF.
fn decode(chunks: &[&[u8]], piece: usize) -> (Vec<u8>, Result<(), Violation>, bool) {
    let mut decoder = ChunkDecoder::new();
    let mut content = Vec::new();
    for chunk in chunks {
        decoder.begin(chunk.len() as u64);
        // What follows the chunk is never taken.
        let stream = [chunk, b"BDAT 5\r\n".as_slice()].concat();
        let mut at = 0;
        while decoder.remaining() > 0 {
            let end = stream.len().min(at + piece);
            let before = content.len();
            let consumed = decoder.push(&stream[at..end], &mut content);
            assert!(consumed > 0 && content.len() - before <= consumed + 1);
            at += consumed;
        }
        assert_eq!(at, chunk.len());
    }
    assert_eq!(decoder.length(), content.len() as u64);
    (content, decoder.finish(), decoder.ends_with_crlf())
}

#[test]
fn chunks() {
    use Violation::{BareCr, BareLf};
    // Chunks, content, result, ends with CRLF.
    type Case<'a> = (&'a [&'a [u8]], &'a [u8], Result<(), Violation>, bool);
    let cases: [Case<'_>; 18] = [
        (&[], b"", Ok(()), true),
        (&[b""], b"", Ok(()), true),
        (&[b"a\r\n"], b"a\r\n", Ok(()), true),
        (&[b"a"], b"a", Ok(()), false),
        (&[b"\r\n"], b"\r\n", Ok(()), true),
        (&[b"a\r\nb"], b"a\r\nb", Ok(()), false),
        (&[b"a\r\n.\r\nb\r\n"], b"a\r\n.\r\nb\r\n", Ok(()), true),
        (&[b"..\r\n"], b"..\r\n", Ok(()), true),
        (&[b"a", b"b\r\n"], b"ab\r\n", Ok(()), true),
        (&[b"a\r", b"\nb\r\n"], b"a\r\nb\r\n", Ok(()), true),
        (&[b"a\r", b"", b"\n"], b"a\r\n", Ok(()), true),
        (&[b"nul \0 passes\r\n"], b"nul \0 passes\r\n", Ok(()), true),
        (&[b"a\nb"], b"a", Err(BareLf), false),
        (&[b"a\rb"], b"a", Err(BareCr), false),
        (&[b"a\r", b"b\r\n"], b"a", Err(BareCr), false),
        (&[b"a\r"], b"a", Err(BareCr), false),
        (&[b"a\r\n", b"\nb"], b"a\r\n", Err(BareLf), true),
        (&[b"\r\r\n"], b"", Err(BareCr), true),
    ];
    for (chunks, content, result, whole_lines) in cases {
        for piece in [1, 2, 100] {
            let (found, end, crlf) = decode(chunks, piece);
            assert_eq!((found.as_slice(), end), (content, result), "{chunks:?} by {piece}");
            if result.is_ok() {
                assert_eq!(crlf, whole_lines, "{chunks:?} by {piece}");
            }
        }
    }
}

#[test]
fn discarded_content_is_counted() {
    let mut decoder = ChunkDecoder::new();
    let mut content = Vec::new();
    decoder.begin(3);
    decoder.push(b"abc", &mut content);
    decoder.discard();
    decoder.begin(3);
    assert_eq!(decoder.push(b"d\r\nQUIT", &mut content), 3);
    assert_eq!((content.as_slice(), decoder.length(), decoder.finish()), (b"abc".as_slice(), 6, Ok(())));
}

#[test]
fn a_chunk_larger_than_memory_is_only_a_number() {
    let mut decoder = ChunkDecoder::new();
    decoder.begin(u64::MAX);
    assert_eq!(decoder.push(b"ab", &mut Vec::new()), 2);
    assert_eq!(decoder.remaining(), u64::MAX - 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_split_gives_the_same(
        octets in vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a')], 0..40),
        cuts in vec(0..20_usize, 0..6),
        piece in 1..9_usize,
    ) {
        let whole = decode(&[&octets], usize::MAX >> 1);
        prop_assert_eq!(decode(&split(&octets, &cuts), piece), whole.clone());
        let by_the_letter = String::from_utf8(octets.clone()).unwrap().replace("\r\n", "");
        prop_assert_eq!(whole.1.is_ok(), !by_the_letter.contains(['\r', '\n']));
        if whole.1.is_ok() {
            prop_assert_eq!(whole.0, octets);
        }
    }
}
