//! What routes are built with beside their settings: what the whole gateway shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dns::Resolver;
use pki::{CrlStore, Fetcher, Knowledge, Trust};
use protocol::Domain;
use rustls::crypto::CryptoProvider;

use crate::dkim::Signers;

/// What a [`Courier`](crate::Courier) is built with.
#[derive(Debug, Clone)]
pub struct Means {
    /// What EHLO says.
    pub hostname: Domain,
    /// Cryptography.
    pub provider: Arc<CryptoProvider>,
    /// The `[trust.NAME]`s that routes may name.
    pub trusts: BTreeMap<String, Arc<Trust>>,
    /// The keys of `[dkim.NAME]`.
    pub signers: Arc<Signers>,
    /// Lists and OCSP answers.
    pub knowledge: Knowledge,
    /// `[crl] check_outbound`: whether next hops' certificates may be revoked.
    pub check_revocation: bool,
    /// Who knows where hosts are; without, only `localhost` has a name.
    pub resolver: Option<Arc<Resolver>>,
    /// `[dns] dnssec`: whether the resolver can tell what is signed.
    pub dnssec: bool,
    /// For MTA-STS policies.
    pub fetcher: Fetcher,
    /// The port of MTA-STS policies' servers: 443 (RFC 8461 section 3.3).
    pub policy_port: u16,
    /// Where MTA-STS policies are kept over restarts.
    pub policy_folder: Option<PathBuf>,
    /// The longest wait for what the judgement of a certificate lacks.
    pub max_wait: Duration,
}

impl Means {
    /// No trusts, no lists, nobody to ask, and no hosts but those that are written as addresses, and this one.
    #[must_use]
    pub fn alone(hostname: Domain, provider: Arc<CryptoProvider>) -> Self {
        Self {
            hostname,
            provider,
            trusts: BTreeMap::new(),
            signers: Arc::default(),
            knowledge: Knowledge::of_lists(CrlStore::empty()),
            check_revocation: true,
            resolver: None,
            dnssec: false,
            fetcher: Fetcher::local(),
            policy_port: 443,
            policy_folder: None,
            max_wait: Duration::ZERO,
        }
    }
}
