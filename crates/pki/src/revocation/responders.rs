//! What OCSP responders have said of a certificate, held against the rules of the trust.

use std::time::Duration;

use crate::certificate::Certificate;
use crate::knowledge::Lack;
use crate::ocsp::answer::{Answer, has_nocheck};
use crate::ocsp::response::OcspStatus;
use crate::ocsp::store::Standing;
use crate::revocation::{Checker, reason_of};
use crate::time::Time;
use crate::verdict::{Revocation, UnknownStatus};

const ONE_SECOND: Duration = Duration::from_secs(1);

impl Checker<'_, '_, '_> {
    /// `above` are the certificate's issuer, the issuer's issuer and so on, to the anchor.
    pub(super) fn ask_responder(&mut self, certificate: &Certificate, above: &[&Certificate]) -> Revocation {
        let Some(issuer) = above.first().copied() else {
            return Revocation::Unknown(UnknownStatus::NoResponder { certificate: certificate.to_string() });
        };
        let name = certificate.to_string();
        let inquest = &mut *self.inquest;
        match inquest.evidence.standing(certificate, issuer, inquest.trust, self.search.at) {
            Standing::Answered(answer) => {
                let delegate_until = answer.delegate.as_ref().map(|delegate| delegate.not_after().plus(ONE_SECOND));
                inquest.until = inquest.until.min(answer.until).min(delegate_until.unwrap_or(Time::NEVER));
                self.take(&answer, name, above)
            }
            Standing::InVain { why, until } => {
                inquest.until = inquest.until.min(until);
                Revocation::Unknown(UnknownStatus::NoAnswer { certificate: name, why })
            }
            Standing::ToAsk => {
                inquest.lack(Lack::Answer { certificate: certificate.clone(), issuer: issuer.clone() });
                let why = "no answer has come yet".to_owned();
                Revocation::Unknown(UnknownStatus::NoAnswer { certificate: name, why })
            }
            Standing::NoResponder => Revocation::Unknown(UnknownStatus::NoResponder { certificate: name }),
        }
    }

    /// The signature has been verified when the answer came; whether such a signature is strong enough, and its signer not
    /// revoked, is for each trust to say.
    fn take(&mut self, answer: &Answer, name: String, above: &[&Certificate]) -> Revocation {
        let problem = match &answer.delegate {
            _ if !self.rules.strength.allows(&answer.algorithm) => {
                Some(format!("its answer has a signature by {}", answer.algorithm))
            }
            Some(delegate) => self.problem_of_delegate(delegate, above),
            None => None,
        };
        match (problem, answer.status) {
            (Some(problem), _) => {
                let why = format!("{}: {problem}", answer.responder);
                Revocation::Unknown(UnknownStatus::NoAnswer { certificate: name, why })
            }
            (None, OcspStatus::Good) => Revocation::Good {
                source: format!("OCSP {}", answer.responder),
                this_update: answer.this_update,
                next_update: answer.next_update,
            },
            (None, OcspStatus::Revoked { at, reason }) => {
                Revocation::Revoked { certificate: name, reason: reason_of(reason), at }
            }
            (None, OcspStatus::Unknown) => {
                let why = format!("{}: it does not know the certificate", answer.responder);
                Revocation::Unknown(UnknownStatus::NoAnswer { certificate: name, why })
            }
        }
    }

    /// RFC 6960 section 4.2.2.2.1: without nocheck the delegate's own status is asked, of lists: a responder does not
    /// vouch for itself.
    fn problem_of_delegate(&mut self, delegate: &Certificate, above: &[&Certificate]) -> Option<String> {
        let at = self.search.at;
        if at < delegate.not_before() || delegate.not_after() < at {
            return Some(format!("the responder's certificate ({delegate}) is not valid now"));
        }
        let strength = &self.rules.strength;
        if let Err(weakness) = strength.check_key(delegate).and_then(|()| strength.check_algorithm(delegate)) {
            return Some(format!("the responder's certificate: {weakness}"));
        }
        if has_nocheck(delegate) {
            return None;
        }
        match self.ask_lists(delegate, above) {
            Revocation::Good { .. } => None,
            status => Some(format!("the responder's certificate ({delegate}) has no nocheck, and is {status}")),
        }
    }
}
