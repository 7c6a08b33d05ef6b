//! A recorded session, judged again: the same judgement over the same facts, under the rules of any configuration. Nothing
//! is asked here; where the facts of then say nothing about these rules, it ends with what would have to be known.

mod ask_again;
mod told;

use std::net::IpAddr;
use std::sync::Arc;

use auth::{Attempt, CertificateFact, Facts, Profile, QueryFact, TlsFact, Transport};
use policy::{
    Classified, Client, ClientNetwork, DirectoryFact, Effect, Judgement, MailFlowPolicy, Monitored, Naming, Permit,
    Question, RecipientFacts, RecipientVerdict, Refusal, SenderGroups, Standing, Step, judge, judge_recipient,
};
use protocol::header::{HeaderSection, OriginatorFields};
use protocol::{Domain, ForwardPath, ReversePath};

use crate::hours::Hours;
use crate::recipients::Recipients;
use crate::record::{Basis, Counts, Event, Exchange, Record};
use crate::replies;
use crate::serving::no_rules;

pub use ask_again::ask_again;
pub use told::{Need, Told, Turn};

/// The rules of one listener.
#[derive(Clone, Copy)]
pub struct Rules<'c> {
    /// The gateway's name.
    pub hostname: &'c Domain,
    /// Which policy a client gets.
    pub groups: &'c SenderGroups,
    /// How clients are identified; `None` where nobody is.
    pub profile: Option<&'c Profile>,
    /// Its own recipients; `None` where it has none.
    pub recipients: Option<&'c Recipients>,
    /// The settings of those who are asked.
    pub basis: &'c Basis,
}

/// A session under these rules.
#[derive(Debug)]
pub struct Replay<'r, 'c> {
    /// The client's group and policy.
    pub classified: Classified<'c>,
    /// What happened, and what would be said to it.
    pub turns: Vec<Turn<'r>>,
    /// The facts at the end, as these rules would have gathered them.
    pub facts: Facts,
    /// What they come to.
    pub judgement: Judgement,
}

/// The mail under way.
struct Transaction {
    permit: Permit,
    recipients: u32,
}

/// Recipients within an hour.
#[derive(Clone, Copy)]
pub enum Counting<'h> {
    /// As they were counted then.
    Recorded,
    /// As they are counted now, session by session.
    Anew(&'h Arc<Hours>),
}

struct Player<'r, 'c> {
    rules: Rules<'c>,
    counting: Counting<'r>,
    client: IpAddr,
    basis: &'r Basis,
    policy: &'c Arc<MailFlowPolicy>,
    facts: Facts,
    judgement: Judgement,
    transaction: Option<Transaction>,
    messages: u32,
    /// What only one MAIL, RCPT or message is told of.
    steps: Vec<Step>,
}

/// Judges a record under these rules.
pub fn replay<'r, 'c>(record: &'r Record, rules: Rules<'c>, counting: Counting<'r>) -> Replay<'r, 'c> {
    let client = Client { address: record.client, naming: record.naming.clone() };
    let classified = rules.groups.classify(&client);
    let nameless = client.naming == Naming::NotAsked && rules.groups.needs_name(client.address);
    let facts =
        Facts { transport: Transport::Plain, certificate: CertificateFact::NotRequested, attempt: Attempt::None };
    let judgement = judge(&facts, classified.policy, profile_rules(rules));
    let mut player = Player {
        rules,
        counting,
        client: record.client,
        basis: &record.basis,
        policy: classified.policy,
        facts,
        judgement,
        transaction: None,
        messages: 0,
        steps: Vec::new(),
    };
    let mut turns = Vec::with_capacity(record.events.len());
    let mut over = false;
    for event in &record.events {
        let before = player.judgement.standing.clone();
        let told = match over {
            true => Told::NotReached,
            false if nameless => Told::Unknown(Need::Name),
            false => player.play(event),
        };
        over |= matches!(told, Told::Closed | Told::Unknown(_));
        let mut steps = std::mem::take(&mut player.steps);
        if !matches!(told, Told::NotReached) {
            let questions = questions(event, &before);
            let asked = player.judgement.steps.iter().filter(|step| questions.contains(&step.question));
            steps.extend(asked.cloned());
        }
        turns.push(Turn { event, told, steps });
    }
    Replay { classified, turns, facts: player.facts, judgement: player.judgement }
}

