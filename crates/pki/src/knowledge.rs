//! What judgements rest on beside the trust itself: lists, OCSP answers, fetched issuers; and what they still lack.

use std::sync::Arc;

use crate::certificate::Certificate;
use crate::crl::snapshot::Snapshot;
use crate::crl::store::CrlStore;
use crate::issuers::{IssuerStore, Issuers};
use crate::location::Location;
use crate::ocsp::store::{OcspStore, Standing};
use crate::time::Time;

/// All that is known about certificates; cheap to clone, shared by all trusts.
#[derive(Debug, Clone)]
pub struct Knowledge {
    crls: CrlStore,
    network: Option<Network>,
}

/// What is asked for when it is needed.
#[derive(Debug, Clone)]
struct Network {
    ocsp: OcspStore,
    issuers: IssuerStore,
}

/// Which state of knowledge something was concluded from.
pub(crate) type Generation = [u64; 3];

/// What one judgement looks at from its beginning to its end.
pub(crate) struct Evidence {
    pub(crate) lists: Arc<Snapshot>,
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) generation: Generation,
    knowledge: Knowledge,
}

/// Something that could be fetched, and that might change a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// CA certificates from here.
    Issuer(Location),
    /// The list that a certificate's distribution point names.
    List(Location),
    /// A responder's answer about the certificate.
    Answer { certificate: Certificate, issuer: Certificate },
}

impl Knowledge {
    /// Only lists: nothing is asked for.
    pub fn of_lists(crls: CrlStore) -> Self {
        Self { crls, network: None }
    }

    /// Lists, and what is asked for over the network when a judgement needs it.
    pub fn new(crls: CrlStore, ocsp: OcspStore, issuers: IssuerStore) -> Self {
        Self { crls, network: Some(Network { ocsp, issuers }) }
    }

    /// The lists.
    pub fn crls(&self) -> &CrlStore {
        &self.crls
    }

    /// The OCSP answers.
    pub fn ocsp(&self) -> Option<&OcspStore> {
        self.network.as_ref().map(|network| &network.ocsp)
    }

    /// Changes when conclusions that were still to hold may not hold any more: a new list, a certificate that was good
    /// and is revoked.
    pub fn generation(&self) -> u64 {
        self.crls.generation().wrapping_add(self.ocsp().map_or(0, OcspStore::turns))
    }

    pub(crate) fn evidence(&self, with_fetched_issuers: bool) -> Evidence {
        let lists = self.crls.snapshot();
        let network = self.network.as_ref();
        let issuers = network.filter(|_| with_fetched_issuers).map(|network| network.issuers.current());
        let issuers = issuers.unwrap_or_default();
        let turns = network.map_or(0, |network| network.ocsp.turns());
        let generation = [lists.generation, turns, issuers.generation];
        Evidence { lists, issuers, generation, knowledge: self.clone() }
    }

    /// Gets what is lacking, or finds out that it can't be had.
    pub(crate) async fn get(&self, lack: Lack, trust: &str) {
        match (lack, &self.network) {
            (Lack::List(location), _) => self.crls.follow(location).await,
            (Lack::Issuer(location), Some(network)) => network.issuers.fetch(location).await,
            (Lack::Answer { certificate, issuer }, Some(network)) => network.ocsp.ask(certificate, issuer, trust).await,
            (_, None) => {}
        }
    }
}

impl Evidence {
    /// What a responder has said of a certificate.
    pub(crate) fn standing(&self, certificate: &Certificate, issuer: &Certificate, trust: &str, at: Time) -> Standing {
        let network = self.knowledge.network.as_ref();
        network.map_or(Standing::NoResponder, |network| network.ocsp.standing(certificate, issuer, trust, at))
    }

    /// Where the certificate's issuer could be fetched.
    pub(crate) fn issuers_to_fetch(&self, certificate: &Certificate) -> Vec<Location> {
        let network = self.knowledge.network.as_ref();
        network.map(|network| network.issuers.untried(certificate)).unwrap_or_default()
    }

    /// Where the certificate's list could be fetched.
    pub(crate) fn lists_to_fetch(&self, certificate: &Certificate) -> Vec<Location> {
        self.knowledge.crls.unfollowed(certificate)
    }
}
