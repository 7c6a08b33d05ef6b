//! Certificate revocation lists: sources, store, lists, tables.

pub mod store;
