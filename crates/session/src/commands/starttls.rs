//! STARTTLS: RFC 3207.

use policy::Standing;

use crate::outcome::End;
use crate::replies;
use crate::session::Session;
use crate::state::State;

impl Session {
    pub(crate) async fn starttls(&mut self, state: State) -> Result<State, End> {
        if !matches!(self.judgement.standing, Standing::Open { starttls: true, .. }) {
            self.reply(&replies::tls_not_available()).await?;
            return Ok(state);
        }
        if state.in_transaction() {
            self.reply(&replies::bad_sequence("STARTTLS is not possible inside a mail transaction")).await?;
            return Ok(state);
        }
        // Section 4.2: what the client pipelined behind STARTTLS was not protected, and whoever put it there is not to
        // be served.
        if !self.wire.is_drained() {
            return Err(End::Injection);
        }
        self.reply(&replies::ready_for_tls()).await?;
        self.begin_tls().await?;
        // Section 4.2: all that was learnt before TLS is forgotten.
        Ok(State::Greeted)
    }
}
