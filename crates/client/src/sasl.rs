//! AUTH as a client: RFC 4954, with PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 7677) and EXTERNAL (RFC 4422). What the
//! server says of who this is, and what that means.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use protocol::{EnhancedCode, Extensions, Reply};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::connection::Connection;
use crate::wire::WireError;

mod scram;

/// Octets of a user name and of a password that are sent at most: in base64 together shorter than the 12288 octets that
/// RFC 4954 section 4 promises a line.
pub const MAX_USER: usize = 1024;
/// See [`MAX_USER`].
pub const MAX_PASSWORD: usize = 4096;
/// RFC 5321 section 4.5.3.1.4, which RFC 4954 section 4 holds an initial response to.
const MAX_COMMAND: usize = 512;
/// Shorter words are nobody's secret, and everybody's English.
const SHORT: usize = 6;

/// A mechanism that this side knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Mechanism {
    /// SCRAM-SHA-256 bound to the TLS connection (RFC 9266): the password is proved to the other end of it, and to nobody
    /// between.
    ScramSha256Plus,
    /// RFC 7677: the password is proved, and not sent.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: what some servers offer alone.
    Login,
    /// RFC 4422 appendix A: the certificate that was shown in the handshake speaks.
    External,
}

/// What a server says of a user name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// Its words, without what was sent should it repeat that.
    pub reply: Reply,
    /// Another AUTH may follow on the connection. Never after a successful one (RFC 4954 section 4).
    pub usable: bool,
}

/// What a reply to AUTH means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They belong together.
    Right,
    /// They don't, or the server does not take them from this user.
    Wrong,
    /// The account is closed.
    Disabled,
    /// Nothing is said about them.
    Unclear,
}

impl Mechanism {
    /// All of them, best first.
    pub const ALL: [Self; 5] = [Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login, Self::External];
    /// Those that let the server see the password.
    pub const SENDING: [Self; 2] = [Self::Plain, Self::Login];

