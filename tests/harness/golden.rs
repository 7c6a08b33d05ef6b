//! Expected outputs as files. `GOLDEN=write` writes them anew, for a person to look at before they are committed.

use std::fs;
use std::path::Path;

/// Holds text against `tests/PATH`; says what differs.
pub(crate) fn differs(path: &str, got: &str) -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GOLDEN").is_some_and(|golden| golden == "write") {
        fs::write(&file, got).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    if expected == got {
        return None;
    }
    let (mut expected, mut lines) = (expected.lines(), got.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), lines.next()) {
            (None, None) => return Some(format!("{path}: only line ends differ")),
            (expected, line) if expected == line => {}
            (expected, line) => {
                let (expected, line) = (expected.unwrap_or("(end)"), line.unwrap_or("(end)"));
                return Some(format!(
                    "{path}, line {number}\n  expected: {expected}\n  got:      {line}\n--- all of it\n{got}"
                ));
            }
        }
    }
}

/// With N for what was measured in milliseconds.
pub(crate) fn without_milliseconds(text: &str) -> String {
    let mut parts: Vec<&str> = text.split(" ms").collect();
    let last = parts.pop().unwrap_or_default();
    let measured = |c: char| c.is_ascii_digit() || c == '.';
    let parts = parts.iter().map(|part| format!("{}N ms", part.trim_end_matches(measured)));
    parts.collect::<String>() + last
}

/// With NOW for what `{t}` became in an allowance.
pub(crate) fn without_now(text: &str) -> String {
    const BEFORE: &str = "cacemergency>=";
    let now = |part: &str| format!("{BEFORE}NOW{}", part.trim_start_matches(|c: char| c.is_ascii_digit() || c == 'Z'));
    let (first, rest) = text.split_once(BEFORE).unwrap_or((text, ""));
    match rest {
        "" => first.to_owned(),
        rest => first.to_owned() + &rest.split(BEFORE).map(now).collect::<String>(),
    }
}
