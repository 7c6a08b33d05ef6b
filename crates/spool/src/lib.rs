//! Accepted mail until it is delivered: durable store, recovery, schedule, bounces.
//!
//! A [`Transaction`] takes a message in; when its `commit` returns, the message is on disk. [`Spool::run`] hands what is
//! there to the courier, again and again, until each recipient is served or given up, and tells the sender of what was
//! given up. Nothing outside this crate knows how messages are kept.

mod spool;
mod run;
mod obey;
mod listing;
mod attempt;
mod record;
mod delay;
mod tell;
mod active;
mod schedule;
mod notice;
mod transaction;
mod shared;
mod order;
mod store;
mod state;
mod patience;
mod settings;
mod clock;
mod id;
mod encoding;
mod error;

pub use error::SpoolError;
pub use id::{MessageId, NotAnId};
pub use listing::{AGES, Filter, Page, Queued, Summary, Waiting};
pub use order::{Order, OrderError};
pub use settings::Settings;
pub use shared::Counters;
pub use spool::{Spool, verify};
pub use store::{Damage, Finding, Problem, RecoveryReport, Verification};
pub use transaction::Transaction;

#[cfg(test)]
mod tests;