/// What is asked anew at an event.
fn questions(event: &Event, before: &Standing) -> &'static [Question] {
    use Question::{Access, Allowance, Attempt, Certificate, CertificateQuery, Mail, Path, Revocation, Transport};
    match event {
        Event::Greeting { .. } => &[Access],
        Event::Tls(_) => &[],
        Event::Certificate(_) => &[Certificate, Path, Revocation, CertificateQuery],
        Event::Auth { .. } | Event::Mail { .. } if matches!(before, Standing::Refused(_)) => &[],
        Event::Auth { .. } | Event::Mail { .. } if matches!(before, Standing::Open { tls_first: true, .. }) => {
            &[Transport]
        }
        Event::Auth { exchange: Exchange::Ended(_), .. } | Event::Standing(_) => &[Attempt, Allowance],
        Event::Auth { .. } => &[],
        Event::Mail { .. } => &[Mail],
        Event::Rcpt { .. } | Event::Message { .. } => &[],
    }
}

fn profile_rules(rules: Rules<'_>) -> &auth::ProfileRules {
    rules.profile.map_or(no_rules(), |profile| &profile.rules)
}

impl Player<'_, '_> {
    fn judge(&mut self) {
        self.judgement = judge(&self.facts, self.policy, profile_rules(self.rules));
    }

    /// What the rules say to an event; it becomes a fact.
    fn play(&mut self, event: &Event) -> Told {
        let refusal = match &self.judgement.standing {
            Standing::Disconnect => return Told::Closed,
            Standing::Refused(refusal) => Some(refusal.clone()),
            Standing::Open { tls_first: true, .. } if matches!(event, Event::Auth { .. } | Event::Mail { .. }) => {
                Some(Refusal::TlsRequired)
            }
            Standing::Open { .. } => None,
        };
        let told = match (event, refusal) {
            (Event::Greeting { .. }, None) => {
                Ok(Told::Said(replies::greeting(self.rules.hostname.as_str(), self.policy.banner.as_ref())))
            }
            (Event::Greeting { .. } | Event::Auth { .. } | Event::Mail { .. }, Some(refusal)) => {
                Ok(Told::Said(replies::refusal(&refusal)))
            }
            (_, Some(_)) => Ok(Told::NotReached),
            (Event::Tls(fact), None) => self.tls(fact),
            (Event::Certificate(examined), None) => self.certificate(&examined.fact),
            (Event::Auth { mechanism, exchange, .. }, None) => self.auth(mechanism, exchange),
            (Event::Standing(attempt), None) => self.known(attempt).map(|()| {
                self.facts.attempt = attempt.clone();
                self.judge();
                Told::Nothing
            }),
            (Event::Mail { sender, size, .. }, None) => Ok(self.mail(sender, *size)),
            (Event::Rcpt { recipient, counts, directory, .. }, None) => self.rcpt(recipient, counts, directory),
            (Event::Message { size, originators, author_refused, reply }, None) => {
                self.message(*size, originators.as_ref(), *author_refused, reply)
            }
        };
        told.unwrap_or_else(Told::Unknown)
    }

