//! How far a command is, on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of octets read, and how long it will still take; of unknown length, a spinner. Elsewhere than on a terminal, nothing.
pub(crate) fn octets(length: Option<u64>) -> ProgressBar {
    let hidden = !std::io::stderr().is_terminal();
    let bar = match length {
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    };
    bar.set_draw_target(if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(4) });
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {binary_bytes} of {binary_total_bytes}, {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
