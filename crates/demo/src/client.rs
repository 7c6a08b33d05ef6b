//! A mail client that takes one step at a time, or submits one message in a call, and keeps all that was said.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::{DotStuffer, Extensions, Reply, ReplyParser};

use crate::error::DemoError;
use crate::transport::{ClientTls, Transport};

/// When TLS begins.
#[derive(Debug, Clone, Copy)]
pub enum Security<'a> {
    /// Never.
    Plain,
    /// After STARTTLS (RFC 3207).
    StartTls(&'a ClientTls),
    /// From the first octet on (RFC 8314 section 3.3).
    Implicit(&'a ClientTls),
}

/// How the client says who it is, beside its certificate.
#[derive(Clone, Copy, Default)]
pub enum Credentials<'a> {
    /// Not at all: the certificate speaks, or nobody.
    #[default]
    None,
    /// AUTH PLAIN (RFC 4616): user and password.
    Plain(&'a str, &'a str),
    /// AUTH LOGIN: user and password.
    Login(&'a str, &'a str),
    /// AUTH EXTERNAL (RFC 4422 appendix A): the authorization identity, which may be empty.
    External(&'a str),
}

/// One message to submit.
#[derive(Clone, Copy)]
pub struct Submission<'a> {
    /// MAIL FROM
    pub from: &'a str,
    /// RCPT TO, one or more
    pub to: &'a [&'a str],
    /// Header and body; any line ends
    pub message: &'a [u8],
    /// AUTH
    pub credentials: Credentials<'a>,
}

/// What became of a [`Submission`].
#[derive(Debug)]
pub struct Submitted {
    /// Everything said, in order.
    pub transcript: Vec<Exchange>,
    /// The reply that decided: the refusal, or the 250 after the message.
    pub decisive: Reply,
    /// The server took the message.
    pub accepted: bool,
}

/// One thing sent and the reply to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The command, secrets left out; `(connected)` before the greeting, `(message)` for the content.
    pub sent: String,
    /// The reply.
    pub reply: Reply,
}

/// A connection to a server, from the greeting on.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    replies: ReplyParser,
    transcript: Vec<Exchange>,
    extensions: Extensions,
}

impl Client {
    /// Connects, with TLS at once if it is [`Security::Implicit`], and reads the greeting, whatever it says.
    /// [`Security::StartTls`] leaves STARTTLS to the caller.
    pub async fn connect(address: SocketAddr, security: Security<'_>) -> Result<Self, DemoError> {
        Self::over(Transport::connect(address).await?, security).await
    }

    /// The same on a connection that is there already, after a PROXY header for example.
    pub async fn over(mut transport: Transport, security: Security<'_>) -> Result<Self, DemoError> {
        if let Security::Implicit(tls) = security {
            transport.handshake(tls).await?;
        }
        let mut client =
            Self { transport, replies: ReplyParser::new(), transcript: Vec::new(), extensions: Extensions::default() };
        client.reply_to("(connected)", "greeting").await?;
        Ok(client)
    }

    /// Everything said so far.
    pub fn transcript(&self) -> &[Exchange] {
        &self.transcript
    }

    /// What the server offered at the last EHLO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Sends any command line and reads one reply.
    pub async fn command(&mut self, line: &str) -> Result<Reply, DemoError> {
        self.secret_command(line, line).await
    }

    /// EHLO
    pub async fn ehlo(&mut self) -> Result<Reply, DemoError> {
        let reply = self.command("EHLO client.example.mil").await?;
        self.extensions = Extensions::parse(&reply);
        Ok(reply)
    }

    /// STARTTLS and, after its 220, the handshake. What the server offered is forgotten (RFC 3207 section 4.2).
    pub async fn starttls(&mut self, tls: &ClientTls) -> Result<Reply, DemoError> {
        let reply = self.command("STARTTLS").await?;
        if reply.is_positive() {
            // RFC 3207 section 4.2: what came before the handshake was not protected.
            if !self.replies.is_empty() {
                return Err(DemoError::NotAReply("octets between STARTTLS and the handshake".to_owned()));
            }
            self.transport.handshake(tls).await?;
            self.extensions = Extensions::default();
        }
        Ok(reply)
    }

