//! A message handed on while it comes in: what the client says is said to the next hop, whose words are the answer.
//! Nothing is kept here; the next hop answers for the message, or the client does.

use std::sync::Arc;
use std::time::Duration;

use client::{Cause, Connection, Host, Pool, WireError, status_of};
use policy::Authorized;
use protocol::{DotStuffer, EnhancedCode, Envelope, Recipient, Reply};
use tokio::sync::OwnedSemaphorePermit;

use crate::destination::Destination;
use crate::settings::Timeouts;
use crate::transaction::{
    LAST_WORDS, NO_8BITMIME, NO_8BITMIME_TEXT, mail_command, missing, rcpt_command, takes_eight_bit,
};

/// RFC 5321 section 3.8: the server closes the channel.
const CLOSING: u16 = 421;

/// An open transaction at the next hop. Dropped before [`finish`](Self::finish), the next hop forgets it.
#[derive(Debug)]
pub struct Relay {
    peer: Peer,
    /// `None` once it cannot be used any more, and while a step is under way: one that is broken off leaves a reply on its
    /// way, which must never be taken for the answer to what comes next.
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
        let (kept, limit) = (connection.kept, peer.timeouts.command);
        connection.uses = connection.uses.saturating_add(1);
        let mut relay = Self { peer, connection: Some(connection), text: None, eight_bit };
        match relay.say("MAIL FROM", &command, limit).await.and_then(|reply| relay.positive("MAIL FROM", reply)) {
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
        let Some(connection) = &self.connection else { return Err(self.gone()) };
        let command = rcpt_command(envelope, recipient, &connection.extensions);
        let reply = self.say("RCPT TO", &command, self.peer.timeouts.command).await?;
        self.positive("RCPT TO", reply)
    }

    /// DATA: the text may follow.
    ///
    /// # Errors
    /// The next hop's refusal, or why there is none.
    pub async fn data(&mut self) -> Result<(), Cause> {
        let reply = self.say("DATA", "DATA\r\n", self.peer.timeouts.data).await?;
        if !reply.is_intermediate() {
            return self.positive("DATA", reply).map(drop);
        }
        self.text = Some(Text::default());
        Ok(())
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
        let (Some(mut connection), Some(mut text)) = (self.connection.take(), self.text.take()) else {
            return Err(self.gone());
        };
        text.stuffed.clear();
        text.stuffer.finish(&mut text.stuffed);
        let said = match connection.send(&text.stuffed, self.peer.timeouts.block).await {
            Ok(()) => connection.reply(self.peer.timeouts.end).await,
            Err(error) => Err(error),
        };
        let reply = said.map_err(|error| self.broken("end of DATA", &error))?;
        // The transaction is over either way, and the connection free for the next one.
        if reply.code() != CLOSING {
            self.peer.pool.put(connection);
        }
        self.positive("end of DATA", reply)
    }

    /// Sends a command and waits for its reply.
    async fn say(&mut self, command: &'static str, line: &str, limit: Duration) -> Result<Reply, Cause> {
        let Some(mut connection) = self.connection.take() else { return Err(self.gone()) };
        let said = connection.command(line.as_bytes(), limit).await;
        let reply = said.map_err(|error| self.broken(command, &error))?;
        if reply.code() != CLOSING {
            self.connection = Some(connection);
        }
        Ok(reply)
    }

    fn positive(&self, command: &'static str, reply: Reply) -> Result<Reply, Cause> {
        if reply.is_positive() { Ok(reply) } else { Err(Cause::reply_to(command, &self.peer.host, reply)) }
    }

    fn broken(&self, command: &str, error: &WireError) -> Cause {
        Cause::local(Some(&self.peer.host), status_of(error), format!("{error} (the reply to {command})"))
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

#[cfg(test)]
mod tests;
