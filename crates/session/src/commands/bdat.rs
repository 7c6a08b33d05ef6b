//! BDAT: RFC 3030. A chunk follows its command whatever the reply, so it is always read.

use protocol::ChunkDecoder;
use tokio::time::Instant;

use crate::data::{Chunks, Reception};
use crate::outcome::End;
use crate::replies;
use crate::session::Session;
use crate::state::State;

impl Session {
    pub(crate) async fn bdat(&mut self, state: State, size: u64, last: bool) -> Result<State, End> {
        let mut chunks = match state {
            State::Chunking(chunks) => chunks,
            State::Mail(transaction) if !transaction.envelope.recipients.is_empty() => {
                let until = Instant::now() + self.limits().message_timeout;
                Box::new(Chunks::begin(Reception::begin(self, *transaction).await, until))
            }
            state => {
                let refusal = match state {
                    State::Mail(_) => replies::no_recipients(),
                    _ => replies::bad_sequence("Send MAIL and RCPT first"),
                };
                self.drain_chunk(size).await?;
                self.reply(&refusal).await?;
                return Ok(state);
            }
        };
        self.receive_chunk(&mut chunks, size).await?;
        let refused = chunks.reception.is_refused() || chunks.decoder.violation().is_some();
        if !last && !refused {
            self.reply(&replies::chunk_ok(size)).await?;
            return Ok(State::Chunking(chunks));
        }
        let Chunks { reception, decoder, .. } = *chunks;
        let (hello, size) = (reception.hello(), decoder.length());
        let outcome = reception.finish(decoder.finish().err()).await;
        self.conclude(outcome, size).await?;
        Ok(State::Ready(hello))
    }

    async fn receive_chunk(&mut self, chunks: &mut Chunks, size: u64) -> Result<(), End> {
        chunks.decoder.begin(size);
        if !chunks.reception.announce(chunks.decoder.length().saturating_add(size)) {
            return self.drain_chunk(size).await;
        }
        let mut content = Vec::new();
        loop {
            let until = self.idle_deadline().min(chunks.until);
            let at_end = self.wire.chunk(&mut chunks.decoder, &mut content, until).await?;
            chunks.reception.take(&content, chunks.decoder.length()).await;
            content.clear();
            if at_end {
                return Ok(());
            }
        }
    }

    /// Reads a chunk that nobody wants, within reason.
    pub(crate) async fn drain_chunk(&mut self, size: u64) -> Result<(), End> {
        if size > self.policy.max_message_size.saturating_mul(2) {
            self.reply(&replies::too_large(self.policy.max_message_size)).await?;
            return Err(End::ChunkTooLarge);
        }
        let mut decoder = ChunkDecoder::new();
        decoder.discard();
        decoder.begin(size);
        let mut nothing = Vec::new();
        while !self.wire.chunk(&mut decoder, &mut nothing, self.idle_deadline()).await? {}
        Ok(())
    }
}
