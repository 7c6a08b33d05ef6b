//! Neutral test cases for validators, one JSON object a line: certificates and lists in base64 DER, the settings, the
//! instant, and what must come out. Shared by the `judge` example and the test over NIST PKITS.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_pki::{Certificate, Crl, CrlStore, KeyPurpose, KeyType, Revocation, RevocationMethod, Time, Trust, TrustSettings};
use serde::Deserialize;

/// One case.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What the validator is given by the peer: the end entity first, the rest in any order.
    pub chain: Vec<String>,
    /// CA certificates that the validator has itself.
    #[serde(default)]
    pub intermediates: Vec<String>,
    /// Trust anchors.
    pub anchors: Vec<String>,
    /// Revocation lists.
    #[serde(default)]
    pub crls: Vec<String>,
    /// When, in RFC 3339, UTC.
    pub time: String,
    /// `any`, or an extended key usage.
    #[serde(default)]
    pub purpose: Option<String>,
    /// Must revocation be known?
    #[serde(default)]
    pub check_crl: bool,
    /// Settings that are not the defaults.
    #[serde(default)]
    pub policy: PolicyInputs,
    /// `accept` or `reject`.
    #[serde(default)]
    #[allow(dead_code, reason = "only the tests compare")]
    pub expected: String,
    /// What the case is about.
    #[serde(default)]
    #[allow(dead_code, reason = "only the tests report it")]
    pub note: String,
}

/// RFC 5280 section 6.1.1 (c), (e), (f), (g).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PolicyInputs {
    /// user-initial-policy-set; empty is any.
    pub initial_policy_set: Vec<String>,
    /// initial-explicit-policy.
    pub explicit_policy: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any: bool,
}

/// What came out.
#[derive(Debug)]
pub struct Judgement {
    /// Valid, and known to be unrevoked where that was asked.
    pub accepted: bool,
    /// In one line.
    pub reason: String,
    /// Each step.
    #[allow(dead_code, reason = "only shown when asked for")]
    pub steps: Vec<String>,
}

impl Case {
    /// Judges the case; what can't be read is a rejection, with the reason.
    pub fn judge(&self) -> Judgement {
        self.try_judge().unwrap_or_else(|reason| Judgement { accepted: false, reason, steps: Vec::new() })
    }

    fn try_judge(&self) -> Result<Judgement, String> {
        let at = Time::from_rfc3339(&self.time).ok_or("the case has no readable time")?;
        let chain = self.chain.iter().map(|text| decode(text)).collect::<Result<Vec<_>, _>>()?;
        let anchors = certificates(&self.anchors)?;
        let intermediates = certificates(&self.intermediates)?;
        let trust = Trust::new(&self.id, &self.settings()?, anchors, intermediates).map_err(|error| error.to_string())?;
        let mut unreadable = Vec::new();
        let mut lists = Vec::new();
        for text in &self.crls {
            match Crl::from_der(&decode(text)?) {
                Ok(list) => lists.push(list),
                Err(error) => unreadable.push(format!("a list is unreadable: {error}")),
            }
        }
        let crls = CrlStore::of_lists("case", lists, trust.certificates());
        let verdict = trust.verify(&chain, &crls, at);
        let steps = unreadable.into_iter().chain(verdict.steps.iter().cloned()).collect();
        let (accepted, reason) = match (&verdict.path, &verdict.revocation) {
            (Err(error), _) => (false, error.to_string()),
            (Ok(_), Revocation::Good { .. }) => (true, "valid, not revoked".to_owned()),
            (Ok(_), Revocation::NotChecked) => (true, "valid, revocation not asked for".to_owned()),
            (Ok(_), other) => (false, other.to_string()),
        };
        Ok(Judgement { accepted, reason, steps })
    }

    fn settings(&self) -> Result<TrustSettings, String> {
        let mut settings = TrustSettings::with_anchors(vec![PathBuf::from("(case)")]);
        let policies = self.policy.initial_policy_set.iter().map(|policy| policy.clone().try_into());
        settings.required_policies = policies.collect::<Result<_, _>>()?;
        settings.require_explicit_policy = Some(self.policy.explicit_policy);
        settings.inhibit_policy_mapping = self.policy.inhibit_mapping;
        settings.inhibit_any_policy = self.policy.inhibit_any;
        settings.extended_key_usage = match self.purpose.as_deref() {
            None => KeyPurpose::Any,
            Some(purpose) => purpose.parse()?,
        };
        settings.revocation = if self.check_crl { vec![RevocationMethod::Crl] } else { Vec::new() };
        // Test suites are older than the withdrawal of DSA.
        settings.allowed_keys.push(KeyType::Dsa);
        Ok(settings)
    }
}

/// DER out of base64.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("the case is not base64: {error}"))
}

fn certificates(texts: &[String]) -> Result<Vec<Certificate>, String> {
    texts
        .iter()
        .map(|text| Certificate::from_der(&decode(text)?).map_err(|error| format!("malformed certificate: {error}")))
        .collect()
}
