//! What the documents point at is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The Markdown files at the top and everywhere below `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = markdown_in(&root());
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        found.extend(markdown_in(&folder));
        folders.extend(entries(&folder).into_iter().filter(|path| path.is_dir()));
    }
    found
}

fn markdown_in(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The targets of `](…)`, `src="…"` and `srcset="…"`, outside of code blocks, that are paths.
fn paths_in(markdown: &str) -> Vec<&str> {
    let prose = markdown.split("```").step_by(2);
    let targets = prose.flat_map(|text| {
        [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')]
            .into_iter()
            .flat_map(move |(open, close)| text.split(open).skip(1).filter_map(move |rest| rest.split(close).next()))
    });
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|path| !path.is_empty())
        .collect()
}

#[test]
fn relative_links_point_at_files() {
    let documents = documents();
    assert!(documents.len() > 5, "found only {documents:?}");
    let mut dead = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for path in paths_in(&text) {
            if !document.parent().unwrap().join(path).exists() {
                dead.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn the_manual_lists_every_page() {
    let source = root().join("docs/src");
    let summary = fs::read_to_string(source.join("SUMMARY.md")).unwrap();
    let listed = paths_in(&summary);
    for page in markdown_in(&source) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "SUMMARY.md" || listed.contains(&name), "SUMMARY.md does not list {name}");
    }
}

/// Each reply in the manual's table is one that the server gives, with these codes.
#[test]
fn the_manual_quotes_replies_as_they_are() {
    let manual = fs::read_to_string(root().join("docs/src/authentication.md")).unwrap();
    let source = fs::read_to_string(root().join("crates/session/src/replies.rs")).unwrap();
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let quoted: Vec<&str> = rows.map(|(reply, _)| reply).filter(|reply| reply.starts_with(['4', '5'])).collect();
    assert!(quoted.len() > 15, "found only {quoted:?}");
    for reply in quoted {
        let mut words = reply.trim_end_matches('…').splitn(3, ' ');
        let (code, enhanced, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let codes = format!("reply({code}, ({}), ", enhanced.replace('.', ", "));
        let forms = [format!("{codes}\"{text}"), format!("{codes}format!(\"{text}")];
        assert!(forms.iter().any(|form| source.contains(form)), "the server has no reply {reply:?}");
    }
}

#[test]
fn the_scan_finds_links() {
    let text =
        "[a](b.md) [c](https://example.org/) [d](e/f.md#g) [h](#i) <img src=\"j.svg\">\n```\n[k](l.md)\n```\n[m](n)";
    assert_eq!(paths_in(text), ["b.md", "e/f.md", "j.svg", "n"]);
}
