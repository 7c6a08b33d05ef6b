//! DATA: RFC 5321 section 4.1.1.4.

use protocol::DataDecoder;
use tokio::time::Instant;

use crate::data::Reception;
use crate::outcome::End;
use crate::replies;
use crate::session::Session;
use crate::state::State;

impl Session {
    pub(crate) async fn data(&mut self, state: State) -> Result<State, End> {
        let transaction = match state {
            State::Mail(transaction) if !transaction.envelope.recipients.is_empty() => transaction,
            // RFC 5321 section 3.3: without a recipient DATA may be refused so.
            State::Mail(transaction) => {
                self.reply(&replies::no_recipients()).await?;
                return Ok(State::Mail(transaction));
            }
            state => {
                self.reply(&replies::bad_sequence("Send MAIL and RCPT first")).await?;
                return Ok(state);
            }
        };
        let mut reception = Reception::begin(self, *transaction).await;
        if reception.is_refused() {
            let hello = reception.hello();
            let outcome = reception.finish(None).await;
            self.conclude(outcome, 0).await?;
            return Ok(State::Ready(hello));
        }
        self.reply(&replies::start_input()).await?;
        let mut decoder = DataDecoder::new();
        let mut content = Vec::new();
        let ends = Instant::now() + self.limits().message_timeout;
        loop {
            let at_end = self.wire.data(&mut decoder, &mut content, self.idle_deadline().min(ends)).await?;
            reception.take(&content, decoder.length()).await;
            content.clear();
            // Drained to the dot: the refusal is the reply to the message, and the session goes on.
            if reception.is_refused() {
                decoder.discard();
            }
            if at_end {
                break;
            }
        }
        let hello = reception.hello();
        let outcome = reception.finish(decoder.violation()).await;
        self.conclude(outcome, decoder.length()).await?;
        Ok(State::Ready(hello))
    }
}
