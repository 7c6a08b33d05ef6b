//! A connection to one server: made up to EHLO, then used command by command.

use std::sync::Arc;
use std::time::Duration;

use protocol::{EnhancedCode, Extensions, Reply};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cause::{Cause, Ends};
use crate::dial::{Addresses, Source, dial};
use crate::host::Host;
use crate::tls::Tls;
use crate::tls_failure::{Mistrust, TlsFailure};
use crate::wire::{Octets, Wire, WireError};

/// RFC 3463 section 3.5: no answer from host, bad connection; section 3.6.
const NO_ANSWER: EnhancedCode = EnhancedCode(4, 4, 1);
const BAD_CONNECTION: EnhancedCode = EnhancedCode(4, 4, 2);
const PROTOCOL_ERROR: EnhancedCode = EnhancedCode(4, 5, 0);
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// How to open connections to a server.
#[derive(Debug, Clone)]
pub struct Opener {
    /// Which one.
    pub host: Host,
    /// Where it is.
    pub addresses: Addresses,
    /// From where it is connected to.
    pub source: Source,
    /// Whether, and with whom.
    pub tls: Tls,
    /// TLS from the first octet (RFC 8314) instead of STARTTLS.
    pub implicit_tls: bool,
    /// How long each step may take.
    pub limits: Limits,
    /// What EHLO or LHLO says.
    pub hostname: Arc<str>,
    /// What is spoken.
    pub dialect: Dialect,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033: LHLO, and a reply for each recipient after the text.
    Lmtp,
}

/// How long each step up to EHLO may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The TCP connection to one address, the name looked up.
    pub connect: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// The 220 greeting.
    pub greeting: Duration,
    /// The reply to a command.
    pub command: Duration,
}

/// An open connection, after EHLO.
pub struct Connection {
    pub(crate) wire: Wire,
    /// What the server has, inside TLS where there is TLS.
    pub extensions: Extensions,
    /// What it speaks.
    pub dialect: Dialect,
    /// For SCRAM-SHA-256-PLUS; `None` in clear text.
    pub(crate) channel_binding: Option<[u8; 32]>,
    /// When it was made.
    pub opened: Instant,
    /// How often it has been used so far; its users count.
    pub uses: u32,
    /// It has waited in a pool, and the server may have closed it since.
    pub kept: bool,
    /// What the server has shown, its own certificate first; empty in clear text.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The server is known to be the right one: who has judged its certificate says so.
    pub verified: bool,
    /// Why there is no TLS, where it may be done without.
    pub downgraded: Option<Box<Cause>>,
    /// What XCLIENT has told it last.
    pub presented: Option<String>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("uses", &self.uses).field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Connection {
    /// No step goes beyond this.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.wire.deadline = deadline;
    }

    /// Sends octets.
    ///
    /// # Errors
    /// When they do not all go out within `limit`; the connection is of no more use.
    pub async fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), WireError> {
        self.wire.send(octets, limit).await
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// When none comes within `limit`; the connection is of no more use.
    pub async fn reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        self.wire.reply(limit).await
    }

    /// Sends a command with its CRLF, and waits for the reply.
    ///
    /// # Errors
    /// When none comes within `limit` for either; the connection is of no more use.
    pub async fn command(&mut self, line: &[u8], limit: Duration) -> Result<Reply, WireError> {
        self.send(line, limit).await?;
        self.reply(limit).await
    }

    /// Whether the server will take one transaction more: RFC 9422 section 4.1.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.extensions.limits.mail_max.is_none_or(|limit| self.uses < limit)
    }

    /// Open, as far as can be seen from here, and nothing waits to be read: the next reply will be the answer to the next
    /// command.
    pub fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// QUIT, if the server is still there.
    pub async fn quit(mut self) {
        self.wire.deadline = Instant::now() + QUIT_LIMIT;
        // Saying goodbye is a courtesy.
        drop(self.command(b"QUIT\r\n", QUIT_LIMIT).await);
    }
}

