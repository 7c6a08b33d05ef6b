//! One mail transaction on an open connection: MAIL, RCPT, DATA, the text, and what the next hop said of each. By SMTP, or
//! by LMTP (RFC 2033).

use client::{Cause, Connection, Dialect, Host, WireError, status_of};
use protocol::{
    Body, DotStuffer, EnhancedCode, Envelope, Extensions, ForwardPath, Mail, OriginalRecipient, Rcpt, Recipient, Reply,
};

use crate::outcome::{Outcome, Taken};
use crate::settings::Timeouts;
use crate::source::MessageSource;

/// Commands sent before their replies are read: few enough that those fit into the socket's buffers, so that no side
/// waits for the other (RFC 2920 section 3.1).
const WINDOW: usize = 50;
/// How long a next hop that closed the connection is listened to for its reason.
pub(crate) const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// RFC 3463 sections 3.4, 3.5 and 3.7.
const TOO_LARGE: EnhancedCode = EnhancedCode(5, 3, 4);
pub(crate) const NO_8BITMIME: EnhancedCode = EnhancedCode(5, 6, 3);
pub(crate) const NO_8BITMIME_TEXT: &str = "the message needs 8BITMIME, which this host does not offer";
const NO_SMTPUTF8: EnhancedCode = EnhancedCode(5, 6, 7);
/// RFC 8689 section 6.
const NO_REQUIRETLS: EnhancedCode = EnhancedCode(5, 7, 30);
const UNREADABLE: EnhancedCode = EnhancedCode(4, 3, 0);
const BAD_CONNECTION: EnhancedCode = EnhancedCode(4, 4, 2);

/// What came of one recipient at this host.
#[derive(Debug)]
pub(crate) enum Answer {
    /// No other host is to be asked.
    Final(Outcome),
    /// The next host may do better.
    Deferred(Cause),
    /// Too many recipients for one transaction: at once again, in another one (RFC 5321 section 4.5.3.1.10).
    Again(Cause),
}

/// What the connection is good for afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next transaction.
    Idle,
    /// The next transaction, after RSET.
    Reset,
    /// Nothing.
    Closed,
    /// Nothing, and it was so before MAIL was answered: a connection that had been idle for too long.
    NeverBegun,
}

/// A transaction to be made.
pub(crate) struct Transaction<'a> {
    pub(crate) host: &'a Host,
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) envelope: &'a Envelope,
    pub(crate) recipients: Vec<&'a Recipient>,
}

/// What was answered, for each recipient in order.
pub(crate) struct Transacted {
    pub(crate) answers: Vec<Answer>,
    pub(crate) after: After,
    /// The whole text went out, and no reply came: nobody knows whether it was taken.
    pub(crate) reply_lost: bool,
}

/// The replies so far.
#[derive(Default)]
struct Replies {
    mail: Option<Reply>,
    recipients: Vec<Reply>,
    data: Option<Reply>,
}

enum Step {
    Mail,
    Recipient,
    Data,
}

