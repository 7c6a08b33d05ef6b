//! An OCSP response as it was written (RFC 6960 section 4.2), read within bounds; nothing in it is believed yet.

use crate::certificate::Certificate;
use crate::der::{Malformed, Reader, Tlv, tag};
use crate::extensions::read_extension;
use crate::name::Name;
use crate::ocsp::request::CertId;
use crate::oid;
use crate::signature::{PublicKey, SignatureAlgorithm, Signed};
use crate::time::Time;

/// Larger than any answer to one question; responders' certificates take most of it.
pub(crate) const MAX_RESPONSE: usize = 128 * 1024;
/// Certificates that are looked at in an answer.
const MAX_CERTIFICATES: usize = 8;
/// Single responses in one answer: some responders answer for more than was asked.
const MAX_SINGLES: usize = 256;

/// `OCSPResponse`: an answer, or the responder's word that there is none.
#[derive(Debug)]
pub(crate) enum Response<'a> {
    Basic(Box<Basic<'a>>),
    /// `OCSPResponseStatus` other than successful, in the RFC's words.
    Status(&'static str),
}

/// `BasicOCSPResponse`.
#[derive(Debug)]
pub(crate) struct Basic<'a> {
    signed: &'a [u8],
    algorithm: SignatureAlgorithm,
    signature: &'a [u8],
    /// Those that can be read.
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) responder: ResponderId<'a>,
    pub(crate) produced_at: Time,
    pub(crate) singles: Vec<Single>,
    pub(crate) nonce: Option<&'a [u8]>,
}

/// `ResponderID`.
#[derive(Debug)]
pub(crate) enum ResponderId<'a> {
    Name(Name),
    /// SHA-1 of the key's octets.
    KeyHash(&'a [u8]),
}

/// `SingleResponse`; `id` is `None` where its hash is unknown.
#[derive(Debug)]
pub(crate) struct Single {
    pub(crate) id: Option<CertId>,
    pub(crate) status: OcspStatus,
    pub(crate) this_update: Time,
    pub(crate) next_update: Option<Time>,
}

/// What a responder says of a certificate: `CertStatus` (RFC 6960 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspStatus {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        at: Time,
        /// `CRLReason` by its number in RFC 5280 section 5.3.1; 0 where none is given.
        reason: u8,
    },
    /// The responder does not know it.
    Unknown,
}

impl<'a> Response<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        const FIELD: &str = "OCSPResponse";
        if der.len() > MAX_RESPONSE {
            return Err(Malformed::new(FIELD, "larger than 128 KiB"));
        }
        let mut outer = Reader::new(der);
        let mut fields = outer.sequence(FIELD)?;
        outer.finish(FIELD)?;
        match fields.take(tag::ENUMERATED, "responseStatus")?.value {
            [0] => {}
            [1] => return Ok(Self::Status("malformedRequest")),
            [2] => return Ok(Self::Status("internalError")),
            [3] => return Ok(Self::Status("tryLater")),
            [5] => return Ok(Self::Status("sigRequired")),
            [6] => return Ok(Self::Status("unauthorized")),
            _ => return Err(Malformed::new("responseStatus", "none of RFC 6960")),
        }
        let mut bytes = fields.take(tag::context_constructed(0), "responseBytes")?.contents();
        fields.finish(FIELD)?;
        let mut inner = bytes.sequence("responseBytes")?;
        bytes.finish("responseBytes")?;
        if inner.oid("responseType")? != oid::OCSP_BASIC {
            return Err(Malformed::new("responseType", "not id-pkix-ocsp-basic"));
        }
        let basic = inner.take(tag::OCTET_STRING, "response")?.value;
        inner.finish("responseBytes")?;
        Basic::read(basic).map(|basic| Self::Basic(Box::new(basic)))
    }
}

impl<'a> Basic<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        const FIELD: &str = "BasicOCSPResponse";
        let mut outer = Reader::new(der);
        let mut fields = outer.sequence(FIELD)?;
        outer.finish(FIELD)?;
        let data = fields.take(tag::SEQUENCE, "tbsResponseData")?;
        let algorithm = SignatureAlgorithm::read(fields.sequence("signatureAlgorithm")?, "signatureAlgorithm")?;
        let signature = fields.signature("signature")?;
        let certificates = match fields.optional(tag::context_constructed(0), "certs")? {
            Some(explicit) => read_certificates(explicit)?,
            None => Vec::new(),
        };
        fields.finish(FIELD)?;

        let mut fields = data.contents();
        if let Some(version) = fields.optional(tag::context_constructed(0), "version")?
            && version.contents().integer("version")? != [0]
        {
            return Err(Malformed::new("version", "not 1"));
        }
        let responder = ResponderId::read(fields.any("responderID")?)?;
        let produced_at = generalized_time(&mut fields, "producedAt")?;
        let mut responses = fields.sequence("responses")?;
        let mut singles = Vec::new();
        while !responses.is_empty() {
            if singles.len() >= MAX_SINGLES {
                return Err(Malformed::new("responses", "more than 256"));
            }
            singles.push(Single::read(&mut responses)?);
        }
        let nonce = match fields.optional(tag::context_constructed(1), "responseExtensions")? {
            Some(explicit) => find_nonce(explicit)?,
            None => None,
        };
        fields.finish("tbsResponseData")?;
        Ok(Self { signed: data.raw, algorithm, signature, certificates, responder, produced_at, singles, nonce })
    }

    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verify(&self.algorithm, Signed::Message(self.signed), self.signature).is_ok()
    }

    pub(crate) fn algorithm(&self) -> &SignatureAlgorithm {
        &self.algorithm
    }
}

