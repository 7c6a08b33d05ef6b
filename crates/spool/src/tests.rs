//! The whole spool: from an accepted message to what the next hop and the sender get.

mod bench;
mod notices;
mod orders;
mod retries;
mod routes;
