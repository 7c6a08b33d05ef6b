//! `postern crl`: the lists in use, asked of the running gateway where there is one, else read by the command itself.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::CrlCommand;
use crate::config;
use crate::control::{self, Answer, Request};
use crate::lists::{self, ListAnswer, ListRequest, ListRow, ListedRow, SourceRow};
use crate::run;
use crate::table::table;

pub(crate) fn crl(command: &CrlCommand) -> ExitCode {
    let (config, request) = match command {
        CrlCommand::List { config } | CrlCommand::Show { config, .. } => (config, ListRequest::Sources),
        CrlCommand::Refresh { config, name } => (config, ListRequest::Refresh(name.clone())),
        CrlCommand::Check { config, serial } => (config, ListRequest::Check(serial.clone())),
    };
    run::block_on(async {
        let answered = match ask(&config.config, request).await {
            Ok(answered) => answered,
            Err(code) => return code,
        };
        match (answered, command) {
            (
                Answer::Directory(_) | Answer::Report(_) | Answer::TlsReport(_) | Answer::Queue(_) | Answer::Export(_),
                _,
            ) => fail("the gateway answers another question"),
            (Answer::NotUnderstood(why), _) => fail(&format!("the gateway is of another version: {why}")),
            (Answer::Crl(ListAnswer::Refused(why)), _) => fail(&why),
            (Answer::Crl(ListAnswer::Listed(rows)), _) => print_listed(&rows),
            (Answer::Crl(ListAnswer::Sources(rows)), CrlCommand::Show { name, .. }) => print_source(&rows, name),
            (Answer::Crl(ListAnswer::Sources(rows)), _) => print_sources(&rows),
        }
    })
}

/// A gateway that runs is asked before anything else is read: it has the lists in memory already.
async fn ask(config: &Path, request: ListRequest) -> Result<Answer, ExitCode> {
    let file = run::enter_folder(config).map_err(|problem| run::refuse(&[problem]))?;
    if let Some(state_dir) = config::state_dir(&file) {
        match control::ask(&state_dir, &Request::Crl(request.clone())).await {
            Ok(Some(answered)) => return Ok(answered),
            Ok(None) => eprintln!("no gateway runs on {}: read by this command itself", state_dir.display()),
            Err(error) => return Err(fail(&format!("the gateway does not answer: {error}"))),
        }
    }
    let (_, configuration) = run::load(&file)?;
    Ok(Answer::Crl(lists::answer(configuration.knowledge.crls(), request).await))
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

/// Exits with 1 when a source could not be read, or has a stale list.
fn print_sources(rows: &[SourceRow]) -> ExitCode {
    let mut sources = table();
    sources.set_header(["source", "issuer", "entries", "age", "next update", "state"]);
    for row in rows {
        let state = |list: Option<&ListRow>| match (&row.last_error, list) {
            (Some(error), _) => error.clone(),
            (None, Some(list)) if list.stale => "stale".to_owned(),
            (None, Some(_)) => "good".to_owned(),
            (None, None) => "not read yet".to_owned(),
        };
        if row.lists.is_empty() {
            sources.add_row([
                row.name.clone(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                state(None),
            ]);
        }
        for list in &row.lists {
            let kind = if list.is_delta { " (changes)" } else { "" };
            sources.add_row([
                row.name.clone(),
                list.issuer.clone(),
                format!("{}{kind}", list.entries),
                list.age.clone(),
                list.next_update.clone().unwrap_or_else(|| "none".to_owned()),
                state(Some(list)),
            ]);
        }
    }
    println!("{sources}");
    let sound = |row: &SourceRow| row.last_error.is_none() && row.lists.iter().all(|list| !list.stale);
    if rows.iter().all(sound) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_source(rows: &[SourceRow], name: &str) -> ExitCode {
    let Some(row) = rows.iter().find(|row| row.name == name) else {
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        return fail(&format!("there is no source {name:?}; there are: {}", names.join(", ")));
    };
    let mut fields = table();
    let mut add = |field: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.add_row([field.to_owned(), value]);
        }
    };
    add("source", Some(row.name.clone()));
    add("named by", row.followed.then(|| "certificates".to_owned()));
    add("primary", Some(row.primary.clone()));
    add("secondary", row.secondary.clone());
    add("looked at", row.checked_at.clone());
    add("read", row.fetched.as_ref().map(|(time, location)| format!("{time}, from {location}")));
    add("size", row.octets.map(|octets| format!("{octets} octets")));
    add("last error", row.last_error.clone());
    add("next look", row.next_look.clone());
    for list in &row.lists {
        add("issuer", Some(list.issuer.clone()));
        add("  number", list.number.clone());
        add("  this update", Some(format!("{} ({} ago)", list.this_update, list.age)));
        add(
            "  next update",
            list.next_update.clone().map(|next| if list.stale { format!("{next}: stale") } else { next }),
        );
        add("  entries", Some(list.entries.to_string()));
        add("  kind", list.is_delta.then(|| "changes since a complete list".to_owned()));
    }
    println!("{fields}");
    ExitCode::SUCCESS
}

/// Exits with 2 when a certificate of this number is revoked.
fn print_listed(rows: &[ListedRow]) -> ExitCode {
    if rows.is_empty() {
        println!("on no list in use");
        return ExitCode::SUCCESS;
    }
    let mut listed = table();
    listed.set_header(["issuer", "reason", "revoked since", "source"]);
    for row in rows {
        listed.add_row([&row.issuer, &row.reason, &row.since, &row.source]);
    }
    println!("{listed}");
    ExitCode::from(2)
}
