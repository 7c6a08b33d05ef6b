//! RCPT: RFC 5321 section 4.1.1.3.

use protocol::address::AddressError;
use protocol::transaction::Rcpt;
use protocol::{CommandError, Recipient};

use crate::outcome::End;
use crate::replies;
use crate::session::Session;
use crate::state::State;

impl Session {
    pub(crate) async fn rcpt(&mut self, state: State, rcpt: Rcpt) -> Result<State, End> {
        let State::Mail(mut transaction) = state else {
            self.reply(&replies::bad_sequence("Send MAIL first")).await?;
            return Ok(state);
        };
        let most = usize::try_from(self.policy.max_recipients_per_message).unwrap_or(usize::MAX);
        let reply = if transaction.envelope.recipients.len() >= most {
            replies::too_many_recipients()
        } else if !transaction.envelope.smtputf8 && !rcpt.forward_path.is_ascii() {
            // RFC 6531 section 3.6.
            replies::command_error(&CommandError::Recipient(AddressError::NeedsSmtpUtf8))
        } else {
            let mailbox = rcpt.forward_path.into_mailbox(&self.server().hostname);
            let recipient = Recipient { mailbox, notify: rcpt.notify, original: rcpt.original };
            transaction.envelope.recipients.push(recipient);
            replies::recipient_ok()
        };
        self.reply_in(&reply, transaction.envelope.smtputf8).await?;
        Ok(State::Mail(transaction))
    }
}
