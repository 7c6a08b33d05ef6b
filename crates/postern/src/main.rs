//! The binary: command line, configuration, and the building, starting, reloading and stopping of the parts.

// Its macros are for all below.
#[macro_use]
mod output;

mod demo_command;
mod simulate;
mod explain;
mod certificate;
mod directory_command;
mod crl;
mod queue_command;
mod report_command;
mod route_command;
mod tls_report_command;
mod spool_command;
mod session_log;
mod small_commands;
mod run;
mod gateway;
mod control;
mod queue;
mod lists;
mod directories;
mod forwards;
mod stapling;
mod statistics_file;
mod table;
mod progress;
mod logging;
mod config;
mod tls_reports;
mod state_file;
mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(config) => run::run(&config.config),
        Command::Check(check) => run::check(&check.config.config, check.connect),
        Command::Demo(demo) => demo_command::demo(&demo),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Simulate(simulate) => simulate::simulate(&simulate),
        Command::Certificate(command) => certificate::certificate(&command),
        Command::Queue(command) => queue_command::queue(&command),
        Command::Crl(command) => crl::crl(&command),
        Command::Directory(command) => directory_command::directory(&command),
        Command::Route(arguments) => route_command::route(&arguments),
        Command::Report(arguments) => report_command::report(&arguments),
        Command::TlsReport(arguments) => tls_report_command::tls_report(&arguments),
        Command::Spool(command) => spool_command::spool(&command),
        Command::Password(form) => small_commands::password(&form),
        Command::Dkim(command) => small_commands::dkim(&command),
        Command::Identity(command) => small_commands::identity(&command),
        Command::Completions { shell } => small_commands::completions(shell),
        Command::Manual { dir } => small_commands::manual(&dir),
    }
}
