//! Certificates by subject: where path building and lists look for an issuer.

use std::collections::HashMap;

use crate::certificate::Certificate;
use crate::name::Name;

/// Certificates by subject, each once.
#[derive(Debug, Default)]
pub(crate) struct BySubject(HashMap<Name, Vec<Certificate>>);

impl BySubject {
    pub(crate) fn of(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut index: HashMap<Name, Vec<Certificate>> = HashMap::new();
        for certificate in certificates {
            let same = index.entry(certificate.subject().clone()).or_default();
            if !same.contains(&certificate) {
                same.push(certificate);
            }
        }
        Self(index)
    }

    pub(crate) fn named(&self, subject: &Name) -> &[Certificate] {
        self.0.get(subject).map_or(&[], Vec::as_slice)
    }
}
