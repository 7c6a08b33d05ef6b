//! Replays the saved corpus of each fuzz target through the target's own body.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

#[path = "../../../fuzz/bodies/command.rs"]
mod command;
#[path = "../../../fuzz/bodies/data_framing.rs"]
mod data_framing;
#[path = "../../../fuzz/bodies/header_filter.rs"]
mod header_filter;
#[path = "../../../fuzz/bodies/originators.rs"]
mod originators;
#[path = "../../../fuzz/bodies/proxy_header.rs"]
mod proxy_header;
#[path = "../../../fuzz/bodies/reply.rs"]
mod reply;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let octets = std::fs::read(&path).unwrap();
        // Names the file when the body fails.
        println!("{}", path.display());
        run(&octets);
        files += 1;
    }
    assert!(files > 5, "{} holds no corpus", folder.display());
}

#[test]
fn command_lines() {
    replay("command", command::run);
}

#[test]
fn framing_of_data_and_chunks() {
    replay("data_framing", data_framing::run);
}

#[test]
fn header_sections() {
    replay("header_filter", header_filter::run);
}

#[test]
fn authors_and_senders() {
    replay("originators", originators::run);
}

#[test]
fn proxy_headers() {
    replay("proxy_header", proxy_header::run);
}

#[test]
fn replies_of_a_server() {
    replay("reply", reply::run);
}
