//! The server's side of SASL exchanges (RFC 4422, RFC 4954): lines in, challenges or credentials out. No sockets, and
//! nothing is proved here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use directory::{Password, PasswordMatch, ScramMatch};
use zeroize::Zeroizing;

use crate::rules::Mechanism;

mod bearer;
mod scram;

pub use scram::ClientFirst;

/// RFC 4954 section 4: octets of a line, the CRLF included.
const MAX_LINE: usize = 12_288;

/// An exchange that waits for the client.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginUser,
    LoginPassword { user: String },
    External,
    ScramFirst { mechanism: Mechanism, binding: Option<ChannelBinding> },
    ScramFinal(Box<scram::Challenged>),
    Token(Mechanism),
}

/// What only the two ends of a TLS connection know (RFC 9266). There is one where -PLUS is offered.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelBinding(pub [u8; 32]);

impl std::fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChannelBinding(…)")
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// `334` with this text, base64 already; then the client's line goes to [`Exchange::respond`].
    Challenge(String, Exchange),
    /// SCRAM: what the directory holds of this user is wanted, for [`Exchange::scram`].
    Lookup(Box<ClientFirst>),
    /// The client has said all.
    Done(Credentials),
}

/// What the server still has to say when all is judged, in a challenge of its own (RFC 4954 section 4): base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWord {
    /// Nothing.
    None,
    /// If the client is let in: SCRAM's proof of the server. An empty response answers it.
    IfPermitted(String),
    /// If it is not: why a token will not do. Any response answers it, and is thrown away.
    IfRefused(String),
}

/// What the client claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// PLAIN and LOGIN.
    Password {
        /// By which it was sent.
        mechanism: Mechanism,
        /// As typed.
        user: String,
        /// As typed, and possibly empty.
        password: Password,
    },
    /// SCRAM.
    Scram {
        /// With channel binding, or without.
        mechanism: Mechanism,
        /// As typed, and prepared (RFC 4013).
        user: String,
        /// What the proof came to.
        outcome: PasswordMatch,
        /// The server's own proof, for whom the judgement is content with.
        server_final: String,
    },
    /// OAUTHBEARER and XOAUTH2.
    Token {
        /// By which it was sent.
        mechanism: Mechanism,
        /// Who the client wants to be; empty: whoever the token says.
        user: String,
        /// As sent, and possibly empty; as secret as a password.
        token: Password,
    },
    /// The TLS client certificate is to speak.
    External {
        /// Who the client wants to be; empty: whoever the certificate says.
        authorization_identity: String,
    },
}

impl Credentials {
    /// Who is said to have a secret, and may have guessed at it; `None` where no name is said, and for certificates.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } | Self::Scram { user, .. } | Self::Token { user, .. } => Some(user),
            Self::External { .. } => None,
        }
        .map(String::as_str)
        .filter(|user| !user.is_empty())
    }
}

/// Why an exchange ended without credentials. Each has its reply (RFC 4954 sections 4 and 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client sent `*`: 501.
    #[error("the client cancelled")]
    Cancelled,
    /// 500 5.5.6.
    #[error("the line is longer than 12288 octets")]
    TooLong,
    /// 501 5.5.2.
    #[error("not base64")]
    Base64,
    /// 501 5.5.2.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    /// To act for another is not offered here: 535 5.7.8.
    #[error("the authorization identity is not the user name")]
    Authorization,
    /// 535 5.7.8: somebody may stand between client and server.
    #[error("channel binding: {0}")]
    ChannelBinding(&'static str),
}

