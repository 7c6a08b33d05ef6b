//! AUTH: RFC 4954. The exchange is `auth`'s; whether it may run, and what it comes to, is `policy`'s.

use auth::sasl::{ChannelBinding, Credentials, Exchange, LastWord, SaslError, Step};
use auth::{Attempt, Mechanism};
use policy::{AuthOffer, Refusal, Rule};
use protocol::Reply;
use protocol::command::Auth;
use protocol::framing::LineError;
use tokio::time::Instant;

use crate::failures::{Spraying, TooManyLogins};
use crate::outcome::End;
use crate::record::{self, Event};
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
        let (exchange, reply) = match self.judgement.auth.mechanism(&auth.mechanism) {
            Err(refusal) => {
                self.count_auth(Err(&refusal));
                (record::Exchange::Refused, replies::refusal(&refusal))
            }
            Ok(mechanism) => {
                let initial = auth.initial_response.as_ref().map(|response| response.as_base64().as_bytes());
                match self.exchange(mechanism, initial).await? {
                    Err(reply) => (record::Exchange::Broken, reply),
                    Ok(credentials) => match Box::pin(self.prove(mechanism, credentials)).await {
                        Err(end @ End::TooManyLogins) => {
                            let reply = replies::too_many_logins();
                            self.recorder.add(|| Event::auth(&auth, record::Exchange::Broken, &reply));
                            return Err(end);
                        }
                        proved => proved?,
                    },
                }
            }
        };
        self.recorder.add(|| Event::auth(&auth, exchange, &reply));
        self.reply(&reply).await?;
        Ok(State::Ready(hello))
    }

    /// Challenges and responses, until the client has said all or given up.
    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<Result<Credentials, Reply>, End> {
        let mut step = Exchange::start(mechanism, initial, self.channel_binding()?);
        loop {
            step = match step {
                Ok(Step::Done(credentials)) => return Ok(Ok(credentials)),
                Ok(Step::Lookup(first)) => match self.serving.profile.as_ref() {
                    Some(profile) => Ok(Box::pin(profile.scram(*first, pki::Time::now())).await),
                    None => return Ok(Err(replies::refusal(&Refusal::AuthNotOffered))),
                },
                Ok(Step::Challenge(base64, exchange)) => {
                    self.challenge(base64).await?.and_then(|line| exchange.respond(&line))
                }
                Err(error) => return Ok(Err(self.sasl_error(mechanism, error))),
            };
        }
    }

    /// A challenge, and the client's response.
    async fn challenge(&mut self, base64: String) -> Result<Result<bytes::Bytes, SaslError>, End> {
        self.reply(&replies::challenge(base64)).await?;
        let until = self.idle_deadline();
        match self.wire.line(MAX_LINE, until, None).await? {
            Ok(line) => Ok(Ok(line)),
            Err(LineError::TooLong) => Ok(Err(SaslError::TooLong)),
            Err(_) => {
                self.reply(&replies::bare_line_ending()).await?;
                Err(End::Framing)
            }
        }
    }

    /// RFC 9266 section 2, where -PLUS is offered.
    fn channel_binding(&self) -> Result<Option<ChannelBinding>, End> {
        match (&self.judgement.auth, self.wire.tls()) {
            (AuthOffer::Mechanisms(offered), Some(tls)) if offered.contains(&Mechanism::ScramSha256Plus) => {
                let exported = tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""));
                exported.map(|octets| Some(ChannelBinding(octets))).map_err(|error| End::Tls(error.to_string()))
            }
            _ => Ok(None),
        }
    }

    /// Puts the outcome among the facts, lets the mechanism say its last word, and replies with what the judgement makes
    /// of it.
    async fn prove(
        &mut self,
        mechanism: Mechanism,
        credentials: Credentials,
    ) -> Result<(record::Exchange, Reply), End> {
        let user = credentials.user().map(str::to_owned);
        if let Some(user) = &user {
            self.wait_after_failures(user).await?;
        }
        let before = (self.facts.attempt.clone(), self.proved.clone());
        let mut last = LastWord::None;
        if let Some(profile) = self.serving.profile.as_ref() {
            let (attempt, word) = profile.attempt(credentials, pki::Time::now()).await;
            self.attempted(attempt);
            last = word;
        }
        let permitted = matches!(self.judgement.attempt, Some(Ok(())));
        let refused = matches!(self.judgement.attempt, Some(Err(Refusal::InvalidCredentials)));
        if let Some(user) = &user {
            self.remember(user, permitted, refused);
        }
        match last {
            // RFC 4954 section 4: a server has no reply with data, so it is a challenge, and the response empty. A client
            // that says anything else, or "*", has seen that this is not its server, and is let in by nobody.
            LastWord::IfPermitted(word) if permitted => {
                let answer = self.challenge(word).await?;
                let error = match answer {
                    Ok(line) if line.is_empty() => None,
                    Ok(line) if line == "*" => Some(SaslError::Cancelled),
                    Ok(_) => Some(SaslError::Malformed("a response to SCRAM's last word")),
                    Err(error) => Some(error),
                };
                if let Some(error) = error {
                    (self.facts.attempt, self.proved) = before;
                    self.judge();
                    return Ok((record::Exchange::Broken, self.sasl_error(mechanism, error)));
                }
            }
            // RFC 7628 section 3.2.3: what the client answers means nothing.
            LastWord::IfRefused(word) if refused => drop(self.challenge(word).await?),
            _ => {}
        }
        self.tell_verdict(mechanism);
        Ok((record::Exchange::Ended(self.facts.attempt.clone()), replies::attempt(&self.judgement)))
    }

    /// Who failed before waits, whatever the password is now.
    async fn wait_after_failures(&self, user: &str) -> Result<(), End> {
        let (server, client) = (self.server(), self.client.ip());
        let wait = match server.failures.admit(client, user, &server.limits.failed_logins) {
            Ok(wait) if wait.is_zero() => return Ok(()),
            Ok(wait) => wait,
            Err(TooManyLogins) => {
                tracing::info!(listener = self.serving.name, client = %self.client, user, "too many logins wait");
                return Err(End::TooManyLogins);
            }
        };
        tracing::debug!(listener = self.serving.name, client = %self.client, user, seconds = wait.as_secs(), "AUTH waits");
        let end = self.opened + self.limits().session_timeout;
        tokio::select! {
            () = tokio::time::sleep_until((Instant::now() + wait).min(end)) => Ok(()),
            () = server.stop.cancelled() => Err(End::Stopping),
        }
    }

    fn remember(&self, user: &str, permitted: bool, refused: bool) {
        let (server, client) = (self.server(), self.client.ip());
        if permitted {
            server.failures.succeeded(client, user);
        } else if refused && let Some(seen) = server.failures.failed(client, user, &server.limits.failed_logins) {
            let Spraying { network, accounts } = seen;
            tracing::warn!(listener = self.serving.name, client = %self.client, %network, accounts, mend = "somebody tries passwords on many accounts: block the network, or name it in limits.failed_logins.exempt if it is your own", "password spraying");
        }
    }

    /// The log's line about the newest exchange.
    fn tell_verdict(&mut self, mechanism: Mechanism) {
        match &self.judgement.attempt {
            None => {}
            Some(Ok(())) => {
                self.count_auth(Ok(mechanism));
                self.tell_judgement(|rule| rule == Rule::Allowance);
            }
            Some(Err(refusal)) => {
                self.count_auth(Err(refusal));
                tracing::info!(listener = self.serving.name, client = %self.client, user = self.attempted_user(), reason = self.why_not(), "AUTH refused");
            }
        }
    }

    /// Somebody between client and server is worth a line; what a client spells wrong is not.
    fn sasl_error(&self, mechanism: Mechanism, error: SaslError) -> Reply {
        self.count_broken_auth(&error);
        if let SaslError::ChannelBinding(_) = error {
            tracing::warn!(listener = self.serving.name, client = %self.client, %mechanism, reason = %error, mend = "something between this client and the gateway ends TLS, or tries to", "AUTH refused");
        }
        sasl_error(error)
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
