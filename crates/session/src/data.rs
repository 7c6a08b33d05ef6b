//! A message on its way from the wire to the spool or the next hop: trace fields on top, forged ones out, limits held.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use policy::{Authorized, Foreign, Monitored, Permit};
use protocol::framing::Violation;
use protocol::header::{Header, HeaderFilter, HeaderSection, HeaderSettings, OriginatorFields};
use protocol::{ChunkDecoder, Reply};
use spool::MessageId;
use tokio::time::Instant;

use crate::identity_field::{IdentityField, IdentityKey, NAME, Statement};
use crate::monitored::Message;
use crate::onward::Onward;
use crate::outcome::End;
use crate::record::Event;
use crate::replies;
use crate::session::Session;
use crate::trace::{Submission, date};
use crate::transaction::{Hello, Transaction};

/// The largest header section, octets: far above what mail programs write, far below what hurts.
const MAX_HEADER: usize = 256 * 1024;
/// RFC 5321 section 6.3: at least 100 Received fields are no loop yet.
const MAX_HOPS: usize = 100;

/// Octets of From and Sender that the log keeps at most: more than mail programs write, and few enough for a log.
const MAX_KEPT: usize = 2048;

/// One message coming in, whether by DATA or by BDAT.
pub(crate) struct Reception {
    hello: Hello,
    client: SocketAddr,
    max_size: u64,
    /// The refusal takes the place of the way out, which is gone with it.
    incoming: Result<Incoming, Reply>,
    author: AuthorSeen,
}

/// What the log is to keep of a message's author.
#[derive(Default)]
struct AuthorSeen {
    /// Something is to be kept.
    wanted: bool,
    originators: Option<OriginatorFields>,
    refused: bool,
}

/// What became of a message.
pub(crate) struct Outcome {
    accepted: Result<Accepted, Reply>,
    author: AuthorSeen,
}

struct Incoming {
    onward: Onward,
    part: Part,
}

/// The header section is judged as soon as it is whole; what is not authorized has no body.
enum Part {
    Header(Box<HeaderFilter>, Claim),
    Body(Authorized),
}

/// In whose name a message comes in, and what the next hop is told of it.
struct Claim {
    permit: Permit,
    identity: Option<(IdentityField, Option<Arc<IdentityKey>>)>,
}

/// A message that somebody answers for.
pub(crate) struct Accepted {
    id: MessageId,
    reply: Reply,
    /// What its header would have been refused for.
    monitored: Option<Monitored>,
}

/// A message coming in by BDAT, between two chunks.
pub(crate) struct Chunks {
    pub(crate) reception: Reception,
    pub(crate) decoder: ChunkDecoder,
    pub(crate) until: Instant,
}

impl Chunks {
    pub(crate) fn begin(reception: Reception, until: Instant) -> Self {
        Self { reception, decoder: ChunkDecoder::new(), until }
    }

    pub(crate) fn into_hello(self) -> Hello {
        self.reception.hello
    }
}

impl Reception {
    /// Opens the way out with the transaction's permit, and writes the trace fields.
    pub(crate) async fn begin(session: &Session, transaction: Transaction) -> Self {
        let Transaction { hello, permit, envelope, relaying, .. } = transaction;
        let (client, max_size) = (session.client, session.policy.max_message_size);
        let smtputf8 = envelope.smtputf8;
        let spool = &session.server().spool;
        let opened = match session.server().relay {
            None => Ok(Onward::Queued(spool.begin(&permit, session.origin(&permit, &hello), envelope))),
            Some(_) => relaying.data(spool.next_id()).await,
        };
        let mut onward = match opened {
            Ok(onward) => onward,
            Err(refusal) => {
                return Self { hello, client, max_size, incoming: Err(refusal), author: AuthorSeen::default() };
            }
        };
        let at = Timestamp::now();
        let id = onward.id();
        let submission = Submission {
            hostname: session.hostname(),
            client_name: &hello.name,
            client: session.client.ip(),
            extended: hello.extended,
            smtputf8,
            tls: session.facts.transport.tls(),
            identity: permit.identity(),
            certificate_subject: session.verified_subject(),
            id: id.to_string(),
            at,
        };
        let fields = submission.fields();
        let identity = session.identity_field(&permit, &submission);
        let filter = HeaderFilter::new(HeaderSettings {
            authserv_id: session.hostname().to_owned(),
            own_field: Some(NAME),
            max_size: MAX_HEADER,
            // RFC 6409 sections 8.2 and 8.3.
            date: Some(date(at)),
            message_id: Some(format!("<{id}@{}>", session.hostname())),
        });
        let written = onward.write(fields.as_bytes()).await;
        let part = Part::Header(Box::new(filter), Claim { permit, identity });
        let author = AuthorSeen { wanted: session.recorder.keeps(), ..AuthorSeen::default() };
        Self { hello, client, max_size, incoming: written.map(|()| Incoming { onward, part }), author }
    }

    /// Takes content; `length` is how much there was with it. After a refusal it goes nowhere.
    pub(crate) async fn take(&mut self, content: &[u8], length: u64) {
        if !self.announce(length) || content.is_empty() {
            return;
        }
        // Dropped in the middle, it stays refused.
        let refused = Err(replies::spool_error(&spool::SpoolError::Broken));
        if let Ok(incoming) = std::mem::replace(&mut self.incoming, refused) {
            self.incoming = incoming.take(content, self.client, &mut self.author).await;
        }
    }

