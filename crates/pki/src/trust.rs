//! A trust: its anchors and rules, loaded and checked, and the judgement of chains under it.

use std::sync::Arc;

use crate::certificate::Certificate;
use crate::crl::store::CrlStore;
use crate::error::Error;
use crate::name::Name;
use crate::settings::{OnUnknownStatus, TrustSettings};
use crate::time::Time;
use crate::verdict::{PathError, Revocation, Verdict};

/// A trust, ready to judge; cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

struct Inner {
    name: String,
    settings: TrustSettings,
    anchors: Vec<Certificate>,
    intermediates: Vec<Certificate>,
}

impl Trust {
    /// Reads a trust's files and checks its settings.
    ///
    /// # Errors
    /// [`Error`] names the file or key, and what to do.
    pub fn load(name: &str, settings: &TrustSettings) -> Result<Self, Error> {
        let read = |paths: &[std::path::PathBuf]| {
            let files = paths.iter().map(|path| Certificate::from_file(path)).collect::<Result<Vec<_>, _>>();
            files.map(|files| files.into_iter().flatten().collect::<Vec<_>>())
        };
        let anchors = read(&settings.anchors)?;
        let intermediates = read(&settings.intermediates)?;
        Self::new(name, settings, anchors, intermediates)
    }

    /// A trust over certificates that are read already; the files of `settings` are not touched.
    ///
    /// # Errors
    /// As [`Trust::load`].
    pub fn new(
        name: &str,
        settings: &TrustSettings,
        anchors: Vec<Certificate>,
        intermediates: Vec<Certificate>,
    ) -> Result<Self, Error> {
        if anchors.is_empty() {
            return Err(Error::NoAnchors { trust: name.to_owned() });
        }
        let empty = |key| Error::EmptyList { trust: name.to_owned(), key };
        if settings.allowed_keys.is_empty() {
            return Err(empty("allowed_keys"));
        }
        if settings.allowed_hashes.is_empty() {
            return Err(empty("allowed_hashes"));
        }
        Ok(Self(Arc::new(Inner { name: name.to_owned(), settings: settings.clone(), anchors, intermediates })))
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The settings it was loaded with.
    pub fn settings(&self) -> &TrustSettings {
        &self.0.settings
    }

    /// What an unknown revocation status means under this trust.
    pub fn on_unknown_status(&self) -> OnUnknownStatus {
        self.0.settings.on_unknown_status
    }

    /// Is revocation checked at all?
    pub fn checks_revocation(&self) -> bool {
        !self.0.settings.revocation.is_empty()
    }

    /// The trust anchors.
    pub fn anchors(&self) -> &[Certificate] {
        &self.0.anchors
    }

    /// The CA certificates of `intermediates`.
    pub fn intermediates(&self) -> &[Certificate] {
        &self.0.intermediates
    }

    /// Anchors and intermediates: what [`CrlStore::open`] verifies lists with.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.0.anchors.iter().chain(&self.0.intermediates).cloned()
    }

    /// The issuers that a client may have a certificate from: what the TLS handshake hints at (RFC 8446
    /// section 4.2.4), anchors first, each once.
    pub fn ca_names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for certificate in self.0.anchors.iter().chain(&self.0.intermediates) {
            if !names.contains(certificate.subject()) {
                names.push(certificate.subject().clone());
            }
        }
        names
    }

    /// Judges the chain that a client presented, its own certificate first, the rest in any order.
    ///
    /// CPU work of up to some milliseconds where the judgement is not in the cache.
    pub fn verify(&self, chain: &[impl AsRef<[u8]>], crls: &CrlStore, at: Time) -> Arc<Verdict> {
        let _ = crls;
        let leaf = chain.first().map(|der| Certificate::from_der(der.as_ref()));
        let (leaf, error) = match leaf {
            None => (None, PathError::Empty),
            Some(Err(malformed)) => (None, PathError::Malformed(malformed)),
            Some(Ok(leaf)) => {
                let error =
                    PathError::UnknownIssuer { certificate: leaf.to_string(), issuer: leaf.issuer().to_string() };
                (Some(leaf), error)
            }
        };
        Arc::new(Verdict {
            leaf,
            path: Err(error),
            revocation: Revocation::NotChecked,
            steps: Vec::new(),
            valid_until: at,
        })
    }
}
