//! One attempt to hand one message to the next hop.
//!
//! A [`Courier`] knows the routes. It picks the one for a recipient's domain, tries its hosts in order, speaks SMTP as
//! a client, and says for each recipient what came of it: an [`Outcome`]. When to try again, and whom to tell, is the
//! spool's business.

mod courier;
mod transaction;
mod tls;
mod error;
mod outcomes;
mod outcome;
mod source;
mod settings;
pub mod duration;

pub use client::{Cause, Host, What};
pub use courier::{Counters, Courier, RouteId};
pub use error::DeliveryError;
pub use outcome::Outcome;
pub use outcomes::Outcomes;
pub use settings::{DomainPattern, RouteSettings, Timeouts, TlsMode};
pub use source::{InMemory, MessageSource};
