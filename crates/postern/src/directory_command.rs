//! `postern directory`: directories asked as sessions ask them, everybody's certificate looked up, and what the running
//! gateway knows of its servers.

mod audit;
mod test;

use std::path::Path;
use std::process::ExitCode;

use crate::cli::DirectoryCommand;
use crate::config;
use crate::control::{self, Answer, Request};
use crate::directories::{DirectoryAnswer, DirectoryRequest, DirectoryRow, MemoryRow};
use crate::run;
use crate::table::table;

/// Somebody needs attention, or the answer is no.
const NO: u8 = 2;

pub(crate) fn directory(command: &DirectoryCommand) -> ExitCode {
    match command {
        DirectoryCommand::Test(arguments) => test::test(arguments),
        DirectoryCommand::Audit(arguments) => audit::audit(arguments),
        DirectoryCommand::Status { config, json } => {
            asked(&config.config, DirectoryRequest::Status, |answer| match answer {
                DirectoryAnswer::Status(rows) if *json => print_json(&rows),
                DirectoryAnswer::Status(rows) => print_status(&rows),
                _ => fail("the gateway answers another question"),
            })
        }
        DirectoryCommand::Flush { name, config } => {
            asked(&config.config, DirectoryRequest::Flush(name.clone()), |answer| match answer {
                DirectoryAnswer::Flushed(names) if names.is_empty() => fail("the gateway has no directory"),
                DirectoryAnswer::Flushed(names) => {
                    println!("forgotten: what was remembered of {}", names.join(", "));
                    ExitCode::SUCCESS
                }
                _ => fail("the gateway answers another question"),
            })
        }
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

/// What a directory holds may hold control characters, and a terminal obeys them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Asks the running gateway; without one there is nothing to ask.
fn asked(config: &Path, request: DirectoryRequest, print: impl FnOnce(DirectoryAnswer) -> ExitCode) -> ExitCode {
    let file = match run::enter_folder(config) {
        Ok(file) => file,
        Err(problem) => return run::refuse(&[problem]),
    };
    let Some(state_dir) = config::state_dir(&file) else {
        return fail(&format!("{}: state_dir cannot be read: see `postern check`", file.display()));
    };
    run::block_on(async move {
        match control::ask(&state_dir, &Request::Directory(request)).await {
            Ok(Some(Answer::Directory(DirectoryAnswer::Refused(why)))) => fail(&why),
            Ok(Some(Answer::Directory(answer))) => print(answer),
            Ok(Some(Answer::NotUnderstood(why))) => fail(&format!("the gateway is of another version: {why}")),
            Ok(Some(
                Answer::Crl(_) | Answer::Report(_) | Answer::TlsReport(_) | Answer::Queue(_) | Answer::Export(_),
            )) => fail("the gateway answers another question"),
            Ok(None) => fail(&format!(
                "no gateway runs on {}; `postern directory test NAME` asks the servers itself",
                state_dir.display()
            )),
            Err(error) => fail(&format!("the gateway does not answer: {error}")),
        }
    })
}

fn print_json(rows: &[DirectoryRow]) -> ExitCode {
    match serde_json::to_string_pretty(rows) {
        Ok(text) => {
            println!("{text}");
            state(rows)
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// Exits with 1 when a server is down.
fn state(rows: &[DirectoryRow]) -> ExitCode {
    match rows.iter().flat_map(|row| &row.servers).any(|server| server.down.is_some()) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn print_status(rows: &[DirectoryRow]) -> ExitCode {
    let mut servers = table();
    servers.set_header(["directory", "server", "connections", "in flight", "searches", "failures", "state"]);
    for row in rows {
        if let Some(people) = row.people {
            let none = String::new;
            servers.add_row([
                row.name.clone(),
                "people file".to_owned(),
                none(),
                none(),
                none(),
                none(),
                format!("{people} people"),
            ]);
        }
        for server in &row.servers {
            let span = |seconds| humantime::format_duration(std::time::Duration::from_secs(seconds));
            let state = match &server.down {
                None if server.connections == 0 && server.failures == 0 => "not asked yet".to_owned(),
                None => "well".to_owned(),
                Some(down) => format!(
                    "down for {}: {}; next try in {}",
                    span(down.since_seconds),
                    down.why,
                    span(down.next_try_seconds)
                ),
            };
            servers.add_row([
                row.name.clone(),
                server.server.clone(),
                server.connections.to_string(),
                server.in_flight.to_string(),
                server.searches.to_string(),
                server.failures.to_string(),
                state,
            ]);
        }
    }
    println!("{servers}");
    for row in rows {
        let Some(MemoryRow { entries, hits, misses, shared }) = row.memory else { continue };
        let asked = hits.saturating_add(misses).saturating_add(shared);
        let spared = hits.saturating_add(shared).saturating_mul(100).checked_div(asked).unwrap_or(0);
        println!(
            "{}: {entries} answers remembered; of {asked} questions {hits} from memory, {shared} with an equal one, \
             {misses} asked ({spared} % spared)",
            row.name
        );
    }
    state(rows)
}