    fn tls(&mut self, fact: &TlsFact) -> Result<Told, Need> {
        if !fact.implicit && !matches!(self.judgement.standing, Standing::Open { starttls: true, .. }) {
            return Ok(Told::Said(replies::tls_not_available()));
        }
        let spoken = |suite: &policy::TlsSuite| suite.name() == fact.cipher;
        let too_old = fact.version == "TLSv1.2" && self.policy.min_tls_version == Some(policy::MinVersion::Tls13);
        if too_old || self.policy.tls_suites.as_ref().is_some_and(|suites| !suites.iter().any(spoken)) {
            return Err(Need::Tls);
        }
        // It is judged together with the certificate, which the same handshake shows.
        self.facts.transport = Transport::Tls(fact.clone());
        Ok(Told::Nothing)
    }

    fn certificate(&mut self, fact: &CertificateFact) -> Result<Told, Need> {
        let asked = self.policy.verify_client_certificate && profile_rules(self.rules).certificate.is_some();
        self.facts.certificate = match (fact, self.rules.profile) {
            (fact, Some(profile)) if asked => self.shown(fact, profile)?,
            _ => CertificateFact::NotRequested,
        };
        self.judge();
        Ok(match &self.judgement.standing {
            Standing::Refused(refusal) => Told::Said(replies::refusal(refusal)),
            Standing::Open { .. } | Standing::Disconnect => Told::Nothing,
        })
    }

    /// The fact as it would be gathered now, as far as what was answered then tells.
    fn shown(&self, fact: &CertificateFact, profile: &Profile) -> Result<CertificateFact, Need> {
        let presented = match fact {
            CertificateFact::NotRequested => return Err(Need::Certificate),
            CertificateFact::NotPresented => return Ok(CertificateFact::NotPresented),
            CertificateFact::Presented(presented) => presented,
        };
        if self.basis.trust != self.rules.basis.trust {
            return Err(Need::Trust);
        }
        let mut presented = presented.clone();
        match profile.asks_for_owner(&presented) {
            false => presented.query = QueryFact::NotAsked,
            true if self.basis.owners != self.rules.basis.owners => return Err(Need::Owner),
            true if presented.query == QueryFact::NotAsked => return Err(Need::Owner),
            true => {}
        }
        Ok(CertificateFact::Presented(presented))
    }

    /// Whether what was said of a password still says something.
    fn known(&self, attempt: &Attempt) -> Result<(), Need> {
        match attempt {
            Attempt::Password { .. } if self.basis.passwords != self.rules.basis.passwords => Err(Need::PasswordJudge),
            _ => Ok(()),
        }
    }

    fn auth(&mut self, mechanism: &str, exchange: &Exchange) -> Result<Told, Need> {
        if let Err(refusal) = self.judgement.auth.mechanism(mechanism) {
            return Ok(Told::Said(replies::refusal(&refusal)));
        }
        let attempt = match exchange {
            Exchange::Refused => return Err(Need::Password),
            Exchange::Broken => return Ok(Told::AsThen),
            Exchange::Ended(attempt) => attempt,
        };
        self.known(attempt)?;
        self.facts.attempt = attempt.clone();
        self.judge();
        Ok(Told::Said(replies::attempt(&self.judgement)))
    }

    fn mail(&mut self, sender: &str, size: Option<u64>) -> Told {
        self.transaction = None;
        let over = replies::messages_limit(self.policy, self.messages);
        if let Some(reply) = over.or_else(|| replies::size_limit(self.policy, size)) {
            return Told::Said(reply);
        }
        let Ok(sender) = ReversePath::parse(sender) else { return Told::AsThen };
        match self.judgement.mail.clone().and_then(|clearance| clearance.permit(sender)) {
            Err(refusal) => Told::Said(replies::refusal(&refusal)),
            Ok(permit) => {
                self.steps = permit.monitored().iter().map(sender_step).collect();
                self.transaction = Some(Transaction { permit, recipients: 0 });
                Told::Said(replies::sender_ok())
            }
        }
    }

