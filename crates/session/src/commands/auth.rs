//! AUTH: RFC 4954. The exchange is `auth`'s; whether it may run, and what it comes to, is `policy`'s.

use auth::sasl::{Credentials, Exchange, SaslError, Step};
use auth::{AllowanceFact, Attempt, Mechanism};
use policy::{AuthOffer, Refusal};
use protocol::Reply;
use protocol::command::Auth;
use protocol::framing::LineError;

use crate::outcome::End;
use crate::replies;
use crate::session::Session;
use crate::state::State;
use crate::wire::MAX_LINE;

impl Session {
    pub(crate) async fn auth(&mut self, state: State, auth: Auth) -> Result<State, End> {
        // RFC 4954 section 4: AUTH comes after EHLO, and never inside a transaction.
        let State::Ready(hello) = state else {
            let what = if state.in_transaction() {
                "AUTH is not possible inside a mail transaction"
            } else {
                "Send EHLO first"
            };
            self.reply(&replies::bad_sequence(what)).await?;
            return Ok(state);
        };
        let reply = match self.offered(&auth.mechanism) {
            Err(refusal) => replies::refusal(&refusal),
            Ok(mechanism) => {
                let initial = auth.initial_response.as_ref().map(|response| response.as_base64().as_bytes());
                match self.exchange(mechanism, initial).await? {
                    Err(reply) => reply,
                    Ok(credentials) => Box::pin(self.prove(credentials)).await,
                }
            }
        };
        self.reply(&reply).await?;
        Ok(State::Ready(hello))
    }

    /// The mechanism, if an exchange with it may lead to anything.
    fn offered(&self, name: &str) -> Result<Mechanism, Refusal> {
        match &self.judgement.auth {
            AuthOffer::Refused(refusal) => Err(refusal.clone()),
            AuthOffer::Mechanisms(offered) => {
                let mechanism = name.parse().map_err(|_| Refusal::MechanismNotOffered)?;
                // Whether EXTERNAL is refused for good or for now is the judgement's to say.
                let judged = mechanism == Mechanism::External || offered.contains(&mechanism);
                if judged { Ok(mechanism) } else { Err(Refusal::MechanismNotOffered) }
            }
        }
    }

    /// Challenges and responses, until the client has said all or given up.
    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<Result<Credentials, Reply>, End> {
        let mut step = Exchange::start(mechanism, initial);
        loop {
            let exchange = match step {
                Ok(Step::Done(credentials)) => return Ok(Ok(credentials)),
                Ok(Step::Challenge(base64, exchange)) => {
                    self.reply(&replies::challenge(base64)).await?;
                    exchange
                }
                Err(error) => return Ok(Err(sasl_error(error))),
            };
            let until = self.idle_deadline();
            step = match self.wire.line(MAX_LINE, until, None).await? {
                Ok(line) => exchange.respond(&line),
                Err(LineError::TooLong) => Err(SaslError::TooLong),
                Err(_) => {
                    self.reply(&replies::bare_line_ending()).await?;
                    return Err(End::Framing);
                }
            };
        }
    }

    /// Puts the outcome among the facts, and replies with what the judgement makes of it.
    async fn prove(&mut self, credentials: Credentials) -> Reply {
        if let Some(profile) = self.serving.profile.as_ref() {
            self.facts.attempt = profile.attempt(credentials, pki::Time::now()).await;
        }
        self.judge();
        match &self.judgement.attempt {
            Some(Ok(())) => {
                // on_not_allowed = "monitor" lets through, so that somebody reads of it.
                if let Attempt::Password { allowance: AllowanceFact::NotAllowed, .. } = &self.facts.attempt {
                    tracing::warn!(listener = self.serving.name, client = %self.client, user = self.attempted_user(), reason = self.why_not(), "AUTH let through");
                }
                replies::authenticated()
            }
            Some(Err(refusal)) => {
                tracing::info!(listener = self.serving.name, client = %self.client, user = self.attempted_user(), reason = self.why_not(), "AUTH refused");
                replies::refusal(refusal)
            }
            None => replies::refusal(&Refusal::AuthNotOffered),
        }
    }

    /// As typed.
    fn attempted_user(&self) -> &str {
        match &self.facts.attempt {
            Attempt::None => "",
            Attempt::External { authorization_identity } => authorization_identity,
            Attempt::Password { user, .. } => user,
        }
    }

    /// What the client is not told: which of the reasons it was.
    fn why_not(&self) -> String {
        use policy::Question;
        let steps = self.judgement.steps.iter().rev();
        let mut of_auth = steps.filter(|step| matches!(step.question, Question::Attempt | Question::Allowance));
        of_auth.next().map(|step| step.answer.to_string()).unwrap_or_default()
    }
}

fn sasl_error(error: SaslError) -> Reply {
    match error {
        SaslError::Cancelled => replies::auth_aborted("Authentication cancelled"),
        SaslError::Base64 => replies::bad_base64(),
        SaslError::TooLong => replies::auth_too_long(),
        // RFC 4954 section 6: a malformed message of the mechanism proves nothing.
        _ => replies::refusal(&Refusal::InvalidCredentials),
    }
}
