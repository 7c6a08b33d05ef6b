//! Public keys and signatures: what algorithms there are, and their verification by aws-lc-rs.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self as lc, RsaPssSaltLength, VerificationAlgorithm};

use crate::der::{Malformed, Reader, tag};
use crate::dsa;
use crate::oid::{self, Oid};

/// A hash function inside a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// Broken for signatures; refused unless a trust allows it by name.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The hash of these octets.
    pub fn of(self, octets: &[u8]) -> Vec<u8> {
        digest::digest(self.algorithm(), octets).as_ref().to_vec()
    }

    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn output_len(self) -> u16 {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn oid(self) -> &'static [u8] {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
        }
    }

    pub(crate) fn from_oid(octets: &[u8]) -> Option<Self> {
        match octets {
            oid::SHA1 => Some(Self::Sha1),
            oid::SHA256 => Some(Self::Sha256),
            oid::SHA384 => Some(Self::Sha384),
            oid::SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// A named elliptic curve of RFC 5480.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

/// A subject's public key, as far as it can be used.
#[derive(Debug, Clone)]
pub(crate) enum PublicKey {
    Rsa { bits: usize, key: Box<[u8]>, only_pss: Option<PssKey> },
    Ec { curve: Curve, point: Box<[u8]> },
    Ed25519(Box<[u8]>),
    Dsa(dsa::PublicKey),
    Unsupported(Oid),
}

/// An `id-RSASSA-PSS` key and what it restricts signatures to (RFC 4055 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PssKey {
    restriction: Option<(Hash, u16)>,
}

/// The algorithm of a signature over a certificate or list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    RsaPkcs1(Hash),
    RsaPss { hash: Hash, salt: u16 },
    Ecdsa(Hash),
    Ed25519,
    Dsa(Hash),
    Unsupported(Oid),
}

