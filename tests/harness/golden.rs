//! Expected outputs as files. `GOLDEN=write` writes them anew, for a person to look at before they are committed.

use std::fs;
use std::path::Path;

/// Holds text against `tests/PATH`.
pub(crate) fn check(path: &str, got: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GOLDEN").is_some_and(|golden| golden == "write") {
        fs::write(&file, got).unwrap();
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    if let Some(difference) = difference(&expected, got) {
        panic!("{path} is not what came; GOLDEN=write writes it anew\n{difference}\n--- all that came\n{got}");
    }
}

fn difference(expected: &str, got: &str) -> Option<String> {
    if expected == got {
        return None;
    }
    let (mut expected, mut got) = (expected.lines(), got.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), got.next()) {
            (None, None) => return Some("only the last line end differs".to_owned()),
            (a, b) if a == b => {}
            (a, b) => {
                return Some(format!(
                    "line {number}\n  expected: {}\n  got:      {}",
                    a.unwrap_or("(end)"),
                    b.unwrap_or("(end)")
                ));
            }
        }
    }
}
