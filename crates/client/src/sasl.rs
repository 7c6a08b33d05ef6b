//! AUTH as a client: RFC 4954, with PLAIN (RFC 4616) and LOGIN. What the server says of a password, and what that means.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use protocol::{EnhancedCode, Extensions, Reply};
use zeroize::Zeroizing;

use crate::connection::Connection;
use crate::wire::WireError;

/// Octets of a user name and of a password that are sent at most: in base64 together shorter than the 12288 octets that
/// RFC 4954 section 4 promises a line.
pub const MAX_USER: usize = 1024;
/// See [`MAX_USER`].
pub const MAX_PASSWORD: usize = 4096;
/// RFC 5321 section 4.5.3.1.4, which RFC 4954 section 4 holds an initial response to.
const MAX_COMMAND: usize = 512;
/// Shorter words are nobody's secret, and everybody's English.
const SHORT: usize = 6;

/// A mechanism that proves a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: what some servers offer alone.
    Login,
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
    /// The one to use with a server, of those it offers.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        let offers = |name: &str| extensions.auth.iter().any(|offered| offered == name);
        match () {
            () if offers("PLAIN") => Some(Self::Plain),
            () if offers("LOGIN") => Some(Self::Login),
            () => None,
        }
    }
}

/// Asks the server at the other end about a user name and a password. Each step takes `limit` at most. Whether the
/// connection is secret enough for that is the caller's to know.
///
/// # Errors
/// When the conversation breaks before the answer.
pub async fn authenticate(
    connection: &mut Connection,
    mechanism: Mechanism,
    user: &str,
    password: &[u8],
    limit: Duration,
) -> Result<Answer, WireError> {
    let lines = lines(mechanism, user, password);
    let mut reply = None;
    for line in &lines {
        let said = connection.command(line, limit).await?;
        let go_on = said.code() == 334;
        reply = Some(said);
        if !go_on {
            break;
        }
    }
    // At least one line was sent.
    let mut reply = reply.ok_or(WireError::Closed)?;
    let verdict = meaning(&reply);
    if reply.is_intermediate() {
        // All was said. RFC 4954 section 4: a client that cannot go on cancels.
        drop(connection.command(b"*\r\n", limit).await);
    }
    let usable = verdict != Verdict::Right && matches!(reply.code(), 535 | 534 | 454 | 525) && connection.is_quiet();
    let secrets = [password, line_text(lines.last())];
    if secrets.iter().any(|secret| repeats(&reply, secret)) {
        reply = Reply::new(reply.code(), reply.enhanced(), "(the server repeats what it was sent)");
    }
    Ok(Answer { verdict, reply, usable })
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
fn lines(mechanism: Mechanism, user: &str, password: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    match mechanism {
        Mechanism::Plain => {
            let mut message = Zeroizing::new(Vec::with_capacity(user.len() + password.len() + 2));
            message.push(0);
            message.extend_from_slice(user.as_bytes());
            message.push(0);
            message.extend_from_slice(password);
            let whole = line(b"AUTH PLAIN ", &message);
            match whole.len() <= MAX_COMMAND {
                true => vec![whole],
                false => vec![Zeroizing::new(b"AUTH PLAIN\r\n".to_vec()), line(b"", &message)],
            }
        }
        Mechanism::Login => {
            vec![Zeroizing::new(b"AUTH LOGIN\r\n".to_vec()), line(b"", user.as_bytes()), line(b"", password)]
        }
    }
}

/// A buffer that never moves, so that no copy is left behind.
fn line(before: &[u8], content: &[u8]) -> Zeroizing<Vec<u8>> {
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
fn line_text(line: Option<&Zeroizing<Vec<u8>>>) -> &[u8] {
    let line = line.map(|line| line.trim_ascii()).unwrap_or_default();
    line.rsplit(|octet| *octet == b' ').next().unwrap_or_default()
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

    fn text(lines: &[Zeroizing<Vec<u8>>]) -> Vec<String> {
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
        let longest = lines(Mechanism::Plain, &"u".repeat(MAX_USER), &[b'p'; MAX_PASSWORD]);
        assert!(longest.iter().all(|line| line.len() <= 12_288));
    }

    #[test]
    fn plain_is_preferred() {
        let of = |auth: &[&str]| {
            let auth = auth.iter().map(|name| (*name).to_owned()).collect();
            Mechanism::of(&Extensions { auth, ..Extensions::default() })
        };
        assert_eq!(of(&["LOGIN", "PLAIN"]), Some(Mechanism::Plain));
        assert_eq!(of(&["GSSAPI", "LOGIN"]), Some(Mechanism::Login));
        assert_eq!(of(&["GSSAPI", "PLAINTEXT"]), None);
        assert_eq!(of(&[]), None);
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
        let encoded = String::from_utf8(line_text(sent.last()).to_vec()).unwrap();
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
            for mechanism in [Mechanism::Plain, Mechanism::Login] {
                for line in text(&lines(mechanism, &user, &password)) {
                    let body = line.strip_suffix("\r\n").unwrap();
                    prop_assert!(body.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '), "{line}");
                }
            }
        }
    }
}
