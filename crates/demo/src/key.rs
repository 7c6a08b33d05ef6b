//! Key pairs that sign: for certificates, for CRLs and for TLS.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::der::{self, Oid};
use crate::error::DemoError;

/// What kind of key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256, signs with SHA-256.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384, signs with SHA-384.
    EcdsaP384,
    /// ECDSA on P-521, signs with SHA-512.
    EcdsaP521,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA of 2048 bits, signs with PKCS #1 v1.5 and SHA-256.
    Rsa2048,
    /// RSA of 3072 bits, signs with PKCS #1 v1.5 and SHA-256.
    Rsa3072,
}

/// A key pair.
pub struct Key {
    pair: Pair,
    /// `SubjectPublicKeyInfo`, DER.
    public: Vec<u8>,
    /// PKCS #8 version 1, DER: OpenSSL 3.0 cannot read version 2.
    private: Vec<u8>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair, Oid),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

const ECDSA_WITH_SHA256: Oid = &[1, 2, 840, 10045, 4, 3, 2];
const ECDSA_WITH_SHA384: Oid = &[1, 2, 840, 10045, 4, 3, 3];
const ECDSA_WITH_SHA512: Oid = &[1, 2, 840, 10045, 4, 3, 4];
const ED25519: Oid = &[1, 3, 101, 112];
const SHA256_WITH_RSA: Oid = &[1, 2, 840, 113549, 1, 1, 11];

impl Key {
    /// A new random key pair. RSA takes some tenths of a second.
    pub fn generate(kind: KeyKind) -> Result<Self, DemoError> {
        match kind {
            KeyKind::EcdsaP256 => Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_WITH_SHA256),
            KeyKind::EcdsaP384 => Self::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_WITH_SHA384),
            KeyKind::EcdsaP521 => Self::ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING, ECDSA_WITH_SHA512),
            KeyKind::Ed25519 => Self::ed25519(),
            KeyKind::Rsa2048 => Self::rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => Self::rsa(KeySize::Rsa3072),
        }
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, signature: Oid) -> Result<Self, DemoError> {
        let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| GENERATE)?;
        let public = spki(pair.public_key())?;
        let private = pair.to_pkcs8v1().map_err(|_| GENERATE)?.as_ref().to_vec();
        Ok(Self { pair: Pair::Ecdsa(pair, signature), public, private })
    }

    fn ed25519() -> Result<Self, DemoError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| GENERATE)?;
        let public = spki(pair.public_key())?;
        let private = pair.to_pkcs8v1().map_err(|_| GENERATE)?.as_ref().to_vec();
        Ok(Self { pair: Pair::Ed25519(pair), public, private })
    }

    fn rsa(size: KeySize) -> Result<Self, DemoError> {
        let pair = RsaKeyPair::generate(size).map_err(|_| GENERATE)?;
        let public = spki(pair.public_key())?;
        let private = pair.as_der().map_err(|_| GENERATE)?.as_ref().to_vec();
        Ok(Self { pair: Pair::Rsa(Box::new(pair)), public, private })
    }

    /// The public half, a DER `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    pub fn public_der(&self) -> &[u8] {
        &self.public
    }

    /// The private half, PKCS #8, as rustls takes it.
    pub fn private_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.private.clone()).into()
    }

    /// The private half, PKCS #8, as PEM.
    pub fn private_pem(&self) -> String {
        pem("PRIVATE KEY", &self.private)
    }

    /// `AlgorithmIdentifier` of the signatures that this key makes.
    pub(crate) fn signature_algorithm(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ecdsa(_, signature) => der::sequence([der::oid(signature)]),
            Pair::Ed25519(_) => der::sequence([der::oid(ED25519)]),
            // RFC 4055 section 5: the parameters are NULL, not absent.
            Pair::Rsa(_) => der::sequence([der::oid(SHA256_WITH_RSA), der::null()]),
        }
    }

    /// Signs a message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DemoError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair, _) => Ok(pair.sign(&random, message).map_err(|_| SIGN)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| SIGN)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

const GENERATE: DemoError = DemoError::Crypto("generate a key");
const SIGN: DemoError = DemoError::Crypto("sign");

fn spki(public: &impl AsDer<PublicKeyX509Der<'static>>) -> Result<Vec<u8>, DemoError> {
    Ok(public.as_der().map_err(|_| GENERATE)?.as_ref().to_vec())
}

/// RFC 7468: one PEM block.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
