//! Where log lines go and how they look.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use tracing_subscriber::EnvFilter;

use crate::config::settings::{LogLevel, LogSettings};

/// Log lines go to standard error. `RUST_LOG` overrides the level, for those who look for a fault.
pub(crate) fn start(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        // Libraries have much to say that is no step of a judgement.
        LogLevel::Debug => "debug,rustls=info,hickory_net=info,hickory_proto=info,hickory_resolver=info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // A second start in one process keeps the first's settings.
    let _ = match settings.is_json() {
        // The span is the session, whose id each of its lines has.
        true => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        false => lines.with_ansi(terminal).try_init(),
    };
}

/// Log lines go to a file, as text: the demo's terminal is for its tour.
pub(crate) fn start_in_file(file: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().create(true).append(true).open(file)?;
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("info")).with_target(false);
    // A second start in one process keeps the first's settings.
    let _ = lines.with_ansi(false).with_writer(std::sync::Mutex::new(file)).try_init();
    Ok(())
}
