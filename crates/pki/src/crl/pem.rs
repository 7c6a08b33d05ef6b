//! Lists in PEM, decoded as they are read: a list of millions of entries is never in memory as text.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The content of one PEM block after the other.
pub(crate) struct PemBlocks<R> {
    input: R,
    line: Vec<u8>,
    /// Base64 letters that wait for decoding.
    letters: Vec<u8>,
    decoded: Vec<u8>,
    taken: usize,
    in_block: bool,
}

/// RFC 7468 has lines of 64; a line beyond this is decoded in pieces.
const MAX_LINE: u64 = 8 * 1024;
const BATCH: usize = 64 * 1024;

impl<R: BufRead> PemBlocks<R> {
    pub(crate) fn new(input: R) -> Self {
        let (line, letters, decoded) = (Vec::new(), Vec::new(), Vec::new());
        Self { input, line, letters, decoded, taken: 0, in_block: false }
    }

    /// Goes to the beginning of the next list; `false` at the end of the file.
    pub(crate) fn next_block(&mut self) -> io::Result<bool> {
        while self.read_line()? {
            if matches!(self.line.trim_ascii(), b"-----BEGIN X509 CRL-----" | b"-----BEGIN CRL-----") {
                self.letters.clear();
                self.decoded.clear();
                self.taken = 0;
                self.in_block = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut self.line)?;
        Ok(!self.line.is_empty())
    }

    /// Decodes the next batch of lines.
    fn decode(&mut self) -> io::Result<()> {
        while self.in_block && self.letters.len() < BATCH {
            if !self.read_line()? {
                return Err(invalid("ends before its -----END line"));
            }
            if self.line.starts_with(b"-----END ") {
                self.in_block = false;
            } else {
                self.letters.extend(self.line.iter().filter(|byte| !byte.is_ascii_whitespace()));
            }
        }
        let whole = if self.in_block { self.letters.len() / 4 * 4 } else { self.letters.len() };
        let ready = self.letters.get(..whole).unwrap_or_default();
        self.decoded.clear();
        self.taken = 0;
        STANDARD.decode_vec(ready, &mut self.decoded).map_err(|error| invalid(&error.to_string()))?;
        self.letters.drain(..whole);
        Ok(())
    }
}

impl<R: BufRead> Read for PemBlocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken >= self.decoded.len() && self.in_block {
            self.decode()?;
        }
        let mut ready = self.decoded.get(self.taken..).unwrap_or_default();
        let octets = ready.read(buffer)?;
        self.taken += octets;
        Ok(octets)
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("PEM: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<io::Result<Vec<u8>>> {
        let mut pem = PemBlocks::new(text.as_bytes());
        let mut blocks = Vec::new();
        while pem.next_block().unwrap() {
            let mut block = Vec::new();
            blocks.push(pem.read_to_end(&mut block).map(|_| block));
        }
        blocks
    }

    #[test]
    fn blocks_one_after_the_other() {
        let text = "subject=x\r\n-----BEGIN X509 CRL-----\r\nAAEC\r\nAw==\r\n-----END X509 CRL-----\r\n\
                    -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
                    -----BEGIN CRL-----\nB\nA==\n-----END CRL-----\n";
        let blocks: Vec<_> = blocks(text).into_iter().map(Result::unwrap).collect();
        assert_eq!(blocks, [vec![0, 1, 2, 3], vec![4]]);
    }

    #[test]
    fn what_is_cut_short_or_no_base64_is_an_error() {
        assert!(blocks("-----BEGIN X509 CRL-----\nAAEC\n")[0].is_err());
        assert!(blocks("-----BEGIN X509 CRL-----\nA*EC\n-----END X509 CRL-----\n")[0].is_err());
        assert!(blocks("-----BEGIN X509 CRL-----\nAAE\n-----END X509 CRL-----\n")[0].is_err());
    }
}
