//! How a session ended, and the one line the log keeps of it.

use std::fmt;
use std::io;

use auth::{CertificateFact, Facts};
use policy::{Judgement, Monitored, Naming, Rule, Rules, Standing};
use protocol::proxy::ProxyError;

use crate::connections::TooMany;

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said QUIT.
    Quit,
    /// The client closed the connection, or it broke.
    ClientGone,
    /// The client was silent for too long, or the session is too old.
    TimedOut,
    /// The server is going down.
    Stopping,
    /// Too many commands were refused.
    TooManyErrors,
    /// So many logins of the client wait already that it seems to guess.
    TooManyLogins,
    /// The policy allows no more messages in one connection.
    TooManyMessages,
    /// No place for another connection.
    TooManyConnections(TooMany),
    /// The client asked for so many unknown recipients that it seems to guess.
    Harvesting,
    /// The policy does not want the client at all.
    Disconnected,
    /// A line without CRLF, where nobody can tell what follows it.
    Framing,
    /// A chunk that would have to be read only to be thrown away, and is too long for that.
    ChunkTooLarge,
    /// RFC 3207 section 4.2: octets came between STARTTLS and the handshake.
    Injection,
    /// The handshake failed; the text is for the log.
    Tls(String),
    /// The load balancer's header.
    Proxy(ProxyError),
    /// The socket.
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            // A TLS peer that closes the TCP connection without close_notify is as gone as any other.
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
                Self::ClientGone
            }
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quit => f.write_str("QUIT"),
            Self::ClientGone => f.write_str("client closed the connection"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Stopping => f.write_str("server is stopping"),
            Self::TooManyErrors => f.write_str("too many errors"),
            Self::TooManyLogins => f.write_str("too many failed logins"),
            Self::TooManyMessages => f.write_str("too many messages"),
            Self::TooManyConnections(too_many) => write!(f, "too many connections: {too_many}"),
            Self::Harvesting => f.write_str("too many unknown recipients"),
            Self::Disconnected => f.write_str("refused by policy"),
            Self::Framing => f.write_str("bare CR or LF, or a line without end"),
            Self::ChunkTooLarge => f.write_str("BDAT chunk too large"),
            Self::Injection => f.write_str("octets between STARTTLS and the handshake"),
            Self::Tls(error) => write!(f, "TLS handshake failed: {error}"),
            Self::Proxy(error) => write!(f, "PROXY header: {error}"),
            Self::Io(error) => write!(f, "connection: {error}"),
        }
    }
}

/// What the log's line counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Ids of accepted messages, with spaces between.
    pub(crate) accepted: String,
    /// How many they are.
    pub(crate) messages: u32,
    /// Recipients that were taken.
    pub(crate) recipients: u32,
    /// Recipients beyond a limit.
    pub(crate) put_off: u32,
    /// Refused commands.
    pub(crate) errors: u32,
    /// The newest refusal, as the client read it.
    pub(crate) refusal: Option<String>,
    /// Rules that would have refused something, and are only tried out.
    pub(crate) monitored: Rules,
    /// What was told of them, and need not be told again: a few for each rule.
    pub(crate) told: Vec<Monitored>,
    /// How often something was told that is told each time.
    pub(crate) told_again: u32,
}

/// Whom the log's line is about.
pub(crate) struct About<'s> {
    pub(crate) listener: &'s str,
    pub(crate) group: &'s str,
    pub(crate) policy: &'s str,
    pub(crate) client: std::net::SocketAddr,
    pub(crate) naming: &'s Naming,
    pub(crate) facts: &'s Facts,
    pub(crate) judgement: &'s Judgement,
}

pub(crate) fn log(about: &About<'_>, tally: &Tally, end: &End, facts: Option<&str>) {
    let tls = about.facts.transport.tls();
    let certificate = match &about.facts.certificate {
        CertificateFact::Presented(presented) => Some(presented),
        CertificateFact::NotRequested | CertificateFact::NotPresented => None,
    };
    let (name, no_name) = match about.naming {
        Naming::NotAsked => (None, None),
        Naming::Confirmed(_) => (Some(about.naming.to_string()), None),
        Naming::Unconfirmed(why) => (None, Some(why.as_str())),
    };
    let identity = about.judgement.mail.as_ref().ok().and_then(|clearance| clearance.identity());
    let (verdict, reason) = match (&about.judgement.standing, &about.judgement.mail) {
        (Standing::Disconnect, _) => ("refused", "by policy".to_owned()),
        (Standing::Refused(refusal), _) | (_, Err(refusal)) => ("refused", refusal.to_string()),
        (_, Ok(_)) => ("permitted", how(identity)),
    };
    tracing::info!(
        listener = about.listener,
        group = about.group,
        policy = about.policy,
        client = %about.client,
        name,
        no_name,
        tls = tls.map_or("none", |tls| tls.version.as_ref()),
        cipher = tls.map(|tls| tls.cipher.as_ref()),
        certificate = certificate.map(|certificate| certificate.subject.as_str()),
        serial = certificate.map(|certificate| certificate.serial.as_str()),
        verdict,
        reason,
        identity = identity.map(|identity| identity.principal.user_id.as_str()),
        messages = tally.accepted.trim_end(),
        recipients = tally.recipients,
        errors = tally.errors,
        refusal = tally.refusal.as_deref(),
        monitored = names(tally.monitored),
        end = %end,
        facts,
        "session"
    );
}

/// Nothing where nothing is monitored.
fn names(rules: Rules) -> Option<String> {
    let names: Vec<&str> = rules.iter().map(Rule::name).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

fn how(identity: Option<&policy::Identified>) -> String {
    match identity {
        None => "no identity needed".to_owned(),
        Some(identified) => match identified.mechanism {
            None => "by certificate".to_owned(),
            Some(mechanism) => format!("by AUTH {mechanism}"),
        },
    }
}
