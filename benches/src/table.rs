//! How results are shown.

use std::fmt::Write as _;

/// What a result is held against. A mark is shown, never enforced: machines differ.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    AtLeast(f64),
    AtMost(f64),
}

impl Mark {
    /// The mark, and whether the value meets it.
    pub(crate) fn judge(self, value: f64) -> String {
        let met = |yes| if yes { "met" } else { "MISSED" };
        match self {
            Self::AtLeast(mark) => format!("≥ {mark}: {}", met(value >= mark)),
            Self::AtMost(mark) => format!("≤ {mark}: {}", met(value <= mark)),
        }
    }
}

/// Prints a title and below it the rows, numbers to the right.
pub(crate) fn print(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    println!("{title}");
    for row in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a String cannot fail.
            let _ = match column {
                0 => write!(line, "  {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        println!("{}", line.trim_end());
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_judged() {
        assert_eq!(Mark::AtLeast(0.7).judge(0.7), "≥ 0.7: met");
        assert_eq!(Mark::AtLeast(0.7).judge(0.69), "≥ 0.7: MISSED");
        assert_eq!(Mark::AtMost(40.0).judge(41.0), "≤ 40: MISSED");
    }
}
