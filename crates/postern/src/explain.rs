//! `postern explain`: gathers the facts that a session would, asks the same judgement, and prints every step.

mod replayed;

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use auth::{Attempt, CertificateFact, Facts, Mechanism, TlsFact, Transport};
use policy::{
    Access, AuthOffer, Authorized, Classified, Clearance, Client, DirectoryFact, Foreign, Judgement, MailFlowPolicy,
    Monitored, Naming, NullSender, Permit, RecipientFacts, RecipientJudgement, RecipientVerdict, Refusal, Standing,
    judge, judge_recipient,
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

pub(crate) use replayed::rules;

/// A reason why nothing can be explained.
type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn explain(arguments: &Explain) -> ExitCode {
    if let Some(id) = arguments.session {
        let Explain { log, config, live, at, .. } = arguments;
        return replayed::explain(&replayed::Asked { id, log, config, live: *live, at: *at });
    }
    // Read before the configuration's folder is entered: these paths are the shell's.
    let chain = match read_chain(arguments) {
        Ok(chain) => chain,
        Err(error) => return fail(&error),
    };
    let compared = match arguments.compare.as_ref().map(|file| run::absolute(file)).transpose() {
        Ok(compared) => compared,
        Err(problem) => return run::refuse(&[problem]),
    };
    run::block_on(async {
        let explained = match Explanation::under(&arguments.config.config, arguments, chain.clone()).await {
            Ok(explained) => explained,
            Err(code) => return code,
        };
        let Some(file) = compared else { return explained.print() };
        println!("Under {}:\n", arguments.config.config.display());
        explained.print();
        let other = match Explanation::under(&file, arguments, chain).await {
            Ok(other) => other,
            Err(code) => return code,
        };
        println!("\nUnder {}:\n", file.display());
        other.print();
        compare(&explained.verdict(), &other.verdict())
    })
}

/// Exits with 0 when both decide alike.
fn compare(one: &[(&'static str, String)], other: &[(&'static str, String)]) -> ExitCode {
    if one == other {
        println!("\nBoth decide alike.");
        return ExitCode::SUCCESS;
    }
    println!("\nWhat differs:");
    for (question, answer) in one {
        let others = other.iter().find(|(asked, _)| asked == question).map_or("not asked", |(_, answer)| answer);
        if answer != others {
            println!("  {question:<9}{answer}\n  {:<9}{others}", "becomes");
        }
    }
    for (question, answer) in other.iter().filter(|(asked, _)| !one.iter().any(|(question, _)| question == asked)) {
        println!("  {question:<9}not asked\n  {:<9}{answer}", "becomes");
    }
    ExitCode::from(2)
}

/// The client with its names, as far as they matter.
async fn client(listener: &ListenerPlan, address: IpAddr, arguments: &Explain, names: Option<&Names>) -> Client {
    let unnamed = Client::unnamed(address);
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
    /// What would be refused, were it not monitored.
    monitored: Vec<Monitored>,
    /// Where MAIL goes on, and a recipient was asked about.
    recipient: Option<RecipientJudgement>,
    /// Where MAIL goes on, and the header's author was asked about.
    author: Option<Result<String, Refusal>>,
    policy: Arc<MailFlowPolicy>,
}

impl Explanation {
    /// What this configuration says; what is wrong with it has been told.
    async fn under(
        file: &Path,
        arguments: &Explain,
        chain: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Self, ExitCode> {
        let (_, configuration) = run::load(file)?;
        let (Some(name), Some(address)) = (&arguments.listener, arguments.client) else {
            return Err(fail(&"a listener and a client are needed".into()));
        };
        let Some(listener) = configuration.listeners.iter().find(|listener| listener.name == *name) else {
            let listeners: Vec<&str> = configuration.listeners.iter().map(|listener| listener.name.as_str()).collect();
            return Err(fail(&format!("there is no listener {name:?}; there are: {}", listeners.join(", ")).into()));
        };
        let client = client(listener, address, arguments, configuration.names.as_ref()).await;
        Self::new(listener, &client, arguments, chain).await.map_err(|error| fail(&error))
    }

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
        let at = arguments.at.unwrap_or_else(pki::Time::now);
        let mut steps = Vec::new();
        let certificate = match (&listener.profile, chain) {
            (Some(profile), Some(chain)) if asked => {
                let asked = profile.certificate(&chain, at).await;
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
                let (attempt, asked) = profile.explain_presumption(mechanism, user, at).await;
                steps.extend(asked);
                attempt
            }
            _ => Attempt::None,
        };
        let transport = match arguments.without_tls {
            true => Transport::Plain,
            false => Transport::Tls(TlsFact {
                version: "any version".into(),
                cipher: "any cipher".into(),
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
            (Ok(permit), Some(header)) => Some(permit.authorize(&header)),
            _ => None,
        };
        let mut monitored = judgement.monitored.clone();
        monitored.extend(permit.iter().flat_map(Permit::monitored).cloned());
        monitored.extend(recipient.iter().flat_map(|judgement| &judgement.monitored).cloned());
        monitored.extend(author.iter().flatten().flat_map(Authorized::monitored).cloned());
        let author = author.map(|author| author.map(|authorized| authored(&authorized)));
        let mail = permit.map(|permit| match &sender {
            None => who(permit.identity()),
            Some(_) => format!("{} from {}{}", who(permit.identity()), permit.sender(), leniency(permit.foreign())),
        });
        let (heading, policy) = (heading(listener, client, &classified), Arc::clone(policy));
        Ok(Self { heading, steps, judgement, mail, monitored, recipient, author, policy })
    }

    /// Exits with 0 when mail would go on.
    fn print(&self) -> ExitCode {
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
        for (question, answer) in self.verdict() {
            println!("{question:<9}{answer}");
        }
        if self.policy.serves() {
            println!("limits   {}", limits(&self.policy));
        }
        if self.refuses() { ExitCode::from(2) } else { ExitCode::SUCCESS }
    }

    fn refuses(&self) -> bool {
        let recipient = self.recipient.as_ref().map(|judgement| &judgement.verdict);
        self.mail.is_err()
            || matches!(recipient, Some(RecipientVerdict::Refused(_)))
            || matches!(self.author, Some(Err(_)))
    }

    /// What is decided, by what it is decided about.
    fn verdict(&self) -> Vec<(&'static str, String)> {
        let mail = match &self.mail {
            Ok(permitted) => format!("permitted {permitted}"),
            Err(refusal) => said(refusal),
        };
        let mut verdict = vec![("session", self.standing()), ("AUTH", self.auth()), ("MAIL", mail)];
        match self.recipient.as_ref().map(|judgement| &judgement.verdict) {
            None => {}
            Some(RecipientVerdict::Refused(refusal)) => verdict.push(("RCPT", said(refusal))),
            Some(RecipientVerdict::Accepted | RecipientVerdict::AskDirectory) => {
                verdict.push(("RCPT", "accepted".to_owned()));
            }
        }
        match &self.author {
            None => {}
            Some(Ok(accepted)) => verdict.push(("DATA", format!("accepted{accepted}"))),
            Some(Err(refusal)) => verdict.push(("DATA", said(refusal))),
        }
        let would_be = |one: &Monitored| ("monitor", format!("{} would be refused: {}", one.rule, said(&one.refusal)));
        verdict.extend(self.monitored.iter().map(would_be));
        verdict
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
