//! The rules of authentication as decision tables for mail administrators: `legend.txt` says how to read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod explanations;
mod matrix;
mod recipients;
mod table;
mod render;
mod words;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use postern_policy::judge;

use crate::table::Row;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decisions")
}

fn rows() -> Vec<Row> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt") && !file.ends_with("legend.txt"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        table::parse(name, &fs::read_to_string(file).unwrap())
    };
    let (rows, errors): (Vec<_>, Vec<_>) = files.iter().map(read).unzip();
    let errors: Vec<String> = errors.into_iter().flatten().collect();
    assert!(errors.is_empty(), "the tables cannot be read:\n{}", errors.join("\n"));
    rows.into_iter().flatten().collect()
}

#[test]
fn every_row_is_judged_as_the_rules_say() {
    let rows = rows();
    let mut failures = String::new();
    let mut failed = 0;
    for row in &rows {
        let judgement = judge(&row.facts, &row.policy, &row.profile);
        let got = render::judgement(row, &judgement);
        if (got == row.expected) == row.disputed {
            failed += 1;
            let _ = write!(failures, "\n{}:{}: {}\n{}", row.file, row.line, row.section, row.text);
            if row.disputed {
                failures.push_str("\n  is marked as a disagreement (!), and there is none any more\n");
                continue;
            }
            for ((column, expected), (_, got)) in row.expected.iter().zip(&got) {
                let mark = if expected == got { ' ' } else { '*' };
                let _ = write!(failures, "\n {mark} {column:<10}  expected {expected:<30}  got {got}");
            }
            failures.push('\n');
        } else if row.disputed {
            println!("{}:{}: known disagreement: {}", row.file, row.line, row.text);
        }
    }
    assert!(failures.is_empty(), "{failed} of {} rows are judged otherwise:\n{failures}", rows.len());
}

#[test]
fn the_tables_are_large_enough_and_speak_of_every_rule() {
    let rows = rows();
    assert!(rows.len() >= 600, "only {} rows", rows.len());
    assert!(rows.iter().filter(|row| row.header.is_some()).count() >= 60, "too few headers");
    let speaks_of = |heading: &str| rows.iter().any(|row| row.section.starts_with(heading));
    let headings =
        (1..=11).map(|rule| format!("Rule {rule}:")).chain((1..=4).map(|how_to| format!("How-to {how_to}:")));
    let silent: Vec<String> = headings.filter(|heading| !speaks_of(heading)).collect();
    assert!(silent.is_empty(), "no row under {silent:?}");
}

#[test]
fn no_two_rows_ask_the_same_under_the_same_heading() {
    let rows = rows();
    for (at, row) in rows.iter().enumerate() {
        let twin = rows[..at].iter().find(|other| {
            (other.section == row.section
                && other.facts == row.facts
                && (&other.sender, &other.header) == (&row.sender, &row.header))
                && (format!("{:?}", other.policy), &other.profile) == (format!("{:?}", row.policy), &row.profile)
        });
        assert!(twin.is_none(), "{}:{} repeats line {}", row.file, row.line, twin.unwrap().line);
    }
}

#[test]
fn words_that_mean_nothing_are_refused_with_their_line() {
    let table = "\
== Rule 1: a test ==
policy: access=relay tls=perhaps
policy: access=relay
profile: certificate(on_mising=reject)
profile: none
given: certificate = none | path = - | revocation = - | query = - | AUTH = -
transport | allowance => session | AUTH offer | outcome | MAIL
pigeon    | -         => open    | PLAIN      | -       | as nobody
plain     | maybe     => open    | PLAIN      | -       | as nobody
plain     | -         => ajar    | PLAIN      | -       | as nobody
plain     | -         => open    | PLAIN      | -
";
    let (rows, errors) = table::parse("test.txt", table);
    assert!(rows.is_empty());
    let expected = [
        ("test.txt:2: ", "perhaps"),
        ("test.txt:4: ", "on_mising"),
        ("test.txt:8: ", "pigeon"),
        ("test.txt:9: ", "maybe"),
        ("test.txt:10: ", "ajar"),
        ("test.txt:11: ", "cells"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, (place, word)) in errors.iter().zip(expected) {
        assert!(error.starts_with(place) && error.contains(word), "{error} should name {place}{word}");
    }
}
