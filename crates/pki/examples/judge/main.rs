//! Judges test cases from a file, so that any suite can be run through this validator:
//!
//! ```sh
//! cargo run -p postern-pki --example judge -- crates/pki/tests/pkits.jsonl
//! ```
//!
//! Prints `id accept|reject reason`, one case a line; with `--steps`, each step below it.

mod case;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::ExitCode;

use case::Case;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("judge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut path, mut steps) = (None, false);
    for argument in &mut arguments {
        match argument.as_str() {
            "--steps" => steps = true,
            _ => path = Some(argument),
        }
    }
    let path = path.ok_or("name a file of cases, one JSON object a line")?;
    let file = BufReader::new(std::fs::File::open(&path).map_err(|error| format!("{path}: {error}"))?);
    let mut out = std::io::stdout().lock();
    for (index, line) in file.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let case: Case = serde_json::from_str(&line).map_err(|error| format!("{path}, line {}: {error}", index + 1))?;
        let judgement = case.judge();
        let verdict = if judgement.accepted { "accept" } else { "reject" };
        writeln!(out, "{} {verdict} {}", case.id, judgement.reason)?;
        if steps {
            for step in &judgement.steps {
                writeln!(out, "    {step}")?;
            }
        }
    }
    Ok(())
}
