//! One attempt to hand one message to the next hop.
//!
//! A [`Courier`] knows the routes. It says each recipient's [`Destination`], tries its hosts in order, speaks SMTP as a
//! client, and says for each recipient what came of it: an [`Outcome`]. When to try again, and whom to tell, is the
//! spool's business.

mod outlook;
mod courier;
mod relay;
mod next_hops;
mod choice;
mod pools;
mod maildir;
mod transaction;
mod scope;
mod tls;
mod login;
mod xclient;
mod tls_required;
mod tls_tally;
mod means;
mod dkim;
mod error;
mod outcomes;
mod outcome;
mod origin;
mod destination;
mod source;
mod settings;
pub mod duration;

pub use client::{Cause, Dialect, Host, What};
pub use courier::{Counters, Courier, Patience};
pub use destination::Destination;
pub use dkim::{DkimSettings, Signers};
pub use error::DeliveryError;
pub use means::Means;
pub use next_hops::NamedBy;
pub use origin::{Origin, OriginClient};
pub use outcome::{Outcome, Taken};
pub use outcomes::Outcomes;
pub use outlook::{Hop, Outlook, To, Way};
pub use relay::Relay;
pub use scope::Condition;
pub use settings::{
    AuthSettings, ClientCertificate, DomainPattern, Hosts, ListedHost, MaildirSettings, RouteSettings, Template,
    Timeouts, TlsMode,
};
pub use source::{InMemory, MessageSource};
pub use tls::Protection;
pub use tls_tally::{AppliedPolicy, FailureDetails, PolicyType, Sessions, Summary, TlsDays, TlsTally};
