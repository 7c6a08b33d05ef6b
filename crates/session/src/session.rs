//! What a session knows: its client, its policy, the facts and the newest judgement of them.

use std::net::SocketAddr;
use std::sync::Arc;

use auth::{Attempt, CertificateFact, Facts, PasswordFact, PresentedCertificate, TlsFact, Transport};
use base64::Engine as _;
use delivery::{Origin, OriginClient};
use policy::{Classified, Client, Judgement, MailFlowPolicy, Naming, Permit, Refusal, Standing, judge};
use protocol::Reply;
use tokio::time::Instant;

use crate::connections::Counted;
use crate::outcome::{About, End, Tally, log};
use crate::record::{Event, Examined, Record, Recorder, SessionId};
use crate::replies;
use crate::serving::{Server, Serving};
use crate::settings::{Limits, ListenerTls};
use crate::statistics::Ledger;
use crate::tls::suite_name;
use crate::transaction::Hello;
use crate::wire::Wire;

pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) serving: Arc<Serving>,
    pub(crate) client: SocketAddr,
    pub(crate) policy: Arc<MailFlowPolicy>,
    pub(crate) facts: Facts,
    pub(crate) judgement: Judgement,
    pub(crate) tally: Tally,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) recorder: Recorder,
    pub(crate) opened: Instant,
    /// What AUTH proved, as far as it still stands. While the directory can't say whether it does, `facts` tell so.
    pub(crate) proved: Attempt,
    checked: Instant,
    /// When what was found out about the certificate ends.
    holds_until: pki::Time,
    epoch: Option<auth::Epoch>,
    group: String,
    naming: Naming,
    _counted: Counted,
}

/// A connection that never became a session.
pub(crate) struct TurnedAway {
    pub(crate) wire: Wire,
    pub(crate) reply: Option<Reply>,
    pub(crate) end: End,
    /// `None` where nothing was judged.
    pub(crate) recorder: Option<Recorder>,
}

impl TurnedAway {
    /// Whoever it was.
    pub(crate) fn unheard(wire: Wire, reply: Option<Reply>, end: End) -> Self {
        Self { wire, reply, end, recorder: None }
    }
}

impl Session {
    /// Where a message of this client comes from.
    pub(crate) fn origin(&self, permit: &Permit, hello: &Hello) -> Origin {
        let name = match &self.naming {
            Naming::Confirmed(names) => names.first().map(ToString::to_string),
            Naming::NotAsked | Naming::Unconfirmed(_) => None,
        };
        let (hello, extended) = (hello.name.to_string(), hello.extended);
        let client = OriginClient { address: self.client, name, hello, extended };
        Origin::of(permit, &self.serving.name, &self.policy.name, Some(client))
    }

    /// Classifies the client and counts it. `Err` ends the connection, after its reply if there is one.
    pub(crate) fn open(
        wire: Wire,
        serving: Arc<Serving>,
        client: SocketAddr,
        naming: Naming,
        mut counted: Counted,
        id: SessionId,
    ) -> Result<Self, TurnedAway> {
        let who = Client { naming, ..Client::unnamed(client.ip()) };
        let Classified { group, policy, .. } = serving.groups.classify(&who);
        if let Err(too_many) = counted.of_client(who.network(), policy.max_connections_per_client) {
            let reply = Some(replies::too_many_connections(too_many));
            return Err(TurnedAway::unheard(wire, reply, End::TooManyConnections(too_many)));
        }
        let facts =
            Facts { transport: Transport::Plain, certificate: CertificateFact::NotRequested, attempt: Attempt::None };
        let judgement = judge(&facts, policy, serving.rules());
        let mut recorder = Recorder::new(serving.server.facts, || Record {
            group: group.to_owned(),
            policy: policy.name.to_string(),
            ..Record::begin(id, &serving.name, client.ip(), who.naming.clone(), serving.basis.clone())
        });
        if judgement.standing == Standing::Disconnect {
            recorder.add(|| Event::Greeting { reply: String::new() });
            return Err(TurnedAway { wire, reply: None, end: End::Disconnected, recorder: Some(recorder) });
        }
        let now = Instant::now();
        let ledger = serving.server.statistics.ledger(&serving.name, &policy.name);
        let (group, policy) = (group.to_owned(), Arc::clone(policy));
        Ok(Self {
            wire,
            client,
            policy,
            facts,
            judgement,
            tally: Tally::default(),
            ledger,
            recorder,
            opened: now,
            proved: Attempt::None,
            checked: now,
            holds_until: pki::Time::NEVER,
            epoch: serving.profile.as_ref().map(|profile| profile.epoch()),
            group,
            naming: who.naming,
            _counted: counted,
            serving,
        })
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.serving.server
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.serving.server.limits
    }

