//! A message handed on while it comes in: what the client says is said to the next hop, whose words are the answer.
//! Nothing is kept here; the next hop answers for the message, or the client does.

use std::sync::Arc;

use client::{Cause, Connection, Host, Pool, WireError, status_of};
use policy::Authorized;
use protocol::{DotStuffer, EnhancedCode, Envelope, Recipient, Reply};
use tokio::sync::OwnedSemaphorePermit;

use crate::destination::Destination;
use crate::settings::Timeouts;
use crate::transaction::{
    LAST_WORDS, NO_8BITMIME, NO_8BITMIME_TEXT, mail_command, missing, rcpt_command, takes_eight_bit,
};

/// An open transaction at the next hop. Dropped before [`finish`](Self::finish), the next hop forgets it.
#[derive(Debug)]
pub struct Relay {
    peer: Peer,
    /// `None` once it cannot be used any more.
    connection: Option<Connection>,
    /// `Some` from DATA on.
    text: Option<Text>,
    /// Octets above 127 may pass.
    eight_bit: bool,
}

/// The next hop, as far as one transaction needs it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) destination: Destination,
    pub(crate) host: Host,
    pub(crate) timeouts: Timeouts,
    pub(crate) pool: Arc<Pool>,
    /// One of the route's connections.
    pub(crate) _room: Arc<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct Text {
    stuffer: DotStuffer,
    stuffed: Vec<u8>,
}

impl Relay {
    /// MAIL, on a connection that is open.
    pub(crate) async fn begin(
        peer: Peer,
        mut connection: Connection,
        envelope: &Envelope,
        size: Option<u64>,
    ) -> Result<Self, Refused> {
        let extensions = &connection.extensions;
        if let Some((status, text)) = missing(envelope, extensions, connection.verified, size) {
            let cause = Cause::local(Some(&peer.host), status, text);
            peer.pool.put(connection);
            return Err(Refused { cause, stale: false });
        }
        let eight_bit = takes_eight_bit(envelope, extensions);
        let command = mail_command(envelope, extensions, size);
        let kept = connection.kept;
        connection.uses = connection.uses.saturating_add(1);
        let said = connection.command(command.as_bytes(), peer.timeouts.command).await;
        let mut relay = Self { peer, connection: Some(connection), text: None, eight_bit };
        match relay.heard("MAIL FROM", said) {
            Ok(_) => Ok(relay),
            Err(cause) => {
                let stale = kept && relay.connection.is_none();
                Err(Refused { cause, stale })
            }
        }
    }

    /// Whether the next hop is still there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Where the message goes; a recipient with another destination needs a transaction of its own.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.peer.destination
    }

    /// RCPT.
    ///
    /// # Errors
    /// The next hop's refusal, or why there is none.
    pub async fn recipient(&mut self, envelope: &Envelope, recipient: &Recipient) -> Result<Reply, Cause> {
        let Some(connection) = &mut self.connection else { return Err(self.gone()) };
        let command = rcpt_command(envelope, recipient, &connection.extensions);
        let said = connection.command(command.as_bytes(), self.peer.timeouts.command).await;
        self.heard("RCPT TO", said)
    }

    /// DATA: the text may follow.
    ///
    /// # Errors
    /// The next hop's refusal, or why there is none.
    pub async fn data(&mut self) -> Result<(), Cause> {
        let Some(connection) = &mut self.connection else { return Err(self.gone()) };
        let said = connection.command(b"DATA\r\n", self.peer.timeouts.data).await;
        match said {
            Ok(reply) if reply.is_intermediate() => {
                self.text = Some(Text::default());
                Ok(())
            }
            said => self.heard("DATA", said).map(drop),
        }
    }

    /// Sends text: lines ending with CRLF, without dot-stuffing. Waits until the next hop takes it.
    ///
    /// # Errors
    /// When it does not; nothing of the message has been accepted then.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), Cause> {
        // Many clients say 8BITMIME of every message, so only what is there counts.
        if !self.eight_bit && !octets.is_ascii() {
            self.connection = None;
            return Err(Cause::local(Some(&self.peer.host), NO_8BITMIME, NO_8BITMIME_TEXT));
        }
        let (Some(connection), Some(text)) = (&mut self.connection, &mut self.text) else { return Err(self.gone()) };
        text.stuffed.clear();
        text.stuffer.push(octets, &mut text.stuffed);
        let Err(error) = connection.send(&text.stuffed, self.peer.timeouts.block).await else { return Ok(()) };
        // Perhaps it said why.
        let reason = match error {
            WireError::Closed => connection.reply(LAST_WORDS).await.ok(),
            _ => None,
        };
        self.connection = None;
        Err(match reason.filter(|reply| reply.is_permanent() || reply.is_transient()) {
            Some(reply) => Cause::reply_to("DATA", &self.peer.host, reply),
            None => Cause::local(
                Some(&self.peer.host),
                status_of(&error),
                format!("{error} (in the middle of the message)"),
            ),
        })
    }

    /// The end of the message, which its header's author may send. The reply says that the next hop answers for it.
    ///
    /// # Errors
    /// The next hop's refusal. Without a reply nobody knows whether it was taken; the client, asked to try again, may
    /// make a duplicate.
    pub async fn finish(mut self, _: &Authorized) -> Result<Reply, Cause> {
        let (Some(connection), Some(mut text)) = (&mut self.connection, self.text.take()) else {
            return Err(self.gone());
        };
        text.stuffed.clear();
        text.stuffer.finish(&mut text.stuffed);
        let said = match connection.send(&text.stuffed, self.peer.timeouts.block).await {
            Ok(()) => connection.reply(self.peer.timeouts.end).await,
            Err(error) => Err(error),
        };
        let outcome = self.heard("end of DATA", said);
        // The transaction is over either way, and the connection free for the next one.
        if let Some(connection) = self.connection.take() {
            self.peer.pool.put(connection);
        }
        outcome
    }

    /// What a reply, or its absence, means.
    fn heard(&mut self, command: &'static str, said: Result<Reply, WireError>) -> Result<Reply, Cause> {
        match said {
            Ok(reply) => {
                // RFC 5321 section 3.8: it closes the channel.
                if reply.code() == 421 {
                    self.connection = None;
                }
                if reply.is_positive() { Ok(reply) } else { Err(Cause::reply_to(command, &self.peer.host, reply)) }
            }
            Err(error) => {
                self.connection = None;
                let text = format!("{error} (the reply to {command})");
                Err(Cause::local(Some(&self.peer.host), status_of(&error), text))
            }
        }
    }

    fn gone(&self) -> Cause {
        Cause::local(Some(&self.peer.host), EnhancedCode(4, 4, 2), "the connection is gone")
    }
}

impl Drop for Relay {
    /// Before DATA the next hop is told to forget it, and the connection kept; after it, only the end of the connection
    /// says that the message is not to be delivered.
    fn drop(&mut self) {
        let (Some(mut connection), None) = (self.connection.take(), &self.text) else { return };
        let (pool, limit) = (self.peer.pool.clone(), self.peer.timeouts.command);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if connection.command(b"RSET\r\n", limit).await.is_ok_and(|reply| reply.is_positive()) {
                    pool.put(connection);
                }
            });
        }
    }
}

/// Why a host did not open the transaction.
pub(crate) struct Refused {
    pub(crate) cause: Cause,
    /// The connection had waited for its next use for too long: nothing has been refused, and a fresh one will tell.
    pub(crate) stale: bool,
}