impl Exchange {
    /// Begins an exchange: `AUTH mechanism [initial-response]`, the response as it came.
    /// `binding` is there where SCRAM-SHA-256-PLUS is offered.
    pub fn start(
        mechanism: Mechanism,
        initial_response: Option<&[u8]>,
        binding: Option<ChannelBinding>,
    ) -> Result<Step, SaslError> {
        let (state, challenge) = match mechanism {
            Mechanism::Plain => (State::Plain, ""),
            Mechanism::Login => (State::LoginUser, "Username:"),
            Mechanism::External => (State::External, ""),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => (State::ScramFirst { mechanism, binding }, ""),
            Mechanism::OauthBearer | Mechanism::Xoauth2 => (State::Token(mechanism), ""),
        };
        let exchange = Self(state);
        match initial_response {
            None => Ok(exchange.challenge(challenge)),
            // RFC 4954 section 4: an empty initial response is written "=".
            Some(b"=") => exchange.take(Zeroizing::default()),
            Some(line) => exchange.respond(line),
        }
    }

    /// Takes the client's line, without its CRLF.
    pub fn respond(self, line: &[u8]) -> Result<Step, SaslError> {
        if line == b"*" {
            return Err(SaslError::Cancelled);
        }
        if line.len() > MAX_LINE - 2 {
            return Err(SaslError::TooLong);
        }
        // A line is at least as long as what it stands for: the buffer never moves, so that no copy is left behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(line.len()));
        BASE64.decode_vec(line, &mut octets).map_err(|_| SaslError::Base64)?;
        self.take(octets)
    }

    /// Goes on with SCRAM; the error of `known` says why no directory could tell.
    pub fn scram(first: ClientFirst, known: Result<ScramMatch, String>) -> Step {
        let (mechanism, user) = (first.mechanism(), first.user().to_owned());
        let challenged =
            known.and_then(|known| first.challenge(known).ok_or_else(|| "the system has no random numbers".to_owned()));
        match challenged {
            Ok((text, challenged)) => Self(State::ScramFinal(Box::new(challenged))).challenge(&text),
            Err(why) => {
                let outcome = PasswordMatch::Unavailable(why);
                Step::Done(Credentials::Scram { mechanism, user, outcome, server_final: String::new() })
            }
        }
    }

    fn challenge(self, text: &str) -> Step {
        Step::Challenge(BASE64.encode(text), self)
    }

    fn take(self, response: Zeroizing<Vec<u8>>) -> Result<Step, SaslError> {
        let text = std::str::from_utf8(&response).map_err(|_| SaslError::Malformed("not UTF-8"))?;
        match self.0 {
            State::Plain => plain(text).map(Step::Done),
            State::LoginUser if text.contains('\0') => Err(SaslError::Malformed("NUL in the user name")),
            State::LoginUser if text.is_empty() => Err(SaslError::Malformed("no user name")),
            State::LoginUser => Ok(Self(State::LoginPassword { user: text.to_owned() }).challenge("Password:")),
            State::LoginPassword { .. } if text.contains('\0') => Err(SaslError::Malformed("NUL in the password")),
            State::LoginPassword { user } => {
                let password = Password::new(text);
                Ok(Step::Done(Credentials::Password { mechanism: Mechanism::Login, user, password }))
            }
            State::ScramFirst { mechanism, binding } => {
                ClientFirst::read(mechanism, text, binding.as_ref()).map(|first| Step::Lookup(Box::new(first)))
            }
            State::ScramFinal(challenged) => challenged.read(text).map(Step::Done),
            State::Token(mechanism) => bearer::read(mechanism, text).map(Step::Done),
            State::External if text.contains('\0') => Err(SaslError::Malformed("NUL in the authorization identity")),
            State::External => Ok(Step::Done(Credentials::External { authorization_identity: text.to_owned() })),
        }
    }
}

