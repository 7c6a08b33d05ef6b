//! `postern explain --session`: a session of the log, event by event: what was asked, what was said then, and what would be
//! said now.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use auth::{Attempt, CertificateFact, TlsFact};
use pki::Revocation;
use policy::{Naming, Question, Standing};
use session::{Counting, Event, Examined, Exchange, Record, Replay, Rules, SessionId, Told, Turn};

use super::{Failure, said, who};
use crate::cli::ConfigFile;
use crate::config::{Configuration, ListenerPlan};
use crate::run;
use crate::session_log::SessionLog;

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) id: SessionId,
    pub(crate) log: &'a [PathBuf],
    pub(crate) config: &'a ConfigFile,
    pub(crate) live: bool,
    pub(crate) at: Option<pki::Time>,
}

pub(crate) fn explain(asked: &Asked<'_>) -> ExitCode {
    // Read before the configuration's folder is entered: these paths are the shell's.
    let record = match find(asked.id, asked.log) {
        Ok(record) => record,
        Err(error) => return super::fail(&error),
    };
    let configuration = match run::load(&asked.config.config) {
        Ok((_, configuration)) => configuration,
        Err(code) => return code,
    };
    let Some(listener) = configuration.listeners.iter().find(|listener| listener.name == record.listener) else {
        let there_are: Vec<&str> = configuration.listeners.iter().map(|listener| listener.name.as_str()).collect();
        let text = format!(
            "the session was of listener {:?}, which this configuration does not have; there are: {}",
            record.listener,
            there_are.join(", ")
        );
        return super::fail(&text.into());
    };
    run::block_on(async {
        let rules = rules(&configuration, listener);
        let asked_again = match asked.live {
            true => {
                let at = asked.at.unwrap_or(record.at);
                Some(session::ask_again(&record, rules, configuration.names.as_ref(), at).await)
            }
            false => None,
        };
        let judged = asked_again.as_ref().unwrap_or(&record);
        let replay = session::replay(judged, rules, Counting::Recorded);
        print!("{}", tell(&record, listener, &replay, asked.live));
        exit_code(&replay)
    })
}

/// Exits with 2 where a reply would differ, with 3 where that cannot be told.
fn exit_code(replay: &Replay<'_, '_>) -> ExitCode {
    if replay.turns.iter().any(Turn::differs) {
        return ExitCode::from(2);
    }
    let untold = replay.turns.iter().any(|turn| matches!(turn.told, Told::Unknown(_)));
    if untold { ExitCode::from(3) } else { ExitCode::SUCCESS }
}

/// A listener's rules.
pub(crate) fn rules<'c>(configuration: &'c Configuration, listener: &'c ListenerPlan) -> Rules<'c> {
    Rules {
        hostname: &configuration.hostname,
        groups: &listener.groups,
        profile: listener.profile.as_deref(),
        recipients: listener.recipients.as_ref(),
        basis: &listener.basis,
    }
}

fn find(id: SessionId, logs: &[PathBuf]) -> Result<Record, Failure> {
    let text = id.to_string();
    for file in logs {
        let told = |error: std::io::Error| -> Failure { format!("{}: {error}", file.display()).into() };
        let mut log = SessionLog::open(file).map_err(told)?;
        while let Some(read) = log.next_session_with(&text).map_err(told)? {
            match read {
                // The text may be anywhere in a line.
                Ok(record) if record.id != id => {}
                read => return Ok(read?),
            }
        }
    }
    let files: Vec<String> = logs.iter().map(|file| Path::display(file).to_string()).collect();
    let text = format!(
        "no session {id} with facts in {}: the log needs format = \"json\", level = \"info\" and facts = \"decisions\" (or \
         \"full\") under [log], and a session is logged when it ends",
        files.join(", ")
    );
    Err(text.into())
}

fn tell(record: &Record, listener: &ListenerPlan, replay: &Replay<'_, '_>, live: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "session {} of {}, ended: {}", record.id, record.at, record.end);
    let naming = match &record.naming {
        Naming::NotAsked => String::new(),
        Naming::Confirmed(_) => format!(" ({})", record.naming),
        Naming::Unconfirmed(why) => format!(" (without a name: {why})"),
    };
    let classified = &replay.classified;
    let entry = classified.entry.map(|entry| format!(" by {entry}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "listener {:?}, client {}{naming}, sender group {:?}{entry}, policy {:?}, profile {:?}",
        record.listener,
        record.client,
        classified.group,
        classified.policy.name,
        listener.profile.as_ref().map_or("none", |profile| &profile.name),
    );
    if record.group != classified.group || *record.policy != *classified.policy.name {
        let _ = writeln!(text, "then it was of sender group {:?}, with policy {:?}", record.group, record.policy);
    }
    for (turn, then) in replay.turns.iter().zip(&record.events) {
        let _ = writeln!(text, "\n{}", heading(turn.event));
        for step in &turn.steps {
            let _ = writeln!(text, "    {:<19}{:<21}{}", step.question, step.effect, step.answer);
            if step.question == Question::Revocation {
                age(&mut text, record, turn.event);
            }
        }
        if let Event::Certificate(examined) = turn.event {
            asked(&mut text, examined, live);
        }
        replies(&mut text, turn, then.reply());
    }
    if record.omitted > 0 {
        let _ = writeln!(text, "\n… and {} events more, of which the log kept nothing", record.omitted);
    }
    if !replay.turns.iter().any(|turn| matches!(turn.told, Told::Unknown(_))) {
        let _ = writeln!(text, "\n{}", verdict(replay));
    }
    if classified.policy.serves() {
        let _ = writeln!(text, "limits   {}", super::limits(classified.policy));
    }
    let _ = writeln!(text, "\n{}", comparison(replay));
    text
}

