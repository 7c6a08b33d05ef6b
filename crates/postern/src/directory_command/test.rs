//! `postern directory test`: a directory asked as a session would ask it, with each step.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use auth::certificate_tokens;
use directory::{
    Allowance, CertificateMatch, Directory, Finding, FindingState, Password, PasswordMatch, Person, Sight, Step, Token,
    Tokens,
};
use pki::{Certificate, Time};
use serde::Serialize;

use super::{NO, fail, printable};
use crate::cli::DirectoryTest;
use crate::config;
use crate::run;

/// No password is longer.
const MAX_PASSWORD: u64 = 4096;

/// Whom to ask about.
enum Subject {
    Nobody,
    Certificate(Certificate),
    User(String, Option<Password>),
}

/// What came of it all.
#[derive(Serialize)]
struct Report {
    directory: String,
    /// How many people the file has; `None` for directory servers.
    people: Option<usize>,
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// What the query took from the certificate; what it lacks says so.
    certificate: BTreeMap<String, String>,
    steps: Vec<Step>,
    verdict: Option<Verdict>,
}

/// What a session would do.
#[derive(Serialize)]
struct Verdict {
    outcome: Outcome,
    user_id: Option<String>,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    send_as: Vec<String>,
    text: String,
    mend: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Accepted,
    Refused,
    Unavailable,
}

pub(super) fn test(arguments: &DirectoryTest) -> ExitCode {
    // Read before the configuration's folder is entered: these paths are the shell's.
    let subject = match subject(arguments) {
        Ok(subject) => subject,
        Err(why) => return fail(&why),
    };
    let file = match run::enter_folder(&arguments.config.config) {
        Ok(file) => file,
        Err(problem) => return run::refuse(&[problem]),
    };
    let directory = match config::directory(&file, &arguments.name) {
        Ok(directory) => directory,
        Err(problems) => return run::refuse(&problems),
    };
    let at = arguments.at.unwrap_or_else(Time::now);
    let json = arguments.json;
    run::block_on(async move {
        let report = report(&directory, subject, at).await;
        match json {
            true => match serde_json::to_string_pretty(&report) {
                Ok(text) => println!("{text}"),
                Err(error) => return fail(&error.to_string()),
            },
            false => print(&report),
        }
        exit(&report)
    })
}

fn subject(arguments: &DirectoryTest) -> Result<Subject, String> {
    if let Some(file) = &arguments.certificate {
        let certificates = Certificate::from_file(file).map_err(|error| error.to_string())?;
        let first = certificates.into_iter().next();
        return first.map(Subject::Certificate).ok_or_else(|| format!("{}: holds no certificate", file.display()));
    }
    let Some(user) = arguments.user.clone() else { return Ok(Subject::Nobody) };
    let password = match &arguments.password_file {
        Some(file) => Some(read_password(file).map_err(|error| format!("{}: {error}", file.display()))?),
        None if arguments.password => {
            let asked = rpassword::prompt_password(format!("Password of {user:?}: "));
            Some(Password::new(asked.map_err(|error| format!("no password could be read: {error}"))?))
        }
        None => None,
    };
    Ok(Subject::User(user, password))
}

fn read_password(file: &Path) -> std::io::Result<Password> {
    let mut line = zeroize::Zeroizing::new(String::with_capacity(4096));
    BufReader::new(std::fs::File::open(file)?).take(MAX_PASSWORD).read_line(&mut line)?;
    Ok(Password::new(line.trim_end_matches(['\r', '\n'])))
}

async fn report(directory: &Arc<Directory>, subject: Subject, at: Time) -> Report {
    let findings = directory.check_connection().await;
    let mut certificate = BTreeMap::new();
    let (verdict, steps) = match subject {
        Subject::Nobody => (None, Vec::new()),
        Subject::Certificate(leaf) => {
            let mut asked = (Vec::new(), Tokens::new());
            let asking = directory.explain_certificate_query(|wanted| {
                let tokens = certificate_tokens(&leaf, at, wanted);
                asked = (wanted.iter().copied().collect(), tokens.clone());
                tokens
            });
            let (answer, steps) = asking.await;
            let (wanted, tokens) = asked;
            certificate = wanted.into_iter().map(|token| value(token, &tokens)).collect();
            (Some(by_certificate(answer)), steps)
        }
        Subject::User(user, password) => {
            let (verdict, steps) = by_user(directory, &user, password.as_ref(), at).await;
            (Some(verdict), steps)
        }
    };
    Report {
        directory: directory.name().to_owned(),
        people: directory.cache_health().is_none().then(|| directory.people()),
        findings,
        notes: directory.notes(),
        certificate,
        steps,
        verdict,
    }
}

fn value(token: Token, tokens: &Tokens) -> (String, String) {
    let value = match tokens.text(token) {
        _ if token == Token::Certificate => "the certificate's own octets".to_owned(),
        Ok(text) => text.to_owned(),
        Err(why) => format!("— {why}"),
    };
    (format!("{{{token}}}"), value)
}

fn refused(text: String, mend: &str) -> Verdict {
    let mend = Some(mend.to_owned()).filter(|mend| !mend.is_empty());
    Verdict { outcome: Outcome::Refused, user_id: None, addresses: Vec::new(), send_as: Vec::new(), text, mend }
}

fn unavailable(why: &str) -> Verdict {
    Verdict {
        outcome: Outcome::Unavailable,
        user_id: None,
        addresses: Vec::new(),
        send_as: Vec::new(),
        text: format!("the client would get a temporary failure (454 4.7.0): {why}"),
        mend: Finding::mend_of(why).map(str::to_owned),
    }
}

