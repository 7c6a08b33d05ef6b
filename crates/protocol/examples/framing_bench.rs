//! How fast content is framed: `cargo run --release -p postern-protocol --example framing_bench`.
//!
//! Prints MB/s for DATA, BDAT, dot-stuffing and the header filter, beside a plain copy on the same machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use postern_protocol::{ChunkDecoder, DataDecoder, DotStuffer};

const READ: usize = 16 * 1024;
const SIZE: usize = 8 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(1);

fn main() {
    println!("{:<24}{:>16}{:>16}{:>16}", "MB/s", "76-octet lines", "998-octet lines", "stuffed lines");
    let contents = [content("", 76), content("", 998), content(".", 76)];
    row("copy", &contents, |content, out| {
        content.chunks(READ).for_each(|piece| {
            out.clear();
            out.extend_from_slice(black_box(piece));
        });
    });
    let wires = contents.clone().map(|content| stuff(&content));
    row("DataDecoder", &wires, |wire, out| {
        let mut decoder = DataDecoder::new();
        for piece in wire.chunks(READ) {
            out.clear();
            black_box(decoder.push(black_box(piece), out));
        }
        assert_eq!(decoder.violation(), None);
    });
    row("ChunkDecoder", &contents, |content, out| {
        let mut decoder = ChunkDecoder::new();
        decoder.begin(content.len() as u64);
        for piece in content.chunks(READ) {
            out.clear();
            black_box(decoder.push(black_box(piece), out));
        }
        assert_eq!(decoder.finish(), Ok(()));
    });
    row("DotStuffer", &contents, |content, out| {
        let mut stuffer = DotStuffer::new();
        for piece in content.chunks(READ) {
            out.clear();
            stuffer.push(black_box(piece), out);
        }
        stuffer.finish(out);
    });
}

/// About [`SIZE`] octets in lines of `length`, each begun with `start`.
fn content(start: &str, length: usize) -> Vec<u8> {
    let line = format!("{start}{}\r\n", "a".repeat(length - start.len()));
    line.repeat(SIZE / line.len()).into_bytes()
}

fn stuff(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut stuffer = DotStuffer::new();
    stuffer.push(content, &mut wire);
    stuffer.finish(&mut wire);
    wire
}

/// The best of the rounds that fit into [`TIME`], for each input.
fn row(name: &str, inputs: &[Vec<u8>], run: impl Fn(&[u8], &mut Vec<u8>)) {
    print!("{name:<24}");
    for input in inputs {
        let mut out = Vec::with_capacity(2 * READ);
        let begun = Instant::now();
        let mut best = Duration::MAX;
        while begun.elapsed() < TIME {
            let round = Instant::now();
            run(input, &mut out);
            best = best.min(round.elapsed());
        }
        print!("{:>16.0}", input.len() as f64 / best.as_secs_f64() / 1e6);
    }
    println!();
}
