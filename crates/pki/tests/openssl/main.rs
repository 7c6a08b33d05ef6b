//! Against material that the `openssl` command makes: certificates, identities, lists, handshake signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod paths;
mod identities;
mod lists;
mod possession;
mod common;