impl Transaction<'_> {
    pub(crate) async fn run(&self, connection: &mut Connection, source: &mut impl MessageSource) -> Transacted {
        match self.missing(&connection.extensions, connection.verified, source).await {
            Ok(None) => {}
            Ok(Some((status, text))) => {
                let cause = Cause::local(Some(self.host), status, text);
                return self.all(After::Idle, || Answer::Final(Outcome::Failed(cause.clone())));
            }
            Err(cause) => return self.all(After::Idle, || Answer::Deferred(cause.clone())),
        }
        let mut replies = Replies::default();
        if let Err(error) = self.envelope(connection, source.size(), &mut replies).await {
            return self.broken(replies, &error);
        }
        let accepted = replies.recipients.iter().any(Reply::is_positive);
        let go_on = replies.data.as_ref().is_some_and(Reply::is_intermediate);
        match (accepted, go_on) {
            (true, true) => self.text(connection, source, replies).await,
            (false, true) => self.empty(connection, replies).await,
            (_, false) => {
                let closed = replies.all().any(|reply| reply.code() == 421);
                self.transacted(replies, if closed { After::Closed } else { After::Reset })
            }
        }
    }

    /// What the message needs and the next hop does not have.
    async fn missing(
        &self,
        extensions: &Extensions,
        verified: bool,
        source: &mut impl MessageSource,
    ) -> Result<Option<(EnhancedCode, String)>, Cause> {
        let missing = missing(self.envelope, extensions, verified, Some(source.size()));
        // Many clients say 8BITMIME of every message, so look before giving it back.
        if missing.is_none() && !takes_eight_bit(self.envelope, extensions) && !self.is_seven_bit(source).await? {
            return Ok(Some((NO_8BITMIME, NO_8BITMIME_TEXT.to_owned())));
        }
        Ok(missing)
    }

    async fn is_seven_bit(&self, source: &mut impl MessageSource) -> Result<bool, Cause> {
        source.rewind();
        while let Some(octets) = source.next().await.map_err(|error| unreadable(&error))? {
            if !octets.is_ascii() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends the commands, as many at a time as the next hop lets, and collects the replies.
    async fn envelope(&self, connection: &mut Connection, size: u64, replies: &mut Replies) -> Result<(), WireError> {
        let window = if connection.extensions.pipelining { WINDOW } else { 1 };
        let mut commands = self.commands(&connection.extensions, size).into_iter().peekable();
        while commands.peek().is_some() {
            let batch: Vec<_> = commands.by_ref().take(window).collect();
            let lines: String = batch.iter().map(|(_, line)| line.as_str()).collect();
            connection.send(lines.as_bytes(), self.timeouts.command).await?;
            for (step, _) in batch {
                let limit = if matches!(step, Step::Data) { self.timeouts.data } else { self.timeouts.command };
                let reply = connection.reply(limit).await?;
                match step {
                    Step::Mail => replies.mail = Some(reply),
                    Step::Recipient => replies.recipients.push(reply),
                    Step::Data => replies.data = Some(reply),
                }
            }
            let refused = replies.mail.as_ref().is_some_and(|reply| !reply.is_positive());
            let nobody =
                replies.recipients.len() == self.recipients.len() && !replies.recipients.iter().any(Reply::is_positive);
            if refused || nobody || replies.all().any(|reply| reply.code() == 421) {
                break;
            }
        }
        Ok(())
    }

    fn commands(&self, extensions: &Extensions, size: u64) -> Vec<(Step, String)> {
        let mut commands = vec![(Step::Mail, mail_command(self.envelope, extensions, Some(size)))];
        let rcpt = |recipient: &&Recipient| rcpt_command(self.envelope, recipient, extensions);
        commands.extend(self.recipients.iter().map(|recipient| (Step::Recipient, rcpt(recipient))));
        commands.push((Step::Data, "DATA\r\n".to_owned()));
        commands
    }

    /// The text, stuffed, and the next hop's verdict.
    async fn text(&self, connection: &mut Connection, source: &mut impl MessageSource, replies: Replies) -> Transacted {
        source.rewind();
        let mut stuffer = DotStuffer::new();
        let mut out = Vec::new();
        loop {
            match source.next().await {
                Ok(Some(octets)) => {
                    out.clear();
                    stuffer.push(&octets, &mut out);
                    if let Err(error) = connection.send(&out, self.timeouts.block).await {
                        return self.interrupted(connection, replies, &error).await;
                    }
                }
                Ok(None) => break,
                // Without the final dot nothing was sent; the connection can only be dropped.
                Err(error) => {
                    let cause = unreadable(&error);
                    return self.accepted(replies, After::Closed, || Answer::Deferred(cause.clone()));
                }
            }
        }
        out.clear();
        stuffer.finish(&mut out);
        let accepted = replies.recipients.iter().filter(|reply| reply.is_positive()).count();
        let wanted = match connection.dialect {
            Dialect::Smtp => 1,
            // RFC 2033 section 4.2: a reply for each recipient that was accepted, in their order.
            Dialect::Lmtp => accepted,
        };
        let mut verdicts = Vec::new();
        let mut broken = connection.send(&out, self.timeouts.block).await.err();
        while broken.is_none() && verdicts.len() < wanted {
            match connection.reply(self.timeouts.end).await {
                Ok(reply) => verdicts.push(reply),
                Err(error) => broken = Some(error),
            }
        }
        let dialect = connection.dialect;
        let taken = taken(connection);
        let closed = broken.is_some() || verdicts.iter().any(|reply| reply.code() == 421);
        let lost = broken.map(|error| {
            let text = format!("{error} (the reply to the whole message); it may have been taken, and come twice");
            Cause::local(Some(self.host), BAD_CONNECTION, text)
        });
        let verdict = |nth: usize| verdicts.get(if dialect == Dialect::Lmtp { nth } else { 0 });
        let mut turn = 0..;
        let fate = || match (turn.next().and_then(verdict), &lost) {
            (Some(reply), _) if reply.is_positive() => {
                Answer::Final(Outcome::Delivered { host: Some(self.host.clone()), reply: reply.clone(), taken })
            }
            (Some(reply), _) => self.answer("end of DATA", reply),
            // Another host must not get what this one may have taken.
            (None, Some(cause)) => Answer::Final(Outcome::Deferred(cause.clone())),
            (None, None) => self.silent(),
        };
        let after = if closed { After::Closed } else { After::Idle };
        Transacted { reply_lost: lost.is_some(), ..self.accepted(replies, after, fate) }
    }

    /// The next hop closed the connection in the middle of the text; perhaps it said why.
    async fn interrupted(&self, connection: &mut Connection, replies: Replies, error: &WireError) -> Transacted {
        let reply = match error {
            WireError::Closed => connection.reply(LAST_WORDS).await.ok(),
            _ => None,
        };
        match reply.filter(|reply| reply.is_permanent() || reply.is_transient()) {
            Some(reply) => self.accepted(replies, After::Closed, || self.answer("DATA", &reply)),
            None => {
                let cause =
                    Cause::local(Some(self.host), status_of(error), format!("{error} (in the middle of the message)"));
                self.accepted(replies, After::Closed, || Answer::Deferred(cause.clone()))
            }
        }
    }

    /// Every recipient was refused, and DATA is open all the same: RFC 2920 section 3.1 has an empty message sent.
    async fn empty(&self, connection: &mut Connection, replies: Replies) -> Transacted {
        if connection.dialect == Dialect::Lmtp {
            // RFC 2033 section 4.2 has DATA refused then, and no reply to the text would come.
            return self.transacted(replies, After::Closed);
        }
        let sent = connection.send(b".\r\n", self.timeouts.block).await.is_ok();
        let answered = sent && connection.reply(self.timeouts.end).await.is_ok();
        self.transacted(replies, if answered { After::Reset } else { After::Closed })
    }

    /// The answers, when it did not come to the text.
    fn transacted(&self, replies: Replies, after: After) -> Transacted {
        let refused = replies.mail.clone().filter(|reply| !reply.is_positive());
        if let Some(reply) = refused {
            return self.all(after, || self.answer("MAIL FROM", &reply));
        }
        let data = replies.data.clone();
        let answer = |reply: Option<&Reply>| match (reply, &data) {
            // Accepted, and then DATA was refused.
            (Some(reply), Some(data)) if reply.is_positive() => self.answer("DATA", data),
            (Some(reply), _) => self.answer("RCPT TO", reply),
            (None, _) => self.silent(),
        };
        self.each(&replies, after, answer)
    }

    /// The answers when there is a fate for each of those accepted so far, in their order.
    fn accepted(&self, replies: Replies, after: After, mut fate: impl FnMut() -> Answer) -> Transacted {
        let someone = replies.recipients.iter().any(Reply::is_positive);
        self.each(&replies, after, |reply| match reply {
            Some(reply) if reply.is_positive() => fate(),
            Some(reply) if someone && is_too_many(reply) => {
                Answer::Again(Cause::reply_to("RCPT TO", self.host, reply.clone()))
            }
            Some(reply) => self.answer("RCPT TO", reply),
            None => self.silent(),
        })
    }

    /// The conversation broke before the text. Refusals that were said stand.
    fn broken(&self, replies: Replies, error: &WireError) -> Transacted {
        let after = if replies.mail.is_none() { After::NeverBegun } else { After::Closed };
        let cause = Cause::local(Some(self.host), status_of(error), error.to_string());
        let refused = replies.mail.clone().filter(|reply| !reply.is_positive());
        if let Some(reply) = refused {
            return self.all(After::Closed, || self.answer("MAIL FROM", &reply));
        }
        self.each(&replies, after, |reply| match reply {
            Some(reply) if !reply.is_positive() => self.answer("RCPT TO", reply),
            _ => Answer::Deferred(cause.clone()),
        })
    }

    fn each(&self, replies: &Replies, after: After, mut answer: impl FnMut(Option<&Reply>) -> Answer) -> Transacted {
        let answers = (0..self.recipients.len()).map(|at| answer(replies.recipients.get(at))).collect();
        Transacted { answers, after, reply_lost: false }
    }

    fn all(&self, after: After, answer: impl Fn() -> Answer) -> Transacted {
        let answers = self.recipients.iter().map(|_| answer()).collect();
        Transacted { answers, after, reply_lost: false }
    }

    fn answer(&self, command: &'static str, reply: &Reply) -> Answer {
        let cause = Cause::reply_to(command, self.host, reply.clone());
        if reply.is_permanent() { Answer::Final(Outcome::Failed(cause)) } else { Answer::Deferred(cause) }
    }

    /// The next hop ended the conversation (421) before this recipient's turn.
    fn silent(&self) -> Answer {
        Answer::Deferred(Cause::local(
            Some(self.host),
            BAD_CONNECTION,
            "the host ended the session before this recipient",
        ))
    }
}

/// What a positive reply to the text means here.
fn taken(connection: &Connection) -> Taken {
    match connection.dialect {
        // The DSN parameters went along, whatever the dialect.
        _ if connection.extensions.dsn => Taken::RelayedWithDsn,
        // RFC 2033 section 1: who speaks it has no queue, and its reply is the delivery.
        Dialect::Lmtp => Taken::Delivered,
        Dialect::Smtp => Taken::Relayed,
    }
}

/// What the envelope needs and the next hop does not have.
pub(crate) fn missing(
    envelope: &Envelope,
    extensions: &Extensions,
    verified: bool,
    size: Option<u64>,
) -> Option<(EnhancedCode, String)> {
    // RFC 8689 section 4.2.1.
    if envelope.require_tls && !verified {
        let text = "the message needs REQUIRETLS, and nothing vouches for this host (tls = \"verify\" would)";
        return Some((NO_REQUIRETLS, text.to_owned()));
    }
    if envelope.require_tls && !extensions.require_tls {
        return Some((NO_REQUIRETLS, "the message needs REQUIRETLS, which this host does not offer".to_owned()));
    }
    let limit = extensions.size.filter(|&limit| limit > 0);
    if let Some((limit, size)) = limit.zip(size).filter(|(limit, size)| limit < size) {
        return Some((TOO_LARGE, format!("the message has {size} octets, and this host takes at most {limit}")));
    }
    // RFC 6531 section 3.5.
    (envelope.smtputf8 && !extensions.smtputf8)
        .then(|| (NO_SMTPUTF8, "the message needs SMTPUTF8, which this host does not offer".to_owned()))
}

/// RFC 6152 section 3. What was not declared is the client's fault, and passes as it always has.
pub(crate) fn takes_eight_bit(envelope: &Envelope, extensions: &Extensions) -> bool {
    extensions.eight_bit_mime || envelope.body != Body::EightBitMime
}

/// MAIL, with the parameters that the next hop understands.
pub(crate) fn mail_command(envelope: &Envelope, extensions: &Extensions, size: Option<u64>) -> String {
    let mail = Mail {
        size: size.filter(|_| extensions.size.is_some()),
        body: Some(envelope.body).filter(|&body| extensions.eight_bit_mime && body == Body::EightBitMime),
        smtputf8: envelope.smtputf8,
        require_tls: envelope.require_tls,
        ret: envelope.ret.filter(|_| extensions.dsn),
        envid: envelope.envid.clone().filter(|_| extensions.dsn),
        ..Mail::new(envelope.reverse_path.clone())
    };
    format!("MAIL FROM:{mail}\r\n")
}

/// RCPT likewise.
pub(crate) fn rcpt_command(envelope: &Envelope, recipient: &Recipient, extensions: &Extensions) -> String {
    let can_be_said = |original: &OriginalRecipient| extensions.dsn && (original.is_ascii() || envelope.smtputf8);
    let rcpt = Rcpt {
        forward_path: ForwardPath::Mailbox(recipient.mailbox.clone()),
        notify: recipient.notify.filter(|_| extensions.dsn),
        original: recipient.original.clone().filter(can_be_said),
    };
    format!("RCPT TO:{rcpt}\r\n")
}

/// The spool's fault.
pub(crate) fn unreadable(error: &std::io::Error) -> Cause {
    Cause::local(None, UNREADABLE, format!("the message cannot be read from the spool: {error}"))
}

impl Replies {
    fn all(&self) -> impl Iterator<Item = &Reply> {
        self.mail.iter().chain(&self.recipients).chain(&self.data)
    }
}

/// RFC 5321 section 4.5.3.1.10: 452, or 552 from older servers. An enhanced code that says something else is believed.
fn is_too_many(reply: &Reply) -> bool {
    let other = reply.enhanced().is_some_and(|EnhancedCode(_, subject, detail)| (subject, detail) != (5, 3));
    matches!(reply.code(), 452 | 552) && !other
}
