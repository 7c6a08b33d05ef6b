//! Holds the workspace against its plan: which crate may import which, and which module of a crate which other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate with the crates it may import, top-down: every one of them stands below it in this table.
const LAYERS: [(&str, &[&str]); 14] = [
    (
        "postern",
        &["console", "session", "spool", "delivery", "policy", "auth", "directory", "dns", "pki", "demo", "protocol"],
    ),
    ("console", &["session", "spool", "directory", "pki"]),
    ("session", &["policy", "auth", "spool", "delivery", "directory", "dns", "pki", "protocol", "secret"]),
    ("spool", &["delivery", "policy", "protocol"]),
    ("delivery", &["client", "policy", "dns", "pki", "protocol", "secret"]),
    ("policy", &["auth", "pki", "protocol"]),
    ("auth", &["client", "pki", "directory", "protocol", "secret"]),
    ("client", &["protocol", "secret"]),
    ("directory", &["secret"]),
    ("dns", &[]),
    ("pki", &[]),
    ("demo", &["protocol"]),
    ("protocol", &[]),
    ("secret", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// `postern-session` → `session`
fn short(package: &str) -> &str {
    package.strip_prefix("postern-").unwrap_or(package)
}

#[test]
fn a_crate_imports_only_crates_below_it() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();

    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = short(package["name"].as_str().unwrap());
        // Tools beside the crates (benches) measure from outside and may use anything.
        if !Path::new(package["manifest_path"].as_str().unwrap()).starts_with(root().join("crates")) {
            continue;
        }
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("crate {name} has no place in the table"));
        seen += 1;
        for dependency in package["dependencies"].as_array().unwrap() {
            let wanted = short(dependency["name"].as_str().unwrap());
            // Tests may use what they like of what stands below, and the demo's parts anywhere.
            let test_only = dependency["kind"] == "dev";
            let ours = dependency["path"].is_string();
            assert!(!ours || test_only || allowed.contains(&wanted), "crate {name} must not import {wanted}");
        }
    }
    assert_eq!(seen, LAYERS.len(), "a crate of the table is gone");
}

#[test]
fn the_table_has_no_circles() {
    for (at, (name, imports)) in LAYERS.iter().enumerate() {
        for import in *imports {
            let below = LAYERS.iter().position(|(layer, _)| layer == import).unwrap();
            assert!(below > at, "{name} imports {import}, which is not below it");
        }
    }
}

#[test]
fn a_module_imports_only_modules_below_it() {
    let mut faults = Vec::new();
    for (name, _) in LAYERS {
        let source = root().join("crates").join(name).join("src");
        for root_file in ["lib.rs", "main.rs"].map(|file| source.join(file)) {
            if let Ok(text) = fs::read_to_string(&root_file) {
                faults.extend(faults_of(name, &source, &Outline::of(&text)));
            }
        }
    }
    assert!(faults.is_empty(), "lib.rs lists the modules top-down, but\n{}", faults.join("\n"));
}

/// What `lib.rs` or `main.rs` says of the modules.
struct Outline {
    /// Each module with its place.
    places: BTreeMap<String, usize>,
    /// Names that are re-exported at the top, with the module they come from.
    exports: BTreeMap<String, String>,
}

impl Outline {
    fn of(text: &str) -> Self {
        let code = code(text);
        let mut outline = Self { places: BTreeMap::new(), exports: BTreeMap::new() };
        for statement in code.split(';').map(str::trim) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            if let Some(["mod", module]) = words.get(words.len().saturating_sub(2)..) {
                outline.places.insert((*module).to_owned(), outline.places.len());
            } else if let Some((module, names)) =
                statement.split_once("pub use ").and_then(|(_, path)| path.split_once("::"))
            {
                for name in identifiers(names) {
                    outline.exports.insert(name.to_owned(), module.trim_start_matches("crate::").to_owned());
                }
            }
        }
        outline
    }

    /// The place of the module that a path after `crate::` leads to, by its first word.
    fn place(&self, word: &str) -> Option<(&str, usize)> {
        let module = self.exports.get(word).map_or(word, String::as_str);
        self.places.get_key_value(module).map(|(module, place)| (module.as_str(), *place))
    }
}

fn faults_of(name: &str, source: &Path, outline: &Outline) -> Vec<String> {
    let mut faults = Vec::new();
    for (module, own) in &outline.places {
        for file in files_of(source, module) {
            let text = code(&fs::read_to_string(&file).unwrap());
            for (at, _) in text.match_indices("crate::") {
                for word in first_words(&text[at + "crate::".len()..]) {
                    match outline.place(word) {
                        Some((other, place)) if place < *own => {
                            let file = file.strip_prefix(source).unwrap().display();
                            faults.push(format!("crates/{name}/src/{file} imports {other}, which is above {module}"));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    faults
}

/// `module.rs` and everything in `module/`, without the files that hold only tests.
fn files_of(source: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = vec![source.join(format!("{module}.rs"))];
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|file| file.is_file() && file.extension().is_some_and(|extension| extension == "rs"));
    files.retain(|file| !file.to_string_lossy().ends_with("tests.rs"));
    files
}

/// Without comments, and without the tests at the end of the file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The first word of each path: `a::b` → a; `{a::{b, c}, d}` → a, d.
fn first_words(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else { return identifiers(path).into_iter().take(1).collect() };
    let (mut words, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => {
                words.extend(identifiers(&group[start..at]).first());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                words.extend(identifiers(&group[start..at]).first());
                start = at + 1;
            }
            _ => {}
        }
    }
    words
}

fn identifiers(text: &str) -> Vec<&str> {
    text.split(|sign: char| !sign.is_alphanumeric() && sign != '_').filter(|word| !word.is_empty()).collect()
}

#[test]
fn the_scan_sees_what_it_should() {
    let outline = Outline::of("//! mod no;\npub mod top;\nmod bottom;\npub use bottom::{Leaf, Other};\n");
    assert_eq!(outline.place("top"), Some(("top", 0)));
    assert_eq!(outline.place("Leaf"), Some(("bottom", 1)));
    assert_eq!(outline.place("Unknown"), None);
    assert_eq!(first_words("a::b::C;"), ["a"]);
    assert_eq!(first_words("{a::{b, c}, D,\n e::F};"), ["a", "D", "e"]);

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("top.rs"), "use crate::bottom::Leaf;").unwrap();
    fs::write(dir.path().join("bottom.rs"), "// crate::top\n#[cfg(test)]\nmod tests { use crate::top; }").unwrap();
    assert_eq!(faults_of("x", dir.path(), &outline), Vec::<String>::new());
    fs::write(dir.path().join("bottom.rs"), "use crate::{\n    top::Thing,\n};").unwrap();
    assert_eq!(faults_of("x", dir.path(), &outline), ["crates/x/src/bottom.rs imports top, which is above bottom"]);
}
