//! Who the next hop is: from a destination to hosts in the order in which they are tried.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use client::{Cause, Host};
use dns::{Answer, Exchange, Missing, Resolver};
use protocol::EnhancedCode;

use crate::choice;
use crate::outcome::Outcome;
use crate::settings::{Hosts, ListedHost};

/// Hosts that are tried in one attempt; more of a domain's exchanges are left for the next one, by chance.
const MAX_HOSTS: usize = 10;
/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 10;

/// RFC 3463 section 3.2: bad destination system address; section 3.5: unable to route, routing server failure, routing
/// loop detected. RFC 7505 section 4.2: recipient address has null MX.
const NO_DOMAIN: EnhancedCode = EnhancedCode(5, 1, 2);
const NO_HOST: EnhancedCode = EnhancedCode(5, 4, 4);
const NO_ANSWER: EnhancedCode = EnhancedCode(4, 4, 3);
const NO_HOST_YET: EnhancedCode = EnhancedCode(4, 4, 4);
const LOOP: EnhancedCode = EnhancedCode(5, 4, 6);
const NULL_MX: EnhancedCode = EnhancedCode(5, 1, 10);

/// A host that may take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextHop {
    /// Its name, which its certificate must have where that is verified, and the port.
    pub(crate) host: Host,
    /// The name comes from the configuration, or from a DNS answer that is signed.
    pub(crate) secure: bool,
    pub(crate) named_by: NamedBy,
}

/// Who named a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The configuration.
    Route {
        /// The lower the better.
        priority: u32,
    },
    /// The recipient's address, which is one of a host.
    Literal,
    /// The recipient's domain, which has no mail exchanges.
    Domain,
    /// An MX record.
    Exchange {
        /// The lower the better.
        preference: u16,
    },
}

/// The hosts for a destination, in the order in which they are tried. What is no host but an outcome is every
/// recipient's.
pub(crate) async fn resolve(
    hosts: &Hosts,
    domain: Option<&str>,
    own_names: &[Arc<str>],
    resolver: &Resolver,
) -> Result<Vec<NextHop>, Outcome> {
    match (hosts, domain) {
        (Hosts::Mx { port }, Some(domain)) => by_mx(domain, *port, own_names, resolver).await,
        (Hosts::Listed(listed), _) => Ok(listed_in_order(listed)),
        (Hosts::Mx { .. }, None) => Err(failed(NO_DOMAIN, "no domain to ask the DNS about".to_owned())),
    }
}

fn listed_in_order(listed: &[ListedHost]) -> Vec<NextHop> {
    let ordered = choice::order(listed.iter().collect(), |listed| listed.priority, |listed| listed.weight);
    let hop = |listed: &ListedHost| NextHop {
        host: listed.host.clone(),
        secure: true,
        named_by: NamedBy::Route { priority: listed.priority },
    };
    ordered.into_iter().map(hop).collect()
}

/// RFC 5321 section 5.1.
async fn by_mx(domain: &str, port: u16, own: &[Arc<str>], resolver: &Resolver) -> Result<Vec<NextHop>, Outcome> {
    if let Some(literal) = domain.strip_prefix('[') {
        let host = address_of(literal).and_then(|address| Host::parse(&bracketed(address), port));
        let host = host.ok_or_else(|| failed(NO_DOMAIN, format!("{domain} is no address that mail can be sent to")))?;
        return Ok(vec![NextHop { host, secure: true, named_by: NamedBy::Literal }]);
    }
    let (answer, is_own) = match resolver.exchanges(domain).await {
        Ok(answer) => (answer, false),
        // A domain without exchanges is its own. Whether that is signed shows with its addresses: what hides an MX
        // record in a signed zone is no answer.
        Err(Missing::Records) => {
            let own = Exchange { preference: 0, host: Some(domain.to_owned()) };
            (Answer { records: vec![own], secure: true, ttl: std::time::Duration::ZERO, name: domain.to_owned() }, true)
        }
        Err(Missing::Name) => return Err(failed(NO_DOMAIN, format!("there is no domain {domain} in the DNS"))),
        Err(unknown @ Missing::Unknown(_)) => {
            return Err(deferred(None, NO_ANSWER, format!("the mail exchanges of {domain} are not known: {unknown}")));
        }
    };
    let mut hops = hops(domain, port, own, &answer)?;
    if is_own {
        hops.iter_mut().for_each(|hop| hop.named_by = NamedBy::Domain);
    }
    Ok(hops)
}

