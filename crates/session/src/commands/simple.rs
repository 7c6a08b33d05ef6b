//! RSET, QUIT, and commands that only have an answer: RFC 5321 sections 4.1.1.5 to 4.1.1.10.

use protocol::Reply;

use crate::outcome::End;
use crate::replies;
use crate::session::Session;
use crate::state::State;

impl Session {
    pub(crate) async fn rset(&mut self, state: State) -> Result<State, End> {
        self.reply(&replies::ok()).await?;
        Ok(state.reset())
    }

    pub(crate) async fn answer(&mut self, state: State, reply: &Reply) -> Result<State, End> {
        self.reply(reply).await?;
        Ok(state)
    }

    pub(crate) async fn quit(&mut self) -> Result<State, End> {
        let bye = replies::bye(self.hostname());
        self.reply(&bye).await?;
        Err(End::Quit)
    }
}
