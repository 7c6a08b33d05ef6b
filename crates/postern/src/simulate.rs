//! `postern simulate`: yesterday's sessions under tomorrow's configuration; those that would change.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use auth::{Attempt, CertificateFact, PasswordFact, QueryFact};
use serde_json::json;
use session::{Counting, Event, Exchange, Hours, Need, Record, Replay, Told, Turn};

use crate::cli::Simulate;
use crate::config::Configuration;
use crate::explain::rules;
use crate::progress;
use crate::run;
use crate::session_log::SessionLog;
use crate::table::table;

/// Groups that are told apart; what is beyond is one group.
const MAX_GROUPS: usize = 1000;

pub(crate) fn simulate(arguments: &Simulate) -> ExitCode {
    // Opened before the configuration's folder is entered: these paths are the shell's.
    let mut logs = Vec::new();
    for file in &arguments.log {
        match SessionLog::open(file) {
            Ok(log) => logs.push((file.as_path(), log)),
            Err(error) => return fail(&format!("{}: {error}", file.display())),
        }
    }
    let configuration = match run::load(&arguments.config.config) {
        Ok((_, configuration)) => configuration,
        Err(code) => return code,
    };
    run::block_on(async move {
        let mut simulation = Simulation::new(&configuration, arguments);
        match simulation.run(logs).await {
            Ok(()) => simulation.finish(),
            Err(error) => fail(&error),
        }
    })
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

struct Simulation<'c> {
    configuration: &'c Configuration,
    arguments: &'c Simulate,
    hours: Arc<Hours>,
    sessions: u64,
    same: u64,
    unreadable: u64,
    /// The first reason why a record could not be read.
    why_unreadable: Option<String>,
    partly: u64,
    changed: HashMap<Change, Group>,
    untold: HashMap<String, u64>,
    /// The first of them; all go out at once where JSON is asked for.
    listed: Vec<[String; 7]>,
}

/// The first reply that would be another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Change {
    listener: String,
    what: &'static str,
    then: String,
    now: String,
}

#[derive(Default)]
struct Group {
    sessions: u64,
    /// One of them.
    example: String,
}

enum Outcome {
    Same,
    Changed { what: &'static str, then: String, now: String },
    Untold(String),
}

impl<'c> Simulation<'c> {
    fn new(configuration: &'c Configuration, arguments: &'c Simulate) -> Self {
        Self {
            configuration,
            arguments,
            hours: Arc::new(Hours::of_log()),
            sessions: 0,
            same: 0,
            unreadable: 0,
            why_unreadable: None,
            partly: 0,
            changed: HashMap::new(),
            untold: HashMap::new(),
            listed: Vec::new(),
        }
    }

    async fn run(&mut self, logs: Vec<(&Path, SessionLog)>) -> Result<(), String> {
        for (file, mut log) in logs {
            let bar = progress::octets(log.length);
            let told = |error: std::io::Error| format!("{}: {error}", file.display());
            while let Some(read) = log.next_session().map_err(told)? {
                bar.set_position(log.position());
                match read {
                    Ok(record) => self.session(record).await,
                    Err(error) => {
                        self.unreadable += 1;
                        self.why_unreadable.get_or_insert_with(|| error.to_string());
                    }
                }
            }
            bar.finish_and_clear();
        }
        Ok(())
    }

    async fn session(&mut self, mut record: Record) {
        self.sessions += 1;
        self.partly += u64::from(record.omitted > 0);
        let outcome = self.outcome(&mut record).await;
        match outcome {
            Outcome::Same => self.same += 1,
            Outcome::Changed { what, then, now } => self.change(&record, what, then, now),
            Outcome::Untold(why) => {
                if self.arguments.json {
                    println!("{}", json!({ "session": record.id, "at": record.at, "untold": why }));
                }
                *self.untold.entry(why).or_default() += 1;
            }
        }
    }

    async fn outcome(&self, record: &mut Record) -> Outcome {
        let listeners = &self.configuration.listeners;
        let Some(listener) = listeners.iter().find(|listener| listener.name == record.listener) else {
            return Outcome::Untold(format!("there is no listener {:?} in this configuration", record.listener));
        };
        let rules = rules(self.configuration, listener);
        if self.arguments.live
            && need(&session::replay(record, rules, Counting::Recorded)).is_some_and(Need::can_be_asked)
        {
            let names = self.configuration.names.as_ref();
            *record = session::ask_again(record, rules, names, self.arguments.at.unwrap_or(record.at)).await;
        }
        self.hours.tell(record.at);
        let replay = session::replay(record, rules, Counting::Anew(&self.hours));
        match (replay.turns.iter().find(|turn| turn.differs()), need(&replay)) {
            (Some(turn), _) => Outcome::Changed {
                what: what(turn.event),
                then: turn.event.reply().map_or_else(goes_on, shown),
                now: match &turn.told {
                    Told::Said(reply) => reply.to_string(),
                    Told::Closed => shown(""),
                    _ => goes_on(),
                },
            },
            (None, Some(need)) => {
                let help = if need.can_be_asked() && !self.arguments.live { " (--live asks)" } else { "" };
                Outcome::Untold(format!("{need}{help}"))
            }
            (None, None) => Outcome::Same,
        }
    }