fn hops(domain: &str, port: u16, own: &[Arc<str>], answer: &Answer<Exchange>) -> Result<Vec<NextHop>, Outcome> {
    if answer.records.iter().all(|exchange| exchange.host.is_none()) {
        return Err(failed(NULL_MX, format!("the domain {domain} takes no mail: it has a null MX (RFC 7505)")));
    }
    // RFC 5321 section 5.1: an exchange is asked only by those that are farther from the goal than it is.
    let is_own = |host: &str| own.iter().any(|own| own.eq_ignore_ascii_case(host));
    let named = || answer.records.iter().filter_map(|exchange| Some((exchange.preference, exchange.host.as_deref()?)));
    let nearest = named().filter(|(_, host)| is_own(host)).map(|(preference, _)| preference).min();
    let closer: Vec<_> = named().filter(|(preference, _)| nearest.is_none_or(|own| *preference < own)).collect();
    if closer.is_empty() {
        let text =
            format!("mail for {domain} loops: this host is its best mail exchange, and has no other route for it");
        return Err(failed(LOOP, text));
    }
    // An address where a name should stand is nobody's name.
    let is_name = |host: &Host| host.ip().is_none();
    let host = |(preference, name): (u16, &str)| Some((preference, Host::parse(name, port).filter(is_name)?));
    let ordered = choice::order(closer, |(preference, _)| *preference, |_| 1);
    let mut hops: Vec<NextHop> = Vec::new();
    for (preference, host) in ordered.into_iter().filter_map(host) {
        if !hops.iter().any(|hop| hop.host == host) {
            hops.push(NextHop { host, secure: answer.secure, named_by: NamedBy::Exchange { preference } });
        }
    }
    hops.truncate(MAX_HOSTS);
    if hops.is_empty() {
        return Err(failed(NO_HOST, format!("the mail exchanges of {domain} in the DNS are no hosts")));
    }
    Ok(hops)
}

impl NextHop {
    /// Its addresses, at least one.
    ///
    /// # Errors
    /// When there is none now; `Some` cause is of a status that begins with 4 and names the host.
    pub(crate) async fn addresses(&self, resolver: &Resolver) -> Result<Answer<IpAddr>, Absent> {
        if let Some(address) = self.host.ip() {
            let (ttl, name) = (std::time::Duration::MAX, address.to_string());
            return Ok(Answer { records: vec![address], secure: true, ttl, name });
        }
        let name = self.host.address();
        let is_by_dns = matches!(self.named_by, NamedBy::Exchange { .. } | NamedBy::Domain);
        let found = match is_by_dns {
            false => resolver.addresses_of_named(&name).await,
            true => resolver.addresses(&name).await,
        };
        let absent = |status, missing: Missing| {
            let cause = Cause::local(Some(&self.host), status, format!("it has no address: {missing}"));
            Cause { unreachable: true, ..cause }
        };
        match found {
            Ok(mut answer) => {
                answer.records.truncate(MAX_ADDRESSES);
                Ok(answer)
            }
            Err(unknown @ Missing::Unknown(_)) => Err(Absent { cause: absent(NO_ANSWER, unknown), for_good: false }),
            // What an administrator wrote is an administrator's to mend, and the mail waits.
            Err(missing) => Err(Absent { cause: absent(NO_HOST_YET, missing), for_good: is_by_dns }),
        }
    }
}

/// Why a host cannot even be connected to.
pub(crate) struct Absent {
    pub(crate) cause: Cause,
    /// There is no such host, and nobody here can mend that.
    pub(crate) for_good: bool,
}

/// What becomes of mail whose every host is absent for good.
pub(crate) fn nowhere(cause: &Cause) -> Outcome {
    failed(NO_HOST, format!("none of the domain's mail exchanges is there; the last: {cause}"))
}

/// `192.0.2.1]`, `IPv6:2001:db8::1]`: RFC 5321 section 4.1.3.
fn address_of(literal: &str) -> Option<IpAddr> {
    let text = literal.strip_suffix(']')?;
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => text.parse().ok().filter(IpAddr::is_ipv4),
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn failed(status: EnhancedCode, text: String) -> Outcome {
    Outcome::Failed(Cause::local(None, status, text))
}

fn deferred(host: Option<&Host>, status: EnhancedCode, text: String) -> Outcome {
    Outcome::Deferred(Cause { unreachable: true, ..Cause::local(host, status, text) })
}

#[cfg(test)]
mod tests;
