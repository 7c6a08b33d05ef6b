//! `postern report`: what sessions came to, and since when a monitored rule would have refused nobody.

mod chart;
mod report;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::ReportArguments;
use crate::config;
use crate::control::{self, Answer, Request};
use crate::run;
use crate::statistics_file;
use report::{Report, Scope};

/// A reason why nothing can be reported.
type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn report(arguments: &ReportArguments) -> ExitCode {
    // Before the configuration's folder is entered: this path is the shell's.
    let svg = match arguments.svg.as_deref().map(std::path::absolute).transpose() {
        Ok(svg) => svg,
        Err(error) => return fail(&error.into()),
    };
    let file = match run::enter_folder(&arguments.config.config) {
        Ok(file) => file,
        Err(problem) => return run::refuse(&[problem]),
    };
    run::block_on(async {
        match told(arguments, &file, svg.as_deref()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    })
}

async fn told(arguments: &ReportArguments, file: &Path, svg: Option<&Path>) -> Result<(), Failure> {
    let snapshot = counted(file).await?;
    let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
    let scope = Scope {
        days: u16::try_from(arguments.since.as_secs().div_ceil(24 * 60 * 60)).unwrap_or(u16::MAX),
        listener: arguments.listener.as_deref(),
        policy: arguments.policy.as_deref(),
        top: arguments.top,
    };
    let report = Report::new(&snapshot, &scope, today)?;
    if let Some(svg) = svg {
        fs::write(svg, chart::svg(&report)).map_err(|error| format!("{}: {error}", svg.display()))?;
    }
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.text()),
    }
    Ok(())
}

/// The running gateway's counts, or those that the last one left.
async fn counted(file: &Path) -> Result<session::Snapshot, Failure> {
    let Some(state_dir) = config::state_dir(file) else {
        return Err(format!("{}: state_dir cannot be read: see `postern check`", file.display()).into());
    };
    match control::ask(&state_dir, &Request::Report).await {
        Ok(Some(Answer::Report(snapshot))) => return Ok(snapshot),
        Ok(Some(Answer::NotUnderstood(why))) => {
            return Err(format!("the gateway is of another version: {why}").into());
        }
        Ok(Some(
            Answer::Crl(_) | Answer::Directory(_) | Answer::TlsReport(_) | Answer::Queue(_) | Answer::Export(_),
        )) => {
            return Err("the gateway answers another question".into());
        }
        Ok(None) => eprintln!("no gateway runs on {}: this is what the last one counted", state_dir.display()),
        Err(error) => return Err(format!("the gateway does not answer: {error}").into()),
    }
    let left = statistics_file::read(&state_dir)?;
    left.ok_or_else(|| {
        format!("nothing was counted: there is no {}", statistics_file::path(&state_dir).display()).into()
    })
}

fn fail(error: &Failure) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
