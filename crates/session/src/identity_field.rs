//! The field that tells the next hop by whom a message was handed in, with a signature over it and over the fields that
//! make the message this one.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use policy::Identified;
use protocol::header::{fields, relaxed};
use protocol::{ReversePath, xtext};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

/// The field's name. Only a gateway writes it, so it never comes from a client.
pub(crate) const NAME: &str = "Postern-Identity";
/// What a signature holds the field to: all fields with these names.
const COVERED: [&str; 8] = ["From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID"];
/// The last tag.
const SIGNATURE: &str = ";sig=";
/// Octets of a line that is not folded: RFC 5322 section 2.1.1 allows 998.
const MAX_LINE: usize = 900;
/// Characters of a subject; longer ones are cut.
const MAX_SUBJECT: usize = 600;

/// By whom a message was handed in, in the form that is signed: no white space, no signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityField(String);

/// What an [`IdentityField`] tells.
pub(crate) struct Statement<'s> {
    pub(crate) hostname: &'s str,
    pub(crate) id: &'s str,
    pub(crate) at: Timestamp,
    pub(crate) identity: &'s Identified,
    pub(crate) sender: &'s ReversePath,
    /// Only by setting: subjects are personal data.
    pub(crate) certificate_subject: Option<&'s str>,
}

/// Why a message's field is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is none, so nobody was identified, or it did not come through a gateway.
    #[error("the message has no {NAME} field")]
    Missing,
    /// One of them is not the gateway's.
    #[error("the message has several {NAME} fields")]
    Several,
    /// Not what a gateway of this version writes.
    #[error("the {NAME} field is not of a form that is known here")]
    Malformed,
    /// The gateway does not sign, or somebody has removed it.
    #[error("the {NAME} field is not signed")]
    Unsigned,
    /// Another key's, or the field or a field that it covers is another than it was.
    #[error("the signature does not fit: another key, or the message's header was changed")]
    Forged,
}

impl IdentityField {
    pub(crate) fn new(statement: &Statement<'_>) -> Self {
        let Statement { hostname, id, at, identity, sender, certificate_subject } = statement;
        // A statement is of a second.
        let time = Timestamp::from_second(at.as_second()).unwrap_or(*at);
        let how = identity.mechanism.map_or("certificate", auth::Mechanism::name);
        let user = value(&identity.principal.user_id);
        let sender = value(&sender.to_string());
        let mut text =
            format!("v=1;host={};id={id};time={time};user={user};how={how};sender={sender}", value(hostname));
        if let Some(subject) = certificate_subject {
            let subject: String = subject.chars().take(MAX_SUBJECT).collect();
            text.push_str(&format!(";subject={}", value(&subject)));
        }
        Self(text)
    }

    /// The field with its CRLF, for a message with this header section. `None` when signing fails.
    pub(crate) fn write(&self, key: Option<&IdentityKey>, section: &[u8]) -> Option<String> {
        let mut text = self.0.clone();
        if let Some(key) = key {
            let signature = key.0.try_sign(&self.signed_octets(section)).ok()?;
            text.push_str(SIGNATURE);
            text.push_str(&BASE64.encode(signature.as_ref()));
        }
        let mut field = format!("{NAME}:");
        for (at, tag) in text.split(';').enumerate() {
            field.push_str(if at == 0 { " " } else { ";\r\n\t" });
            // All of it is ASCII, and white space within counts for nothing.
            for (at, piece) in tag.as_bytes().chunks(MAX_LINE).enumerate() {
                field.push_str(if at == 0 { "" } else { "\r\n\t" });
                field.push_str(&String::from_utf8_lossy(piece));
            }
        }
        field.push_str("\r\n");
        Some(field)
    }

    /// What is signed, of the field and of a message with this header section.
    fn signed_octets(&self, section: &[u8]) -> Vec<u8> {
        let mut octets = format!("{}:{}{SIGNATURE}\n", NAME.to_ascii_lowercase(), self.0).into_bytes();
        octets.append(&mut relaxed(section, &COVERED));
        octets
    }

