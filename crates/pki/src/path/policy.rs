//! Certificate policies: the policy graph of RFC 9618, which is the policy tree of RFC 5280 section 6.1 without its
//! exponential growth.

use std::collections::{BTreeMap, BTreeSet};

use crate::oid::{self, Oid};

/// The graph while a path is walked from the anchor down.
#[derive(Debug)]
pub(crate) struct PolicyGraph {
    /// The valid policies of each certificate so far.
    levels: Vec<Level>,
    /// What the next certificate may assert.
    expected: Level,
}

/// Policies, each with those of the level above that lead to it; without any it is a child of anyPolicy.
#[derive(Debug, Clone, Default)]
struct Level {
    policies: BTreeMap<Oid, Vec<Oid>>,
    any: bool,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.policies.is_empty() && !self.any
    }
}

/// A policyMappings extension maps to or from anyPolicy (RFC 5280 section 6.1.4 (a)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MapsAnyPolicy;

impl PolicyGraph {
    /// RFC 5280 section 6.1.2 (a): one node, anyPolicy.
    pub(crate) fn new() -> Self {
        Self { levels: Vec::new(), expected: Level { policies: BTreeMap::new(), any: true } }
    }

    /// RFC 5280 section 6.1.3 (d) and (e), RFC 9618 section 5.3: the policies that a certificate asserts.
    pub(crate) fn assert(&mut self, policies: Option<&[Oid]>, any_allowed: bool) {
        let mut level = Level::default();
        if let Some(policies) = policies {
            let is_any = |policy: &Oid| *policy == *oid::ANY_POLICY;
            let asserts_any = any_allowed && policies.iter().any(is_any);
            for policy in policies.iter().filter(|policy| !is_any(policy)) {
                match self.expected.policies.get(policy) {
                    Some(parents) => level.policies.insert(policy.clone(), parents.clone()),
                    None if self.expected.any => level.policies.insert(policy.clone(), Vec::new()),
                    None => None,
                };
            }
            if asserts_any {
                for (policy, parents) in &self.expected.policies {
                    level.policies.entry(policy.clone()).or_insert_with(|| parents.clone());
                }
                level.any = self.expected.any;
            }
        }
        self.expected = Level::default();
        self.levels.push(level);
    }

