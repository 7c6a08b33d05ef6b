//! MAIL: RFC 5321 section 4.1.1.2. Every MAIL asks for its permit anew.

use policy::Standing;
use protocol::address::AddressError;
use protocol::parameters::ParameterError;
use protocol::transaction::Mail;
use protocol::{CommandError, Envelope};

use crate::monitored::Message;
use crate::onward::Relaying;
use crate::outcome::End;
use crate::record::Event;
use crate::replies;
use crate::session::Session;
use crate::state::State;
use crate::transaction::{Hello, Transaction};

impl Session {
    pub(crate) async fn mail(&mut self, state: State, mail: Mail) -> Result<State, End> {
        let hello = match state {
            State::Ready(hello) => hello,
            State::Greeted => {
                self.reply(&replies::bad_sequence("Send EHLO first")).await?;
                return Ok(State::Greeted);
            }
            state @ (State::Mail(_) | State::Chunking(_)) => {
                self.reply(&replies::bad_sequence("A mail transaction is open already")).await?;
                return Ok(state);
            }
        };
        if let Some(reply) = replies::messages_limit(&self.policy, self.tally.messages) {
            self.recorder.add(|| Event::mail(&mail, &reply));
            self.reply(&reply).await?;
            return Err(End::TooManyMessages);
        }
        self.recheck().await;
        let utf8 = mail.smtputf8;
        let asked = mail.clone();
        match self.open_transaction(hello, mail) {
            Ok(transaction) => {
                self.tell_judgement(|_| true);
                for one in transaction.permit.monitored() {
                    let sender = transaction.permit.sender().to_string();
                    self.tell(one, Message { sender: Some(&sender), ..Message::default() });
                }
                let reply = replies::sender_ok();
                self.recorder.add(|| Event::mail(&asked, &reply));
                self.reply(&reply).await?;
                Ok(State::Mail(Box::new(transaction)))
            }
            Err((hello, refusal)) => {
                self.recorder.add(|| Event::mail(&asked, &refusal));
                self.reply_in(&refusal, utf8).await?;
                Ok(State::Ready(hello))
            }
        }
    }

    fn open_transaction(&self, hello: Hello, mail: Mail) -> Result<Transaction, (Hello, protocol::Reply)> {
        let refuse = |hello, reply| Err((hello, reply));
        if let Standing::Refused(refusal) = &self.judgement.standing {
            return refuse(hello, replies::refusal(refusal));
        }
        // RFC 6531 section 3.6: a non-ASCII address must have been announced.
        if !mail.smtputf8 && !mail.reverse_path.is_ascii() {
            return refuse(hello, replies::command_error(&CommandError::Sender(AddressError::NeedsSmtpUtf8)));
        }
        // RFC 8689 section 4.1: it is not offered here.
        if mail.require_tls && self.facts.transport.tls().is_none() {
            let unknown = ParameterError::Unknown("REQUIRETLS".to_owned());
            return refuse(hello, replies::command_error(&CommandError::Parameter(unknown)));
        }
        if self.server().relay.is_some() && (mail.ret.is_some() || mail.envid.is_some()) {
            return refuse(hello, replies::no_dsn());
        }
        if let Some(too_large) = replies::size_limit(&self.policy, mail.size) {
            return refuse(hello, too_large);
        }
        let clearance = match self.judgement.mail.clone() {
            Ok(clearance) => clearance,
            Err(refusal) => return refuse(hello, replies::refusal(&refusal)),
        };
        let written = mail.reverse_path.clone();
        let identity = clearance.identity().map(|identity| identity.principal.user_id.clone());
        match clearance.permit(mail.reverse_path) {
            Err(refusal) => {
                tracing::info!(client = %self.client, identity, %written, reason = %refusal, "sender refused");
                refuse(hello, replies::refusal(&refusal))
            }
            Ok(permit) => {
                if let Some(policy::Foreign { refusal, rewritten: true }) = permit.foreign() {
                    tracing::info!(client = %self.client, identity, %written, reason = %refusal, "foreign sender rewritten");
                }
                let envelope = Envelope {
                    reverse_path: permit.sender().clone(),
                    recipients: Vec::new(),
                    body: mail.body.unwrap_or_default(),
                    smtputf8: mail.smtputf8,
                    require_tls: mail.require_tls,
                    ret: mail.ret,
                    envid: mail.envid,
                };
                Ok(Transaction { hello, permit, envelope, size: mail.size, relaying: Relaying::default() })
            }
        }
    }
}
