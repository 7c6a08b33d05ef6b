//! RFC 5280 section 6.1: is this path, from this anchor down to this certificate, valid?

use crate::certificate::Certificate;
use crate::extensions::{KeyUsage, NameConstraints};
use crate::oid;
use crate::path::budget::Budget;
use crate::path::constraints;
use crate::path::policy::{MapsAnyPolicy, PolicyGraph};
use crate::path::rules::{Rules, Target};
use crate::settings::KeyPurpose;
use crate::signature::{PublicKey, SignatureError};
use crate::time::Time;
use crate::verdict::{PathError, ValidPath};

/// Says whether the first certificate's signature is by the second's key; so that a search verifies each pair once.
pub(crate) type CheckSignature<'a> =
    dyn FnMut(&Certificate, &Certificate, &mut Budget) -> Result<Result<(), SignatureError>, PathError> + 'a;

/// The state variables of section 6.1.2.
struct State<'a> {
    policies: PolicyGraph,
    name_constraints: Vec<&'a NameConstraints>,
    explicit_policy: u32,
    inhibit_any_policy: u32,
    policy_mapping: u32,
    max_path_length: u32,
    issuer: &'a Certificate,
    /// The working public key where it isn't the issuer's own: DSA with inherited parameters.
    inherited_key: Option<PublicKey>,
}

/// Validates `path`, the anchor's child first and the target last.
pub(crate) fn validate(
    anchor: &Certificate,
    path: &[&Certificate],
    rules: &Rules,
    at: Time,
    budget: &mut Budget,
    check_signature: &mut CheckSignature<'_>,
) -> Result<ValidPath, PathError> {
    let length = u32::try_from(path.len()).unwrap_or(u32::MAX);
    // Section 6.1.2 (d) to (f): a switch that is off is a counter that can't reach zero.
    let switch = |on: bool| if on { 0 } else { length.saturating_add(1) };
    let mut state = State {
        policies: PolicyGraph::new(),
        name_constraints: Vec::new(),
        explicit_policy: switch(rules.explicit_policy),
        inhibit_any_policy: switch(rules.inhibit_any_policy),
        policy_mapping: switch(rules.inhibit_policy_mapping),
        max_path_length: length,
        issuer: anchor,
        inherited_key: None,
    };
    state.begin(anchor, rules, at)?;
    let Some((target, cas)) = path.split_last() else { return Err(PathError::Empty) };
    for certificate in cas {
        state.process(certificate, false, rules, at, budget, check_signature)?;
        state.prepare_for_next(certificate)?;
    }
    state.process(target, true, rules, at, budget, check_signature)?;
    let policies = state.wrap_up(target, rules)?;
    check_target(target, cas, rules)?;
    Ok(ValidPath {
        certificates: path.iter().rev().map(|&certificate| certificate.clone()).collect(),
        anchor: anchor.clone(),
        policies,
    })
}

impl<'a> State<'a> {
    /// The anchor. RFC 5280 asks only for its name and key; its other contents bind too, as RFC 5937 has it, for an
    /// anchor that is given as a certificate was meant as a whole.
    fn begin(&mut self, anchor: &'a Certificate, rules: &Rules, at: Time) -> Result<(), PathError> {
        check_validity(anchor, at)?;
        rules.strength.check_key(anchor)?;
        check_critical(anchor)?;
        if anchor.version() == 3 {
            check_may_issue(anchor)?;
        }
        let known = anchor.known();
        if let Some(path_len) = known.basic_constraints.and_then(|constraints| constraints.path_len) {
            self.max_path_length = self.max_path_length.min(path_len);
        }
        self.name_constraints.extend(&known.name_constraints);
        Ok(())
    }

    /// Section 6.1.3.
    fn process(
        &mut self,
        certificate: &'a Certificate,
        is_target: bool,
        rules: &Rules,
        at: Time,
        budget: &mut Budget,
        check_signature: &mut CheckSignature<'_>,
    ) -> Result<(), PathError> {
        // (a)(4)
        if certificate.issuer() != self.issuer.subject() {
            return Err(PathError::UnknownIssuer {
                certificate: certificate.to_string(),
                issuer: certificate.issuer().to_string(),
            });
        }
        // (a)(1)
        rules.strength.check_algorithm(certificate)?;
        rules.strength.check_key(certificate)?;
        let signature = match &self.inherited_key {
            None => check_signature(certificate, self.issuer, budget)?,
            Some(key) => {
                budget.signature()?;
                certificate.verify_signature(key)
            }
        };
        signature
            .map_err(|why| PathError::BadSignature { certificate: certificate.to_string(), why: why.to_string() })?;
        // (a)(2); (a)(3), revocation, is judged of the whole path afterwards.
        check_validity(certificate, at)?;
        check_critical(certificate)?;
        // (b), (c)
        if is_target || !certificate.is_self_issued() {
            constraints::check(certificate, &self.name_constraints, budget)?;
        }
        // (d), (e)
        let any_allowed = self.inhibit_any_policy > 0 || (!is_target && certificate.is_self_issued());
        self.policies.assert(certificate.known().policies.as_deref(), any_allowed);
        // (f)
        if self.explicit_policy == 0 && self.policies.is_empty() {
            return Err(no_policy(format!("no valid policy is left at {certificate}")));
        }
        Ok(())
    }

