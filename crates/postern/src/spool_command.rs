//! `postern spool`: looks after the spool itself, whatever waits in it.

use std::path::PathBuf;
use std::process::ExitCode;

use spool::{Finding, Verification};

use crate::cli::{SpoolCommand, SpoolVerify};
use crate::{config, progress, run};

pub(crate) fn spool(command: &SpoolCommand) -> ExitCode {
    match command {
        SpoolCommand::Verify(arguments) => verify(arguments),
    }
}

fn verify(arguments: &SpoolVerify) -> ExitCode {
    let state_dir = match state_dir(arguments) {
        Ok(state_dir) => state_dir,
        Err(code) => return code,
    };
    let bar = progress::octets(Some(0));
    let verified = spool::verify(&state_dir, |finding| match finding {
        Finding::Progress { read, of } => {
            bar.set_length(of.max(read));
            bar.set_position(read);
        }
        Finding::Damage(damage) => bar.suspend(|| println!("damaged: {damage}")),
    });
    bar.finish_and_clear();
    match verified {
        Ok(found) => told(&found),
        Err(error) => {
            eprintln!("error: the spool cannot be verified: {error}");
            ExitCode::FAILURE
        }
    }
}

fn told(found: &Verification) -> ExitCode {
    println!(
        "{} waiting, {} in {}, {}",
        counted(found.messages, "message"),
        counted(usize::try_from(found.records).unwrap_or(usize::MAX), "record"),
        counted(found.segments, "segment"),
        counted(usize::try_from(found.octets).unwrap_or(usize::MAX), "octet"),
    );
    if found.unfinished_octets > 0 {
        println!("{} octets at the end are of a write that nobody was told had succeeded", found.unfinished_octets);
    }
    match found.damaged {
        0 => {
            println!("all is as it was written");
            ExitCode::SUCCESS
        }
        damaged => {
            println!("{} damaged", counted(damaged, "thing"));
            ExitCode::from(2)
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn state_dir(arguments: &SpoolVerify) -> Result<PathBuf, ExitCode> {
    if let Some(state_dir) = &arguments.state_dir {
        return Ok(state_dir.clone());
    }
    let file = run::enter_folder(&arguments.config.config).map_err(|problem| run::refuse(&[problem]))?;
    config::state_dir(&file).ok_or_else(|| {
        eprintln!(
            "error: {}: state_dir cannot be read: see `postern check`, or name it with --state-dir",
            file.display()
        );
        ExitCode::FAILURE
    })
}
