//! `postern tls-report`: what is reported to recipients' domains about TLS.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use delivery::{Sessions, TlsDays};

use crate::cli::TlsReportArguments;
use crate::config;
use crate::control::{self, Answer, Request};
use crate::run;
use crate::state_file;
use crate::table::table;
use crate::tls_reports::{self, date};

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn tls_report(arguments: &TlsReportArguments) -> ExitCode {
    let file = match run::enter_folder(&arguments.config.config) {
        Ok(file) => file,
        Err(problem) => return run::refuse(&[problem]),
    };
    run::block_on(async {
        let told = counted(&file).await.and_then(|days| match arguments.json {
            true => {
                let days: BTreeMap<String, _> = days.iter().map(|(day, domains)| (date(*day), domains)).collect();
                println!("{}", serde_json::to_string_pretty(&days)?);
                Ok(())
            }
            false => {
                println!("{}", shown(&days));
                Ok(())
            }
        });
        match told {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    })
}

/// The running gateway's counts, or those that the last one left.
async fn counted(file: &Path) -> Result<TlsDays, Failure> {
    let Some(state_dir) = config::state_dir(file) else {
        return Err(format!("{}: state_dir cannot be read: see `postern check`", file.display()).into());
    };
    match control::ask(&state_dir, &Request::TlsReport).await {
        Ok(Some(Answer::TlsReport(Some(days)))) => return Ok(days),
        Ok(Some(Answer::TlsReport(None))) => {
            return Err("the gateway does not count TLS sessions: write [tls_reports]".into());
        }
        Ok(Some(Answer::NotUnderstood(why))) => {
            return Err(format!("the gateway is of another version: {why}").into());
        }
        Ok(Some(_)) => return Err("the gateway answers another question".into()),
        Ok(None) => eprintln!("no gateway runs on {}: this is what the last one counted", state_dir.display()),
        Err(error) => return Err(format!("the gateway does not answer: {error}").into()),
    }
    let path = tls_reports::path(&state_dir);
    let left = state_file::read(&path)?;
    left.ok_or_else(|| format!("nothing was counted: there is no {}", path.display()).into())
}

fn shown(days: &TlsDays) -> comfy_table::Table {
    let mut shown = table();
    shown.set_header(["Day", "Recipients", "Policy", "Of", "Well", "Failed", "What failed"]);
    for (day, domains) in days {
        for (domain, all) in domains {
            for Sessions { policy, summary, failure_details } in all {
                let failed = failure_details.iter().map(|details| {
                    let (count, kind) = (details.failed_session_count, &details.result_type);
                    format!("{count} {kind} at {}", details.receiving_mx_hostname)
                });
                shown.add_row([
                    date(*day),
                    domain.clone(),
                    policy.policy_type.as_str().to_owned(),
                    policy.policy_domain.clone(),
                    summary.total_successful_session_count.to_string(),
                    summary.total_failure_session_count.to_string(),
                    failed.collect::<Vec<_>>().join("\n"),
                ]);
            }
        }
    }
    shown
}
