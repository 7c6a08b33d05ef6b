//! Sender groups: which policy a client's address gets. The first group that holds the address decides.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::flow::MailFlowPolicy;

/// One entry of a listener's `sender_groups`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderGroupSettings {
    /// For logs and explanations.
    pub name: String,
    /// Who belongs to it.
    pub clients: Vec<Spanned<ClientPattern>>,
    /// The policy's name.
    pub policy: Spanned<String>,
}

/// An address or a network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ClientPattern(IpNet);

/// Not an address and not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is neither an address nor a network: write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32{mend}")]
pub struct PatternError {
    given: String,
    mend: String,
}

impl FromStr for ClientPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let refuse = |mend: String| PatternError { given: text.to_owned(), mend };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let network = text.parse().map(canonical).map_err(|_| refuse(String::new()))?;
        // 10.1.2.3/8 is a typing error more often than a wish.
        if network.trunc() != network {
            return Err(refuse(format!(" (host bits are set: did you mean {}?)", network.trunc())));
        }
        Ok(Self(network))
    }
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8, as its clients count as IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    let v4 =
        mapped.addr().to_ipv4_mapped().zip(prefix).and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

impl TryFrom<String> for ClientPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl ClientPattern {
    /// IPv4 clients of a dual-stack socket (`::ffff:192.0.2.7`) count as IPv4.
    pub fn holds(&self, client: IpAddr) -> bool {
        self.0.contains(&client.to_canonical())
    }

    fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }
}

/// A sender group with its policy.
#[derive(Debug, Clone)]
pub struct SenderGroup {
    /// As in the configuration.
    pub name: Arc<str>,
    /// Who belongs to it.
    pub clients: Vec<ClientPattern>,
    /// What they may do.
    pub policy: Arc<MailFlowPolicy>,
}

/// A listener's groups in order, and the policy of everybody else.
#[derive(Debug, Clone)]
pub struct SenderGroups {
    groups: Vec<SenderGroup>,
    default_policy: Arc<MailFlowPolicy>,
}

impl SenderGroups {
    /// The name under which clients of no group are logged.
    pub const DEFAULT: &'static str = "default";

    /// Groups are asked in this order.
    pub fn new(groups: Vec<SenderGroup>, default_policy: Arc<MailFlowPolicy>) -> Self {
        Self { groups, default_policy }
    }

    /// The group's name and policy for a client.
    pub fn classify(&self, client: IpAddr) -> (&str, &Arc<MailFlowPolicy>) {
        self.groups
            .iter()
            .find(|group| group.clients.iter().any(|pattern| pattern.holds(client)))
            .map_or((Self::DEFAULT, &self.default_policy), |group| (&*group.name, &group.policy))
    }

    /// Groups no client can reach, because groups before them hold all their clients: (the group, the one before it).
    pub fn unreachable(&self) -> Vec<(&str, &str)> {
        let covering = |index: usize, pattern: &ClientPattern| {
            self.groups.iter().take(index).find(|earlier| earlier.clients.iter().any(|other| other.covers(pattern)))
        };
        self.groups
            .iter()
            .enumerate()
            .filter_map(|(index, group)| {
                let coverers: Option<Vec<_>> = group.clients.iter().map(|pattern| covering(index, pattern)).collect();
                Some((&*group.name, &*coverers?.first()?.name))
            })
            .collect()
    }

    /// Whether clients of no group get this policy.
    pub fn is_default(&self, policy: &Arc<MailFlowPolicy>) -> bool {
        Arc::ptr_eq(policy, &self.default_policy)
    }

    /// Every policy a client of this listener can get.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<MailFlowPolicy>> {
        self.groups.iter().map(|group| &group.policy).chain(std::iter::once(&self.default_policy))
    }
}

#[cfg(test)]
mod tests;
