//! Standard output and error of the commands, whose reader may leave first, as in `postern check | head`. In this crate
//! these macros stand in the place of the standard library's, which panic then.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::process;

/// As a shell sees a command that SIGPIPE ended.
const NOBODY_READS: i32 = 128 + 13;

/// Ends the command where nobody is left who would read the rest.
pub(crate) fn out(text: fmt::Arguments<'_>) {
    let Err(error) = io::stdout().write_fmt(text) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(NOBODY_READS);
    }
    err(format_args!("error: standard output: {error}\n"));
    process::exit(1)
}

/// There is nowhere left to say that an error cannot be said; the exit code is not affected.
pub(crate) fn err(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

macro_rules! print {
    ($($text:tt)*) => { $crate::output::out(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::output::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::output::err(format_args!($($text)*)) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::err(format_args!("{}\n", format_args!($($text)*))) };
}
