//! What the client may do: pure decisions over facts, without I/O and without a clock.
//!
//! [`judge`] is the only place where the rules of authentication stand. The server, `postern explain` and the decision
//! table call it with the same [`auth::Facts`]; what it allows is a [`Permit`], which nothing else can make.

mod judge;
mod judgement;
mod permit;
mod refusal;
mod sender_group;
mod flow;

pub use flow::{Access, MailFlowPolicy, MessageSize, PolicySettings, SenderBinding, SmtpAuth, TlsRule};
pub use judge::judge;
pub use judgement::{AuthOffer, Effect, Judgement, Question, Standing, Step};
pub use permit::{Clearance, Identified, Permit};
pub use refusal::{Refusal, Temporary};
pub use sender_group::{ClientPattern, SenderGroup, SenderGroupSettings, SenderGroups};
