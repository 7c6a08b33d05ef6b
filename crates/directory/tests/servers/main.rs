//! Directories against the servers that people run: OpenLDAP always, 389 and Active Directory where `DIRECTORY_BEDS` says
//! so (see `run`).
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
