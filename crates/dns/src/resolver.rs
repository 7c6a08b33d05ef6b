//! Names to records: aliases followed, answers remembered, each question within its time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_resolver::Hosts;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::rdata::PTR;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::timeout;

use crate::answer::{Answer, Missing};
use crate::asking::{Servers, name_server};
use crate::memory::Memory;
use crate::records::{self, Exchange, Tlsa};
use crate::settings::{Dnssec, Settings, SetupError};

/// Aliases of aliases; RFC 1034 section 3.6.2 wants none, and a circle has no end.
const MAX_ALIASES: usize = 8;
/// Records of one answer that are looked at: the best exchanges, and of others the first.
const MAX_RECORDS: usize = 100;

/// Looks names up. How many at a time is the callers' business.
pub struct Resolver {
    servers: Servers,
    memory: Memory,
    patience: Duration,
    system: System,
}

/// What is known of names without servers; but for this machine's own, nothing where servers were named.
#[derive(Default)]
struct System {
    hosts: Hosts,
    search: Vec<Name>,
    ndots: usize,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Resolver {
    /// By the servers that are named, or as the system does. Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings contradict each other or the file they name is unusable.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let (servers, system) = match settings.servers.as_slice() {
            [] => system(),
            servers => (servers.iter().map(|server| name_server(server.0)).collect(), System::default()),
        };
        let (dnssec, span) = (*settings.dnssec.get_ref(), settings.dnssec.span());
        if let (Dnssec::Trust, Some(server)) = (dnssec, servers.iter().find(|server| !server.ip.is_loopback())) {
            return Err(SetupError::NotLoopback { server: server.ip, span });
        }
        let anchors = match &settings.trust_anchor {
            Some(path) if dnssec != Dnssec::Validate => return Err(SetupError::UnusedTrustAnchor(path.span())),
            Some(path) => {
                let unusable = |why| SetupError::TrustAnchor { path: path.get_ref().clone(), why, span: path.span() };
                let text = std::fs::read_to_string(path.get_ref()).map_err(|error| unusable(error.to_string()))?;
                anchors(&text).map_err(unusable)?
            }
            None => TrustAnchors::default(),
        };
        Ok(Self {
            servers: Servers::new(servers, settings.timeout.0, dnssec, anchors)?,
            memory: Memory::new(settings.cache_entries.0),
            patience: settings.timeout.0,
            system,
        })
    }

    /// Knows `localhost`, and has nobody to ask.
    #[must_use]
    pub fn alone() -> Self {
        let (servers, memory) = (Servers::Nobody, Memory::new(1));
        Self { servers, memory, patience: Duration::ZERO, system: System::default() }
    }

    /// How long one name may take.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The addresses of a host by its full name, IPv6 first. With one family's silence, those of the other.
    ///
    /// # Errors
    /// When there is none.
    pub async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, Missing> {
        self.addresses_of(absolute(host)?).await
    }

    /// The addresses of a host, of this one's family alone.
    ///
    /// # Errors
    /// When there is none.
    pub async fn addresses_like(&self, host: &str, address: IpAddr) -> Result<Answer<IpAddr>, Missing> {
        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let answer = self.look_up(&absolute(host)?, kind).await?;
        answer.map(records::address).ok_or(Missing::Records)
    }

    /// The addresses of a host as an administrator names it: short names are completed as the system does.
    ///
    /// # Errors
    /// When there is none.
    pub async fn addresses_of_named(&self, host: &str) -> Result<Answer<IpAddr>, Missing> {
        let mut outcome = Err(Missing::Name);
        for candidate in self.system.candidates(&absolute(host)?, host) {
            outcome = self.addresses_of(candidate).await;
            if !matches!(outcome, Err(Missing::Name | Missing::Records)) {
                break;
            }
        }
        outcome
    }

    async fn addresses_of(&self, name: Name) -> Result<Answer<IpAddr>, Missing> {
        let (six, four) = tokio::join!(self.look_up(&name, RecordType::AAAA), self.look_up(&name, RecordType::A));
        let addresses = |answer: Answer<RData>| answer.map(records::address).ok_or(Missing::Records);
        match (six.and_then(addresses), four.and_then(addresses)) {
            (Ok(six), Ok(four)) => Ok(Answer {
                records: [six.records, four.records].concat(),
                secure: six.secure && four.secure,
                ttl: six.ttl.min(four.ttl),
                name: four.name,
            }),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(unknown @ Missing::Unknown(_)), _) | (_, Err(unknown @ Missing::Unknown(_))) => Err(unknown),
            // A server that says so of one family only is confused, and the name is there.
            (Err(Missing::Name), Err(Missing::Name)) => Err(Missing::Name),
            (Err(_), Err(_)) => Err(Missing::Records),
        }
    }

    /// The mail exchanges of a domain, best first.
    ///
    /// # Errors
    /// When there is none.
    pub async fn exchanges(&self, domain: &str) -> Result<Answer<Exchange>, Missing> {
        let answer = self.look_up(&absolute(domain)?, RecordType::MX).await?;
        answer.map(records::exchange).ok_or(Missing::Records)
    }

    /// The texts of a name.
    ///
    /// # Errors
    /// When there is none.
    pub async fn texts(&self, name: &str) -> Result<Answer<String>, Missing> {
        let answer = self.look_up(&absolute(name)?, RecordType::TXT).await?;
        answer.map(records::joined).ok_or(Missing::Records)
    }

    /// What certificates of a service have to be; `name` is such as `_25._tcp.mx.example.org`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn tlsa(&self, name: &str) -> Result<Answer<Tlsa>, Missing> {
        let answer = self.look_up(&absolute(name)?, RecordType::TLSA).await?;
        answer.map(records::tlsa).ok_or(Missing::Records)
    }

    /// The names that the network's owner gives an address; anybody may claim any name there.
    ///
    /// # Errors
    /// When there is none.
    pub async fn names(&self, address: IpAddr) -> Result<Answer<String>, Missing> {
        let answer = self.look_up(&Name::from(address.to_canonical()), RecordType::PTR).await?;
        answer.map(records::pointer).ok_or(Missing::Records)
    }

    async fn look_up(&self, name: &Name, kind: RecordType) -> Result<Answer<RData>, Missing> {
        if let Some(answer) = self.system.answer(name, kind) {
            return Ok(answer);
        }
        let question = (name.clone(), kind);
        if let Some(known) = self.memory.get(&question) {
            return known;
        }
        let (answer, negative_ttl) = match timeout(self.patience, self.follow(name.clone(), kind)).await {
            Ok(outcome) => outcome,
            Err(_) => (Err(Missing::Unknown(format!("no answer within {:?}", self.patience))), None),
        };
        tracing::debug!(%name, %kind, ?answer, "asked the DNS");
        self.memory.put(question, &answer, negative_ttl);
        answer
    }

    /// Asks, and asks on where the answer is another name (RFC 1034 section 5.3.3); with for how long "there is none" holds.
    async fn follow(&self, mut name: Name, kind: RecordType) -> (Result<Answer<RData>, Missing>, Option<Duration>) {
        let (mut secure, mut ttl, mut aliases) = (true, u32::MAX, 0);
        loop {
            let said = match self.servers.ask(name.clone(), kind).await {
                Ok(said) => said,
                Err(missing) => return (Err(missing), None),
            };
            let asked = name.clone();
            // An answer may hold more than one step.
            loop {
                let here = |wanted: RecordType| {
                    said.records
                        .iter()
                        .filter(move |record| record.record_type() == wanted)
                        .filter(|record| record.name == name)
                };
                let found = here(kind);
                let is_answered = found.clone().next().is_some();
                let step: Vec<_> =
                    if is_answered { found.collect() } else { here(RecordType::CNAME).take(1).collect() };
                for record in &step {
                    match said.is_secure(record) {
                        Ok(signed) => secure &= signed,
                        Err(missing) => return (Err(missing), None),
                    }
                    ttl = ttl.min(record.ttl);
                }
                if is_answered {
                    let records = best(step.into_iter().map(|record| record.data.clone()).collect());
                    let ttl = Duration::from_secs(ttl.into());
                    return (Ok(Answer { records, secure, ttl, name: records::text(&name) }), None);
                }
                let Some(RData::CNAME(next)) = step.first().map(|record| &record.data) else { break };
                aliases += 1;
                if aliases > MAX_ALIASES {
                    let text = format!("more than {MAX_ALIASES} aliases (CNAME), one after the other");
                    return (Err(Missing::Unknown(text)), None);
                }
                name = next.0.clone();
            }
            if said.no_such_name {
                return (Err(Missing::Name), said.negative_ttl);
            }
            if name == asked {
                return (Err(Missing::Records), said.negative_ttl);
            }
        }
    }
}