    /// AUTH, all of the exchange; the last reply.
    pub async fn authenticate(&mut self, credentials: Credentials<'_>) -> Result<Option<Reply>, DemoError> {
        match credentials {
            Credentials::None => Ok(None),
            Credentials::Plain(user, password) => {
                let response = STANDARD.encode(format!("\0{user}\0{password}"));
                self.secret_command(&format!("AUTH PLAIN {response}"), "AUTH PLAIN ***").await.map(Some)
            }
            Credentials::External(identity) => {
                // RFC 4954 section 4: an empty response is "=".
                let response = if identity.is_empty() { "=".to_owned() } else { STANDARD.encode(identity) };
                self.command(&format!("AUTH EXTERNAL {response}")).await.map(Some)
            }
            Credentials::Login(user, password) => {
                let mut reply = self.command("AUTH LOGIN").await?;
                for response in [user, password] {
                    if reply.is_intermediate() {
                        reply = self.secret_command(&STANDARD.encode(response), "***").await?;
                    }
                }
                Ok(Some(reply))
            }
        }
    }

    /// MAIL FROM
    pub async fn mail(&mut self, from: &str) -> Result<Reply, DemoError> {
        self.command(&format!("MAIL FROM:<{from}>")).await
    }

    /// RCPT TO
    pub async fn rcpt(&mut self, to: &str) -> Result<Reply, DemoError> {
        self.command(&format!("RCPT TO:<{to}>")).await
    }

    /// DATA and, after its 354, the message; the reply that decides.
    pub async fn data(&mut self, message: &[u8]) -> Result<Reply, DemoError> {
        let reply = self.command("DATA").await?;
        if !reply.is_intermediate() {
            return Ok(reply);
        }
        let mut content = Vec::with_capacity(message.len() + 64);
        let mut stuffer = DotStuffer::new();
        stuffer.push(message, &mut content);
        stuffer.finish(&mut content);
        self.transport.send("message", &content).await?;
        self.reply_to("(message)", "reply to the message").await
    }

    /// QUIT
    pub async fn quit(&mut self) -> Result<Reply, DemoError> {
        self.command("QUIT").await
    }

    /// Sends octets as they are.
    pub async fn send(&mut self, octets: &[u8]) -> Result<(), DemoError> {
        self.transport.send("send", octets).await
    }

    /// Reads one reply more, to what [`Client::send`] sent.
    pub async fn reply(&mut self) -> Result<Reply, DemoError> {
        self.reply_to("(sent)", "reply").await
    }

    async fn secret_command(&mut self, line: &str, shown: &str) -> Result<Reply, DemoError> {
        self.transport.send("command", format!("{line}\r\n").as_bytes()).await?;
        self.reply_to(shown, "reply").await
    }

    async fn reply_to(&mut self, sent: &str, step: &'static str) -> Result<Reply, DemoError> {
        loop {
            let reply = self.replies.next_reply().map_err(|error| DemoError::NotAReply(error.to_string()))?;
            if let Some(reply) = reply {
                self.transcript.push(Exchange { sent: sent.to_owned(), reply: reply.clone() });
                return Ok(reply);
            }
            self.transport.receive(step, &mut self.replies.space()).await?;
        }
    }
}

/// Submits one message on a connection of its own, up to the reply that decides about it.
pub async fn submit(
    address: SocketAddr,
    security: Security<'_>,
    submission: &Submission<'_>,
) -> Result<Submitted, DemoError> {
    let mut client = Client::connect(address, security).await?;
    let (decisive, accepted) = match until_decided(&mut client, security, submission).await {
        Ok(reply) => (reply, true),
        Err(Stop::Refused(reply)) => (reply, false),
        Err(Stop::Failed(error)) => return Err(error),
    };
    // A server that refused may have gone already.
    let _ = client.quit().await;
    Ok(Submitted { transcript: client.transcript, decisive, accepted })
}

/// Why a submission goes no further.
enum Stop {
    Refused(Reply),
    Failed(DemoError),
}

impl From<DemoError> for Stop {
    fn from(error: DemoError) -> Self {
        Self::Failed(error)
    }
}

/// The reply that accepted the message.
async fn until_decided(
    client: &mut Client,
    security: Security<'_>,
    submission: &Submission<'_>,
) -> Result<Reply, Stop> {
    if let Some(greeting) = client.transcript.first() {
        unless_refused(greeting.reply.clone())?;
    }
    unless_refused(client.ehlo().await?)?;
    if let Security::StartTls(tls) = security {
        unless_refused(client.starttls(tls).await?)?;
        unless_refused(client.ehlo().await?)?;
    }
    if let Some(reply) = client.authenticate(submission.credentials).await? {
        unless_refused(reply)?;
    }
    unless_refused(client.mail(submission.from).await?)?;
    for to in submission.to {
        unless_refused(client.rcpt(to).await?)?;
    }
    unless_refused(client.data(submission.message).await?)
}

fn unless_refused(reply: Reply) -> Result<Reply, Stop> {
    if reply.is_positive() { Ok(reply) } else { Err(Stop::Refused(reply)) }
}