    fn change(&mut self, record: &Record, what: &'static str, then: String, now: String) {
        let id = record.id.to_string();
        let who = whose(record).unwrap_or_default();
        if self.arguments.json {
            let line = json!({
                "session": id, "at": record.at, "listener": record.listener, "client": record.client, "identity": who,
                "what": what, "then": then, "now": now,
            });
            println!("{line}");
        } else if self.listed.len() < self.arguments.limit {
            let row = [&id, &record.at.to_string(), &record.client.to_string(), who, what, &then, &now];
            self.listed.push(row.map(str::to_owned));
        }
        let known = self.changed.len() < MAX_GROUPS;
        let kind = |reply: &str| if known { kind(reply).to_owned() } else { "…".to_owned() };
        let change = Change { listener: record.listener.clone(), what, then: kind(&then), now: kind(&now) };
        let group = self.changed.entry(change).or_default();
        group.sessions += 1;
        if group.example.is_empty() {
            group.example = id;
        }
    }

    /// Exits with 2 when a session would change, with 3 when none does and some cannot be told, with 1 when there is none.
    fn finish(self) -> ExitCode {
        let changed: u64 = self.changed.values().map(|group| group.sessions).sum();
        let untold: u64 = self.untold.values().sum();
        if self.sessions == 0 {
            let why = self.why_unreadable.unwrap_or_else(|| {
                "the log needs format = \"json\", level = \"info\" and facts = \"decisions\" (or \"full\") under [log]".to_owned()
            });
            return fail(&format!("no session with facts: {why}"));
        }
        let mut groups: Vec<_> = self.changed.iter().collect();
        groups.sort_by(|one, other| other.1.sessions.cmp(&one.1.sessions).then_with(|| one.0.cmp(other.0)));
        let mut reasons: Vec<_> = self.untold.iter().collect();
        reasons.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        if self.arguments.json {
            let groups: Vec<_> = groups.iter().map(|(change, group)| {
                json!({ "sessions": group.sessions, "listener": change.listener, "what": change.what, "then": change.then, "now": change.now, "example": group.example })
            }).collect();
            let summary = json!({ "summary": {
                "sessions": self.sessions, "same": self.same, "changed": changed, "untold": untold, "groups": groups,
                "reasons": self.untold, "partly_recorded": self.partly, "unreadable": self.unreadable,
            }});
            println!("{summary}");
        } else {
            self.tell(&groups, &reasons, changed, untold);
        }
        match (changed, untold) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(3),
            _ => ExitCode::from(2),
        }
    }

    fn tell(&self, groups: &[(&Change, &Group)], reasons: &[(&String, &u64)], changed: u64, untold: u64) {
        if !groups.is_empty() {
            let mut rows = table();
            rows.set_header(["sessions", "listener", "at", "then", "now", "for example"]);
            for (change, group) in groups {
                let count = group.sessions.to_string();
                rows.add_row([&count, &change.listener, change.what, &change.then, &change.now, &group.example]);
            }
            println!("What would change:\n{rows}\n");
            let mut rows = table();
            rows.set_header(["session", "began", "client", "identity", "at", "then", "now"]);
            for row in &self.listed {
                rows.add_row(row);
            }
            println!("Whom:\n{rows}");
            let more = changed.saturating_sub(u64::try_from(self.listed.len()).unwrap_or(u64::MAX));
            if more > 0 {
                println!("… and {more} more: --limit, or --json for all");
            }
            println!();
        }
        if !reasons.is_empty() {
            println!("What cannot be told from the log:");
            for (why, count) in reasons {
                println!("  {count:>8}  {why}");
            }
            println!();
        }
        println!(
            "{} sessions: {changed} would change, {untold} cannot be told, {} would go as they went",
            self.sessions, self.same
        );
        if self.partly > 0 {
            println!("{} of them are judged by their first events: the log did not keep all", self.partly);
        }
        if let Some(why) = &self.why_unreadable {
            println!("{} more could not be read; the first: {why}", self.unreadable);
        }
    }
}

fn need(replay: &Replay<'_, '_>) -> Option<Need> {
    replay.turns.iter().find_map(|turn: &Turn<'_>| match turn.told {
        Told::Unknown(need) => Some(need),
        _ => None,
    })
}

fn what(event: &Event) -> &'static str {
    match event {
        Event::Greeting { .. } => "connection",
        Event::Tls(_) => "STARTTLS",
        Event::Certificate(_) => "certificate",
        Event::Auth { .. } | Event::Standing(_) => "AUTH",
        Event::Mail { .. } => "MAIL",
        Event::Rcpt { .. } => "RCPT",
        Event::Message { .. } => "message",
    }
}

fn goes_on() -> String {
    "the session goes on".to_owned()
}

fn shown(reply: &str) -> String {
    if reply.is_empty() { "closed without a word".to_owned() } else { reply.to_owned() }
}

/// A reply without what is different from client to client.
fn kind(reply: &str) -> &str {
    let end = reply.find([':', ';', '<']).unwrap_or(reply.len());
    reply.get(..end).unwrap_or(reply).trim_end()
}

/// Whom the client was found to be.
fn whose(record: &Record) -> Option<&str> {
    record.events.iter().rev().find_map(|event| match event {
        Event::Auth { exchange: Exchange::Ended(Attempt::Password { password, user, .. }), .. } => match password {
            PasswordFact::Right(principal) => Some(principal.user_id.as_str()),
            _ => Some(user.as_str()),
        },
        Event::Certificate(examined) => match &examined.fact {
            CertificateFact::Presented(presented) => match &presented.query {
                QueryFact::One(principal) => Some(principal.user_id.as_str()),
                _ => Some(presented.subject.as_str()),
            },
            _ => None,
        },
        _ => None,
    })
}
