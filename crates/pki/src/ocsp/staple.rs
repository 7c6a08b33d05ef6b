//! The answer about the server's own certificate, to hand to clients in the handshake (RFC 6066 section 8, RFC 8446
//! section 4.4.2.1).

use std::time::Duration;

use crate::access::{self, Access};
use crate::certificate::Certificate;
use crate::ocsp::response::OcspStatus;
use crate::ocsp::store::OcspStore;
use crate::random;
use crate::time::Time;

/// An OCSP response for the handshake, and until when it is any good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// The whole `OCSPResponse`.
    pub der: Vec<u8>,
    /// When to ask again: well before it ends.
    pub refresh_at: Time,
    /// From then on it must not be handed out.
    pub until: Time,
}

/// Why there is no staple.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoStaple {
    /// The CA offers none, or the chain lacks the issuer.
    #[error("the certificate names no OCSP responder")]
    NotOffered,
    /// The chain lacks the certificate that the request names the issuer by.
    #[error("the file lacks the certificate of the issuer, which comes after the server's own")]
    NoIssuer,
    /// The responder gave none.
    #[error("{0}")]
    NoAnswer(String),
    /// The CA has revoked the server's certificate.
    #[error("the certificate is REVOKED, since {at}; clients will refuse it: replace it")]
    Revoked {
        /// Since when.
        at: Time,
    },
}

/// Asks for the staple of the first certificate of `chain`, whose issuer is the second.
///
/// # Errors
/// [`NoStaple`] says why there is none; [`NoStaple::NotOffered`] is no trouble.
pub async fn staple(store: &OcspStore, chain: &[impl AsRef<[u8]>]) -> Result<Staple, NoStaple> {
    let read = |index: usize| chain.get(index).and_then(|der| Certificate::from_der(der.as_ref()).ok());
    let certificate = read(0).ok_or(NoStaple::NotOffered)?;
    if access::locations(&certificate, Access::Ocsp).is_empty() {
        return Err(NoStaple::NotOffered);
    }
    let issuer = read(1).filter(|issuer| issuer.subject() == certificate.issuer()).ok_or(NoStaple::NoIssuer)?;
    let (answer, der) = store.ask_for_staple(&certificate, &issuer).await.map_err(NoStaple::NoAnswer)?;
    if let OcspStatus::Revoked { at, .. } = answer.status {
        return Err(NoStaple::Revoked { at });
    }
    // After half of its time, as most servers do; earlier by a little, so that not all ask at once.
    let now = Time::now();
    let rest = answer.until.since(now);
    let refresh_at = now.plus(rest / 2).earlier(random::up_to(rest / 20)).max(now.plus(Duration::from_secs(1)));
    Ok(Staple { der, refresh_at, until: answer.until })
}
