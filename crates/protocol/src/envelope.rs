//! What travels beside a message: RFC 5321 section 2.3.1, and its form in the spool.

use std::fmt::Write as _;

use crate::address::{ForwardPath, Mailbox, ReversePath};
pub use crate::parameters::{Body, EnvelopeId, Notify, OriginalRecipient, Return};
use crate::transaction::{Mail, Rcpt, TransactionError};

/// First line of the encoded form. The number changes with any change an older reader would misread.
const MAGIC: &str = "postern-envelope 1";
/// Last line: without it the record was cut.
const END: &str = ".";
/// More recipients than any session takes; a bound for the decoder.
const MAX_RECIPIENTS: usize = 100_000;

/// One RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where the message is to go.
    pub mailbox: Mailbox,
    /// `NOTIFY=`; `None` when the client did not say.
    pub notify: Option<Notify>,
    /// `ORCPT=`, as given.
    pub original: Option<OriginalRecipient>,
}

/// Everything about a message that is not in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO, in order; at least one once DATA is reached.
    pub recipients: Vec<Recipient>,
    /// `BODY=`
    pub body: Body,
    /// `SMTPUTF8` was given (RFC 6531).
    pub smtputf8: bool,
    /// `REQUIRETLS` was given (RFC 8689): only to next hops that are known to be the right ones, and protect it likewise.
    pub require_tls: bool,
    /// `RET=`
    pub ret: Option<Return>,
    /// `ENVID=`
    pub envid: Option<EnvelopeId>,
}

/// Why a record is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not one of ours, or of a later version.
    #[error("the envelope does not begin with \"{MAGIC}\"")]
    Version,
    /// A line is not what has to stand there. Lines count from 1.
    #[error("line {0} of the envelope is not an envelope's")]
    Line(usize),
    /// A line's argument is refused. Lines count from 1.
    #[error("line {0} of the envelope: {1}")]
    Argument(usize, TransactionError),
    /// The end mark is missing: a cut record.
    #[error("the envelope has no end")]
    Truncated,
    /// More recipients than can be.
    #[error("the envelope has over {MAX_RECIPIENTS} recipients")]
    TooManyRecipients,
}

impl Envelope {
    /// The envelope as a record for the spool, about as long as the client's own commands, and written like them:
    ///
    /// ```text
    /// postern-envelope 1
    /// MAIL FROM:<alice@example.org> BODY=8BITMIME
    /// RCPT TO:<bob@example.net> NOTIFY=FAILURE
    /// .
    /// ```
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mail = Mail {
            size: None,
            body: Some(self.body),
            smtputf8: self.smtputf8,
            require_tls: self.require_tls,
            ret: self.ret,
            envid: self.envid.clone(),
            ..Mail::new(self.reverse_path.clone())
        };
        let mut text = format!("{MAGIC}\nMAIL FROM:{mail}\n");
        for recipient in &self.recipients {
            let rcpt = Rcpt {
                forward_path: ForwardPath::Mailbox(recipient.mailbox.clone()),
                notify: recipient.notify,
                original: recipient.original.clone(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "RCPT TO:{rcpt}");
        }
        text.push_str(END);
        text.push('\n');
        text.into_bytes()
    }

    /// The envelope of a record that [`Envelope::encode`] made.
    ///
    /// # Errors
    /// When the record is anything else, cut or damaged.
    pub fn decode(record: &[u8]) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(record).map_err(|_| EnvelopeError::Version)?;
        let mut lines = (1..).zip(text.split('\n'));
        if lines.next().is_none_or(|(_, line)| line != MAGIC) {
            return Err(EnvelopeError::Version);
        }
        let (at, line) = lines.next().ok_or(EnvelopeError::Truncated)?;
        let mail = line.strip_prefix("MAIL FROM:").ok_or(EnvelopeError::Line(at))?;
        let mail = Mail::parse(mail).map_err(|error| EnvelopeError::Argument(at, error))?;
        let mut recipients = Vec::new();
        for (at, line) in lines.by_ref().take_while(|&(_, line)| line != END) {
            if line.is_empty() {
                return Err(EnvelopeError::Truncated);
            }
            if recipients.len() == MAX_RECIPIENTS {
                return Err(EnvelopeError::TooManyRecipients);
            }
            recipients.push(decode_recipient(at, line)?);
        }
        // After the end mark stands its newline, and after that nothing.
        match lines.next() {
            Some((_, "")) if lines.next().is_none() => {}
            Some((at, _)) => return Err(EnvelopeError::Line(at)),
            None => return Err(EnvelopeError::Truncated),
        }
        Ok(Self {
            reverse_path: mail.reverse_path,
            recipients,
            body: mail.body.unwrap_or_default(),
            smtputf8: mail.smtputf8,
            require_tls: mail.require_tls,
            ret: mail.ret,
            envid: mail.envid,
        })
    }
}

fn decode_recipient(at: usize, line: &str) -> Result<Recipient, EnvelopeError> {
    let rcpt = line.strip_prefix("RCPT TO:").ok_or(EnvelopeError::Line(at))?;
    let rcpt = Rcpt::parse(rcpt).map_err(|error| EnvelopeError::Argument(at, error))?;
    match rcpt.forward_path {
        ForwardPath::Mailbox(mailbox) => Ok(Recipient { mailbox, notify: rcpt.notify, original: rcpt.original }),
        ForwardPath::Postmaster => Err(EnvelopeError::Line(at)),
    }
}

#[cfg(test)]
mod tests;
