//! A response judged: about the certificate, by somebody who may say so, of today; or why it counts for nothing.

use std::time::Duration;

use aws_lc_rs::digest;

use crate::certificate::Certificate;
use crate::der::Malformed;
use crate::extensions::KeyUsage;
use crate::ocsp::request::{Nonce, key_bits};
use crate::ocsp::response::{Basic, OcspStatus, ResponderId, Response};
use crate::oid;
use crate::settings::OcspSettings;
use crate::signature::SignatureAlgorithm;
use crate::time::Time;

/// What a responder says of one certificate, its signature verified.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Where it was asked for.
    pub(crate) responder: String,
    pub(crate) status: OcspStatus,
    pub(crate) this_update: Time,
    pub(crate) next_update: Option<Time>,
    /// The first instant at which it must not be used any more.
    pub(crate) until: Time,
    /// Whom the CA has delegated its answers to; `None`: the CA signed itself.
    pub(crate) delegate: Option<Certificate>,
    pub(crate) algorithm: SignatureAlgorithm,
}

/// Why an answer counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOcspAnswer {
    /// It can't be read.
    #[error("its answer is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// `OCSPResponseStatus` other than successful.
    #[error("it answers {0}")]
    Status(&'static str),
    /// Neither the issuer nor whom it has delegated has signed it.
    #[error("its answer is signed by nobody who may sign for {issuer}")]
    Signer {
        /// The certificate's issuer.
        issuer: String,
    },
    /// Nothing in it is about the certificate.
    #[error("its answer is about another certificate")]
    Foreign,
    /// An answer to somebody else, or of another time.
    #[error("its answer repeats another request's nonce")]
    Nonce,
    /// A nonce is required.
    #[error("its answer has no nonce")]
    NoNonce,
    /// There must be a newer one.
    #[error("its answer was good until {0}")]
    Old(Time),
    /// Made later than our clock says it is.
    #[error("its answer is of the future: {0}")]
    Future(Time),
    /// The responder has no word on it.
    #[error("it does not know the certificate")]
    Unknown,
}

/// What a response that is at hand, a staple for one, says of a certificate; within five minutes of clock skew, and for an
/// hour where it has no nextUpdate. Whether a delegate that signed it has been revoked is not asked.
///
/// # Errors
/// [`BadOcspAnswer`] says why it counts for nothing.
pub fn check_ocsp_response(
    der: &[u8],
    certificate: &Certificate,
    issuer: &Certificate,
    at: Time,
) -> Result<OcspStatus, BadOcspAnswer> {
    let OcspSettings { clock_skew, max_age, .. } = OcspSettings::default();
    let (skew, max_age) = (clock_skew.0, max_age.0);
    let expected = Expected { certificate, issuer, nonce: None, require_nonce: false, at, skew, max_age };
    expected.check("", der).map(|answer| answer.status)
}

/// What an answer is held against.
pub(crate) struct Expected<'a> {
    pub(crate) certificate: &'a Certificate,
    pub(crate) issuer: &'a Certificate,
    pub(crate) nonce: Option<&'a Nonce>,
    pub(crate) require_nonce: bool,
    pub(crate) at: Time,
    pub(crate) skew: Duration,
    /// For answers without nextUpdate.
    pub(crate) max_age: Duration,
}

impl Expected<'_> {
    /// RFC 6960 section 3.2, in the order of what is cheapest to know.
    pub(crate) fn check(&self, responder: &str, der: &[u8]) -> Result<Answer, BadOcspAnswer> {
        let basic = match Response::read(der)? {
            Response::Basic(basic) => basic,
            Response::Status(status) => return Err(BadOcspAnswer::Status(status)),
        };
        self.check_nonce(&basic)?;
        // (1); of several about the same certificate the newest counts.
        let about = |id: &crate::ocsp::request::CertId| id.is_of(self.certificate, self.issuer);
        let singles = basic.singles.iter().filter(|single| single.id.as_ref().is_some_and(about));
        let single = singles.max_by_key(|single| single.this_update).ok_or(BadOcspAnswer::Foreign)?;
        // (2), (3), (4)
        let delegate = self.signer(&basic)?;
        // (5), (6)
        let newest = basic.produced_at.max(single.this_update);
        if newest > self.at.plus(self.skew) {
            return Err(BadOcspAnswer::Future(newest));
        }
        let end = single.next_update.unwrap_or(single.this_update.plus(self.max_age));
        let with_skew = end.plus(self.skew);
        if self.at >= with_skew {
            return Err(BadOcspAnswer::Old(end));
        }
        if single.status == OcspStatus::Unknown {
            return Err(BadOcspAnswer::Unknown);
        }
        Ok(Answer {
            responder: responder.to_owned(),
            status: single.status,
            this_update: single.this_update,
            next_update: single.next_update,
            // By a clock behind the responder's it has ended already, and still is the newest there is.
            until: if end > self.at { end } else { with_skew },
            delegate,
            algorithm: basic.algorithm().clone(),
        })
    }

    /// RFC 9654 section 2.1.
    fn check_nonce(&self, basic: &Basic<'_>) -> Result<(), BadOcspAnswer> {
        match (self.nonce, basic.nonce) {
            (Some(sent), Some(received)) if sent != received => Err(BadOcspAnswer::Nonce),
            (Some(_), None) if self.require_nonce => Err(BadOcspAnswer::NoNonce),
            _ => Ok(()),
        }
    }

    /// RFC 6960 section 4.2.2.2: the CA itself, or whom the same key of the CA has certified to answer for it.
    fn signer(&self, basic: &Basic<'_>) -> Result<Option<Certificate>, BadOcspAnswer> {
        if is_named(&basic.responder, self.issuer) && basic.is_signed_by(self.issuer.public_key()) {
            return Ok(None);
        }
        let delegate = basic.certificates.iter().find(|candidate| {
            is_named(&basic.responder, candidate)
                && self.is_delegate(candidate)
                && basic.is_signed_by(candidate.public_key())
        });
        let nobody = || BadOcspAnswer::Signer { issuer: self.issuer.subject().to_string() };
        delegate.cloned().map(Some).ok_or_else(nobody)
    }

    fn is_delegate(&self, candidate: &Certificate) -> bool {
        let known = candidate.known();
        let purpose = known.extended_key_usage.as_deref().unwrap_or_default();
        candidate.issuer() == self.issuer.subject()
            && purpose.iter().any(|purpose| *purpose == *oid::OCSP_SIGNING)
            && known.key_usage.is_none_or(|usage| usage.allows(KeyUsage::DIGITAL_SIGNATURE))
            && known.unknown_critical.is_none()
            && candidate.not_before() <= self.at
            && self.at <= candidate.not_after()
            && candidate.verify_signature(self.issuer.public_key()).is_ok()
    }
}

fn is_named(responder: &ResponderId<'_>, candidate: &Certificate) -> bool {
    match responder {
        ResponderId::Name(name) => name == candidate.subject(),
        ResponderId::KeyHash(hash) => {
            digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key_bits(candidate)).as_ref() == *hash
        }
    }
}

/// RFC 6960 section 4.2.2.2.1: the CA vouches for this responder's certificate for all of its validity.
pub(crate) fn has_nocheck(delegate: &Certificate) -> bool {
    delegate.extensions().iter().any(|extension| extension.oid == *oid::OCSP_NOCHECK)
}
