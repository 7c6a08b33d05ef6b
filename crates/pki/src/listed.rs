//! Where a serial number stands on the lists in use: for people who ask, not for judgements.

use crate::certificate::Serial;
use crate::crl::store::CrlStore;
use crate::revocation::reason_of;
use crate::time::Time;
use crate::verdict::RevocationReason;

/// A certificate on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The source of the list.
    pub source: String,
    /// Who issued the certificate, RFC 4514.
    pub issuer: String,
    /// Why it was revoked.
    pub reason: RevocationReason,
    /// Since when, exact to the hour.
    pub since: Time,
}

impl CrlStore {
    /// Every certificate of this number on the lists in use, whoever issued it.
    pub fn listed(&self, serial: &Serial) -> Vec<Listed> {
        let snapshot = self.snapshot();
        let found = snapshot.lists().flat_map(|loaded| {
            loaded.list.find_number(serial).map(|(issuer, entry)| Listed {
                source: loaded.source.to_string(),
                issuer: issuer.to_string(),
                reason: reason_of(entry.reason),
                since: entry.date,
            })
        });
        found.collect()
    }
}
