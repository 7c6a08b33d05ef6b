//! How a listener serves: what its sessions share.

use std::sync::Arc;
use std::time::Duration;

use auth::{Profile, ProfileRules};
use policy::{AddressRange, SenderGroups};
use protocol::Domain;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::failures::Failures;
use crate::hours::Hours;
use crate::identity_field::IdentityKey;
use crate::names::Names;
use crate::recipients::Recipients;
use crate::record::Basis;
use crate::settings::{KeptFacts, Limits, ListenerTls, TraceSettings};
use crate::statistics::Statistics;
use crate::tls::TlsContext;

/// How connections of a listener are served; exchanged whole at a reload, while older sessions keep theirs.
pub struct Serving {
    /// The listener's name.
    pub name: String,
    /// How TLS begins.
    pub implicit_tls: ListenerTls,
    /// Who must begin with a PROXY header.
    pub proxy_protocol_from: Vec<AddressRange>,
    /// Which policy a client gets.
    pub groups: SenderGroups,
    /// Most connections at a time.
    pub max_connections: u32,
    /// Whom clients that may not relay can send to; `None` where there is nobody.
    pub recipients: Option<Recipients>,
    /// The settings of those who are asked.
    pub basis: Basis,
    /// How clients are identified; `None` where nobody is.
    pub profile: Option<Arc<Profile>>,
    /// The server's side of handshakes.
    pub tls: TlsContext,
    /// What all listeners share.
    pub server: Arc<Server>,
}

/// Nobody is identified where no profile is named.
static NO_RULES: ProfileRules = ProfileRules { certificate: None, password: None, recheck_after: Duration::MAX };

/// The rules of a listener without a profile.
pub fn no_rules() -> &'static ProfileRules {
    &NO_RULES
}

impl Serving {
    pub(crate) fn rules(&self) -> &ProfileRules {
        self.profile.as_ref().map_or(&NO_RULES, |profile| &profile.rules)
    }
}

/// What all listeners share.
pub struct Server {
    /// The name in the greeting, in EHLO and in trace fields.
    pub hostname: Domain,
    /// What holds whatever the policy.
    pub limits: Limits,
    /// What a relayed message tells of its submission.
    pub trace: TraceSettings,
    /// What the identity field is signed with; `None` where it is not.
    pub identity_key: Option<Arc<IdentityKey>>,
    /// What the log keeps of sessions.
    pub facts: KeptFacts,
    /// Where accepted mail goes.
    pub spool: spool::Spool,
    /// By whom mail is handed on while it comes in; `None` where it goes into the spool.
    pub relay: Option<delivery::Courier>,
    /// Counts connections; kept across reloads.
    pub connections: Arc<Connections>,
    /// Counts recipients; kept across reloads.
    pub hours: Arc<Hours>,
    /// Counts what sessions came to; kept across reloads.
    pub statistics: Arc<Statistics>,
    /// Counts failed logins; kept across reloads.
    pub failures: Arc<Failures>,
    /// Looks names of clients up; `None` where no listener asks for any.
    pub names: Option<Names>,
    /// Cancelled when the server goes down.
    pub stop: CancellationToken,
}