    /// The name (RFC 4422 section 3.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
        }
    }

    /// The first of `wanted` that a server offers.
    #[must_use]
    pub fn first_of(wanted: &[Self], extensions: &Extensions) -> Option<Self> {
        let offers = |mechanism: &&Self| extensions.auth.iter().any(|offered| offered == mechanism.name());
        wanted.iter().find(offers).copied()
    }

    /// Proves the password without sending it.
    #[must_use]
    pub const fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256 | Self::ScramSha256Plus)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<String> for Mechanism {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(&text));
        known.ok_or_else(|| format!("{text:?} is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Asks the server at the other end about a user name and a password; EXTERNAL has none. Each step takes `limit` at most.
/// Whether the connection is secret enough for that is the caller's to know.
///
/// # Errors
/// When the conversation breaks before the answer, or the server does not prove that it is who knows the password (SCRAM).
pub async fn authenticate(
    connection: &mut Connection,
    mechanism: Mechanism,
    user: &str,
    password: &[u8],
    limit: Duration,
) -> Result<Answer, WireError> {
    let (reply, last) = match mechanism {
        Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
            scram::exchange(connection, mechanism, user, password, limit).await?
        }
        _ => say(connection, lines(mechanism, user, password), limit).await?,
    };
    let verdict = meaning(&reply);
    if reply.is_intermediate() {
        // All was said. RFC 4954 section 4: a client that cannot go on cancels.
        drop(connection.command(b"*\r\n", limit).await);
    }
    let usable = verdict != Verdict::Right && matches!(reply.code(), 535 | 534 | 454 | 525) && connection.is_quiet();
    let quoted = [password, line_text(&last)].iter().any(|secret| repeats(&reply, secret));
    let reply = match quoted {
        true => Reply::new(reply.code(), reply.enhanced(), "(the server repeats what it was sent)"),
        false => reply,
    };
    Ok(Answer { verdict, reply, usable })
}

type Line = Zeroizing<Vec<u8>>;

/// Says the lines one after the other, as long as the server asks for more. The reply to the last one that was said.
async fn say(connection: &mut Connection, lines: Vec<Line>, limit: Duration) -> Result<(Reply, Line), WireError> {
    let mut said = None;
    for line in lines {
        let reply = connection.command(&line, limit).await?;
        let go_on = reply.code() == 334;
        said = Some((reply, line));
        if !go_on {
            break;
        }
    }
    // At least one line was sent.
    said.ok_or(WireError::Closed)
}

fn meaning(reply: &Reply) -> Verdict {
    let detail = reply.enhanced().map(|EnhancedCode(_, subject, detail)| (subject, detail));
    match (reply.code(), detail) {
        (235, _) => Verdict::Right,
        // RFC 5248: user account disabled.
        (525, _) => Verdict::Disabled,
        (500..=599, Some((7, 13))) => Verdict::Disabled,
        // RFC 4954 section 6. 534 is about the mechanism "for that user".
        (535 | 534, _) => Verdict::Wrong,
        (500..=599, Some((7, 8))) => Verdict::Wrong,
        _ => Verdict::Unclear,
    }
}

/// The lines that are sent, the last with the password. Base64, so that no octet of a name or a password can end one.
fn lines(mechanism: Mechanism, user: &str, password: &[u8]) -> Vec<Line> {
    match mechanism {
        Mechanism::Login => {
            vec![Zeroizing::new(b"AUTH LOGIN\r\n".to_vec()), line(b"", user.as_bytes()), line(b"", password)]
        }
        // Here the user is who this wants to be taken for; RFC 4954 section 4: an empty response is "=".
        Mechanism::External if user.is_empty() => vec![Zeroizing::new(b"AUTH EXTERNAL =\r\n".to_vec())],
        Mechanism::External => initial(mechanism, user.as_bytes()),
        _ => {
            let mut message = Zeroizing::new(Vec::with_capacity(user.len() + password.len() + 2));
            message.push(0);
            message.extend_from_slice(user.as_bytes());
            message.push(0);
            message.extend_from_slice(password);
            initial(mechanism, &message)
        }
    }
}

/// AUTH with the first message in it, or after it where that makes the command too long.
fn initial(mechanism: Mechanism, message: &[u8]) -> Vec<Line> {
    let whole = line(format!("AUTH {mechanism} ").as_bytes(), message);
    match whole.len() <= MAX_COMMAND {
        true => vec![whole],
        false => vec![Zeroizing::new(format!("AUTH {mechanism}\r\n").into_bytes()), line(b"", message)],
    }
}

/// A buffer that never moves, so that no copy is left behind.
fn line(before: &[u8], content: &[u8]) -> Line {
    let length = base64::encoded_len(content.len(), true).unwrap_or_default();
    let mut line = Zeroizing::new(vec![0; before.len() + length + 2]);
    let (head, rest) = line.split_at_mut(before.len());
    head.copy_from_slice(before);
    if let Some((encoded, end)) = rest.split_at_mut_checked(length) {
        // It has exactly the room that is needed.
        let _ = BASE64.encode_slice(content, encoded);
        end.copy_from_slice(b"\r\n");
    }
    line
}

/// What stands in a line's last word: the credentials.
fn line_text(line: &Line) -> &[u8] {
    line.trim_ascii().rsplit(|octet| *octet == b' ').next().unwrap_or_default()
}

/// Whether the reply has a secret in it, or a long part of it: some servers quote a line that they do not understand.
fn repeats(reply: &Reply, secret: &[u8]) -> bool {
    let Ok(secret) = std::str::from_utf8(secret) else { return false };
    let quoted = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !"+/=".contains(c));
        word.len() >= SHORT && secret.contains(word)
    };
    !secret.is_empty() && reply.lines().any(|line| line.contains(secret) || line.split_whitespace().any(quoted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_is_sent() {
        // RFC 4954 section 4.1 and RFC 4616 section 4.
        assert_eq!(
            text(&lines(Mechanism::Plain, "tim", b"tanstaaftanstaaf")),
            ["AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"]
        );
        assert_eq!(text(&lines(Mechanism::Login, "tim", b"x y")), ["AUTH LOGIN\r\n", "dGlt\r\n", "eCB5\r\n"]);
        let long = "p".repeat(400);
        let sent = text(&lines(Mechanism::Plain, "tim", long.as_bytes()));
        assert_eq!((sent.len(), sent[0].as_str()), (2, "AUTH PLAIN\r\n"));
        for length in 0..500 {
            let sent = text(&lines(Mechanism::Plain, "t", "p".repeat(length).as_bytes()));
            assert!(sent[0].len() <= MAX_COMMAND && (sent.len() == 1 || length > 300), "{length}");
        }
        assert_eq!(text(&lines(Mechanism::External, "", b"")), ["AUTH EXTERNAL =\r\n"]);
        assert_eq!(text(&lines(Mechanism::External, "tim", b"")), ["AUTH EXTERNAL dGlt\r\n"]);
        let longest = lines(Mechanism::Plain, &"u".repeat(MAX_USER), &[b'p'; MAX_PASSWORD]);
        assert!(longest.iter().all(|line| line.len() <= 12_288));
    }

    #[test]
    fn the_first_that_is_offered() {
        let of = |wanted: &[Mechanism], auth: &[&str]| {
            let auth = auth.iter().map(|name| (*name).to_owned()).collect();
            Mechanism::first_of(wanted, &Extensions { auth, ..Extensions::default() })
        };
        let all = Mechanism::ALL;
        assert_eq!(of(&Mechanism::SENDING, &["SCRAM-SHA-256", "LOGIN", "PLAIN"]), Some(Mechanism::Plain));
        assert_eq!(of(&all, &["PLAIN", "LOGIN", "SCRAM-SHA-256"]), Some(Mechanism::ScramSha256));
        assert_eq!(of(&all, &["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]), Some(Mechanism::ScramSha256Plus));
        assert_eq!(of(&all, &["GSSAPI", "LOGIN"]), Some(Mechanism::Login));
        assert_eq!(of(&all, &["GSSAPI", "PLAINTEXT"]), None);
        assert_eq!(of(&all, &[]), None);
        assert_eq!(Mechanism::try_from("scram-sha-256-plus".to_owned()), Ok(Mechanism::ScramSha256Plus));
        assert!(Mechanism::try_from("CRAM-MD5".to_owned()).unwrap_err().contains("EXTERNAL"));
    }

    #[test]
    fn what_replies_mean() {
        use Verdict::{Disabled, Right, Unclear, Wrong};
        for (code, enhanced, expected) in [
            (235, Some((2, 7, 0)), Right),
            (235, None, Right),
            (535, Some((5, 7, 8)), Wrong),
            (535, None, Wrong),
            // Exchange.
            (535, Some((5, 7, 3)), Wrong),
            (534, Some((5, 7, 9)), Wrong),
            (550, Some((5, 7, 8)), Wrong),
            (525, Some((5, 7, 13)), Disabled),
            (535, Some((5, 7, 13)), Disabled),
            // No other success is a success.
            (250, Some((2, 0, 0)), Unclear),
            (334, None, Unclear),
            (454, Some((4, 7, 0)), Unclear),
            (432, Some((4, 7, 12)), Unclear),
            (421, None, Unclear),
            (450, Some((4, 7, 8)), Unclear),
            (500, Some((5, 5, 2)), Unclear),
            (501, None, Unclear),
            (503, Some((5, 5, 1)), Unclear),
            (504, Some((5, 5, 4)), Unclear),
            (530, Some((5, 7, 0)), Unclear),
            (538, Some((5, 7, 11)), Unclear),
            (550, Some((5, 7, 1)), Unclear),
            (554, None, Unclear),
        ] {
            let enhanced = enhanced.map(|(class, subject, detail)| EnhancedCode(class, subject, detail));
            assert_eq!(meaning(&Reply::new(code, enhanced, "x")), expected, "{code} {enhanced:?}");
        }
    }

    #[test]
    fn secrets_are_seen_in_replies() {
        let sent = lines(Mechanism::Plain, "alice", b"correct horse");
        let encoded = String::from_utf8(line_text(&sent[0]).to_vec()).unwrap();
        for said in [
            format!("Command unrecognized: \"AUTH PLAIN {encoded}\""),
            format!("Unknown: <{}...>", &encoded[..encoded.len() - 3]),
            encoded.clone(),
        ] {
            assert!(repeats(&Reply::new(500, None, said.clone()), encoded.as_bytes()), "{said}");
        }
        let said = Reply::new(535, None, "no").with_line("'correct horse' is wrong");
        assert!(repeats(&said, b"correct horse") && !repeats(&said, encoded.as_bytes()));
        assert!(!repeats(&Reply::new(535, None, "Authentication credentials invalid"), encoded.as_bytes()));
        assert!(!repeats(&said, b"") && !repeats(&said, b"\xff"));
    }

    proptest! {
        /// Whatever the name and the password: each line has one end, and it is its last.
        #[test]
        fn nothing_ends_a_line(user in ".{0,80}", password in proptest::collection::vec(any::<u8>(), 0..80)) {
            for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::External] {
                for line in text(&lines(mechanism, &user, &password)) {
                    let body = line.strip_suffix("\r\n").unwrap();
                    prop_assert!(body.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '), "{line}");
                }
            }
        }
    }
}