    /// Section 6.1.4.
    fn prepare_for_next(&mut self, ca: &'a Certificate) -> Result<(), PathError> {
        let known = ca.known();
        // (a), (b)
        self.policies
            .map(&known.policy_mappings, self.policy_mapping > 0)
            .map_err(|MapsAnyPolicy| no_policy(format!("{ca} maps anyPolicy")))?;
        // (c) to (f)
        let issuer_key = self.inherited_key.as_ref().unwrap_or(self.issuer.public_key());
        self.inherited_key = match (ca.public_key(), issuer_key) {
            (PublicKey::Dsa(key), PublicKey::Dsa(issuer_key)) if key.lacks_parameters() => {
                Some(PublicKey::Dsa(key.inherit(issuer_key)))
            }
            _ => None,
        };
        self.issuer = ca;
        // (g)
        self.name_constraints.extend(&known.name_constraints);
        // (h)
        if !ca.is_self_issued() {
            for counter in [&mut self.explicit_policy, &mut self.policy_mapping, &mut self.inhibit_any_policy] {
                *counter = counter.saturating_sub(1);
            }
        }
        // (i), (j)
        let limit = |counter: &mut u32, value: Option<u32>| *counter = value.unwrap_or(u32::MAX).min(*counter);
        limit(&mut self.explicit_policy, known.policy_constraints.require_explicit_policy);
        limit(&mut self.policy_mapping, known.policy_constraints.inhibit_policy_mapping);
        limit(&mut self.inhibit_any_policy, known.inhibit_any_policy);
        // (k), (n)
        check_may_issue(ca)?;
        // (l)
        if !ca.is_self_issued() {
            self.max_path_length = self.max_path_length.checked_sub(1).ok_or_else(|| PathError::NotACa {
                certificate: ca.to_string(),
                why: "a CA above it allows no more CAs below (pathLenConstraint)".to_owned(),
            })?;
        }
        // (m)
        limit(&mut self.max_path_length, known.basic_constraints.and_then(|constraints| constraints.path_len));
        Ok(())
    }

    /// Section 6.1.5; returns the user-constrained policy set.
    fn wrap_up(&mut self, target: &Certificate, rules: &Rules) -> Result<Vec<oid::Oid>, PathError> {
        // (a), (b)
        self.explicit_policy = self.explicit_policy.saturating_sub(1);
        if target.known().policy_constraints.require_explicit_policy == Some(0) {
            self.explicit_policy = 0;
        }
        // (g)
        let policies = self.policies.user_constrained(&rules.user_policies);
        if self.explicit_policy == 0 && policies.is_empty() {
            return Err(no_policy(format!("{target} has none of the policies required")));
        }
        Ok(policies.into_iter().collect())
    }
}

fn no_policy(why: String) -> PathError {
    PathError::PolicyNotAcceptable { why }
}

fn check_validity(certificate: &Certificate, at: Time) -> Result<(), PathError> {
    let name = || certificate.to_string();
    if at < certificate.not_before() {
        return Err(PathError::NotYetValid { certificate: name(), not_before: certificate.not_before() });
    }
    if at > certificate.not_after() {
        return Err(PathError::Expired { certificate: name(), not_after: certificate.not_after() });
    }
    Ok(())
}

/// Sections 6.1.4 (o) and 6.1.5 (f).
fn check_critical(certificate: &Certificate) -> Result<(), PathError> {
    match &certificate.known().unknown_critical {
        None => Ok(()),
        Some(oid) => Err(PathError::CriticalExtension { certificate: certificate.to_string(), oid: oid.clone() }),
    }
}

/// Section 6.1.4 (k) and (n): a CA of version 3 that may sign certificates.
fn check_may_issue(ca: &Certificate) -> Result<(), PathError> {
    if !ca.is_ca() {
        let why = match ca.version() {
            3 => "it is no CA (basicConstraints)".to_owned(),
            version => format!("it is of version {version}, which can't say that it is a CA"),
        };
        return Err(PathError::NotACa { certificate: ca.to_string(), why });
    }
    // RFC 5280 section 4.1.2.6: a CA has a name, or anything could chain to it.
    if ca.subject().is_empty() {
        return Err(PathError::NotACa { certificate: ca.to_string(), why: "it has no name".to_owned() });
    }
    check_key_usage(ca, KeyUsage::KEY_CERT_SIGN)
}

fn check_key_usage(certificate: &Certificate, needed: KeyUsage) -> Result<(), PathError> {
    match certificate.known().key_usage {
        Some(usage) if !usage.allows(needed) => {
            Err(PathError::WrongKeyUsage { certificate: certificate.to_string(), needed })
        }
        _ => Ok(()),
    }
}

/// What the target is for. Purposes of CAs bind those below them, as every implementation has it though RFC 5280
/// section 4.2.1.12 speaks of end entities only.
fn check_target(target: &Certificate, cas: &[&Certificate], rules: &Rules) -> Result<(), PathError> {
    match &rules.target {
        Target::CrlSigner => check_key_usage(target, KeyUsage::CRL_SIGN),
        Target::Client(KeyPurpose::Any) => Ok(()),
        Target::Client(KeyPurpose::Purpose { name, oid }) => {
            check_key_usage(target, KeyUsage::DIGITAL_SIGNATURE)?;
            for certificate in std::iter::once(&target).chain(cas) {
                let purposes = certificate.known().extended_key_usage.as_deref().unwrap_or_default();
                let any = |purpose: &oid::Oid| purpose == oid || *purpose == *oid::ANY_EXTENDED_KEY_USAGE;
                if !purposes.is_empty() && !purposes.iter().any(any) {
                    return Err(PathError::WrongExtendedKeyUsage {
                        certificate: certificate.to_string(),
                        needed: name.clone(),
                    });
                }
            }
            Ok(())
        }
    }
}
