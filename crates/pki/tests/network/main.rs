//! Against what is on a network, on loopback: web servers good and bad, a directory, OCSP responders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod sources;
mod directory;
mod responders;
mod issuers;
mod peers;
#[path = "../openssl/common.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod common;
