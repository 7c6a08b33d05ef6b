//! `postern explain`: gathers the facts that a session would, asks the same judgement, and prints every step.

use std::process::ExitCode;

use auth::{Attempt, CertificateFact, Facts, Mechanism, TlsFact, Transport};
use policy::{AuthOffer, Judgement, Refusal, Standing, judge};
use protocol::ReversePath;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use session::ListenerTls;

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
    let names: Vec<String> = configuration.listeners.iter().map(|listener| listener.name.clone()).collect();
    let Some(listener) = configuration.listeners.into_iter().find(|listener| listener.name == arguments.listener)
    else {
        return fail(&format!("there is no listener {:?}; there are: {}", arguments.listener, names.join(", ")).into());
    };
    run::block_on(async move {
        match Explanation::new(&listener, arguments, chain).await {
            Ok(explanation) => explanation.print(),
            Err(error) => fail(&error),
        }
    })
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
    sender: Option<ReversePath>,
}

impl Explanation {
    async fn new(
        listener: &ListenerPlan,
        arguments: &Explain,
        chain: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Self, Failure> {
        let policy::Classified { group, policy, .. } =
            listener.groups.classify(&policy::Client::unnamed(arguments.client));
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
                let mechanism = first.unwrap_or(Mechanism::Plain);
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
            }),
        };
        let facts = Facts { transport, certificate, attempt };
        let sender = arguments.sender.as_deref().map(|sender| match sender.starts_with('<') {
            true => ReversePath::parse(sender),
            false => ReversePath::parse(&format!("<{sender}>")),
        });
        Ok(Self {
            heading: format!(
                "listener {:?}, client {}, sender group {group:?}, policy {:?}, profile {:?}",
                listener.name,
                arguments.client,
                policy.name,
                listener.profile.as_ref().map_or("none", |profile| &profile.name),
            ),
            steps,
            judgement: judge(&facts, policy, rules),
            sender: sender.transpose()?,
        })
    }

    /// Exits with 0 when MAIL would go on.
    fn print(self) -> ExitCode {
        println!("{}\n", self.heading);
        let mut table = table();
        table.set_header(["question", "answer", "what follows"]);
        for step in &self.judgement.steps {
            table.add_row([step.question.to_string(), step.answer.to_string(), step.effect.to_string()]);
        }
        println!("{table}\n");
        if !self.steps.is_empty() {
            println!("What was looked for and asked:");
            self.steps.iter().for_each(|step| println!("  {step}"));
            println!();
        }
        let standing = match &self.judgement.standing {
            Standing::Disconnect => "the connection is closed without a word".to_owned(),
            Standing::Refused(refusal) => said(refusal),
            Standing::Open { tls_first: true, .. } => "only STARTTLS leads on".to_owned(),
            Standing::Open { .. } => "open".to_owned(),
        };
        let auth = match &self.judgement.auth {
            AuthOffer::Mechanisms(mechanisms) => {
                mechanisms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            AuthOffer::Refused(refusal) => said(refusal),
        };
        println!("session  {standing}\nAUTH     {auth}");
        let verdict = match (self.judgement.mail, self.sender) {
            (Err(refusal), _) => Err(refusal),
            (Ok(clearance), None) => Ok(who(clearance.identity())),
            (Ok(clearance), Some(sender)) => {
                let who = who(clearance.identity());
                clearance.permit(sender).map(|permit| format!("{who} from {}", permit.sender()))
            }
        };
        match verdict {
            Ok(who) => {
                println!("MAIL     permitted {who}");
                ExitCode::SUCCESS
            }
            Err(refusal) => {
                println!("MAIL     {}", said(&refusal));
                ExitCode::from(2)
            }
        }
    }
}

fn who(identity: Option<&policy::Identified>) -> String {
    identity
        .map_or_else(|| "without an identity".to_owned(), |identified| format!("as {}", identified.principal.user_id))
}

/// The reason, and what the client would read.
fn said(refusal: &Refusal) -> String {
    format!("{refusal} ({})", session::reply_to(refusal))
}