impl System {
    /// By the system's table (`/etc/hosts`).
    fn answer(&self, name: &Name, kind: RecordType) -> Option<Answer<RData>> {
        let records: Vec<RData> = match own(name, kind) {
            Some(record) => vec![record],
            None => {
                let listed = self.hosts.lookup_static_host(&Query::query(name.clone(), kind))?;
                listed.answers().iter().map(|record| record.data.clone()).take(MAX_RECORDS).collect()
            }
        };
        Some(Answer { records, secure: false, ttl: Duration::ZERO, name: records::text(name) })
    }

    /// As resolv.conf(5) has it, for `search` and `ndots`.
    fn candidates(&self, name: &Name, written: &str) -> Vec<Name> {
        let listed = |kind| self.answer(name, kind).is_some();
        if written.ends_with('.') || listed(RecordType::A) || listed(RecordType::AAAA) {
            return vec![name.clone()];
        }
        let mut relative = name.clone();
        relative.set_fqdn(false);
        let mut names: Vec<Name> =
            self.search.iter().filter_map(|domain| relative.clone().append_domain(domain).ok()).collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(at, name.clone());
        names
    }
}

/// This machine's, whatever a server says (RFC 6761 section 6.3).
fn own(name: &Name, kind: RecordType) -> Option<RData> {
    match kind {
        RecordType::A if name.is_localhost() => Some(RData::A(Ipv4Addr::LOCALHOST.into())),
        RecordType::AAAA if name.is_localhost() => Some(RData::AAAA(Ipv6Addr::LOCALHOST.into())),
        RecordType::PTR if name.parse_arpa_name().is_ok_and(|range| range.addr().is_loopback()) => {
            Some(RData::PTR(PTR(Name::from_ascii("localhost.").ok()?)))
        }
        _ => None,
    }
}

