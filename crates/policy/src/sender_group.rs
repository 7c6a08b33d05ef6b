//! Sender groups: which policy a client gets. The first group that holds it decides.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::client::Client;
use crate::client_pattern::{AddressRange, ClientPattern};
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

/// Where a client belongs.
#[derive(Debug, Clone, Copy)]
pub struct Classified<'g> {
    /// The group's name; [`SenderGroups::DEFAULT`] for clients of none.
    pub group: &'g str,
    /// What the client may do.
    pub policy: &'g Arc<MailFlowPolicy>,
    /// The group's entry that holds the client.
    pub entry: Option<&'g ClientPattern>,
}

/// A group that no client can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable<'g> {
    /// Its name.
    pub group: &'g str,
    /// The groups before it that hold all of its clients.
    pub behind: Vec<&'g str>,
}

impl SenderGroups {
    /// The name under which clients of no group are logged.
    pub const DEFAULT: &'static str = "default";

    /// Groups are asked in this order.
    pub fn new(groups: Vec<SenderGroup>, default_policy: Arc<MailFlowPolicy>) -> Self {
        Self { groups, default_policy }
    }

    /// The group and policy of a client. Pure: its names are facts.
    pub fn classify(&self, client: &Client) -> Classified<'_> {
        let held = self.groups.iter().find_map(|group| {
            let entry = group.clients.iter().find(|pattern| pattern.holds(client))?;
            Some(Classified { group: &group.name, policy: &group.policy, entry: Some(entry) })
        });
        held.unwrap_or(Classified { group: Self::DEFAULT, policy: &self.default_policy, entry: None })
    }

    /// Whether the policy of a client depends on its name: a group that names hosts is asked before its address decides.
    pub fn needs_name(&self, client: IpAddr) -> bool {
        for group in &self.groups {
            if group.clients.iter().filter_map(ClientPattern::addresses).any(|range| range.holds(client)) {
                return false;
            }
            if group.clients.iter().any(|pattern| pattern.addresses().is_none()) {
                return true;
            }
        }
        false
    }

    /// Whether any group names hosts.
    pub fn name_hosts(&self) -> bool {
        self.groups.iter().any(|group| group.clients.iter().any(|pattern| pattern.addresses().is_none()))
    }

    /// Groups no client can reach, as far as that can be known without asking DNS.
    pub fn unreachable(&self) -> Vec<Unreachable<'_>> {
        let behind = |index: usize, group: &SenderGroup| {
            let earlier = self.groups.get(..index).unwrap_or_default();
            let covered = !group.clients.is_empty() && group.clients.iter().all(|pattern| is_covered(pattern, earlier));
            covered.then(|| earlier.iter().filter(|one| takes_from(one, group)).map(|one| &*one.name).collect())
        };
        let groups = self.groups.iter().enumerate();
        groups.filter_map(|(at, group)| Some(Unreachable { group: &group.name, behind: behind(at, group)? })).collect()
    }

    /// Whether clients of every address can get this policy: those of no group, or of one that holds a whole family.
    pub fn is_for_everybody(&self, policy: &Arc<MailFlowPolicy>) -> bool {
        let everybody = |group: &SenderGroup| {
            let ranges = || group.clients.iter().filter_map(ClientPattern::addresses).copied();
            AddressRange::ALL.iter().any(|family| family.is_covered_by(ranges()))
        };
        Arc::ptr_eq(policy, &self.default_policy)
            || self.groups.iter().any(|group| Arc::ptr_eq(policy, &group.policy) && everybody(group))
    }

    /// Every policy a client of this listener can get.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<MailFlowPolicy>> {
        self.groups.iter().map(|group| &group.policy).chain(std::iter::once(&self.default_policy))
    }
}

/// Whether all clients of the pattern are held by the groups together.
fn is_covered(pattern: &ClientPattern, groups: &[SenderGroup]) -> bool {
    let patterns = || groups.iter().flat_map(|group| &group.clients);
    let ranges = || patterns().filter_map(ClientPattern::addresses).copied();
    match pattern.addresses() {
        Some(range) => range.is_covered_by(ranges()),
        // A host may have any address.
        None => {
            patterns().any(|earlier| earlier.covers_names_of(pattern))
                || AddressRange::ALL.iter().all(|family| family.is_covered_by(ranges()))
        }
    }
}

/// Whether a group takes clients away from one behind it.
fn takes_from(earlier: &SenderGroup, group: &SenderGroup) -> bool {
    earlier.clients.iter().any(|taking| {
        group.clients.iter().any(|pattern| match (taking.addresses(), pattern.addresses()) {
            (Some(taking), Some(range)) => taking.meets(range),
            (Some(_), None) => true,
            (None, _) => taking.covers_names_of(pattern),
        })
    })
}

#[cfg(test)]
mod tests;
