//! Golden transcripts: a conversation as text, run against a server.
//!
//! ```text
//! # The server greets, and offers these.
//! S: 220 *
//! C: EHLO client.example.mil
//! R: 250
//! C: STARTTLS
//! S: 220 2.0.0 *
//! TLS
//! C: NOOP
//! S: 250 2.0.0 *
//! CLOSE
//! ```
//!
//! | line | meaning |
//! | --- | --- |
//! | `C: text` | send the text and CRLF |
//! | `C-RAW: text` | send the text alone; `\r` `\n` `\t` `\0` `\\` `\xHH` as in Rust |
//! | `C-FILL: count text` | send the text, escapes as above, that many times |
//! | `S: pattern` | the server sends this line; `*` stands for any text |
//! | `R: pattern` | the server sends a reply, of one line or several, whose last line is this |
//! | `TLS` | the handshake |
//! | `CLOSED` | the server closes the connection, and sends nothing more before |
//! | `CLOSE` | send nothing more |
//! | `# text`, empty line | for the reader |

use std::fmt;

use bytes::BytesMut;

use crate::error::DemoError;
use crate::transport::{ClientTls, Transport};

/// Of one line from the server, octets.
const MAX_LINE: usize = 64 * 1024;

/// Where the conversation left the script.
#[derive(Debug)]
pub struct Mismatch {
    /// The line of the script, from 1.
    pub line: usize,
    /// What the script says there.
    pub expected: String,
    /// What happened instead.
    pub got: String,
    /// The conversation up to there.
    pub before: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, expected, got, before } = self;
        write!(f, "line {line} of the script\n  expected: {expected}\n  got:      {got}\nafter\n{before}")
    }
}

impl std::error::Error for Mismatch {}

/// Plays a script from its first line on. `tls` is what the line `TLS` needs.
pub async fn run(script: &str, transport: &mut Transport, tls: Option<&ClientTls>) -> Result<(), Mismatch> {
    let mut player = Player { transport, tls, input: BytesMut::new(), said: String::new() };
    for (index, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(got) = player.play(line).await {
            return Err(Mismatch { line: index + 1, expected: line.to_owned(), got, before: player.said });
        }
    }
    Ok(())
}

struct Player<'a> {
    transport: &'a mut Transport,
    tls: Option<&'a ClientTls>,
    input: BytesMut,
    said: String,
}

impl Player<'_> {
    /// One line of the script; the error says what happened instead.
    async fn play(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "C:" => self.send(&[rest.as_bytes(), b"\r\n"].concat()).await?,
            "C-RAW:" => self.send(&unescape(rest)?).await?,
            "C-FILL:" => {
                let (count, text) = rest.split_once(' ').ok_or("the script: C-FILL: count text")?;
                let count = count.parse().map_err(|_| "the script: the count is no number")?;
                self.send(&unescape(text)?.repeat(count)).await?;
            }
            "S:" => {
                let got = self.line().await?;
                if !matches(rest, &got) {
                    return Err(format!("S: {got}"));
                }
            }
            "R:" => {
                let mut got = self.line().await?;
                while got.get(3..4) == Some("-") {
                    got = self.line().await?;
                }
                if !matches(rest, &got) {
                    return Err(format!("R: {got}"));
                }
            }
            "TLS" => {
                let tls = self.tls.ok_or("the script wants TLS and was given no settings for it")?;
                self.transport.handshake(tls).await.map_err(|error| error.to_string())?;
            }
            "CLOSE" => self.transport.shut_down().await.map_err(|error| error.to_string())?,
            "CLOSED" => {
                if let Ok(got) = self.line().await {
                    return Err(format!("S: {got}"));
                }
            }
            _ => return Err("the script: not a line that dialogues know".to_owned()),
        }
        if !matches!(word, "S:" | "R:") {
            self.say(line);
        }
        Ok(())
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        self.transport.send("send", octets).await.map_err(|error| error.to_string())
    }

    /// The server's next line, without its line end.
    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let line = self.input.split_to(end + 1);
                let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                self.say(&format!("S: {line}"));
                return Ok(line);
            }
            if self.input.len() > MAX_LINE {
                return Err("a line without end".to_owned());
            }
            self.transport.receive("read", &mut self.input).await.map_err(|error| match error {
                DemoError::Closed(_) => "the connection was closed".to_owned(),
                error => error.to_string(),
            })?;
        }
    }

    fn say(&mut self, line: &str) {
        self.said.push_str("  ");
        self.said.push_str(line);
        self.said.push('\n');
    }
}

/// `*` stands for any text, none included; `R: 250` needs no `*`, for the code alone is what it asks for.
fn matches(pattern: &str, text: &str) -> bool {
    if pattern.len() == 3 && pattern.bytes().all(|digit| digit.is_ascii_digit()) {
        return text.starts_with(pattern);
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let (octet, length) = match escape.chars().next() {
            Some('r') => (b'\r', 1),
            Some('n') => (b'\n', 1),
            Some('t') => (b'\t', 1),
            Some('0') => (0, 1),
            Some('\\') => (b'\\', 1),
            Some('x') => {
                let digits = escape.get(1..3).ok_or("the script: \\x wants two digits")?;
                (u8::from_str_radix(digits, 16).map_err(|_| "the script: \\x wants two digits")?, 3)
            }
            _ => return Err("the script: an escape that is none".to_owned()),
        };
        octets.push(octet);
        rest = escape.get(length..).unwrap_or_default();
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, good) in [
            ("250", "250 2.1.0 Ok", true),
            ("250", "251 Ok", false),
            ("250 2.1.0 Ok", "250 2.1.0 Ok", true),
            ("250 2.1.0 Ok", "250 2.1.0 Okay", false),
            ("250 *", "250 2.1.0 Ok", true),
            ("250 *", "250-2.1.0 Ok", false),
            ("250*Ok", "250 2.1.0 Ok", true),
            ("250 *SIZE*0", "250 x SIZE 10", true),
            ("250 *SIZE*1", "250 x SIZE 10", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), good, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"a\r\n\0\\\x7fb").unwrap(), b"a\r\n\0\\\x7fb");
        assert!(unescape(r"\q").is_err() && unescape(r"\x1").is_err() && unescape("\\").is_err());
    }
}
