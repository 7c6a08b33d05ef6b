//! `postern run` and `postern check`.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::problem::{Problem, Severity};
use crate::config::{self, Configuration};
use crate::directories;
use crate::forwards;
use crate::gateway::Gateway;
use crate::logging;

/// Reports what is wrong with a configuration, or that nothing is; with `connect`, also with the servers that it asks.
pub(crate) fn check(file: &Path, connect: bool) -> ExitCode {
    let file = match enter_folder(file) {
        Ok(file) => file,
        Err(problem) => return refuse(&[problem]),
    };
    let reading = config::read(&file);
    if !connect {
        return tell(&file, &reading.problems);
    }
    let (Some(configuration), Some(place)) = (reading.configuration, reading.place) else {
        eprintln!("servers are asked when there are no errors");
        return tell(&file, &reading.problems);
    };
    let mut problems = reading.problems;
    block_on(async move {
        for directory in &configuration.directories {
            problems.extend(directories::connect(directory, &place).await);
        }
        for forward in &configuration.forwards {
            problems.extend(forwards::connect(forward, &place).await);
        }
        problems.sort_by_key(Problem::place);
        tell(&file, &problems)
    })
}

/// Prints problems, and how many there are.
fn tell(file: &Path, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        println!("{problem}\n");
    }
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    println!("{}: {}, {}", file.display(), counted(errors, "error"), counted(warnings, "warning"));
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Reads a configuration for a command that needs a sound one; problems go to standard error.
pub(crate) fn load(file: &Path) -> Result<(PathBuf, Configuration), ExitCode> {
    let file = enter_folder(file).map_err(|problem| refuse(&[problem]))?;
    let reading = config::read(&file);
    match reading.configuration {
        Some(configuration) => {
            reading.problems.iter().for_each(|problem| eprintln!("{problem}\n"));
            Ok((file, configuration))
        }
        None => Err(refuse(&reading.problems)),
    }
}

/// Prints what is wrong, and the code to exit with.
pub(crate) fn refuse(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}\n");
    }
    ExitCode::FAILURE
}

/// The file's whole name, however folders change.
pub(crate) fn absolute(file: &Path) -> Result<PathBuf, Problem> {
    file.canonicalize().map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &io::Error) -> Problem {
    Problem::error(None, &file.display().to_string(), &error.to_string())
        .mend("name the configuration file with --config, or see the gateway at work with `postern demo`")
}

/// Relative paths in a configuration start from its folder, wherever the gateway is started.
pub(crate) fn enter_folder(file: &Path) -> Result<PathBuf, Problem> {
    let file = absolute(file)?;
    if let Some(folder) = file.parent() {
        std::env::set_current_dir(folder).map_err(|error| unreadable(&file, &error))?;
    }
    Ok(file)
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(file: &Path) -> ExitCode {
    let (file, configuration) = match load(file) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::start(&configuration.log);
    block_on(async move {
        // Before anything listens: a signal that nobody waits for yet would end the process.
        let signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "signals cannot be received");
                return ExitCode::FAILURE;
            }
        };
        let mut gateway = match Gateway::start(configuration).await {
            Ok(gateway) => gateway,
            Err(error) => {
                tracing::error!(%error, "the gateway cannot start");
                return ExitCode::FAILURE;
            }
        };
        serve(&mut gateway, &file, signals).await;
        gateway.stop().await;
        ExitCode::SUCCESS
    })
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Handles signals until one of them means the end.
async fn serve(gateway: &mut Gateway, file: &Path, mut signals: Signals) {
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reload(gateway, file).await,
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
        }
    }
}

/// A bad configuration is refused whole, with its errors, and the old one keeps running.
async fn reload(gateway: &mut Gateway, file: &Path) {
    let path = file.to_owned();
    let reading = match tokio::task::spawn_blocking(move || config::read(&path)).await {
        Ok(reading) => reading,
        Err(error) => return tracing::error!(%error, "the configuration could not be read"),
    };
    for problem in &reading.problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
        }
    }
    let Some(configuration) = reading.configuration else {
        return tracing::error!("the new configuration is refused; the old one keeps running");
    };
    match gateway.reload(configuration).await {
        Ok(()) => tracing::info!("the new configuration is in use"),
        Err(error) => tracing::error!(%error, "the new configuration is refused; the old one keeps running"),
    }
}

/// Runs a future on all cores.
pub(crate) fn block_on(future: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => {
            eprintln!("error: threads cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
