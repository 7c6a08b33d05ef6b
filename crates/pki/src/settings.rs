//! The settings of `[trust.NAME]`, `[crl]`, `[ocsp]` and `[fetch]`, as they stand in the file.

mod crl;
mod ocsp;
mod fetch;
mod schedule;
mod span;

pub use crl::{CrlFormat, CrlSettings, CrlSourceSettings};
pub use fetch::{FetchSettings, HostPattern};
pub use ocsp::{CertIdHash, OcspSettings, ResponderSettings};
pub use schedule::Schedule;
pub use span::Span;

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use crate::oid::Oid;
use crate::signature::Hash;

/// `[trust.NAME]`: whom to trust, and how certificates are judged under it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSettings {
    /// PEM or DER files with the trust anchors.
    pub anchors: Vec<PathBuf>,
    /// PEM or DER files with CA certificates between the anchors and the clients, for clients that send only their own.
    #[serde(default)]
    pub intermediates: Vec<PathBuf>,
    /// Certificate policies, any one of which the path must have; empty asks for none.
    #[serde(default)]
    pub required_policies: Vec<PolicyOid>,
    /// RFC 5280 section 6.1.1 (f): refuse a path without any valid policy. Left out, it is on where policies are
    /// required: otherwise certificates without any policy would pass.
    #[serde(default)]
    pub require_explicit_policy: Option<bool>,
    /// RFC 5280 section 6.1.1 (e): policy mappings count for nothing.
    #[serde(default)]
    pub inhibit_policy_mapping: bool,
    /// RFC 5280 section 6.1.1 (g): anyPolicy in a certificate counts for nothing.
    #[serde(default)]
    pub inhibit_any_policy: bool,
    /// What the client's certificate must be for, if it says what it is for; `any` asks nothing.
    #[serde(default)]
    pub extended_key_usage: KeyPurpose,
    /// Fetch CA certificates that are missing on a path from where the certificates below say (RFC 5280 section 4.2.2.1),
    /// if the host is among `fetch.allowed_hosts`.
    #[serde(default)]
    pub fetch_issuers: bool,
    /// How revocation is checked: the first that can tell decides. Empty switches the check off.
    #[serde(default = "revocation_by_crl")]
    pub revocation: Vec<RevocationMethod>,
    /// What to do when revocation can't be told.
    #[serde(default)]
    pub on_unknown_status: OnUnknownStatus,
    /// The most CA names that the handshake hints at (RFC 8446 section 4.2.4), so that clients with several certificates
    /// take the right one. With more CAs none is named: some clients choke on long lists. 0 never names any.
    #[serde(default = "max_ca_hints")]
    pub max_ca_hints: usize,
    /// The smallest RSA (and DSA) modulus, in bits, of any certificate in the path.
    #[serde(default = "min_rsa_bits")]
    pub min_rsa_bits: usize,
    /// The types of key allowed in the path.
    #[serde(default = "allowed_keys")]
    pub allowed_keys: Vec<KeyType>,
    /// The hashes allowed in signatures over certificates and lists; SHA-1 only if it is named here.
    #[serde(default = "allowed_hashes")]
    pub allowed_hashes: Vec<AllowedHash>,
}

impl TrustSettings {
    /// These anchors, and the default for everything else.
    pub fn with_anchors(anchors: Vec<PathBuf>) -> Self {
        Self {
            anchors,
            intermediates: Vec::new(),
            required_policies: Vec::new(),
            require_explicit_policy: None,
            inhibit_policy_mapping: false,
            inhibit_any_policy: false,
            extended_key_usage: KeyPurpose::default(),
            fetch_issuers: false,
            revocation: revocation_by_crl(),
            on_unknown_status: OnUnknownStatus::default(),
            max_ca_hints: max_ca_hints(),
            min_rsa_bits: min_rsa_bits(),
            allowed_keys: allowed_keys(),
            allowed_hashes: allowed_hashes(),
        }
    }
}

fn revocation_by_crl() -> Vec<RevocationMethod> {
    vec![RevocationMethod::Crl]
}

fn max_ca_hints() -> usize {
    50
}

fn min_rsa_bits() -> usize {
    2048
}

fn allowed_keys() -> Vec<KeyType> {
    vec![KeyType::Rsa, KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519]
}

fn allowed_hashes() -> Vec<AllowedHash> {
    [Hash::Sha256, Hash::Sha384, Hash::Sha512].map(AllowedHash).to_vec()
}

/// A policy's object identifier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PolicyOid(pub Oid);

impl TryFrom<String> for PolicyOid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: crate::oid::BadOid| error.to_string())
    }
}

/// What a certificate must be for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum KeyPurpose {
    /// Nothing is asked, of keyUsage neither.
    Any,
    /// This purpose, by the name that RFC 5280 gives it or as an object identifier.
    Purpose {
        /// As it was written.
        name: String,
        /// What it stands for.
        oid: Oid,
    },
}

impl Default for KeyPurpose {
    fn default() -> Self {
        Self::Purpose { name: "clientAuth".to_owned(), oid: Oid::from_octets(CLIENT_AUTH) }
    }
}

impl KeyPurpose {
    /// `serverAuth`: what a next hop's certificate must be for.
    pub fn server_auth() -> Self {
        Self::Purpose { name: "serverAuth".to_owned(), oid: Oid::from_octets(SERVER_AUTH) }
    }
}

const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const PURPOSES: [(&str, &[u8]); 4] = [
    ("clientAuth", CLIENT_AUTH),
    ("serverAuth", SERVER_AUTH),
    ("emailProtection", &[0x2b, 6, 1, 5, 5, 7, 3, 4]),
    ("smartcardLogon", &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 2]),
];

impl FromStr for KeyPurpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let oid = match PURPOSES.iter().find(|(name, _)| *name == text) {
            Some((_, octets)) => Oid::from_octets(octets),
            None => text.parse().map_err(|_| {
                format!(
                    "`{text}` is no key purpose; write clientAuth, serverAuth, emailProtection, smartcardLogon, \
                     an object identifier, or any"
                )
            })?,
        };
        Ok(Self::Purpose { name: text.to_owned(), oid })
    }
}

impl TryFrom<String> for KeyPurpose {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A way to learn of revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum RevocationMethod {
    /// Certificate revocation lists, from the `[[crl.source]]`s.
    Crl,
    /// The CA's own word on each certificate (RFC 6960).
    Ocsp,
}

impl TryFrom<String> for RevocationMethod {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "crl" => Ok(Self::Crl),
            "ocsp" => Ok(Self::Ocsp),
            _ => Err(format!("`{text}` is no way to check revocation; write crl or ocsp")),
        }
    }
}

/// What happens to a client whose revocation can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknownStatus {
    /// As if it were revoked.
    Reject,
    /// Refused for now, with a temporary reply.
    #[default]
    Temporary,
    /// As if it were good.
    Allow,
}

/// A type of key that a trust can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "names of algorithms")]
pub enum KeyType {
    #[serde(rename = "RSA")]
    Rsa,
    #[serde(rename = "P-256")]
    P256,
    #[serde(rename = "P-384")]
    P384,
    #[serde(rename = "P-521")]
    P521,
    Ed25519,
    /// Withdrawn by FIPS 186-5; only for old PKIs.
    #[serde(rename = "DSA")]
    Dsa,
}

/// A hash that a trust can allow, written as `SHA-256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedHash(pub Hash);

impl TryFrom<String> for AllowedHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]
            .into_iter()
            .find(|hash| hash.to_string() == text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no hash; write SHA-256, SHA-384, SHA-512 or (weak) SHA-1"))
    }
}

#[cfg(test)]
mod tests;
