//! `postern explain`: gathers the facts that a session would, asks the same judgement, and prints every step.

use std::process::ExitCode;
use std::sync::Arc;

use auth::{Attempt, CertificateFact, Facts, Mechanism, TlsFact, Transport};
use policy::{
    Access, AuthOffer, Classified, Clearance, Client, DirectoryFact, Foreign, Judgement, MailFlowPolicy, Naming,
    NullSender, Permit, RecipientFacts, RecipientJudgement, RecipientVerdict, Refusal, Standing, judge,
    judge_recipient,
};
use protocol::header::HeaderSection;
use protocol::{ForwardPath, ReversePath};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use session::{ListenerTls, Names, Recipients};

use crate::cli::Explain;
use crate::config::ListenerPlan;
use crate::run;
use crate::table::table;

/// A reason why nothing can be explained.
type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn explain(arguments: &Explain) -> ExitCode {
    // Read before the configuration's folder is entered: this path is the shell's.
    let chain = match read_chain(arguments) {
        Ok(chain) => chain,
        Err(error) => return fail(&error),
    };
    let (_, configuration) = match run::load(&arguments.config.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let listeners: Vec<String> = configuration.listeners.iter().map(|listener| listener.name.clone()).collect();
    let Some(listener) = configuration.listeners.into_iter().find(|listener| listener.name == arguments.listener)
    else {
        let there_are = listeners.join(", ");
        return fail(&format!("there is no listener {:?}; there are: {there_are}", arguments.listener).into());
    };
    let names = configuration.names;
    run::block_on(async move {
        let client = client(&listener, arguments, names.as_ref()).await;
        match Explanation::new(&listener, &client, arguments, chain).await {
            Ok(explanation) => explanation.print(),
            Err(error) => fail(&error),
        }
    })
}

/// The client with its names, as far as they matter.
async fn client(listener: &ListenerPlan, arguments: &Explain, names: Option<&Names>) -> Client {
    let unnamed = Client::unnamed(arguments.client);
    let naming = match (&arguments.client_name, names) {
        (Some(name), _) => Naming::Confirmed(vec![name.clone()]),
        (None, Some(names)) if listener.groups.needs_name(unnamed.address) => names.of(unnamed.address).await,
        _ => Naming::NotAsked,
    };
    Client { naming, ..unnamed }
}

fn fail(error: &Failure) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn read_chain(arguments: &Explain) -> Result<Option<Vec<CertificateDer<'static>>>, Failure> {
    let Some(file) = &arguments.certificate else { return Ok(None) };
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: holds no certificate (PEM)", file.display()).into());
    }
    Ok(Some(chain))
}

struct Explanation {
    heading: String,
    steps: Vec<String>,
    judgement: Judgement,
    mail: Result<String, Refusal>,
    /// Where MAIL goes on, and a recipient was asked about.
    recipient: Option<RecipientJudgement>,
    /// Where MAIL goes on, and the header's author was asked about.
    author: Option<Result<String, Refusal>>,
    policy: Arc<MailFlowPolicy>,
}