/// What is signed: the octets, or their hash where they went by in a stream.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'a> {
    Message(&'a [u8]),
    Digest(&'a digest::Digest),
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not made by this key over these octets.
    #[error("the signature is wrong")]
    Wrong,
    /// An algorithm, or a combination of key and algorithm, that is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// The key is not a readable SubjectPublicKeyInfo.
    #[error("malformed public key: {0}")]
    Key(#[from] Malformed),
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, Malformed> {
        const FIELD: &str = "subjectPublicKeyInfo";
        let mut outer = Reader::new(der);
        let mut spki = outer.sequence(FIELD)?;
        outer.finish(FIELD)?;
        let mut algorithm = spki.sequence(FIELD)?;
        let kind = algorithm.oid(FIELD)?;
        let key = spki.octets_of_bit_string(FIELD)?;
        spki.finish(FIELD)?;
        Ok(match kind {
            oid::RSA_ENCRYPTION => Self::Rsa { bits: modulus_bits(key)?, key: key.into(), only_pss: None },
            oid::RSASSA_PSS => {
                let restriction = match algorithm.is_empty() {
                    true => None,
                    false => match read_pss_parameters(&mut algorithm)? {
                        Some(parameters) => Some(parameters),
                        None => return Ok(Self::Unsupported(Oid::from_octets(kind))),
                    },
                };
                Self::Rsa { bits: modulus_bits(key)?, key: key.into(), only_pss: Some(PssKey { restriction }) }
            }
            oid::EC_PUBLIC_KEY => {
                // RFC 5480 section 2.1.1: named curves only.
                let curve = match algorithm.oid(FIELD)? {
                    oid::P256 => Curve::P256,
                    oid::P384 => Curve::P384,
                    oid::P521 => Curve::P521,
                    other => return Ok(Self::Unsupported(Oid::from_octets(other))),
                };
                Self::Ec { curve, point: key.into() }
            }
            oid::ED25519 => Self::Ed25519(key.into()),
            oid::DSA => Self::Dsa(dsa::PublicKey::read(&mut algorithm, key)?),
            other => Self::Unsupported(Oid::from_octets(other)),
        })
    }

    /// Does `signature`, made with `algorithm`, hold under this key?
    pub(crate) fn verify(
        &self,
        algorithm: &SignatureAlgorithm,
        signed: Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let unsupported = || SignatureError::Unsupported(format!("{algorithm} under a key of type {self}"));
        match (self, algorithm) {
            (Self::Rsa { bits, key, only_pss: None }, SignatureAlgorithm::RsaPkcs1(hash)) => {
                let scheme = rsa_pkcs1(*hash, *bits).ok_or_else(unsupported)?;
                check(scheme, key, signed, signature)
            }
            (Self::Rsa { key, only_pss, .. }, SignatureAlgorithm::RsaPss { hash, salt }) => {
                let allowed = match only_pss.and_then(|key| key.restriction) {
                    Some((only_hash, min_salt)) => *hash == only_hash && *salt >= min_salt,
                    None => true,
                };
                let scheme = rsa_pss(*hash).filter(|_| allowed).ok_or_else(unsupported)?;
                check(&scheme.with_pss_salt_length(RsaPssSaltLength::Custom(*salt)), key, signed, signature)
            }
            (Self::Ec { curve, point }, SignatureAlgorithm::Ecdsa(hash)) => {
                check(ecdsa(*curve, *hash).ok_or_else(unsupported)?, point, signed, signature)
            }
            (Self::Ed25519(key), SignatureAlgorithm::Ed25519) => check(&lc::ED25519, key, signed, signature),
            (Self::Dsa(key), SignatureAlgorithm::Dsa(hash)) => {
                let digest = match signed {
                    Signed::Message(message) => digest::digest(hash.algorithm(), message),
                    Signed::Digest(digest) => *digest,
                };
                if key.verify(digest.as_ref(), signature) { Ok(()) } else { Err(SignatureError::Wrong) }
            }
            _ => Err(unsupported()),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits, only_pss: None, .. } => write!(f, "RSA {bits}"),
            Self::Rsa { bits, .. } => write!(f, "RSASSA-PSS {bits}"),
            Self::Ec { curve, .. } => write!(f, "{curve}"),
            Self::Ed25519(_) => f.write_str("Ed25519"),
            Self::Dsa(_) => f.write_str("DSA"),
            Self::Unsupported(kind) => write!(f, "{kind}"),
        }
    }
}

impl SignatureAlgorithm {
    /// Reads an `AlgorithmIdentifier`, from inside its SEQUENCE.
    pub(crate) fn read(mut identifier: Reader<'_>, field: &'static str) -> Result<Self, Malformed> {
        let kind = identifier.oid(field)?;
        Ok(match kind {
            oid::SHA1_WITH_RSA => Self::RsaPkcs1(Hash::Sha1),
            oid::SHA256_WITH_RSA => Self::RsaPkcs1(Hash::Sha256),
            oid::SHA384_WITH_RSA => Self::RsaPkcs1(Hash::Sha384),
            oid::SHA512_WITH_RSA => Self::RsaPkcs1(Hash::Sha512),
            oid::RSASSA_PSS => match read_pss_parameters(&mut identifier)? {
                Some((hash, salt)) => Self::RsaPss { hash, salt },
                None => Self::Unsupported(Oid::from_octets(kind)),
            },
            oid::ECDSA_WITH_SHA1 => Self::Ecdsa(Hash::Sha1),
            oid::ECDSA_WITH_SHA256 => Self::Ecdsa(Hash::Sha256),
            oid::ECDSA_WITH_SHA384 => Self::Ecdsa(Hash::Sha384),
            oid::ECDSA_WITH_SHA512 => Self::Ecdsa(Hash::Sha512),
            oid::ED25519 => Self::Ed25519,
            oid::DSA_WITH_SHA1 => Self::Dsa(Hash::Sha1),
            oid::DSA_WITH_SHA256 => Self::Dsa(Hash::Sha256),
            other => Self::Unsupported(Oid::from_octets(other)),
        })
    }

    /// The hash that the signature is over; `None` where the scheme has its own (Ed25519) or it is unknown.
    pub(crate) fn hash(&self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss { hash, .. } | Self::Ecdsa(hash) | Self::Dsa(hash) => Some(*hash),
            Self::Ed25519 | Self::Unsupported(_) => None,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "RSA with {hash}"),
            Self::RsaPss { hash, salt } => write!(f, "RSASSA-PSS with {hash} and {salt} octets of salt"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Dsa(hash) => write!(f, "DSA with {hash}"),
            Self::Unsupported(kind) => write!(f, "signature algorithm {kind}"),
        }
    }
}

