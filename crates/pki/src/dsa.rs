//! DSA verification (FIPS 186-4 section 4.7), which aws-lc-rs leaves out and old PKIs still have.
//!
//! FIPS 186-5 withdrew DSA for signing; a trust accepts it only where its settings name it. Only public values are
//! touched, so the arithmetic of `num-bigint` needs no constant time.

use num_bigint::BigUint;

use crate::der::{Malformed, Reader};

/// A DSA key; without parameters it takes those of its issuer's key (RFC 3279 section 2.3.2).
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    parameters: Option<Parameters>,
    y: BigUint,
}

#[derive(Debug, Clone)]
struct Parameters {
    p: BigUint,
    q: BigUint,
    g: BigUint,
}

/// FIPS 186-4 section 4.2: no modulus above 3072 bits; bounds the cost of an exponentiation.
const MAX_MODULUS_BITS: u64 = 3072;

impl PublicKey {
    /// `parameters` from inside the AlgorithmIdentifier, after its OID; `key` is the BIT STRING.
    pub(crate) fn read(parameters: &mut Reader<'_>, key: &[u8]) -> Result<Self, Malformed> {
        const FIELD: &str = "DSA key";
        let mut outer = Reader::new(key);
        let y = BigUint::from_bytes_be(outer.integer(FIELD)?);
        outer.finish(FIELD)?;
        let parameters = match parameters.peek_tag() {
            Some(crate::der::tag::SEQUENCE) => {
                let mut sequence = parameters.sequence(FIELD)?;
                let mut number = || sequence.integer(FIELD).map(BigUint::from_bytes_be);
                let (p, q, g) = (number()?, number()?, number()?);
                if p.bits() > MAX_MODULUS_BITS || q.bits() > 256 || g.bits() > MAX_MODULUS_BITS {
                    return Err(Malformed::new(FIELD, "numbers beyond those of FIPS 186-4"));
                }
                Some(Parameters { p, q, g })
            }
            _ => None,
        };
        Ok(Self { parameters, y })
    }

    pub(crate) fn lacks_parameters(&self) -> bool {
        self.parameters.is_none()
    }

    /// RFC 5280 section 6.1.4 (d) to (f): the working public key parameters.
    pub(crate) fn inherit(&self, issuer: &Self) -> Self {
        Self { parameters: self.parameters.clone().or_else(|| issuer.parameters.clone()), y: self.y.clone() }
    }

    /// `signature` is a DER `Dss-Sig-Value` (RFC 3279 section 2.2.2).
    pub(crate) fn verify(&self, digest: &[u8], signature: &[u8]) -> bool {
        let Some(Parameters { p, q, g }) = &self.parameters else { return false };
        let Ok((r, s)) = read_signature(signature) else { return false };
        let zero = BigUint::ZERO;
        let one = BigUint::from(1_u8);
        // A modulus of 0 or 1 has no arithmetic; q also must divide p-1, or the comparison below means nothing.
        if *p <= one || *q <= one || (p - &one) % q != zero || *g <= one || g >= p || self.y <= one || self.y >= *p {
            return false;
        }
        if r == zero || r >= *q || s == zero || s >= *q {
            return false;
        }
        let Some(w) = s.modinv(q) else { return false };
        let leftmost = usize::try_from(q.bits().div_ceil(8)).unwrap_or(usize::MAX).min(digest.len());
        let z = BigUint::from_bytes_be(digest.get(..leftmost).unwrap_or(digest));
        let u1 = &z * &w % q;
        let u2 = &r * &w % q;
        let v = g.modpow(&u1, p) * self.y.modpow(&u2, p) % p % q;
        v == r
    }
}

fn read_signature(der: &[u8]) -> Result<(BigUint, BigUint), Malformed> {
    const FIELD: &str = "Dss-Sig-Value";
    let mut outer = Reader::new(der);
    let mut sequence = outer.sequence(FIELD)?;
    outer.finish(FIELD)?;
    let (r, s) = (sequence.integer(FIELD)?, sequence.integer(FIELD)?);
    sequence.finish(FIELD)?;
    if r.len() > 33 || s.len() > 33 {
        return Err(Malformed::new(FIELD, "too long"));
    }
    Ok((BigUint::from_bytes_be(r), BigUint::from_bytes_be(s)))
}
