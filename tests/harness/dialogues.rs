//! Dialogue scripts in files: `demo::dialogue`'s language, and lines that begin with `#:` for what it takes to play them.
//!
//! | line | meaning | when left out |
//! | --- | --- | --- |
//! | `#: listener NAME` | the listener to connect to | the only one, or `submission` |
//! | `#: certificate NAME` | what `TLS` shows: `pki/NAME.pem` and `.key` | none |
//! | `#: tls 1.2` or `1.3` | what `TLS` offers | both |
//!
//! In the text `{base64:TEXT}` stands for base64 of it, `\0` in it for NUL: what AUTH needs, readable.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use demo::{TlsVersions, Transport, dialogue};

use super::{Gateway, World};

/// Plays every `*.dialogue` of a folder of `tests/`, in the order of their names, each on a connection of its own.
pub(crate) async fn play_all(folder: &str, world: &World, gateway: &Gateway) {
    let scripts = scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    assert!(!scripts.is_empty(), "{folder} has no dialogues");
    let mut failures = Vec::new();
    for script in scripts {
        let name = format!("{folder}/{}", script.file_name().unwrap().to_string_lossy());
        let text = fs::read_to_string(&script).unwrap();
        if let Err(failure) = play(&text, world, gateway).await {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "dialogue"));
    scripts.sort();
    scripts
}

/// Plays one script.
pub(crate) async fn play(text: &str, world: &World, gateway: &Gateway) -> Result<(), String> {
    let text = with_base64(text);
    let directive = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("#: ")?.strip_prefix(name));
        line.map(str::trim)
    };
    let versions = match directive("tls ") {
        None => TlsVersions::Both,
        Some("1.2") => TlsVersions::Tls12,
        Some("1.3") => TlsVersions::Tls13,
        Some(other) => panic!("#: tls {other}"),
    };
    let identity = directive("certificate ").map(|name| world.identity(name));
    let tls = world.tls_as(identity, versions);
    let address = gateway.address(directive("listener ").unwrap_or("submission"));
    let mut transport = Transport::connect(address).await.map_err(|error| error.to_string())?;
    dialogue::run(&text, &mut transport, Some(&tls)).await.map_err(|mismatch| mismatch.to_string())
}

/// `{base64:alice}` → `YWxpY2U=`
fn with_base64(text: &str) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{base64:") {
        let (plain, after) = after.split_once('}').expect("{base64:…} ends with }");
        done.push_str(before);
        done.push_str(&STANDARD.encode(plain.replace("\\0", "\0")));
        rest = after;
    }
    done + rest
}
