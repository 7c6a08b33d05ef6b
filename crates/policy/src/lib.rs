//! What the client may do: pure decisions over facts, without I/O and without a clock.
//!
//! [`judge`] is the only place where the rules of authentication stand, [`judge_recipient`] those of recipients. The
//! server, `postern explain` and the decision tables call them with the same facts ([`auth::Facts`], [`RecipientFacts`]);
//! what they allow is a [`Permit`], which nothing else can make.

mod judge;
mod recipient;
mod judgement;
mod permit;
mod refusal;
mod recipients;
mod sender_group;
mod flow;
mod flow_values;
mod sender;
mod rule;
mod client_pattern;
mod client;
mod hour;

pub use client::{Client, ClientNetwork, HostName, Naming};
pub use client_pattern::{AddressRange, ClientPattern, PatternError};
pub use flow::{Access, MailFlowPolicy, PolicySettings, SmtpAuth, TlsRule};
pub use flow_values::{MessageSize, MinVersion, ReplyText, TlsSuite};
pub use hour::HourCount;
pub use judge::judge;
pub use judgement::{AuthOffer, Effect, Judgement, Question, Standing, Step};
pub use permit::{Authorized, Clearance, Foreign, Identified, Permit, Reach};
pub use protocol::{MailPattern, MailPatternError};
pub use recipient::{DirectoryFact, RecipientFacts, RecipientJudgement, RecipientVerdict, judge_recipient};
pub use recipients::{Listed, Listing, RecipientTable, RecipientsSettings};
pub use refusal::{Monitored, Refusal, Temporary};
pub use rule::{Rule, Rules};
pub use sender::{NullSender, OnForeign, SenderBinding, SenderRules, SubaddressSeparator};
pub use sender_group::{Classified, SenderGroup, SenderGroupSettings, SenderGroups, Unreachable};