    /// RFC 5280 section 6.1.4 (a) and (b), RFC 9618 section 5.4: what the certificate maps its policies to below it.
    pub(crate) fn map(&mut self, mappings: &[(Oid, Oid)], mapping_allowed: bool) -> Result<(), MapsAnyPolicy> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let any = oid::ANY_POLICY;
        if mappings.iter().any(|(issuer, subject)| *issuer == *any || *subject == *any) {
            return Err(MapsAnyPolicy);
        }
        let mut expected = Level { policies: BTreeMap::new(), any: level.any };
        let mapped: BTreeSet<&Oid> = mappings.iter().map(|(issuer, _)| issuer).collect();
        if mapping_allowed {
            for (issuer, subject) in mappings {
                if level.any {
                    level.policies.entry(issuer.clone()).or_default();
                }
                if level.policies.contains_key(issuer) {
                    let parents: &mut Vec<Oid> = expected.policies.entry(subject.clone()).or_default();
                    parents.push(issuer.clone());
                }
            }
        } else {
            level.policies.retain(|policy, _| !mapped.contains(policy));
        }
        for policy in level.policies.keys().filter(|policy| !mapped.contains(policy)) {
            expected.policies.entry(policy.clone()).or_default().push(policy.clone());
        }
        self.expected = expected;
        Ok(())
    }

    /// RFC 5280 section 6.1.3 (f): is the tree NULL?
    pub(crate) fn is_empty(&self) -> bool {
        self.levels.last().is_some_and(Level::is_empty)
    }

    /// RFC 5280 section 6.1.5 (g): the user-constrained policy set, in the anchor's domain. Empty `user_policies`
    /// stands for any-policy, and then anyPolicy itself can be in the result.
    pub(crate) fn user_constrained(&self, user_policies: &BTreeSet<Oid>) -> BTreeSet<Oid> {
        let mut found = BTreeSet::new();
        let mut reachable: BTreeSet<&Oid> = BTreeSet::new();
        if let Some(last) = self.levels.last() {
            reachable.extend(last.policies.keys());
            if last.any && user_policies.is_empty() {
                found.insert(Oid::from_octets(oid::ANY_POLICY));
            } else if last.any {
                found.extend(user_policies.iter().cloned());
            }
        }
        for level in self.levels.iter().rev() {
            let mut above = BTreeSet::new();
            for policy in reachable {
                match level.policies.get(policy).map(Vec::as_slice) {
                    Some([]) => {
                        found.insert(policy.clone());
                    }
                    Some(parents) => above.extend(parents),
                    None => {}
                }
            }
            reachable = above;
        }
        if !user_policies.is_empty() {
            found.retain(|policy| user_policies.contains(policy));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oids(texts: &[&str]) -> Vec<Oid> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const ANY: &str = "2.5.29.32.0";

    #[test]
    fn mapped_policies_are_reported_in_the_anchors_domain() {
        let mut graph = PolicyGraph::new();
        graph.assert(Some(&oids(&["1.2.1"])), true);
        graph.map(&[(oids(&["1.2.1"])[0].clone(), oids(&["1.2.9"])[0].clone())], true).unwrap();
        graph.assert(Some(&oids(&["1.2.9", "1.2.8"])), true);
        assert_eq!(graph.user_constrained(&BTreeSet::new()), oids(&["1.2.1"]).into_iter().collect());
        assert!(graph.user_constrained(&oids(&["1.2.9"]).into_iter().collect()).is_empty());
    }

    #[test]
    fn forbidden_mappings_prune() {
        let mut graph = PolicyGraph::new();
        graph.assert(Some(&oids(&["1.2.1"])), true);
        graph.map(&[(oids(&["1.2.1"])[0].clone(), oids(&["1.2.9"])[0].clone())], false).unwrap();
        graph.assert(Some(&oids(&["1.2.1", "1.2.9"])), true);
        assert!(graph.is_empty());
    }

    #[test]
    fn any_policy_satisfies_every_demand_unless_inhibited() {
        for (allowed, expected) in [(true, oids(&["1.2.1"])), (false, vec![])] {
            let mut graph = PolicyGraph::new();
            graph.assert(Some(&oids(&[ANY])), allowed);
            let found = graph.user_constrained(&oids(&["1.2.1"]).into_iter().collect());
            assert_eq!(found, expected.into_iter().collect(), "allowed: {allowed}");
        }
    }

    #[test]
    fn mapping_any_policy_is_an_error() {
        let mut graph = PolicyGraph::new();
        graph.assert(Some(&oids(&[ANY])), true);
        let mapping = [(oids(&[ANY])[0].clone(), oids(&["1.2.3"])[0].clone())];
        assert_eq!(graph.map(&mapping, true), Err(MapsAnyPolicy));
    }

    #[test]
    fn the_graph_grows_with_its_input_only() {
        // The bomb of RFC 9618 section 3: every policy mapped to every other, at each level. A tree has 20^30 nodes.
        let many: Vec<Oid> = (1..=20).map(|number| format!("1.2.{number}").parse().unwrap()).collect();
        let mappings: Vec<(Oid, Oid)> =
            many.iter().flat_map(|one| many.iter().map(|other| (one.clone(), other.clone()))).collect();
        let mut graph = PolicyGraph::new();
        for _ in 0..30 {
            graph.assert(Some(&many), true);
            graph.map(&mappings, true).unwrap();
        }
        graph.assert(Some(&many), true);
        assert_eq!(graph.user_constrained(&BTreeSet::new()).len(), 20);
    }
}
