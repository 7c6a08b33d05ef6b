//! Neutral test cases for validators, one JSON object a line: certificates and lists in base64 DER, the settings, the
//! instant, and what must come out. Shared by the `judge` example and the test over NIST PKITS.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_pki::{
    Certificate, Crl, CrlStore, KeyPurpose, KeyType, Revocation, RevocationMethod, Time, Trust, TrustSettings,
};
use serde::Deserialize;

/// One case.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) id: String,
    /// What the validator is given by the peer: the end entity first, the rest in any order.
    pub(crate) chain: Vec<String>,
    /// CA certificates that the validator has itself.
    #[serde(default)]
    pub(crate) intermediates: Vec<String>,
    /// Trust anchors.
    pub(crate) anchors: Vec<String>,
    /// Revocation lists.
    #[serde(default)]
    pub(crate) crls: Vec<String>,
    /// When, in RFC 3339, UTC.
    pub(crate) time: String,
    /// `any`, or an extended key usage.
    #[serde(default)]
    pub(crate) purpose: Option<String>,
    /// Must revocation be known?
    #[serde(default)]
    pub(crate) check_crl: bool,
    /// Settings that are not the defaults.
    #[serde(default)]
    pub(crate) policy: PolicyInputs,
    /// `accept` or `reject`.
    #[serde(default)]
    #[allow(dead_code, reason = "only the tests compare")]
    pub(crate) expected: String,
    /// What the case is about.
    #[serde(default)]
    #[allow(dead_code, reason = "only the tests report it")]
    pub(crate) note: String,
}

/// RFC 5280 section 6.1.1 (c), (e), (f), (g).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PolicyInputs {
    /// user-initial-policy-set; empty is any.
    pub(crate) initial_policy_set: Vec<String>,
    /// initial-explicit-policy.
    pub(crate) explicit_policy: bool,
    /// initial-policy-mapping-inhibit.
    pub(crate) inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub(crate) inhibit_any: bool,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// Valid, and known to be unrevoked where that was asked.
    pub(crate) accepted: bool,
    /// In one line.
    pub(crate) reason: String,
    /// Each step.
    #[allow(dead_code, reason = "only shown when asked for")]
    pub(crate) steps: Vec<String>,
}

impl Case {
    /// Judges the case; what can't be read is a rejection, with the reason.
    pub(crate) fn judge(&self) -> Judgement {
        self.try_judge().unwrap_or_else(|reason| Judgement { accepted: false, reason, steps: Vec::new() })
    }

    fn try_judge(&self) -> Result<Judgement, String> {
        let at = Time::from_rfc3339(&self.time).ok_or("the case has no readable time")?;
        let chain = self.chain.iter().map(|text| decode(text)).collect::<Result<Vec<_>, _>>()?;
        let mut unreadable = Vec::new();
        let anchors = certificates(&self.anchors, &mut unreadable)?;
        let intermediates = certificates(&self.intermediates, &mut unreadable)?;
        let trust =
            Trust::new(&self.id, &self.settings()?, anchors, intermediates).map_err(|error| error.to_string())?;
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
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("the case is not base64: {error}"))
}

/// Those that can be read; what can't is passed over, as a certificate that was sent along is.
fn certificates(texts: &[String], unreadable: &mut Vec<String>) -> Result<Vec<Certificate>, String> {
    let mut certificates = Vec::new();
    for text in texts {
        match Certificate::from_der(&decode(text)?) {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => unreadable.push(format!("a certificate is unreadable: {error}")),
        }
    }
    Ok(certificates)
}