/// RFC 4616 section 2: `[authzid] NUL authcid NUL passwd`.
fn plain(text: &str) -> Result<Credentials, SaslError> {
    let mut parts = text.split('\0');
    let (Some(authorization), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed("PLAIN is [authzid] NUL authcid NUL passwd"));
    };
    if user.is_empty() {
        return Err(SaslError::Malformed("no user name"));
    }
    if !authorization.is_empty() && authorization != user {
        return Err(SaslError::Authorization);
    }
    // RFC 4616 has no empty password; it goes on, to be refused as a wrong one and logged as an empty one.
    let password = Password::new(password);
    Ok(Credentials::Password { mechanism: Mechanism::Plain, user: user.to_owned(), password })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(mechanism: Mechanism, user: &str, password: &str) -> Result<Credentials, SaslError> {
        Ok(Credentials::Password { mechanism, user: user.to_owned(), password: Password::new(password) })
    }

    fn password(user: &str, password: &str) -> Result<Credentials, SaslError> {
        sent(Mechanism::Plain, user, password)
    }

    fn external(authorization_identity: &str) -> Result<Credentials, SaslError> {
        Ok(Credentials::External { authorization_identity: authorization_identity.to_owned() })
    }

    /// Runs an exchange: what the server says, and how it ends.
    fn run(
        mechanism: Mechanism,
        initial: Option<&str>,
        lines: &[&str],
    ) -> (Vec<String>, Result<Credentials, SaslError>) {
        let mut said = Vec::new();
        let mut lines = lines.iter();
        let mut step = Exchange::start(mechanism, initial.map(str::as_bytes), None);
        loop {
            match step {
                Ok(Step::Challenge(text, exchange)) => {
                    said.push(text);
                    let line = lines.next().expect("the server asks for more than the client says");
                    step = exchange.respond(line.as_bytes());
                }
                Ok(Step::Lookup(first)) => step = Ok(Exchange::scram(*first, Err("asleep".to_owned()))),
                Ok(Step::Done(credentials)) => {
                    assert_eq!(lines.next(), None, "the client says more than the server asks for");
                    return (said, Ok(credentials));
                }
                Err(error) => return (said, Err(error)),
            }
        }
    }

    fn b64(text: &str) -> String {
        BASE64.encode(text)
    }

    #[test]
    fn plain_with_and_without_initial_response() {
        use SaslError::{Authorization, Base64, Malformed};
        let shape = Err(Malformed("PLAIN is [authzid] NUL authcid NUL passwd"));
        for (response, expected) in [
            // RFC 4616 section 4.
            ("\0tim\0tanstaaftanstaaf", password("tim", "tanstaaftanstaaf")),
            ("Ursel\0Kurt\0xipj3plmq", Err(Authorization)),
            ("tim\0tim\0x", password("tim", "x")),
            ("\0tim@example.mil\0Grüße", password("tim@example.mil", "Grüße")),
            ("\0tim\0", password("tim", "")),
            ("\0\0x", Err(Malformed("no user name"))),
            ("\0tim", shape.clone()),
            ("tim", shape.clone()),
            ("", shape.clone()),
            ("\0tim\0a\0b", shape.clone()),
        ] {
            let line = b64(response);
            let initial = if response.is_empty() { "=" } else { &line };
            assert_eq!(run(Mechanism::Plain, Some(initial), &[]), (vec![], expected.clone()), "{response:?}");
            assert_eq!(run(Mechanism::Plain, None, &[&line]), (vec![String::new()], expected), "{response:?}");
        }
        for line in ["AHRpbQB4=", "AHRpbQB4\u{20}", "!", "====", "AHRpbQB", "="] {
            assert_eq!(run(Mechanism::Plain, None, &[line]).1, Err(Base64), "{line}");
        }
        assert_eq!(run(Mechanism::Plain, None, &["AP8A/w=="]).1, Err(Malformed("not UTF-8")));
    }

    #[test]
    fn login_with_and_without_initial_response() {
        let (user, word) = (b64("tim"), b64("x y"));
        let challenges = || vec!["VXNlcm5hbWU6".to_owned(), "UGFzc3dvcmQ6".to_owned()];
        assert_eq!(run(Mechanism::Login, None, &[&user, &word]), (challenges(), sent(Mechanism::Login, "tim", "x y")));
        let short = challenges().split_off(1);
        assert_eq!(run(Mechanism::Login, Some(&user), &[&word]), (short, sent(Mechanism::Login, "tim", "x y")));
        assert_eq!(run(Mechanism::Login, None, &[&user, ""]).1, sent(Mechanism::Login, "tim", ""));
        assert_eq!(run(Mechanism::Login, None, &[""]).1, Err(SaslError::Malformed("no user name")));
        assert_eq!(run(Mechanism::Login, Some("="), &[]).1, Err(SaslError::Malformed("no user name")));
        let nul = b64("a\0b");
        assert_eq!(run(Mechanism::Login, None, &[&nul]).1, Err(SaslError::Malformed("NUL in the user name")));
        assert_eq!(run(Mechanism::Login, None, &[&user, &nul]).1, Err(SaslError::Malformed("NUL in the password")));
        assert_eq!(run(Mechanism::Login, None, &[&user, "/w=="]).1, Err(SaslError::Malformed("not UTF-8")));
    }

    #[test]
    fn external_names_somebody_or_nobody() {
        assert_eq!(run(Mechanism::External, Some("="), &[]), (vec![], external("")));
        assert_eq!(run(Mechanism::External, None, &[""]), (vec![String::new()], external("")));
        assert_eq!(run(Mechanism::External, Some(&b64("alice")), &[]).1, external("alice"));
        let nul = b64("a\0");
        assert_eq!(
            run(Mechanism::External, Some(&nul), &[]).1,
            Err(SaslError::Malformed("NUL in the authorization identity"))
        );
    }

    #[test]
    fn a_star_cancels_wherever_it_comes() {
        for mechanism in Mechanism::ALL {
            assert_eq!(run(mechanism, None, &["*"]).1, Err(SaslError::Cancelled));
            assert_eq!(run(mechanism, Some("*"), &[]).1, Err(SaslError::Cancelled));
        }
        assert_eq!(run(Mechanism::Login, None, &["dGlt", "*"]).1, Err(SaslError::Cancelled));
    }

    #[test]
    fn lines_are_bounded() {
        let longest = "A".repeat(MAX_LINE - 4);
        assert!(matches!(run(Mechanism::External, None, &[&longest]).1, Err(SaslError::Malformed(_))));
        let longer = "A".repeat(MAX_LINE);
        for initial in [true, false] {
            let (initial, lines) = if initial { (Some(&*longer), vec![]) } else { (None, vec![&*longer]) };
            assert_eq!(run(Mechanism::Plain, initial, &lines).1, Err(SaslError::TooLong));
        }
    }

    #[test]
    fn nothing_shows_a_password() {
        let (_, done) = run(Mechanism::Plain, Some(&b64("\0tim\0hunter2")), &[]);
        assert!(!format!("{done:?}").contains("hunter2"));
    }

    fn mechanism() -> impl Strategy<Value = Mechanism> {
        proptest::sample::select(&Mechanism::ALL[..])
    }

    proptest! {
        /// Whatever comes, an exchange ends after three lines at most.
        #[test]
        fn any_lines_end_it(
            mechanism in mechanism(),
            initial in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 3),
            encode in any::<bool>(),
        ) {
            let line = |octets: &[u8]| if encode { BASE64.encode(octets).into_bytes() } else { octets.to_vec() };
            let mut step = Exchange::start(mechanism, initial.as_deref().map(line).as_deref(), None);
            let mut lines = lines.iter();
            while let Ok(Step::Challenge(_, exchange)) = step {
                let next = lines.next();
                prop_assert!(next.is_some());
                step = exchange.respond(&line(next.unwrap()));
            }
        }

        #[test]
        fn plain_gives_back_what_was_put_in(user in "[^\u{0}]{1,40}", word in "[^\u{0}]{0,40}") {
            let (_, done) = run(Mechanism::Plain, Some(&b64(&format!("\0{user}\0{word}"))), &[]);
            prop_assert_eq!(done, password(&user, &word));
        }
    }
}
