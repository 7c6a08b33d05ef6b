//! Where an audit goes: a table for those who need attention, and everybody as CSV and JSON, written as they come.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::judge::{PersonRow, State};
use crate::directory_command::printable;
use crate::table::table;

/// Rows of the table: who has more wants a file.
const MAX_ROWS: usize = 500;

/// The report as it grows.
pub(super) struct Output {
    csv: Option<Writer>,
    json: Option<Writer>,
    /// A file goes to standard output: the table does not.
    piped: bool,
    rows: Vec<PersonRow>,
    totals: BTreeMap<State, u64>,
}

type Writer = BufWriter<Box<dyn Write + Send>>;

const HEADER: [&str; 8] = ["user_id", "state", "attention", "detail", "serial", "not_after", "password", "dn"];

impl Output {
    /// Makes the files; what stood in them is gone.
    pub(super) fn open(csv: Option<&Path>, json: Option<&Path>) -> Result<Self, String> {
        let is_stdout = |path: Option<&Path>| path == Some(Path::new("-"));
        if is_stdout(csv) && is_stdout(json) {
            return Err("--csv and --json can't both go to standard output: name a file for one".to_owned());
        }
        let open = |path: Option<&Path>| path.map(writer).transpose();
        Ok(Self {
            csv: open(csv)?,
            json: open(json)?,
            piped: is_stdout(csv) || is_stdout(json),
            rows: Vec::new(),
            totals: BTreeMap::new(),
        })
    }

    pub(super) fn begin(&mut self, filter: &str, server: &str) -> io::Result<()> {
        if let Some(csv) = &mut self.csv {
            line(csv, &HEADER)?;
        }
        if let Some(json) = &mut self.json {
            let (filter, server) = (serde_json::to_string(filter)?, serde_json::to_string(server)?);
            write!(json, "{{\"filter\": {filter}, \"server\": {server}, \"people\": [")?;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, row: PersonRow) -> io::Result<()> {
        let first = self.totals.is_empty();
        *self.totals.entry(row.state).or_default() += 1;
        if let Some(csv) = &mut self.csv {
            let (state, attention) = (row.state.to_string(), if row.attention { "yes" } else { "no" });
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let (user_id, serial, not_after) = (text(&row.user_id), text(&row.serial), text(&row.not_after));
            let password = row.password.unwrap_or_default();
            line(csv, &[&user_id, &state, attention, &row.detail, &serial, &not_after, password, &row.dn])?;
        }
        if let Some(json) = &mut self.json {
            write!(json, "{}\n{}", if first { "" } else { "," }, serde_json::to_string(&row)?)?;
        }
        if row.attention && self.rows.len() < MAX_ROWS {
            self.rows.push(row);
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Some(json) = &mut self.json {
            writeln!(json, "\n], \"totals\": {}}}", serde_json::to_string(&self.totals)?)?;
        }
        self.csv.iter_mut().chain(&mut self.json).try_for_each(|writer| writer.flush())
    }

    /// How many people stand how.
    pub(super) fn totals(&self) -> &BTreeMap<State, u64> {
        &self.totals
    }

    /// Prints who needs attention, and the totals: to standard error where standard output is a file's.
    pub(super) fn print(&self, heading: &str) {
        let mut text = format!("{heading}\n\n");
        if !self.rows.is_empty() && !self.piped {
            let mut people = table();
            people.set_header(["user id", "state", "detail", "valid until", "password instead", "entry"]);
            for row in &self.rows {
                people.add_row([
                    printable(row.user_id.as_deref().unwrap_or("—")),
                    row.state.to_string(),
                    printable(&row.detail),
                    row.not_after.clone().unwrap_or_default(),
                    row.password.unwrap_or_default().to_owned(),
                    printable(&row.dn),
                ]);
            }
            text.push_str(&format!("{people}\n\n"));
        }
        let everybody: u64 = self.totals.values().sum();
        let attention: u64 = self.totals.iter().filter(|total| total.0.needs_attention()).map(|total| total.1).sum();
        let shown = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        if attention > shown {
            text.push_str(&format!("and {} more: --csv FILE has all of them\n\n", attention.saturating_sub(shown)));
        }
        for (state, count) in &self.totals {
            text.push_str(&format!("{count:>8}  {state}\n"));
        }
        text.push_str(&format!(
            "{everybody:>8}  people; {}\n",
            match attention {
                0 => "nobody needs attention".to_owned(),
                1 => "1 needs attention".to_owned(),
                several => format!("{several} need attention"),
            }
        ));
        match self.piped {
            true => eprint!("{text}"),
            false => print!("{text}"),
        }
    }
}

fn writer(path: &Path) -> Result<Writer, String> {
    let target: Box<dyn Write + Send> = match path == Path::new("-") {
        true => Box::new(io::stdout()),
        false => Box::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
    };
    Ok(BufWriter::new(target))
}

/// RFC 4180 section 2.
fn line(csv: &mut Writer, fields: &[&str]) -> io::Result<()> {
    for (index, field) in fields.iter().enumerate() {
        csv.write_all(if index > 0 { b"," } else { b"" })?;
        csv.write_all(quoted(field).as_bytes())?;
    }
    csv.write_all(b"\r\n")
}

/// Spreadsheets run a field that begins like a formula, quoted or not: whoever names people could write one.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let plain = !formula && !field.contains(['"', ',', '\r', '\n']);
    match plain {
        true => field.to_owned(),
        false => format!("\"{}{}\"", if formula { "'" } else { "" }, field.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (field, expected) in [
            ("alice", "alice"),
            ("", ""),
            ("uid=alice,dc=test", "\"uid=alice,dc=test\""),
            ("says \"no\"", "\"says \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
        ] {
            assert_eq!(quoted(field), expected);
        }
    }
}