impl Explanation {
    async fn new(
        listener: &ListenerPlan,
        client: &Client,
        arguments: &Explain,
        chain: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Self, Failure> {
        let classified = listener.groups.classify(client);
        let policy = classified.policy;
        let no_rules = session::no_rules();
        let rules = listener.profile.as_ref().map_or(no_rules, |profile| &profile.rules);
        let asked = policy.verify_client_certificate && rules.certificate.is_some() && !arguments.without_tls;
        let mut steps = Vec::new();
        let certificate = match (&listener.profile, chain) {
            (Some(profile), Some(chain)) if asked => {
                let asked = profile.certificate(&chain, pki::Time::now()).await;
                steps.extend(asked.steps);
                CertificateFact::Presented(Box::new(asked.presented))
            }
            (_, None) if asked => CertificateFact::NotPresented,
            _ => CertificateFact::NotRequested,
        };
        let attempt = match (&listener.profile, &arguments.user) {
            (Some(profile), Some(user)) => {
                let first = rules.password.as_ref().and_then(|password| password.mechanisms.first().copied());
                let mechanism = arguments.mechanism.or(first).unwrap_or(Mechanism::Plain);
                let (attempt, asked) = profile.explain_presumption(mechanism, user, pki::Time::now()).await;
                steps.extend(asked);
                attempt
            }
            _ => Attempt::None,
        };
        let transport = match arguments.without_tls {
            true => Transport::Plain,
            false => Transport::Tls(TlsFact {
                version: "any version",
                cipher: "any cipher",
                implicit: listener.implicit_tls == ListenerTls::Implicit,
                channel_binding: true,
            }),
        };
        let facts = Facts { transport, certificate, attempt };
        let sender = arguments.sender.as_deref().map(|sender| ReversePath::parse(&bracketed(sender)));
        let sender = sender.transpose()?;
        let recipient = arguments.recipient.as_deref().map(|path| ForwardPath::parse(&bracketed(path))).transpose()?;
        let judgement = judge(&facts, policy, rules);
        let permit = judgement.mail.clone().and_then(|clearance| {
            let asked = sender.clone().unwrap_or_else(|| some_sender(&clearance, policy));
            clearance.permit(asked)
        });
        let recipient = match (&permit, recipient) {
            (Ok(permit), Some(path)) => Some(judged_recipient(listener, permit, policy, &path, &mut steps).await),
            _ => None,
        };
        let author = match (&permit, header(arguments)) {
            (Ok(permit), Some(header)) => Some(permit.authorize(&header).map(|authorized| authored(&authorized))),
            _ => None,
        };
        let mail = permit.map(|permit| match &sender {
            None => who(permit.identity()),
            Some(_) => format!("{} from {}{}", who(permit.identity()), permit.sender(), leniency(permit.foreign())),
        });
        let (heading, policy) = (heading(listener, client, &classified), Arc::clone(policy));
        Ok(Self { heading, steps, judgement, mail, recipient, author, policy })
    }

    /// Exits with 0 when mail would go on.
    fn print(self) -> ExitCode {
        println!("{}\n", self.heading);
        let mut table = table();
        table.set_header(["question", "answer", "what follows"]);
        let recipient_steps = self.recipient.as_ref().map(|judgement| judgement.steps.as_slice()).unwrap_or_default();
        for step in self.judgement.steps.iter().chain(recipient_steps) {
            table.add_row([step.question.to_string(), step.answer.to_string(), step.effect.to_string()]);
        }
        println!("{table}\n");
        if !self.steps.is_empty() {
            println!("What was looked for and asked:");
            self.steps.iter().for_each(|step| println!("  {step}"));
            println!();
        }
        println!("session  {}\nAUTH     {}", self.standing(), self.auth());
        match &self.mail {
            Ok(permitted) => println!("MAIL     permitted {permitted}"),
            Err(refusal) => println!("MAIL     {}", said(refusal)),
        }
        let refused = match self.recipient.as_ref().map(|judgement| &judgement.verdict) {
            None => false,
            Some(RecipientVerdict::Refused(refusal)) => {
                println!("RCPT     {}", said(refusal));
                true
            }
            Some(RecipientVerdict::Accepted | RecipientVerdict::AskDirectory) => {
                println!("RCPT     accepted");
                false
            }
        };
        match &self.author {
            None => {}
            Some(Ok(accepted)) => println!("DATA     accepted{accepted}"),
            Some(Err(refusal)) => println!("DATA     {}", said(refusal)),
        }
        let refused = refused || matches!(self.author, Some(Err(_)));
        if self.policy.serves() {
            println!("limits   {}", limits(&self.policy));
        }
        if self.mail.is_err() || refused { ExitCode::from(2) } else { ExitCode::SUCCESS }
    }

    fn standing(&self) -> String {
        match &self.judgement.standing {
            Standing::Disconnect => "the connection is closed without a word".to_owned(),
            Standing::Refused(refusal) => said(refusal),
            Standing::Open { tls_first: true, .. } => "only STARTTLS leads on".to_owned(),
            Standing::Open { .. } => "open".to_owned(),
        }
    }

    fn auth(&self) -> String {
        match &self.judgement.auth {
            AuthOffer::Mechanisms(mechanisms) => {
                mechanisms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            AuthOffer::Refused(refusal) => said(refusal),
        }
    }
}

fn heading(listener: &ListenerPlan, client: &Client, classified: &Classified<'_>) -> String {
    let name = match &client.naming {
        Naming::NotAsked => String::new(),
        Naming::Confirmed(_) => format!(" ({})", client.naming),
        Naming::Unconfirmed(why) => format!(" (without a name: {why})"),
    };
    let entry = classified.entry.map(|entry| format!(" by {entry}")).unwrap_or_default();
    format!(
        "listener {:?}, client {}{name}, sender group {:?}{entry}, policy {:?}, profile {:?}",
        listener.name,
        client.address,
        classified.group,
        classified.policy.name,
        listener.profile.as_ref().map_or("none", |profile| &profile.name),
    )
}

/// The judgement of a recipient that is its client's first.
async fn judged_recipient(
    listener: &ListenerPlan,
    permit: &Permit,
    policy: &MailFlowPolicy,
    path: &ForwardPath,
    steps: &mut Vec<String>,
) -> RecipientJudgement {
    let listed = Recipients::look(listener.recipients.as_ref(), path);
    let directory = DirectoryFact::NotAsked;
    let mut facts =
        RecipientFacts { in_message: 0, hour_of_client: 0, hour_of_identity: 0, unknown: 0, listed, directory };
    let judgement = judge_recipient(&facts, permit, policy);
    match (&judgement.verdict, &listener.recipients, path) {
        (RecipientVerdict::AskDirectory, Some(recipients), ForwardPath::Mailbox(mailbox)) => {
            facts.directory = recipients.directory_fact(mailbox).await;
            let name = recipients.directory.as_ref().map(|directory| directory.name()).unwrap_or_default();
            steps.push(format!("directory {name}: recipient query: {mailbox} is {}", facts.directory));
            judge_recipient(&facts, permit, policy)
        }
        _ => judgement,
    }
}

/// A sender that is as good as any other, where none was named: `<>` is everybody's, unless the policy will not have it.
fn some_sender(clearance: &Clearance, policy: &MailFlowPolicy) -> ReversePath {
    let own = clearance.identity().and_then(|identity| identity.principal.addresses.first());
    match (policy.senders.null_sender, own) {
        (NullSender::Reject, Some(own)) => ReversePath::Mailbox(own.clone()),
        _ => ReversePath::Null,
    }
}

/// The header that was asked about.
fn header(arguments: &Explain) -> Option<HeaderSection> {
    let from = arguments.from_header.iter().map(|value| format!("From: {value}\r\n"));
    let sender = arguments.sender_header.iter().map(|value| format!("Sender: {value}\r\n"));
    let fields: String = from.chain(sender).collect();
    if fields.is_empty() { None } else { HeaderSection::read(fields.as_bytes()) }
}

fn authored(authorized: &policy::Authorized) -> String {
    let becomes = authorized.author().map(|author| format!(" from <{author}>")).unwrap_or_default();
    becomes + &leniency(authorized.foreign())
}

/// What would have been refused without the policy's leniency.
fn leniency(foreign: Option<&Foreign>) -> String {
    match foreign {
        None => String::new(),
        Some(Foreign { refusal, rewritten: true }) => format!(", rewritten: {refusal}"),
        Some(Foreign { refusal, rewritten: false }) => format!(", let through (monitor): {refusal}"),
    }
}

/// How much the client may do, whoever it is.
fn limits(policy: &MailFlowPolicy) -> String {
    let mut limits = vec![
        format!("{} octets a message", policy.max_message_size),
        format!("{} recipients a message", policy.max_recipients_per_message),
        format!("{} messages a connection", policy.max_messages_per_connection),
        format!("{} connections a client", policy.max_connections_per_client),
    ];
    if let Some(limit) = policy.max_recipients_per_hour {
        limits.push(format!("{limit} recipients an hour and client"));
    }
    if let Some(limit) = policy.max_recipients_per_hour_per_identity {
        limits.push(format!("{limit} recipients an hour and identity"));
    }
    if policy.access == Access::Accept {
        limits.push(format!("{} unknown recipients an hour and client", policy.max_unknown_recipients_per_hour));
    }
    limits.join(", ")
}

/// As SMTP writes a path.
fn bracketed(address: &str) -> String {
    if address.starts_with('<') { address.to_owned() } else { format!("<{address}>") }
}

fn who(identity: Option<&policy::Identified>) -> String {
    identity
        .map_or_else(|| "without an identity".to_owned(), |identified| format!("as {}", identified.principal.user_id))
}

/// The reason, and what the client would read.
fn said(refusal: &Refusal) -> String {
    format!("{refusal} ({})", session::reply_to(refusal))
}
