//! Measures the release build of the gateway against floors of the machine it runs on, taken in the same run: what a
//! session costs beside a bare TLS handshake, how fast messages become durable beside a bare group commit, what an idle
//! connection costs in memory, what a directory server adds to a session, what a refresh of a large CRL does to sessions,
//! and what a relayed message costs beside Postfix. `docs/src/measurements.md` says how to read the numbers.

mod refresh;
mod logins;
mod sessions;
mod relay;
mod messages;
mod idle;
mod submitter;
mod bare_tls;
mod group_commit;
mod gateway;
mod postfix;
mod sink;
mod stage;
mod process;
mod statistics;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use stage::Stage;

/// Anything that keeps a measurement from being taken.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Measures the gateway against floors of this machine, taken in the same run.
#[derive(Debug, Parser)]
#[command(name = "postern-benches")]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// How long each round of each measurement takes
    #[arg(long, global = true, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The gateway to measure [default: built by cargo, in release mode]
    #[arg(long, global = true, value_name = "FILE")]
    postern: Option<PathBuf>,
    /// Where the spool and the floor write: the disk that is measured [default: the build folder]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Sessions with a client certificate, against a bare TLS server
    Sessions,
    /// Durable messages, against a bare group commit
    Messages,
    /// Memory of connections that wait
    Idle,
    /// Sessions that ask a directory server, against sessions that do not; needs slapd and ldap-utils
    Logins,
    /// Sessions beside refreshes of a list of a million entries
    Refresh,
    /// All of these [default]
    All,
    /// Messages relayed by the gateway and by Postfix; needs Postfix, and root
    Relay,
    /// The bare TLS server, which the measurement of sessions starts
    #[command(hide = true)]
    BareTls,
}

fn main() -> ExitCode {
    let Cli { what, options } = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: threads cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let measured = runtime.block_on(async {
        tokio::select! {
            measured = measure(what.unwrap_or(What::All), options) => measured,
            // What was started is ended by whoever owns it.
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(what: What, options: Options) -> Result<(), Failure> {
    if matches!(what, What::BareTls) {
        return bare_tls::serve().await;
    }
    let round = Duration::from_secs(options.seconds);
    let stage = Stage::set(options.postern, options.dir)?;
    println!("{}\n", stage.machine());
    if matches!(what, What::Sessions | What::All) {
        sessions::measure(&stage, round).await?;
    }
    if matches!(what, What::Messages | What::All) {
        messages::measure(&stage, round).await?;
    }
    if matches!(what, What::Idle | What::All) {
        idle::measure(&stage).await?;
    }
    if matches!(what, What::Logins | What::All) {
        logins::measure(&stage, round).await?;
    }
    if matches!(what, What::Refresh | What::All) {
        refresh::measure(&stage, round).await?;
    }
    if matches!(what, What::Relay) {
        relay::measure(&stage).await?;
    }
    Ok(())
}