/// The protocol version of a handshake: TLS 1.3 ties each ECDSA scheme to one curve and has no PKCS#1 signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The TLS `SignatureScheme`s that [`verify_possession`] knows, strongest first: what a server may advertise.
pub const POSSESSION_SCHEMES: [u16; 13] =
    [0x0807, 0x0403, 0x0503, 0x0603, 0x0806, 0x0805, 0x0804, 0x080b, 0x080a, 0x0809, 0x0601, 0x0501, 0x0401];

/// Does the peer hold the private key to `spki_der` (a SubjectPublicKeyInfo)? Checks the signature of a TLS
/// CertificateVerify over the public key alone: what else is in the certificate is judged afterwards.
///
/// `scheme` is the TLS `SignatureScheme` code (RFC 8446 section 4.2.3).
///
/// # Errors
/// [`SignatureError`] if it does not hold, also for RSA keys below 2048 bits.
pub fn verify_possession(
    spki_der: &[u8],
    version: TlsVersion,
    scheme: u16,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key = PublicKey::from_spki(spki_der)?;
    let pss = |hash: Hash| SignatureAlgorithm::RsaPss { hash, salt: hash.output_len() };
    let (algorithm, fits) = match (scheme, &key) {
        (0x0401 | 0x0501 | 0x0601, PublicKey::Rsa { bits, only_pss: None, .. }) => {
            let hash = [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().nth(usize::from((scheme >> 8) - 4));
            (hash.map(SignatureAlgorithm::RsaPkcs1), *bits >= 2048 && version == TlsVersion::Tls12)
        }
        (0x0804..=0x0806, PublicKey::Rsa { bits, only_pss: None, .. }) => {
            let hash = [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().nth(usize::from(scheme - 0x0804));
            (hash.map(pss), *bits >= 2048)
        }
        (0x0809..=0x080b, PublicKey::Rsa { bits, only_pss: Some(_), .. }) => {
            let hash = [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().nth(usize::from(scheme - 0x0809));
            (hash.map(pss), *bits >= 2048)
        }
        (0x0403 | 0x0503 | 0x0603, PublicKey::Ec { curve, .. }) => {
            let (hash, pinned) = match scheme {
                0x0403 => (Hash::Sha256, Curve::P256),
                0x0503 => (Hash::Sha384, Curve::P384),
                _ => (Hash::Sha512, Curve::P521),
            };
            (Some(SignatureAlgorithm::Ecdsa(hash)), version == TlsVersion::Tls12 || *curve == pinned)
        }
        (0x0807, PublicKey::Ed25519(_)) => (Some(SignatureAlgorithm::Ed25519), true),
        _ => (None, false),
    };
    match algorithm {
        Some(algorithm) if fits => key.verify(&algorithm, Signed::Message(message), signature),
        _ => Err(SignatureError::Unsupported(format!("signature scheme {scheme:#06x} under a key of type {key}"))),
    }
}

fn check(
    scheme: &dyn VerificationAlgorithm,
    key: &[u8],
    signed: Signed<'_>,
    signature: &[u8],
) -> Result<(), SignatureError> {
    let outcome = match signed {
        Signed::Message(message) => scheme.verify_sig(key, message, signature),
        Signed::Digest(digest) => scheme.verify_digest_sig(key, digest, signature),
    };
    outcome.map_err(|_| SignatureError::Wrong)
}

fn rsa_pkcs1(hash: Hash, bits: usize) -> Option<&'static dyn VerificationAlgorithm> {
    // Below 2048 bits aws-lc-rs has "legacy" schemes, without SHA-384; a trust has to allow such keys first.
    Some(match (hash, bits >= 2048) {
        (Hash::Sha1, true) => &lc::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Hash::Sha1, false) => &lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Hash::Sha256, true) => &lc::RSA_PKCS1_2048_8192_SHA256,
        (Hash::Sha256, false) => &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (Hash::Sha384, true) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (Hash::Sha384, false) => return None,
        (Hash::Sha512, true) => &lc::RSA_PKCS1_2048_8192_SHA512,
        (Hash::Sha512, false) => &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    })
}