fn accepted(text: String, person: Person) -> Verdict {
    let mend =
        person.addresses.is_empty().then(|| "name the attribute that holds them: addresses = \"mail\"".to_owned());
    let Person { user_id, addresses, send_as } = person;
    Verdict { outcome: Outcome::Accepted, user_id: Some(user_id), addresses, send_as, text, mend }
}

fn may_send(person: &Person) -> String {
    match [person.addresses.as_slice(), &person.send_as].concat().as_slice() {
        [] => "who has no address to send as, unless the policy says sender = \"any\"".to_owned(),
        addresses => format!("who may send as {}", addresses.join(", ")),
    }
}

fn by_certificate(answer: CertificateMatch) -> Verdict {
    match answer {
        CertificateMatch::One(person) => {
            let text = format!(
                "a session that shows this certificate, if it is valid and not revoked, would be {}, {}",
                person.user_id,
                may_send(&person)
            );
            accepted(text, person)
        }
        CertificateMatch::Nobody { why } => refused(
            format!("the certificate is nobody's: on_no_match of the profile decides ({why})"),
            "hold the values of the certificate against the person's entry, letter by letter",
        ),
        CertificateMatch::Several => refused(
            "several people have this certificate: on_no_match of the profile decides, and none of them is picked"
                .to_owned(),
            "leave the values of this certificate to one of them",
        ),
        CertificateMatch::Unavailable(why) => unavailable(&why),
    }
}

async fn by_user(directory: &Directory, user: &str, password: Option<&Password>, at: Time) -> (Verdict, Vec<Step>) {
    let Ok(now) = jiff::Timestamp::from_second(at.unix()) else {
        return (unavailable("the instant is beyond the calendar"), Vec::new());
    };
    let (answer, steps) = match password {
        Some(password) => directory.explain_password_query(user, password, now).await,
        None => directory.explain_presumption(user, now).await,
    };
    let auth = match password {
        Some(_) => "AUTH PLAIN with this password would be",
        None => "AUTH PLAIN with the right password would be",
    };
    let verdict = match answer {
        PasswordMatch::Right { person, allowance: Allowance::NotConfigured | Allowance::Allowed } => {
            accepted(format!("{auth} accepted as {}, {}", person.user_id, may_send(&person)), person)
        }
        PasswordMatch::Right { person, allowance: Allowance::NotAllowed } => refused(
            format!(
                "{auth} refused (535 5.7.8): it is {}'s, and the allowance says no, unless on_not_allowed = \"monitor\"",
                person.user_id
            ),
            "",
        ),
        PasswordMatch::Right { allowance: Allowance::Unavailable(why), .. } | PasswordMatch::Unavailable(why) => {
            unavailable(&why)
        }
        PasswordMatch::Wrong(why) => refused(format!("{auth} refused (535 5.7.8): {why}"), ""),
        PasswordMatch::Disabled => refused(format!("{auth} refused (535 5.7.8): the account is closed"), ""),
    };
    (verdict, steps)
}

/// 1 where a server is of no use or the directory cannot answer, 2 where the answer is no.
fn exit(report: &Report) -> ExitCode {
    let broken = report.findings.iter().any(|finding| finding.state == FindingState::Problem);
    match report.verdict.as_ref().map(|verdict| verdict.outcome) {
        Some(Outcome::Unavailable) => ExitCode::FAILURE,
        _ if broken => ExitCode::FAILURE,
        Some(Outcome::Refused) => ExitCode::from(NO),
        Some(Outcome::Accepted) | None => ExitCode::SUCCESS,
    }
}

fn print(report: &Report) {
    println!("directory {}", report.directory);
    if let Some(people) = report.people {
        println!("  a people file of {people} people");
    }
    for finding in &report.findings {
        let mark = match finding.state {
            FindingState::Fine => "✓",
            FindingState::Warning => "!",
            FindingState::Problem => "✗",
        };
        println!("  {mark} {finding}");
        if let Some(mend) = finding.mend {
            println!("      mend: {} ({})", mend, finding.key);
        }
    }
    report.notes.iter().for_each(|note| println!("  note: {note}"));
    if !report.certificate.is_empty() {
        println!("\nwhat the query takes from the certificate");
        report.certificate.iter().for_each(|(token, value)| println!("  {token} {value:?}"));
    }
    if !report.steps.is_empty() {
        println!("\nwhat was asked");
        report.steps.iter().for_each(print_step);
    }
    if let Some(verdict) = &report.verdict {
        println!("\n{}", printable(&verdict.text));
        verdict.mend.iter().for_each(|mend| println!("  mend: {mend}"));
    }
}

fn print_step(step: &Step) {
    println!("  {}: {}", step.question, step.asked);
    if let (Some(base), Some(scope)) = (&step.base, step.scope) {
        println!("    below   {base:?} ({scope})");
    }
    if let (Some(server), Some(took)) = (&step.server, step.took) {
        println!("    by      {server} in {:.1} ms", took.as_secs_f64() * 1000.0);
    }
    let Sight::Entry(entry) = &step.found else { return println!("    found   {}", step.found) };
    println!("    found   {:?}", entry.dn);
    entry.closed.iter().for_each(|why| println!("            which {why}"));
    for (name, values) in &entry.attributes {
        let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        println!("            {name}: {}", values.join(", "));
    }
}
