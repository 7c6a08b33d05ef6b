//! What would be said to each event, or what would have to be known for that.

use std::fmt;

use policy::Step;
use protocol::Reply;

use crate::record::Event;

/// One event under these rules.
#[derive(Debug)]
pub struct Turn<'r> {
    /// What happened.
    pub event: &'r Event,
    /// What would be said to it.
    pub told: Told,
    /// What was asked for that, and what followed.
    pub steps: Vec<Step>,
}

/// What would be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing: the session goes on.
    Nothing,
    /// This.
    Said(Reply),
    /// Nothing, and the connection is closed.
    Closed,
    /// As it was said then: no rule speaks about it.
    AsThen,
    /// The facts of then do not tell.
    Unknown(Need),
    /// The client does not come so far.
    NotReached,
}

/// What would have to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Names of the client.
    Name,
    /// A handshake that agrees on what is wanted now.
    Tls,
    /// A certificate, which was not asked for.
    Certificate,
    /// What trust, lists and responders say of the certificate.
    Trust,
    /// Whose the certificate is.
    Owner,
    /// A password, which was never sent.
    Password,
    /// What others say of the password.
    PasswordJudge,
    /// What the directory says of a recipient.
    Recipient,
    /// How many recipients there were within the hour.
    Counts,
    /// Who says to have written a message.
    Author,
}

impl Need {
    /// Whether asking now can tell.
    pub fn can_be_asked(self) -> bool {
        match self {
            Self::Name | Self::Trust | Self::Owner | Self::PasswordJudge | Self::Recipient => true,
            Self::Tls | Self::Certificate | Self::Password | Self::Counts | Self::Author => false,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the client's name was not looked up then",
            Self::Tls => "whether the client can agree on the TLS that is required now",
            Self::Certificate => "no certificate was asked for then",
            Self::Trust => "another trust, other lists or responders are to judge the certificate",
            Self::Owner => "the certificate's owner was not looked for as it would be now",
            Self::Password => "what AUTH would have come to: it was refused before it began",
            Self::PasswordJudge => "others are to judge the password",
            Self::Recipient => "the recipient was not looked for as it would be now",
            Self::Counts => "recipients within the hour were not counted then: `postern simulate` counts them",
            Self::Author => "the message's From and Sender are not in the log",
        })
    }
}

impl Turn<'_> {
    /// Whether it would be answered otherwise than then. Words may differ; a code is what a client acts on.
    pub fn differs(&self) -> bool {
        let then = self.event.reply();
        match (&self.told, then) {
            (Told::Said(now), Some(then)) => !same_code(&now.to_string(), then),
            (Told::Said(_), None) => true,
            // The certificate was refused then, and is not now.
            (Told::Nothing, Some(_)) => true,
            (Told::Closed, then) => then != Some(""),
            (Told::Nothing, None) | (Told::AsThen | Told::Unknown(_) | Told::NotReached, _) => false,
        }
    }
}

fn same_code(now: &str, then: &str) -> bool {
    let code = |reply: &str| {
        let mut words = reply.split(' ');
        let code = words.next().unwrap_or_default().to_owned();
        (code, words.next().and_then(protocol::EnhancedCode::parse))
    };
    code(now) == code(then)
}
