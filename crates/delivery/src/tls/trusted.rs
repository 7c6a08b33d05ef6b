//! Next hops that authorities vouch for: a certificate with the host's name, a valid path (RFC 5280) to an anchor, and
//! nothing on it revoked.
//!
//! Names are compared here, for `pki` judges paths, whoever they lead to. Path and what lists say are judged in the
//! handshake; what has to be asked for (OCSP, a list that a certificate names) is asked right after it, before EHLO.

use std::sync::Arc;

use client::{Cause, Host, Mistrust, TlsFailure};
use pki::{
    Certificate, KeyPurpose, Knowledge, OnUnknownStatus, PathError, Revocation, RevocationMethod, Time, Trust,
    TrustSettings, Verdict, Verifier,
};
use rustls::pki_types::{CertificateDer, ServerName};

use crate::error::DeliveryError;
use crate::means::Means;
use crate::settings::RouteSettings;
use crate::tls::names::names;
use crate::tls::shown::Judge;

/// Whom a route trusts to vouch for its next hops.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    trust: Arc<Trust>,
    knowledge: Knowledge,
    verifier: Verifier,
}

impl Authorities {
    /// `trust` with its own rules, or else `ca`, or else the system's authorities.
    pub(crate) fn of_route(route: &RouteSettings, means: &Means) -> Result<Self, DeliveryError> {
        let (name, mut settings, anchors, intermediates) = match (&route.trust, &route.ca) {
            (Some(named), _) => {
                let trust = means.trusts.get(named.get_ref()).ok_or_else(|| DeliveryError::NoTrust(named.span()))?;
                let (anchors, intermediates) = (trust.anchors().to_vec(), trust.intermediates().to_vec());
                (trust.name().to_owned(), trust.settings().clone(), anchors, intermediates)
            }
            (None, Some(ca)) => {
                let unusable = |error: pki::Error| DeliveryError::Ca { error: error.to_string(), span: ca.span() };
                let anchors = Certificate::from_file(ca.get_ref()).map_err(unusable)?;
                (format!("ca {}", ca.get_ref().display()), lenient(), anchors, Vec::new())
            }
            (None, None) => ("the system's authorities".to_owned(), lenient(), pki::system_roots(), Vec::new()),
        };
        settings.extended_key_usage = KeyPurpose::server_auth();
        if !means.check_revocation {
            settings.revocation.clear();
        }
        let trust = Arc::new(Trust::new(&name, &settings, anchors, intermediates)?);
        let verifier = Verifier::new(Arc::clone(&trust), means.knowledge.clone(), means.max_wait);
        Ok(Self { trust, knowledge: means.knowledge.clone(), verifier })
    }

    /// Asks for what the handshake could not wait for.
    pub(crate) async fn check(&self, host: &Host, chain: &[CertificateDer<'static>]) -> Result<(), Cause> {
        let verdict = self.verifier.verify(chain, Time::now()).await;
        let mistrust = path(&verdict).and_then(|()| self.revocation(&verdict, true));
        mistrust.map_err(|Mistrust { failure, text }| Cause::tls(Some(host), failure, text))
    }

    /// Every refusal is for now only: a list may come, a certificate may be replaced.
    fn revocation(&self, verdict: &Verdict, asked: bool) -> Result<(), Mistrust> {
        let not_trusted = |text: String| Err(Mistrust { failure: TlsFailure::CertificateNotTrusted, text });
        match &verdict.revocation {
            Revocation::NotChecked | Revocation::Good { .. } => Ok(()),
            Revocation::Revoked { certificate, reason, at } => {
                not_trusted(format!("{certificate} was revoked at {at} ({reason})"))
            }
            Revocation::Unknown(why) => match self.trust.on_unknown_status() {
                OnUnknownStatus::Allow => Ok(()),
                OnUnknownStatus::Reject | OnUnknownStatus::Temporary if asked => {
                    not_trusted(format!("whether it is revoked cannot be told: {why}"))
                }
                OnUnknownStatus::Reject | OnUnknownStatus::Temporary => Ok(()),
            },
        }
    }
}

impl Judge for Authorities {
    fn judge(&self, chain: &[&[u8]], host: &ServerName<'_>) -> Result<(), Mistrust> {
        let verdict = self.trust.verify_knowing(chain, &self.knowledge, Time::now());
        path(&verdict)?;
        named(&verdict, std::slice::from_ref(host))?;
        self.revocation(&verdict, false)
    }
}

/// What a route without a `trust` asks: lists and responders are believed where there are any, and needed nowhere, since
/// the authorities of the Internet at large have none that anybody configured.
fn lenient() -> TrustSettings {
    TrustSettings {
        revocation: vec![RevocationMethod::Crl, RevocationMethod::Ocsp],
        on_unknown_status: OnUnknownStatus::Allow,
        ..TrustSettings::with_anchors(Vec::new())
    }
}

pub(super) fn path(verdict: &Verdict) -> Result<(), Mistrust> {
    let failure = |error: &PathError| match error {
        PathError::Expired { .. } | PathError::NotYetValid { .. } => TlsFailure::CertificateExpired,
        _ => TlsFailure::CertificateNotTrusted,
    };
    let mistrust = |error: &PathError| Mistrust { failure: failure(error), text: error.to_string() };
    verdict.path.as_ref().map(|_| ()).map_err(mistrust)
}

/// The certificate is for one of these hosts.
pub(super) fn named(verdict: &Verdict, hosts: &[ServerName<'_>]) -> Result<(), Mistrust> {
    let leaf = verdict.leaf.as_ref();
    if leaf.is_some_and(|leaf| hosts.iter().any(|host| names(leaf, host))) {
        return Ok(());
    }
    let hosts: Vec<_> = hosts.iter().map(ServerName::to_str).collect();
    let leaf = leaf.map(ToString::to_string).unwrap_or_default();
    let text = format!("{leaf} is not for {}", hosts.join(" or "));
    Err(Mistrust { failure: TlsFailure::CertificateHostMismatch, text })
}
