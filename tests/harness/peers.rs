//! Other people's programs: found, run within bounds, listened to.

use std::process::{Command, Output, Stdio};

/// False, loudly, when one of them is missing here; in CI nothing may be missing.
pub(crate) fn has(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "missing in CI: {missing:?}");
    eprintln!("\n!!! SKIPPED: {missing:?} not found; ./test installs it\n");
    false
}

/// Where a program is. Debian keeps some where only root looks.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A command that ends within a minute, whatever happens.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "60"]).arg(find(program).unwrap_or_else(|| program.into())).stdin(Stdio::null());
    command
}

/// What a program said, and whether it was content.
pub(crate) struct Said {
    pub(crate) success: bool,
    /// The code that it exited with; -1 when a signal ended it.
    pub(crate) code: i32,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Said {
    said(command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Runs it with this text as its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Said {
    use std::io::Write as _;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read to the end has its reasons, and tells them.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    said(child.wait_with_output().unwrap())
}

fn said(output: Output) -> Said {
    let text = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned()).concat();
    Said { success: output.status.success(), code: output.status.code().unwrap_or(-1), text }
}