impl Opener {
    /// Connects, starts TLS as it is wanted, says EHLO.
    ///
    /// # Errors
    /// When it does not come to that, or `deadline` is there before.
    pub async fn open(&self, deadline: Instant) -> Result<Connection, Cause> {
        let opened = match &self.tls {
            Tls::Never => self.open_clear(deadline).await,
            Tls::Must(connector) => self.open_tls(connector, deadline, true).await,
            Tls::May(connector) => match self.open_tls(connector, deadline, false).await {
                // RFC 7435: opportunistic security falls back rather than fails.
                Err(Refused::Handshake(cause)) => {
                    tracing::info!(host = %self.host, %cause, "TLS does not work with this host; going on in clear text");
                    let downgraded = Some(Box::new(cause));
                    self.open_clear(deadline).await.map(|connection| Connection { downgraded, ..connection })
                }
                opened => opened,
            },
        };
        opened.map_err(Cause::from)
    }

    /// XCLIENT with these attributes, each with a space before it. The server is then as if the client that they tell of had
    /// just connected, with the TLS that there is: its reply is a greeting, and EHLO begins again.
    ///
    /// # Errors
    /// When it does not come to that; the connection is of no more use.
    pub async fn present(&self, connection: &mut Connection, attributes: String) -> Result<(), Cause> {
        let presented = async {
            let reply = self.command(&mut connection.wire, &format!("XCLIENT{attributes}\r\n")).await?;
            if !reply.is_positive() {
                return Err(self.answered("XCLIENT", reply));
            }
            self.hello(&mut connection.wire).await
        };
        let extensions = presented.await.map_err(Cause::from)?;
        // Postfix takes it again, and lists it no more.
        let xclient = std::mem::take(&mut connection.extensions.xclient);
        connection.extensions = Extensions { xclient, ..extensions };
        connection.presented = Some(attributes);
        Ok(())
    }

    async fn open_clear(&self, deadline: Instant) -> Result<Connection, Refused> {
        let mut wire = Wire::new(self.connect(deadline).await?, deadline);
        self.greeting(&mut wire).await?;
        let extensions = self.hello(&mut wire).await?;
        Ok(self.connection(wire.erased(), extensions, Vec::new()))
    }

    fn connection(&self, wire: Wire, extensions: Extensions, certificates: Vec<CertificateDer<'static>>) -> Connection {
        let (dialect, channel_binding) = (self.dialect, None);
        Connection {
            wire,
            extensions,
            dialect,
            channel_binding,
            opened: Instant::now(),
            uses: 0,
            kept: false,
            certificates,
            verified: false,
            downgraded: None,
            presented: None,
        }
    }

    async fn open_tls(&self, connector: &TlsConnector, deadline: Instant, must: bool) -> Result<Connection, Refused> {
        let stream = self.connect(deadline).await?;
        if self.implicit_tls {
            let mut wire = Wire::new(self.handshake(connector, stream, deadline).await?, deadline);
            self.greeting(&mut wire).await?;
            return self.greeted(wire).await;
        }
        let mut wire = Wire::new(stream, deadline);
        self.greeting(&mut wire).await?;
        let extensions = self.hello(&mut wire).await?;
        let clear = |wire: Wire<TcpStream>, extensions, why: &str| {
            let ends = Ends::of(wire.tcp());
            let cause = Cause { ends, ..Cause::tls(Some(&self.host), TlsFailure::StarttlsNotSupported, why) };
            let connection = self.connection(wire.erased(), extensions, Vec::new());
            if must {
                // RFC 5321 section 4.1.1.10: the session ends with QUIT. Nobody waits for the answer.
                tokio::spawn(connection.quit());
                tracing::warn!(host = %self.host, why, "nothing was sent in clear text; somebody on the way may have removed the offer of TLS");
                return Err(Refused::Other(cause));
            }
            Ok(Connection { downgraded: Some(Box::new(cause)), ..connection })
        };
        if !extensions.starttls {
            return clear(wire, extensions, "it does not offer STARTTLS, and TLS is required");
        }
        let reply = self.command(&mut wire, "STARTTLS\r\n").await?;
        if reply.code() != 220 {
            return clear(wire, extensions, &format!("it refuses STARTTLS, and TLS is required: {reply}"));
        }
        let stream = wire.into_stream().ok_or_else(|| {
            // Somebody on the way may have written it: RFC 3207 section 6.
            self.refuse(PROTOCOL_ERROR, "it sent more than its reply to STARTTLS before TLS began")
        })?;
        // What was said before TLS is forgotten with the old wire: RFC 3207 section 4.2.
        self.greeted(Wire::new(self.handshake(connector, stream, deadline).await?, deadline)).await
    }