    /// The field of a message, when this key has signed it for that message.
    ///
    /// # Errors
    /// Whatever else is the case: see [`IdentityError`].
    pub fn verify(message: &[u8], key: &IdentityPublicKey) -> Result<Self, IdentityError> {
        let mut own = fields(message).filter(|(name, _)| name.eq_ignore_ascii_case(NAME.as_bytes()));
        let (_, body) = own.next().ok_or(IdentityError::Missing)?;
        if own.next().is_some() {
            return Err(IdentityError::Several);
        }
        let body: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        let body = String::from_utf8(body).map_err(|_| IdentityError::Malformed)?;
        let (text, signature) = body.rsplit_once(SIGNATURE).ok_or(IdentityError::Unsigned)?;
        let field = Self(text.to_owned());
        let signature = BASE64.decode(signature).map_err(|_| IdentityError::Malformed)?;
        let octets = field.signed_octets(message);
        let key = UnparsedPublicKey::new(&ED25519, key.0.as_ref());
        key.verify(&octets, &signature).map_err(|_| IdentityError::Forged)?;
        match field.tags().first() {
            Some((name, version)) if name == "v" && version == "1" => Ok(field),
            _ => Err(IdentityError::Malformed),
        }
    }

    /// Each name with its value.
    #[must_use]
    pub fn tags(&self) -> Vec<(String, String)> {
        let plain = |value: &str| xtext::decode(value).map(|octets| String::from_utf8_lossy(&octets).into_owned());
        let tag = |tag: &str| {
            let (name, value) = tag.split_once('=')?;
            Some((name.to_owned(), plain(value)?))
        };
        self.0.split(';').filter_map(tag).collect()
    }
}

/// As xtext (RFC 3461 section 4), and without what ends a tag.
fn value(text: &str) -> String {
    xtext::encode(text.as_bytes()).replace(';', "+3B")
}

/// What fields are signed with: Ed25519 (RFC 8032).
pub struct IdentityKey(Ed25519KeyPair);

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityKey")
    }
}

impl IdentityKey {
    /// Reads a PEM file: PKCS#8, not encrypted, readable to nobody else.
    ///
    /// # Errors
    /// What is wrong with it, with its name and nothing of the key.
    pub fn load(path: &Path) -> Result<Self, String> {
        const KIND: &str = "not an Ed25519 key in PKCS#8: make one with openssl genpkey -algorithm ED25519";
        let pair = match secret::private_key(path)? {
            // OpenSSL writes no public key beside the private one.
            PrivateKeyDer::Pkcs8(der) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok(),
            _ => None,
        };
        pair.map(Self).ok_or_else(|| format!("{}: {KIND}", path.display()))
    }

    /// Its public key as PEM, for those who are to verify; `None` when the library fails.
    #[must_use]
    pub fn public_pem(&self) -> Option<String> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().ok()?;
        let text = BASE64.encode(der.as_ref());
        Some(format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"))
    }
}

/// What fields are verified with.
#[derive(Debug)]
pub struct IdentityPublicKey(SubjectPublicKeyInfoDer<'static>);

impl IdentityPublicKey {
    /// Reads a PEM file: SubjectPublicKeyInfo, as `postern identity key` and `openssl pkey -pubout` write it.
    ///
    /// # Errors
    /// What is wrong with it, with its name.
    pub fn load(path: &Path) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_file(path);
        let der = der.map_err(|error| format!("{}: {error}", path.display()))?;
        aws_lc_rs::signature::ParsedPublicKey::new(&ED25519, der.as_ref())
            .map_err(|_| format!("{}: not the public key of an Ed25519 key", path.display()))?;
        Ok(Self(der))
    }
}

#[cfg(test)]
mod tests;
