//! Where a message goes while it comes in: into the spool, or to the next hop at once.

use delivery::{Cause, Courier, Destination, Origin, Relay};
use policy::{Authorized, Permit};
use protocol::{Envelope, Recipient, Reply};
use spool::MessageId;

use crate::replies;

/// A message's way out, open for its text.
pub(crate) enum Onward {
    /// It is kept, and delivered later.
    Queued(spool::Transaction),
    /// The next hop takes it as it comes, and answers for it.
    Inline { relay: Relay, id: MessageId },
}

impl Onward {
    pub(crate) fn id(&self) -> MessageId {
        match self {
            Self::Queued(transaction) => transaction.id(),
            Self::Inline { id, .. } => *id,
        }
    }

    /// Appends to the text: lines ending with CRLF, without dot-stuffing.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> Result<(), Reply> {
        match self {
            Self::Queued(transaction) => transaction.write(octets).await.map_err(|error| not_stored(&error)),
            Self::Inline { relay, id } => relay.write(octets).await.map_err(|cause| refused(&cause, *id)),
        }
    }

    /// The reply says who answers for the message from here: this gateway, once it is durable, or the next hop.
    pub(crate) async fn commit(self, authorized: &Authorized) -> Result<Reply, Reply> {
        match self {
            Self::Queued(transaction) => {
                transaction.commit(authorized).await.map(replies::queued).map_err(|error| not_stored(&error))
            }
            Self::Inline { relay, id } => match relay.finish(authorized).await {
                Ok(reply) => {
                    tracing::info!(%id, %reply, "delivered");
                    Ok(replies::relayed(reply))
                }
                Err(cause) => Err(refused(&cause, id)),
            },
        }
    }
}

/// The next hop's part in a transaction whose recipients are still coming in.
#[derive(Default)]
pub(crate) enum Relaying {
    /// None so far.
    #[default]
    Not,
    Open(Box<Relay>),
    /// The next hop is gone, and with it what it had accepted.
    Lost,
}

impl Relaying {
    /// Names the envelope's last recipient to the next hop.
    pub(crate) async fn recipient(
        &mut self,
        courier: &Courier,
        permit: &Permit,
        origin: &Origin,
        envelope: &Envelope,
        size: Option<u64>,
    ) -> Result<(), Reply> {
        let Some((recipient, at)) = envelope.recipients.last().zip(envelope.recipients.len().checked_sub(1)) else {
            return Err(replies::no_recipients());
        };
        let Some(destination) = courier.destination(origin, envelope, at) else { return Err(replies::no_route()) };
        let outcome = self.ask(courier, permit, (origin, &destination), envelope, recipient, size).await;
        outcome.map_err(|answer| match answer {
            Ok(reply) => reply,
            Err(cause) => {
                tracing::info!(to = %recipient.mailbox, from = %envelope.reverse_path, %cause, "RCPT refused by the next hop");
                replies::next_hop(&cause)
            }
        })
    }

    async fn ask(
        &mut self,
        courier: &Courier,
        permit: &Permit,
        (origin, destination): (&Origin, &Destination),
        envelope: &Envelope,
        recipient: &Recipient,
        size: Option<u64>,
    ) -> Result<(), Result<Reply, Cause>> {
        if let Self::Not = self {
            let relay = courier.relay(permit, origin, destination, envelope, size).await.map_err(Err)?;
            *self = Self::Open(Box::new(relay));
        }
        let Self::Open(relay) = self else { return Err(Ok(replies::next_hop_lost())) };
        if relay.destination() != destination {
            return Err(Ok(replies::another_destination()));
        }
        let outcome = relay.recipient(envelope, recipient).await;
        if !relay.is_open() {
            *self = Self::Lost;
        }
        outcome.map(drop).map_err(Err)
    }

    /// The next hop is ready for the text.
    pub(crate) async fn data(self, id: MessageId) -> Result<Onward, Reply> {
        let Self::Open(mut relay) = self else { return Err(replies::next_hop_lost()) };
        match relay.data().await {
            Ok(()) => Ok(Onward::Inline { relay: *relay, id }),
            Err(cause) => Err(refused(&cause, id)),
        }
    }
}

fn not_stored(error: &spool::SpoolError) -> Reply {
    tracing::error!(%error, "a message could not be stored; the client is asked to try again");
    replies::spool_error(error)
}

fn refused(cause: &Cause, id: MessageId) -> Reply {
    tracing::info!(%id, %cause, "refused by the next hop");
    replies::next_hop(cause)
}