    async fn greeted(&self, mut wire: Wire<TlsStream<TcpStream>>) -> Result<Connection, Refused> {
        let shown = wire.stream().get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let extensions = self.hello(&mut wire).await?;
        let channel_binding = wire.channel_binding();
        Ok(Connection { channel_binding, ..self.connection(wire.erased(), extensions, certificates) })
    }

    async fn connect(&self, deadline: Instant) -> Result<TcpStream, Refused> {
        let dialled = dial(&self.host, &self.addresses, self.source, self.limits.connect, deadline).await;
        dialled.map_err(|text| self.refuse(NO_ANSWER, text))
    }

    async fn handshake(
        &self,
        connector: &TlsConnector,
        stream: TcpStream,
        deadline: Instant,
    ) -> Result<TlsStream<TcpStream>, Refused> {
        let until = Instant::now().checked_add(self.limits.handshake).map_or(deadline, |end| end.min(deadline));
        let ends = Ends::of(&stream);
        let refused =
            |failure, text: String| Refused::Handshake(Cause { ends, ..Cause::tls(Some(&self.host), failure, text) });
        match timeout_at(until, connector.connect(self.host.name().clone(), stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                let Mistrust { failure, text } = Mistrust::of(&error);
                Err(refused(failure, format!("the TLS handshake failed: {text}")))
            }
            Err(_) => Err(refused(TlsFailure::ValidationFailure, "the TLS handshake took too long".to_owned())),
        }
    }

    async fn greeting<S: Octets>(&self, wire: &mut Wire<S>) -> Result<(), Refused> {
        let reply = wire.reply(self.limits.greeting).await.map_err(|error| self.broken("the greeting", &error))?;
        // RFC 5321 section 3.1: 554 says that there is no mail service, and still another host may have one.
        if reply.is_positive() { Ok(()) } else { Err(self.answered("connecting", reply)) }
    }

    /// EHLO, or HELO where that is not known: RFC 5321 section 3.2. LHLO has no older form: RFC 2033 section 4.1.
    async fn hello<S: Octets + ?Sized>(&self, wire: &mut Wire<S>) -> Result<Extensions, Refused> {
        let verb = match self.dialect {
            Dialect::Smtp => "EHLO",
            Dialect::Lmtp => "LHLO",
        };
        let reply = self.command(wire, &format!("{verb} {}\r\n", self.hostname)).await?;
        if reply.is_positive() {
            return Ok(Extensions::parse(&reply));
        }
        if !reply.is_permanent() || self.dialect == Dialect::Lmtp {
            return Err(self.answered(verb, reply));
        }
        let reply = self.command(wire, &format!("HELO {}\r\n", self.hostname)).await?;
        if reply.is_positive() { Ok(Extensions::default()) } else { Err(self.answered("HELO", reply)) }
    }

    async fn command<S: Octets + ?Sized>(&self, wire: &mut Wire<S>, line: &str) -> Result<Reply, Refused> {
        let sent = wire.send(line.as_bytes(), self.limits.command).await;
        let answer = match sent {
            Ok(()) => wire.reply(self.limits.command).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| self.broken(line.split_whitespace().next().unwrap_or_default(), &error))
    }

    fn refuse(&self, status: EnhancedCode, text: impl Into<String>) -> Refused {
        Refused::Other(Cause::local(Some(&self.host), status, text))
    }

    fn broken(&self, step: &str, error: &WireError) -> Refused {
        self.refuse(status_of(error), format!("{error} ({step})"))
    }

    /// A host that does not want to talk; 5yz is about this host, and not about the message.
    fn answered(&self, command: &'static str, reply: Reply) -> Refused {
        Refused::Other(Cause::reply_to(command, &self.host, reply))
    }
}

/// RFC 3463 for a conversation that broke.
#[must_use]
pub fn status_of(error: &WireError) -> EnhancedCode {
    match error {
        WireError::Timeout | WireError::Closed | WireError::Io(_) => BAD_CONNECTION,
        WireError::NoReply(_) | WireError::Unproved(_) => PROTOCOL_ERROR,
    }
}

/// Why there is no connection.
enum Refused {
    Handshake(Cause),
    Other(Cause),
}

impl From<Refused> for Cause {
    /// Whatever it was, it was about the host.
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Handshake(cause) | Refused::Other(cause) => Self { unreachable: true, ..cause },
        }
    }
}
