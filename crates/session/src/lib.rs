//! One client connection, from accept to QUIT.
//!
//! A [`Listener`] accepts, classifies the client and hands it to a session. The session keeps [`auth::Facts`], asks
//! [`policy::judge`] whenever they change, and moves through [`state::State`]: a command's handler takes the state it
//! needs and returns the next. `commands` has one file a command; `replies` is the one table from outcome to reply.

mod replay;
mod listener;
mod conversation;
mod commands;
mod state;
mod data;
mod monitored;
mod counting;
mod session;
mod serving;
mod recipients;
mod transaction;
mod onward;
mod trace;
mod identity_field;
mod wire;
mod outcome;
mod replies;
mod tls;
mod connections;
mod hours;
mod statistics;
mod failures;
mod names;
mod record;
mod settings;

pub use connections::Connections;
pub use failures::Failures;
pub use hours::Hours;
pub use identity_field::{IdentityError, IdentityField, IdentityKey, IdentityPublicKey};
pub use listener::Listener;
pub use names::Names;
pub use recipients::Recipients;
pub use record::{Basis, Counts, Event, Examined, Exchange, NotASessionId, Record, RecordError, SessionId};
pub use replay::{Counting, Need, Replay, Rules, Told, Turn, ask_again, replay};
pub use replies::refusal as reply_to;
pub use serving::{Server, Serving, no_rules};
pub use settings::{
    FailedLoginsSettings, KeptFacts, Limits, LimitsSettings, ListenerSettings, ListenerTls, RelayMode, RelaySettings,
    ReportSettings, TlsSettings, TraceSettings,
};
pub use statistics::{Day, DayCount, LedgerSnapshot, Snapshot, Statistics, Total, UnreadableSnapshot, WouldBeRefused};
pub use tls::{ServerKey, TlsContext, TlsError, provider};
