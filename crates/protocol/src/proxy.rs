//! The PROXY protocol's header, versions 1 and 2, as HAProxy's `proxy-protocol.txt` defines it.
//!
//! The decoding is the `proxy-header` crate's. What stands before it are the bounds it has not: a foreign beginning is
//! refused at its first octet, and no header is waited for beyond [`MAX_HEADER`].

use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};

/// The longest header taken, octets. Section 2.2 asks senders to stay within 536; TLVs with certificates are longer.
pub const MAX_HEADER: usize = 4096;

const V1: &[u8] = b"PROXY ";
/// Section 2.1: a version 1 line with its CRLF is at most 107 octets.
const V1_MAX: usize = 107;
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// What the beginning of a connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A header.
    Complete {
        /// Its length; what follows is the client's.
        consumed: usize,
        /// The client's address. `None` when the proxy speaks for itself (LOCAL, a health check) or does not know
        /// (UNKNOWN, UNSPEC, a UNIX socket): then the connection's own address stands.
        source: Option<SocketAddr>,
    },
    /// More octets are needed.
    Incomplete,
}

/// Why the connection does not begin with a PROXY header. There is no reply to it: close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Something else than a PROXY header.
    #[error("no PROXY header")]
    NotProxy,
    /// The header contradicts the specification.
    #[error("malformed PROXY header")]
    Malformed,
    /// Over [`MAX_HEADER`], or for version 1 over 107 octets.
    #[error("PROXY header too long")]
    TooLong,
}

/// Reads the header `input` begins with.
///
/// # Errors
/// As soon as `input` cannot become a header whatever follows.
pub fn parse(input: &[u8]) -> Result<Parsed, ProxyError> {
    if begins(input, V2) {
        parse_v2(input)
    } else if begins(input, V1) {
        parse_v1(input)
    } else {
        Err(ProxyError::NotProxy)
    }
}

/// Whether `input` begins with `signature`, as far as it goes.
fn begins(input: &[u8], signature: &[u8]) -> bool {
    input.iter().zip(signature).all(|(a, b)| a == b)
}

fn parse_v1(input: &[u8]) -> Result<Parsed, ProxyError> {
    let window = input.get(..V1_MAX).unwrap_or(input);
    let Some(line_feed) = memchr::memchr(b'\n', window) else {
        return if input.len() < V1_MAX { Ok(Parsed::Incomplete) } else { Err(ProxyError::TooLong) };
    };
    let line = window.get(..=line_feed).unwrap_or(window);
    decode(line)
}

fn parse_v2(input: &[u8]) -> Result<Parsed, ProxyError> {
    let Some(&[command, _, high, low]) = input.get(V2.len()..V2_FIXED) else {
        return Ok(Parsed::Incomplete);
    };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(ProxyError::TooLong);
    }
    let Some(header) = input.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    // Section 2.2, LOCAL: "the receiver must ignore the address part", so whatever stands there is no error.
    if command == 0x20 {
        return Ok(Parsed::Complete { consumed: length, source: None });
    }
    decode(header)
}

/// Decodes a header that is all there.
fn decode(header: &[u8]) -> Result<Parsed, ProxyError> {
    match ProxyHeader::parse(header, ParseConfig::default()) {
        Ok((parsed, consumed)) if consumed == header.len() => {
            Ok(Parsed::Complete { consumed, source: parsed.proxied_address().map(|address| address.source) })
        }
        _ => Err(ProxyError::Malformed),
    }
}

#[cfg(test)]
mod tests;