    pub(crate) fn hostname(&self) -> &str {
        self.serving.server.hostname.as_str()
    }

    /// The group's name.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// Whom the client was found to be.
    pub(crate) fn identity(&self) -> Option<&str> {
        let identity = self.judgement.mail.as_ref().ok().and_then(|clearance| clearance.identity());
        identity.map(|identified| identified.principal.user_id.as_str())
    }

    /// The certificate that the client showed, good or bad.
    pub(crate) fn certificate(&self) -> Option<&PresentedCertificate> {
        match &self.facts.certificate {
            CertificateFact::Presented(presented) => Some(presented),
            CertificateFact::NotRequested | CertificateFact::NotPresented => None,
        }
    }

    /// When the client must have said something: soon, and within the session's time.
    pub(crate) fn idle_deadline(&self) -> Instant {
        let limits = self.limits();
        (Instant::now() + limits.idle_timeout).min(self.opened + limits.session_timeout)
    }

    /// Sends a reply; refusals are remembered, and too many of them end the session.
    pub(crate) async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        self.reply_in(reply, false).await
    }

    /// The same, in UTF-8 where the client asked for that.
    pub(crate) async fn reply_in(&mut self, reply: &Reply, utf8: bool) -> Result<(), End> {
        if reply.is_permanent() || reply.is_transient() {
            self.tally.errors += 1;
            self.tally.refusal = Some(reply.to_string());
            tracing::debug!(client = %self.client, reply = %reply, "refused");
        }
        self.wire.send(reply, utf8).await?;
        match self.tally.errors > self.limits().max_errors {
            true => Err(End::TooManyErrors),
            false => Ok(()),
        }
    }

    /// Sends a refusal that a good client meets often, one for each recipient beyond a limit (RFC 5321 section 4.5.3.1.10:
    /// those before it are to be delivered). It is no error, within reason.
    pub(crate) async fn put_off(&mut self, reply: &Reply, utf8: bool) -> Result<(), End> {
        self.tally.put_off = self.tally.put_off.saturating_add(1);
        if self.tally.put_off > MAX_PUT_OFF {
            return self.reply_in(reply, utf8).await;
        }
        self.tally.refusal = Some(reply.to_string());
        self.wire.send(reply, utf8).await
    }

    /// The TLS handshake, and all that follows from it: new facts, a new judgement.
    pub(crate) async fn begin_tls(&mut self) -> Result<(), End> {
        let Some(config) = self.serving.tls.config(&self.policy) else {
            return Err(End::Tls("the policy has no TLS settings".to_owned()));
        };
        let until = Instant::now() + self.limits().handshake_timeout;
        self.wire.handshake(config, until).await?;
        let Some(tls) = self.wire.tls() else { return Err(End::Tls("no session".to_owned())) };
        let fact = TlsFact {
            version: version_name(tls.protocol_version()).into(),
            cipher: tls.negotiated_cipher_suite().map_or("unknown", |suite| suite_name(suite.suite())).into(),
            implicit: self.serving.implicit_tls == ListenerTls::Implicit,
            // RFC 9266 section 4: over TLS 1.2 only with an extended master secret, and nobody here can see whether it has one.
            channel_binding: tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3),
        };
        self.recorder.add(|| Event::Tls(fact.clone()));
        self.facts.transport = Transport::Tls(fact);
        let asked = self.examine_certificate().await;
        self.record_certificate(asked);
        self.count_certificate();
        Ok(())
    }

    pub(crate) fn asks_for_certificate(&self) -> bool {
        self.policy.verify_client_certificate && self.serving.rules().certificate.is_some()
    }

    /// Asks everything about the client's certificate, from caches where they still hold, and judges anew.
    async fn examine_certificate(&mut self) -> Asked {
        let mut asked = Asked::default();
        self.holds_until = pki::Time::NEVER;
        if let Some(profile) = self.serving.profile.as_ref().filter(|_| self.asks_for_certificate()) {
            // Taken before the questions: what changes while they are asked is asked again.
            self.epoch = Some(profile.epoch());
            self.facts.certificate = match self.wire.tls().and_then(|tls| tls.peer_certificates()) {
                None | Some([]) => CertificateFact::NotPresented,
                Some(chain) => {
                    let found = profile.certificate(chain, pki::Time::now()).await;
                    self.holds_until = found.holds_until;
                    if self.recorder.is_full() {
                        asked.chain = chain.iter().map(|der| BASE64.encode(der)).collect();
                        asked.steps = found.steps;
                    }
                    CertificateFact::Presented(Box::new(found.presented))
                }
            };
        }
        self.checked = Instant::now();
        self.judge();
        asked
    }

    /// What an AUTH exchange came to, and a new judgement.
    pub(crate) fn attempted(&mut self, attempt: Attempt) {
        self.proved = attempt.clone();
        self.facts.attempt = attempt;
        self.judge();
    }

    fn record_certificate(&mut self, asked: Asked) {
        let refused = match &self.judgement.standing {
            Standing::Refused(refusal) => Some(replies::refusal(refusal).to_string()),
            Standing::Open { .. } | Standing::Disconnect => None,
        };
        let fact = &self.facts.certificate;
        let examined = || Examined { fact: fact.clone(), refused, steps: asked.steps, chain: asked.chain };
        self.recorder.add(|| Event::Certificate(Box::new(examined())));
    }

    /// A certificate that was revoked at noon stops sending at noon, and so does a person who was disabled: asked at each
    /// MAIL of an older session, and as soon as lists or people have changed or an OCSP answer has ended. What could not
    /// be found out is asked again at a MAIL that does not follow at once.
    pub(crate) async fn recheck(&mut self) {
        let Some(profile) = self.serving.profile.clone() else { return };
        let epoch = profile.epoch();
        let holds = self.epoch == Some(epoch) && pki::Time::now() < self.holds_until;
        let recheck_after = match self.judgement.mail {
            Err(Refusal::Temporary(_)) => profile.rules.recheck_after.min(TEMPORARY_HOLDS),
            _ => profile.rules.recheck_after,
        };
        if holds && self.checked.elapsed() < recheck_after {
            return;
        }
        let attempt = profile.standing(&self.proved, pki::Time::now()).await;
        if !matches!(attempt, Attempt::Password { password: PasswordFact::Unavailable(_), .. }) {
            self.proved.clone_from(&attempt);
        }
        if attempt != self.facts.attempt {
            self.recorder.add(|| Event::Standing(attempt.clone()));
            self.facts.attempt = attempt;
        }
        let before = self.facts.certificate.clone();
        let asked = self.examine_certificate().await;
        if before != self.facts.certificate {
            self.record_certificate(asked);
        }
        self.epoch = Some(epoch);
    }

    pub(crate) fn judge(&mut self) {
        self.judgement = judge(&self.facts, &self.policy, self.serving.rules());
        for step in &self.judgement.steps {
            tracing::debug!(client = %self.client, question = %step.question, answer = %step.answer, effect = %step.effect, "judged");
        }
    }

    /// Says goodbye as the reason demands, and writes the log's line.
    pub(crate) async fn close(mut self, end: End) {
        let goodbye = match end {
            End::TimedOut => Some(replies::timed_out()),
            End::Stopping => Some(replies::shutting_down(self.hostname())),
            End::TooManyErrors => Some(replies::too_many_errors()),
            End::TooManyLogins => Some(replies::too_many_logins()),
            _ => None,
        };
        if let Some(reply) = goodbye {
            // The client may be gone already.
            let _ = self.wire.send(&reply, false).await;
        }
        self.count_session();
        let about = About {
            listener: &self.serving.name,
            group: &self.group,
            policy: &self.policy.name,
            client: self.client,
            naming: &self.naming,
            facts: &self.facts,
            judgement: &self.judgement,
        };
        let facts = self.recorder.finish(&end);
        log(&about, &self.tally, &end, facts.as_deref());
        let until = Instant::now() + GOODBYE;
        self.wire.close(until).await;
    }
}

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// What was shown, and what was tried and asked about it; kept by setting.
#[derive(Default)]
struct Asked {
    chain: Vec<String>,
    steps: Vec<String>,
}

/// Recipients in a session that may be beyond a limit before each one more is an error.
const MAX_PUT_OFF: u32 = 1000;

/// How old a temporary failure is when it is looked into again: whoever waited for it need not wait twice.
const TEMPORARY_HOLDS: std::time::Duration = std::time::Duration::from_secs(1);

/// How long the last reply may take to leave.
pub(crate) const GOODBYE: std::time::Duration = std::time::Duration::from_secs(5);

fn version_name(version: Option<rustls::ProtocolVersion>) -> &'static str {
    match version {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLS",
    }
}
