//! What the DNS says, within bounds of time and size, and whether it is signed.
//!
//! A [`Resolver`] asks the servers of `[dns]`, follows aliases, and remembers each [`Answer`] by its TTL. What there is
//! no answer to is [`Missing`], which tells "there is none" from "nobody could say".

mod resolver;
mod memory;
mod asking;
mod records;
mod answer;
mod settings;

pub use answer::{Answer, Missing};
pub use records::{Exchange, Tlsa};
pub use resolver::Resolver;
pub use settings::{CacheEntries, Dnssec, Server, Settings, SetupError, Timeout};