fn heading(event: &Event) -> String {
    match event {
        Event::Greeting { .. } => "connection".to_owned(),
        Event::Tls(TlsFact { version, cipher, implicit, .. }) => {
            let how = if *implicit { "implicit TLS" } else { "STARTTLS" };
            format!("{how}: {version}, {cipher}")
        }
        Event::Certificate(examined) => match &examined.fact {
            CertificateFact::NotRequested => "certificate: not asked for".to_owned(),
            CertificateFact::NotPresented => "certificate: none shown".to_owned(),
            CertificateFact::Presented(presented) => format!("certificate: {}", presented.subject),
        },
        Event::Auth { mechanism, exchange: Exchange::Ended(attempt), .. } => match attempt {
            Attempt::Password { user, .. } => format!("AUTH {mechanism} {user:?}"),
            Attempt::External { authorization_identity } if !authorization_identity.is_empty() => {
                format!("AUTH {mechanism} {authorization_identity:?}")
            }
            Attempt::None | Attempt::External { .. } => format!("AUTH {mechanism}"),
        },
        Event::Auth { mechanism, .. } => format!("AUTH {mechanism}"),
        Event::Standing(_) => "AUTH, asked again".to_owned(),
        Event::Mail { sender, size: None, .. } => format!("MAIL FROM:{sender}"),
        Event::Mail { sender, size: Some(size), .. } => format!("MAIL FROM:{sender} SIZE={size}"),
        Event::Rcpt { recipient, .. } => format!("RCPT TO:{recipient}"),
        Event::Message { size, .. } => format!("message of {size} octets"),
    }
}

/// How old the list or answer was that says good.
fn age(text: &mut String, record: &Record, event: &Event) {
    if let Event::Certificate(examined) = event
        && let CertificateFact::Presented(presented) = &examined.fact
        && let Revocation::Good { this_update, .. } = &presented.revocation
    {
        let age = humantime::format_duration(record.at.since(*this_update));
        let _ = writeln!(text, "    {:<40}which was {age} old at the session's begin", "");
    }
}

fn asked(text: &mut String, examined: &Examined, live: bool) {
    if examined.steps.is_empty() {
        return;
    }
    let _ = writeln!(text, "  looked for and asked {}:", if live { "now" } else { "then" });
    for step in &examined.steps {
        let _ = writeln!(text, "    {step}");
    }
}

fn replies(text: &mut String, turn: &Turn<'_>, then: Option<&str>) {
    let closed = |reply: &str| if reply.is_empty() { "the connection is closed".to_owned() } else { reply.to_owned() };
    let now = match &turn.told {
        Told::Nothing => None,
        Told::Said(reply) => Some(reply.to_string()),
        Told::Closed => Some(closed("")),
        Told::AsThen => then.map(closed),
        Told::Unknown(need) => Some(format!("not known: {need}")),
        Told::NotReached => Some("not reached".to_owned()),
    };
    let then = then.map(closed);
    if now == then {
        let _ = now.map(|now| writeln!(text, "  said {now}"));
        return;
    }
    let nothing = || "nothing, the session goes on".to_owned();
    let _ = writeln!(text, "  then {}", then.unwrap_or_else(nothing));
    let mark = if turn.differs() { "   <- differs" } else { "" };
    let _ = writeln!(text, "  now  {}{mark}", now.unwrap_or_else(nothing));
}

fn verdict(replay: &Replay<'_, '_>) -> String {
    let standing = match &replay.judgement.standing {
        Standing::Disconnect => "the connection is closed without a word".to_owned(),
        Standing::Refused(refusal) => said(refusal),
        Standing::Open { tls_first: true, .. } => "only STARTTLS leads on".to_owned(),
        Standing::Open { .. } => "open".to_owned(),
    };
    let mail = match &replay.judgement.mail {
        Ok(clearance) => format!("permitted {}", who(clearance.identity())),
        Err(refusal) => said(refusal),
    };
    format!("session  {standing}\nMAIL     {mail}")
}

fn comparison(replay: &Replay<'_, '_>) -> String {
    let differing = replay.turns.iter().filter(|turn| turn.differs()).count();
    let need = replay.turns.iter().find_map(|turn| match turn.told {
        Told::Unknown(need) => Some(need),
        _ => None,
    });
    match (differing, need) {
        (0, None) => "Under this configuration every reply is what it was.".to_owned(),
        (0, Some(need)) => {
            let help = if need.can_be_asked() { " (--live asks)" } else { "" };
            format!("What this configuration would say cannot be told from what was logged: {need}{help}.")
        }
        (count, _) => format!("Under this configuration {count} of the replies would be others."),
    }
}