/// The system's servers and tables. Without its file, the server of this machine: resolv.conf(5).
fn system() -> (Vec<NameServerConfig>, System) {
    let hosts = Hosts::from_system().unwrap_or_default();
    match read_system_conf() {
        Ok((config, options)) => {
            let search = config.domain.into_iter().chain(config.search).collect();
            (config.name_servers, System { hosts, search, ndots: options.ndots })
        }
        Err(error) => {
            tracing::debug!(%error, "the system names no DNS server");
            (vec![name_server(([127, 0, 0, 1], 53).into())], System { hosts, search: Vec::new(), ndots: 1 })
        }
    }
}

fn anchors(text: &str) -> Result<TrustAnchors, String> {
    let anchors: TrustAnchors = text.parse().map_err(|error| format!("{error}"))?;
    let any = text.lines().any(|line| line.split(';').next().is_some_and(|line| line.contains("DNSKEY")));
    any.then_some(anchors).ok_or_else(|| "there is no DNSKEY record".to_owned())
}

/// The best of many: exchanges by preference; other records have no order.
fn best(mut records: Vec<RData>) -> Vec<RData> {
    records.sort_by_key(|record| match record {
        RData::MX(exchange) => exchange.preference,
        _ => 0,
    });
    records.truncate(MAX_RECORDS);
    records
}

/// A name that says all: nothing is appended.
fn absolute(text: &str) -> Result<Name, Missing> {
    // What cannot be a name has nothing to be found.
    let mut name = Name::from_ascii(text).map_err(|_| Missing::Name)?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_as_the_system_does() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let system = |ndots| System { search: vec![name("a.org."), name("b.org.")], ndots, ..System::default() };
        let candidates = |ndots, text: &str| {
            let names = system(ndots).candidates(&absolute(text).unwrap(), text);
            names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(candidates(1, "mx"), ["mx.a.org.", "mx.b.org.", "mx."]);
        assert_eq!(candidates(1, "mx.c.org"), ["mx.c.org.", "mx.c.org.a.org.", "mx.c.org.b.org."]);
        assert_eq!(candidates(5, "mx.c"), ["mx.c.a.org.", "mx.c.b.org.", "mx.c."]);
        assert_eq!(candidates(1, "mx."), ["mx."]);
        assert_eq!(System::default().candidates(&absolute("mx").unwrap(), "mx"), [name("mx.")]);
    }
}