fn rsa_pss(hash: Hash) -> Option<lc::RsaParameters> {
    match hash {
        Hash::Sha1 => None,
        Hash::Sha256 => Some(lc::RSA_PSS_2048_8192_SHA256),
        Hash::Sha384 => Some(lc::RSA_PSS_2048_8192_SHA384),
        Hash::Sha512 => Some(lc::RSA_PSS_2048_8192_SHA512),
    }
}

fn ecdsa(curve: Curve, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, hash) {
        (Curve::P256, Hash::Sha1) => &lc::ECDSA_P256_SHA1_ASN1,
        (Curve::P256, Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Hash::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, Hash::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, Hash::Sha1) => return None,
        (Curve::P384, Hash::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, Hash::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, Hash::Sha1) => &lc::ECDSA_P521_SHA1_ASN1,
        (Curve::P521, Hash::Sha256) => &lc::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, Hash::Sha384) => &lc::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, Hash::Sha512) => &lc::ECDSA_P521_SHA512_ASN1,
    })
}

/// Bits of the modulus in an `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn modulus_bits(key: &[u8]) -> Result<usize, Malformed> {
    const FIELD: &str = "RSAPublicKey";
    let mut outer = Reader::new(key);
    let mut sequence = outer.sequence(FIELD)?;
    let modulus = sequence.integer(FIELD)?;
    sequence.integer(FIELD)?;
    sequence.finish(FIELD)?;
    outer.finish(FIELD)?;
    let magnitude = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let leading = magnitude.first().map_or(0, |first| first.leading_zeros() as usize);
    Ok(magnitude.len() * 8 - leading)
}

/// `RSASSA-PSS-params` (RFC 4055 section 3.1): hash and salt length; `None` where hash, mask or trailer are not
/// among those supported (one hash for both, MGF1, trailer 1).
fn read_pss_parameters(identifier: &mut Reader<'_>) -> Result<Option<(Hash, u16)>, Malformed> {
    const FIELD: &str = "RSASSA-PSS-params";
    let mut parameters = identifier.sequence(FIELD)?;
    let mut explicit = |number| {
        let inner = parameters.optional(tag::context_constructed(number), FIELD)?;
        Ok::<_, Malformed>(inner.map(|tlv| tlv.contents()))
    };
    let hash = match explicit(0)? {
        Some(mut inner) => Hash::from_oid(inner.sequence(FIELD)?.oid(FIELD)?),
        None => Some(Hash::Sha1),
    };
    let mask_hash = match explicit(1)? {
        Some(mut inner) => {
            let mut mask = inner.sequence(FIELD)?;
            match mask.oid(FIELD)? {
                oid::MGF1 => Hash::from_oid(mask.sequence(FIELD)?.oid(FIELD)?),
                _ => None,
            }
        }
        None => Some(Hash::Sha1),
    };
    let salt = match explicit(2)? {
        Some(mut inner) => u16::try_from(crate::der::count(inner.integer(FIELD)?, FIELD)?).ok(),
        None => Some(20),
    };
    let trailer = match explicit(3)? {
        Some(mut inner) => crate::der::count(inner.integer(FIELD)?, FIELD)?,
        None => 1,
    };
    parameters.finish(FIELD)?;
    Ok(match (hash, mask_hash, salt) {
        (Some(hash), Some(mask_hash), Some(salt)) if hash == mask_hash && trailer == 1 => Some((hash, salt)),
        _ => None,
    })
}