    fn rcpt(&mut self, recipient: &str, counts: &Counts, directory: &DirectoryFact) -> Result<Told, Need> {
        let Some(transaction) = &mut self.transaction else { return Ok(Told::NotReached) };
        let Ok(path) = ForwardPath::parse(recipient) else { return Ok(Told::AsThen) };
        let identity = transaction.permit.identity().map(|identified| identified.principal.user_id.as_str());
        let limits = (self.policy.max_recipients_per_hour, self.policy.max_recipients_per_hour_per_identity);
        let limits = (limits.0, limits.1.filter(|_| identity.is_some()));
        let network = ClientNetwork::of(self.client);
        let (counted, of_client, of_identity, unknown) = match self.counting {
            Counting::Recorded => {
                let recorded = |count: Option<u32>, limit: Option<u32>| match (count, limit) {
                    (None, Some(_)) => Err(Need::Counts),
                    (count, _) => Ok(count.unwrap_or_default()),
                };
                let of_client = recorded(counts.of_client, limits.0)?;
                (None, of_client, recorded(counts.of_identity, limits.1)?, counts.unknown)
            }
            Counting::Anew(hours) => {
                let counted = hours.count(limits.0.map(|_| network), identity.filter(|_| limits.1.is_some()));
                let (of_client, of_identity) = (counted.of_client, counted.of_identity);
                (Some(counted), of_client, of_identity, hours.unknown(network))
            }
        };
        let listed = Recipients::look(self.rules.recipients, &path);
        let mut facts = RecipientFacts {
            in_message: transaction.recipients,
            hour_of_client: of_client,
            hour_of_identity: of_identity,
            unknown,
            listed,
            directory: DirectoryFact::NotAsked,
        };
        let mut judgement = judge_recipient(&facts, &transaction.permit, self.policy);
        if judgement.verdict == RecipientVerdict::AskDirectory {
            let told = self.basis.recipients == self.rules.basis.recipients && *directory != DirectoryFact::NotAsked;
            if !told {
                return Err(Need::Recipient);
            }
            facts.directory = directory.clone();
            judgement = judge_recipient(&facts, &transaction.permit, self.policy);
        }
        self.steps = judgement.steps;
        Ok(Told::Said(match judgement.verdict {
            RecipientVerdict::Refused(refusal) => {
                if let (Refusal::RecipientUnknown, Counting::Anew(hours)) = (&refusal, self.counting) {
                    hours.add_unknown(network);
                }
                replies::refusal(&refusal)
            }
            RecipientVerdict::Accepted | RecipientVerdict::AskDirectory => {
                transaction.recipients = transaction.recipients.saturating_add(1);
                if let Some(counted) = counted {
                    counted.keep();
                }
                replies::recipient_ok()
            }
        }))
    }

    fn message(
        &mut self,
        size: u64,
        originators: Option<&OriginatorFields>,
        author_refused: bool,
        reply: &str,
    ) -> Result<Told, Need> {
        let permit = match self.transaction.take() {
            None | Some(Transaction { recipients: 0, .. }) => return Ok(Told::NotReached),
            Some(Transaction { permit, .. }) => permit,
        };
        if size > self.policy.max_message_size {
            return Ok(Told::Said(replies::too_large(self.policy.max_message_size)));
        }
        let accepted = reply.starts_with('2');
        match originators {
            Some(fields) => match permit.authorize(&HeaderSection::from(fields)) {
                Err(refusal) => return Ok(Told::Said(replies::refusal(&refusal))),
                Ok(authorized) => self.steps = authorized.monitored().into_iter().map(sender_step).collect(),
            },
            // What was refused otherwise, without its header being read, still is.
            None if permit.may_refuse_author() && (accepted || author_refused) => return Err(Need::Author),
            None => {}
        }
        self.messages = self.messages.saturating_add(u32::from(accepted || author_refused));
        Ok(if author_refused { Told::Said(replies::queued("…")) } else { Told::AsThen })
    }
}

/// A sender or an author that would be refused, but for `monitor`.
fn sender_step(monitored: &Monitored) -> Step {
    Step { question: Question::Sender, answer: monitored.reason.clone(), effect: Effect::Monitored }
}
