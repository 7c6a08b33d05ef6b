//! EHLO and HELO: RFC 5321 section 4.1.1.1. Either ends a transaction (section 4.1.4).

use policy::{AuthOffer, Standing};
use protocol::Extensions;
use protocol::Reply;
use protocol::command::ClientName;
use protocol::extensions::Limits;

use crate::outcome::End;
use crate::session::Session;
use crate::state::State;
use crate::transaction::Hello;

impl Session {
    pub(crate) async fn ehlo(&mut self, name: ClientName) -> Result<State, End> {
        let reply = self.extensions().to_reply(self.hostname());
        self.reply(&reply).await?;
        Ok(State::Ready(Hello { name, extended: true }))
    }

    pub(crate) async fn helo(&mut self, name: ClientName) -> Result<State, End> {
        let reply = Reply::new(250, None, self.hostname().to_owned());
        self.reply(&reply).await?;
        Ok(State::Ready(Hello { name, extended: false }))
    }

    fn extensions(&self) -> Extensions {
        let starttls = matches!(self.judgement.standing, Standing::Open { starttls: true, .. });
        let auth = match &self.judgement.auth {
            AuthOffer::Mechanisms(mechanisms) => mechanisms.iter().map(ToString::to_string).collect(),
            AuthOffer::Refused(_) => Vec::new(),
        };
        Extensions {
            pipelining: true,
            size: Some(self.policy.max_message_size),
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            // Without a queue nobody here could send the notices that a next hop without DSN does not send.
            dsn: self.server().relay.is_none(),
            enhanced_status_codes: true,
            starttls,
            // RFC 8689 section 2: "MUST NOT be advertised" before TLS.
            require_tls: self.facts.transport.tls().is_some(),
            auth,
            limits: Limits {
                mail_max: Some(self.policy.max_messages_per_connection),
                rcpt_max: Some(self.policy.max_recipients_per_message),
                rcpt_domain_max: None,
            },
            // It would let clients name others.
            xclient: Vec::new(),
        }
    }
}