    /// False, and a refusal, when so much is too much (RFC 1870 section 6.3).
    pub(crate) fn announce(&mut self, length: u64) -> bool {
        if length > self.max_size {
            self.refuse(replies::too_large(self.max_size));
        }
        !self.is_refused()
    }

    /// The first refusal stands; the way out is dropped, and nothing remains of the message.
    fn refuse(&mut self, reply: Reply) {
        if self.incoming.is_ok() {
            self.incoming = Err(reply);
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.incoming.is_err()
    }

    pub(crate) fn hello(&self) -> Hello {
        self.hello.clone()
    }

    /// The message is all there: 250 only once somebody answers for it.
    pub(crate) async fn finish(mut self, violation: Option<Violation>) -> Outcome {
        if violation.is_some() {
            self.refuse(replies::bare_line_ending_in_data());
        }
        let accepted = match self.incoming {
            Ok(incoming) => incoming.finish(self.client, &mut self.author).await,
            Err(refusal) => Err(refusal),
        };
        Outcome { accepted, author: self.author }
    }
}

impl Incoming {
    async fn take(mut self, content: &[u8], client: SocketAddr, author: &mut AuthorSeen) -> Result<Self, Reply> {
        let (part, body) = match self.part {
            Part::Body(authorized) => (Part::Body(authorized), content),
            Part::Header(filter, claim) => match filter.push(content).map_err(|_| replies::header_too_large())? {
                Header::Open(filter) => (Part::Header(Box::new(filter), claim), [].as_slice()),
                Header::Closed(section, body) => {
                    (Part::Body(authorize(&mut self.onward, &claim, &section, client, author).await?), body)
                }
            },
        };
        self.onward.write(body).await?;
        Ok(Self { part, ..self })
    }

    async fn finish(mut self, client: SocketAddr, author: &mut AuthorSeen) -> Result<Accepted, Reply> {
        let authorized = match self.part {
            Part::Body(authorized) => authorized,
            Part::Header(filter, claim) => {
                authorize(&mut self.onward, &claim, &filter.finish(), client, author).await?
            }
        };
        let id = self.onward.id();
        let reply = self.onward.commit(&authorized).await?;
        Ok(Accepted { id, reply, monitored: authorized.monitored().cloned() })
    }
}

/// The header section is whole: it is judged, and goes on.
async fn authorize(
    onward: &mut Onward,
    Claim { permit, identity }: &Claim,
    section: &HeaderSection,
    client: SocketAddr,
    author: &mut AuthorSeen,
) -> Result<Authorized, Reply> {
    if section.summary().received > MAX_HOPS {
        return Err(replies::mail_loop());
    }
    author.originators = author.wanted.then(|| section.originator_fields(MAX_KEPT)).flatten();
    let user = || permit.identity().map(|identity| identity.principal.user_id.as_str());
    let id = onward.id();
    let authorized = permit.authorize(section).map_err(|refusal| {
        tracing::info!(%client, identity = user(), %id, reason = %refusal, "author refused");
        author.refused = true;
        replies::refusal(&refusal)
    })?;
    if let Some(Foreign { refusal, rewritten: true }) = authorized.foreign() {
        tracing::info!(%client, identity = user(), %id, reason = %refusal, "foreign author rewritten");
    }
    let section = match authorized.author() {
        Some(author) => Cow::Owned(section.with_author(author)),
        None => Cow::Borrowed(section.as_bytes()),
    };
    if let Some((field, key)) = identity {
        let Some(field) = field.write(key.as_deref(), &section) else {
            tracing::error!(%id, "the identity field could not be signed; the client is asked to try again");
            return Err(replies::spool_error(&spool::SpoolError::Broken));
        };
        onward.write(field.as_bytes()).await?;
    }
    onward.write(&section).await?;
    Ok(authorized)
}

impl Session {
    /// What the next hop is told of who hands the message in; `None` where nobody was identified, or nothing is told.
    fn identity_field(
        &self,
        permit: &Permit,
        submission: &Submission<'_>,
    ) -> Option<(IdentityField, Option<Arc<IdentityKey>>)> {
        let identity = permit.identity().filter(|_| self.server().trace.identity)?;
        let field = IdentityField::new(&Statement {
            hostname: submission.hostname,
            id: &submission.id,
            at: submission.at,
            identity,
            sender: permit.sender(),
            certificate_subject: submission.certificate_subject,
        });
        Some((field, self.server().identity_key.clone()))
    }

    /// The certificate's subject, where the administrator wants it told and the path was valid.
    fn verified_subject(&self) -> Option<&str> {
        match &self.facts.certificate {
            auth::CertificateFact::Presented(presented)
                if self.server().trace.certificate_subject && presented.path.is_ok() =>
            {
                Some(&presented.subject)
            }
            _ => None,
        }
    }

    /// Replies to a message.
    pub(crate) async fn conclude(&mut self, outcome: Outcome, size: u64) -> Result<(), End> {
        let Outcome { accepted, author } = outcome;
        let reply = match accepted {
            Ok(Accepted { id, reply, monitored }) => {
                let id = id.to_string();
                self.tally.messages += 1;
                self.count_message();
                if let Some(monitored) = &monitored {
                    self.tell(monitored, Message { id: Some(&id), ..Message::default() });
                }
                self.tally.accepted.push_str(&id);
                self.tally.accepted.push(' ');
                reply
            }
            Err(refusal) => refusal,
        };
        self.recorder.add(|| {
            let AuthorSeen { originators, refused: author_refused, .. } = author;
            Event::Message { size, originators, author_refused, reply: reply.to_string() }
        });
        self.reply(&reply).await
    }
}