impl<'a> ResponderId<'a> {
    fn read(tlv: Tlv<'a>) -> Result<Self, Malformed> {
        const FIELD: &str = "responderID";
        let mut inner = tlv.contents();
        let id = match tlv.tag {
            tag if tag == tag::context_constructed(1) => {
                Self::Name(Name::from_tlv(inner.take(tag::SEQUENCE, FIELD)?, FIELD)?)
            }
            tag if tag == tag::context_constructed(2) => Self::KeyHash(inner.take(tag::OCTET_STRING, FIELD)?.value),
            _ => return Err(Malformed::new(FIELD, "neither byName nor byKey")),
        };
        inner.finish(FIELD)?;
        Ok(id)
    }
}

impl Single {
    fn read(responses: &mut Reader<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "SingleResponse";
        let mut fields = responses.sequence(FIELD)?;
        let id = CertId::read(&mut fields)?;
        let status = OcspStatus::read(fields.any("certStatus")?)?;
        let this_update = generalized_time(&mut fields, "thisUpdate")?;
        let next_update = match fields.optional(tag::context_constructed(0), "nextUpdate")? {
            Some(explicit) => {
                let mut inner = explicit.contents();
                let time = generalized_time(&mut inner, "nextUpdate")?;
                inner.finish("nextUpdate")?;
                Some(time)
            }
            None => None,
        };
        if let Some(explicit) = fields.optional(tag::context_constructed(1), "singleExtensions")? {
            each_extension(explicit, |_, _| Ok(false))?;
        }
        fields.finish(FIELD)?;
        if next_update.is_some_and(|next_update| next_update < this_update) {
            return Err(Malformed::new("nextUpdate", "before thisUpdate"));
        }
        Ok(Self { id, status, this_update, next_update })
    }
}

impl OcspStatus {
    fn read(tlv: Tlv<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "certStatus";
        match tlv.tag {
            tag if tag == tag::context(0) => Ok(Self::Good),
            tag if tag == tag::context_constructed(1) => {
                let mut info = tlv.contents();
                let at = generalized_time(&mut info, "revocationTime")?;
                let reason = match info.optional(tag::context_constructed(0), "revocationReason")? {
                    Some(explicit) => match explicit.contents().take(tag::ENUMERATED, "revocationReason")?.value {
                        [reason] => *reason,
                        _ => return Err(Malformed::new("revocationReason", "none of RFC 5280 section 5.3.1")),
                    },
                    None => 0,
                };
                info.finish(FIELD)?;
                Ok(Self::Revoked { at, reason })
            }
            tag if tag == tag::context(2) => Ok(Self::Unknown),
            _ => Err(Malformed::new(FIELD, "neither good, revoked nor unknown")),
        }
    }
}

fn generalized_time(fields: &mut Reader<'_>, field: &'static str) -> Result<Time, Malformed> {
    Time::from_tlv(fields.take(tag::GENERALIZED_TIME, field)?, field)
}

/// Those that can be read; one that can't is no signer.
fn read_certificates(explicit: Tlv<'_>) -> Result<Vec<Certificate>, Malformed> {
    let mut outer = explicit.contents();
    let mut sequence = outer.sequence("certs")?;
    outer.finish("certs")?;
    let mut certificates = Vec::new();
    while !sequence.is_empty() && certificates.len() < MAX_CERTIFICATES {
        certificates.extend(Certificate::from_der(sequence.any("certs")?.raw));
    }
    Ok(certificates)
}

fn find_nonce<'a>(explicit: Tlv<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let mut nonce = None;
    each_extension(explicit, |kind, value: &'a [u8]| {
        let found = kind == oid::OCSP_NONCE;
        if found {
            // Some responders leave the inner OCTET STRING out.
            let inner = Reader::new(value).take(tag::OCTET_STRING, "nonce");
            nonce = Some(inner.map_or(value, |inner| inner.value));
        }
        Ok(found)
    })?;
    Ok(nonce)
}

/// Hands each extension's type and value to `known`, and refuses those that are critical and not known.
fn each_extension<'a>(
    explicit: Tlv<'a>,
    mut known: impl FnMut(&[u8], &'a [u8]) -> Result<bool, Malformed>,
) -> Result<(), Malformed> {
    const FIELD: &str = "extensions";
    let mut outer = explicit.contents();
    let mut sequence = outer.sequence(FIELD)?;
    outer.finish(FIELD)?;
    while !sequence.is_empty() {
        let extension = read_extension(&mut sequence)?;
        if !known(extension.oid, extension.value)? && extension.critical {
            let kind = oid::dotted(extension.oid);
            return Err(Malformed::new(FIELD, format!("unknown critical extension {kind}")));
        }
    }
    Ok(())
}
