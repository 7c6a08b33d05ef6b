//! What is wrong with a configuration file: where, with which key, and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file with its text, so that offsets become lines.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    file: Arc<Path>,
    text: Arc<str>,
}

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The configuration is refused.
    Error,
    /// It works, and probably not as it was meant.
    Warning,
}

/// One problem.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    position: Option<Position>,
    key: String,
    message: String,
    mend: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Position {
    file: PathBuf,
    line: usize,
    column: usize,
    source: String,
    width: usize,
}

impl Place {
    pub(crate) fn new(file: &Path, text: &str) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// File and line, as editors and compilers write them.
    pub(crate) fn line(&self, span: &Range<usize>) -> Option<String> {
        self.at(Some(span.clone())).map(|position| format!("{}:{}", position.file.display(), position.line))
    }

    /// Line and column of an offset; `None` for what stands nowhere (a default).
    pub(crate) fn at(&self, span: Option<Range<usize>>) -> Option<Position> {
        let span = span.filter(|span| *span != (0..0))?;
        let before = self.text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let source = self.text.get(line_start..)?.lines().next().unwrap_or_default();
        let column = before.get(line_start..)?.chars().count();
        let marked = self.text.get(span)?.lines().next().unwrap_or_default().chars().count();
        Some(Position {
            file: self.file.to_path_buf(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            source: source.to_owned(),
            width: marked.clamp(1, source.chars().count().saturating_sub(column).max(1)),
        })
    }
}

impl Problem {
    /// `message` may be serde's own; its lists of alternatives become a "did you mean".
    pub(crate) fn error(position: Option<Position>, key: &str, message: &str) -> Self {
        let (message, mend) = reworded(message);
        Self { severity: Severity::Error, position, key: key.to_owned(), message, mend }
    }

    pub(crate) fn warning(position: Option<Position>, key: &str, message: &str) -> Self {
        Self { severity: Severity::Warning, ..Self::error(position, key, message) }
    }

    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Whether it is about this key, or one below it.
    pub(crate) fn is_about(&self, key: &str) -> bool {
        self.key.strip_prefix(key).is_some_and(|below| below.is_empty() || below.starts_with('.'))
    }

    /// Line and column: sorts problems by place.
    pub(crate) fn place(&self) -> (usize, usize) {
        self.position.as_ref().map_or((0, 0), |position| (position.line, position.column))
    }
}

/// The standard library's own words for an address it cannot read.
const BAD_SOCKET_ADDRESS: &str = "invalid socket address syntax";

/// Serde's "unknown field `x`, expected one of `a`, `b`" in an administrator's words.
fn reworded(message: &str) -> (String, Option<String>) {
    if message == BAD_SOCKET_ADDRESS {
        return (message.to_owned(), Some("write an address with a port, such as 192.0.2.1:25 or [::]:587".to_owned()));
    }
    let Some((what, expected)) = message.split_once(", expected ") else {
        return match message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            Some(field) => (format!("`{field}` is missing"), Some(format!("add `{field} = …`"))),
            None => (message.to_owned(), None),
        };
    };
    let what = what.replace("unknown field", "unknown key").replace("unknown variant", "unknown value");
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let alternatives = quoted(expected);
    if alternatives.is_empty() {
        let wanted = match expected.trim_start_matches("a ").trim_start_matches("an ") {
            "usize" | "u16" | "u32" | "u64" => "a whole number from 0 on",
            wanted => wanted,
        };
        return (what, Some(format!("write {wanted}")));
    }
    let nearest = quoted(&what).first().and_then(|given| nearest(given, &alternatives).map(str::to_owned));
    let known = format!("known here: {}", alternatives.join(", "));
    (what, Some(nearest.map_or(known.clone(), |nearest| format!("did you mean `{nearest}`? {known}"))))
}

/// The most alike of `names`, if any is alike at all.
pub(crate) fn nearest<'n>(given: &str, names: &'n [String]) -> Option<&'n str> {
    const ALIKE: f64 = 0.8;
    let likeness = |name: &String| strsim::jaro_winkler(given, name);
    let best = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= ALIKE).then_some(best)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match &self.position {
            Some(Position { file, line, column, .. }) => write!(f, "{}:{line}:{column}: {severity}: ", file.display())?,
            None => write!(f, "{severity}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.message)?;
        if let Some(Position { line, column, source, width, .. }) = &self.position {
            let gutter = line.to_string();
            write!(
                f,
                "\n  {gutter} | {source}\n  {0:1$} | {0:2$}{3}",
                "",
                gutter.len(),
                column - 1,
                "^".repeat(*width)
            )?;
        }
        if let Some(mend) = &self.mend {
            write!(f, "\n  mend: {mend}")?;
        }
        Ok(())
    }
}
