//! Directories against the servers that people run: OpenLDAP, 389 Directory Server and Active Directory, each started by
//! the tests themselves (`tests/beds` at the top of the repository).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bed;
mod proxy;

mod people;
mod passwords;
mod steps;
mod schema;
mod transport;
mod failures;
mod load;
mod hostile;
mod ds389;
mod active_directory;
