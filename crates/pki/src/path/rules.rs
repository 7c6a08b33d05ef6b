//! What a trust demands of a path, in the form that validation uses; strength of keys and algorithms.

use std::collections::BTreeSet;

use crate::certificate::Certificate;
use crate::oid::Oid;
use crate::settings::{KeyPurpose, KeyType, TrustSettings};
use crate::signature::{Curve, Hash, PublicKey, SignatureAlgorithm};
use crate::verdict::PathError;

/// The inputs of RFC 5280 section 6.1.1 that are settings, the purpose, and the strength.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// user-initial-policy-set; empty stands for any-policy.
    pub(crate) user_policies: BTreeSet<Oid>,
    pub(crate) explicit_policy: bool,
    pub(crate) inhibit_policy_mapping: bool,
    pub(crate) inhibit_any_policy: bool,
    pub(crate) target: Target,
    pub(crate) strength: Strength,
}

/// What the certificate at the end of the path is to be used for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// To sign a TLS handshake for this purpose.
    Client(KeyPurpose),
    /// To sign lists: RFC 5280 section 6.3.3 (f).
    CrlSigner,
}

/// Keys and hashes allowed.
#[derive(Debug, Clone)]
pub(crate) struct Strength {
    min_rsa_bits: usize,
    keys: Vec<KeyType>,
    hashes: Vec<Hash>,
}

impl Rules {
    pub(crate) fn of_clients(settings: &TrustSettings) -> Self {
        let user_policies: BTreeSet<Oid> = settings.required_policies.iter().map(|policy| policy.0.clone()).collect();
        let any = Oid::from_octets(crate::oid::ANY_POLICY);
        Self {
            explicit_policy: settings.require_explicit_policy.unwrap_or(!settings.required_policies.is_empty()),
            user_policies: if user_policies.contains(&any) { BTreeSet::new() } else { user_policies },
            inhibit_policy_mapping: settings.inhibit_policy_mapping,
            inhibit_any_policy: settings.inhibit_any_policy,
            target: Target::Client(settings.extended_key_usage.clone()),
            strength: Strength {
                min_rsa_bits: settings.min_rsa_bits,
                keys: settings.allowed_keys.clone(),
                hashes: settings.allowed_hashes.iter().map(|hash| hash.0).collect(),
            },
        }
    }

    /// The same strength, for whoever signs lists; policies are asked of clients only.
    pub(crate) fn of_crl_signers(&self) -> Self {
        Self {
            user_policies: BTreeSet::new(),
            explicit_policy: false,
            inhibit_policy_mapping: false,
            inhibit_any_policy: false,
            target: Target::CrlSigner,
            strength: self.strength.clone(),
        }
    }
}

impl Strength {
    pub(crate) fn check_key(&self, certificate: &Certificate) -> Result<(), PathError> {
        let key = certificate.public_key();
        let (kind, long_enough) = match key {
            PublicKey::Rsa { bits, .. } => (KeyType::Rsa, *bits >= self.min_rsa_bits),
            PublicKey::Ec { curve: Curve::P256, .. } => (KeyType::P256, true),
            PublicKey::Ec { curve: Curve::P384, .. } => (KeyType::P384, true),
            PublicKey::Ec { curve: Curve::P521, .. } => (KeyType::P521, true),
            PublicKey::Ed25519(_) => (KeyType::Ed25519, true),
            // Its size is that of the parameters, perhaps inherited: who allows DSA by name allows its sizes.
            PublicKey::Dsa(_) => (KeyType::Dsa, true),
            PublicKey::Unsupported(_) => return Err(weak(certificate, format!("a key of type {key}"))),
        };
        if !self.keys.contains(&kind) {
            return Err(weak(certificate, format!("a key of type {key}")));
        }
        if !long_enough {
            return Err(weak(certificate, format!("a key of type {key} (at least {} bits)", self.min_rsa_bits)));
        }
        Ok(())
    }

    pub(crate) fn check_algorithm(&self, certificate: &Certificate) -> Result<(), PathError> {
        let algorithm = certificate.signature_algorithm();
        if self.allows(algorithm) { Ok(()) } else { Err(weak(certificate, format!("a signature by {algorithm}"))) }
    }

    pub(crate) fn allows(&self, algorithm: &SignatureAlgorithm) -> bool {
        match (algorithm, algorithm.hash()) {
            (SignatureAlgorithm::Ed25519, _) => self.keys.contains(&KeyType::Ed25519),
            (SignatureAlgorithm::Dsa(_), Some(hash)) => {
                // DSA of old PKIs is DSA with SHA-1; naming DSA allows that one use of it.
                self.keys.contains(&KeyType::Dsa) && (hash == Hash::Sha1 || self.hashes.contains(&hash))
            }
            (_, Some(hash)) => self.hashes.contains(&hash),
            (_, None) => false,
        }
    }
}

fn weak(certificate: &Certificate, what: String) -> PathError {
    PathError::WeakKeyOrAlgorithm { certificate: certificate.to_string(), what }
}
