//! SCRAM-SHA-256's messages (RFC 5802, RFC 7677), from the server's side. What they prove, `directory` computes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use directory::{PasswordMatch, ScramMatch, WrongPassword};
use secret::scram::saslprep;

use super::{ChannelBinding, Credentials, SaslError};
use crate::rules::Mechanism;

/// Octets of a user name as it is sent, and of a client's nonce: far more than clients have.
const MAX_NAME: usize = 1024;
const MAX_NONCE: usize = 256;
/// Random octets of the server's nonce.
const OWN_NONCE: usize = 18;

/// The client's first message: who it is, and how it means to prove that. The directory is to be asked what it holds.
#[derive(Debug)]
pub struct ClientFirst {
    mechanism: Mechanism,
    /// Prepared (RFC 4013).
    user: String,
    /// `c=` of the message to come, decoded.
    bound: Vec<u8>,
    bare: String,
    nonce: String,
}

/// After the server's first message.
#[derive(Debug)]
pub(super) struct Challenged {
    mechanism: Mechanism,
    user: String,
    bound: Vec<u8>,
    /// Both nonces.
    nonce: String,
    /// AuthMessage as far as it goes.
    said: String,
    known: ScramMatch,
}

impl ClientFirst {
    /// RFC 5802 section 7: `gs2-header client-first-message-bare`.
    pub(super) fn read(mechanism: Mechanism, text: &str, binding: Option<&ChannelBinding>) -> Result<Self, SaslError> {
        const SHAPE: SaslError = SaslError::Malformed("SCRAM begins with flag,[a=name],n=name,r=nonce");
        let mut parts = text.splitn(3, ',');
        let (flag, authorization, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(flag), Some(authorization), Some(bare)) => (flag, authorization, bare),
            _ => return Err(SHAPE),
        };
        let header = text.get(..text.len() - bare.len()).ok_or(SHAPE)?;
        let bound = bound(mechanism, flag, header, binding)?;
        let mut attributes = bare.split(',');
        // "m=" asks for an extension that is not known here (RFC 5802 section 5.1).
        let user = attributes.next().and_then(|part| part.strip_prefix("n=")).ok_or(SHAPE)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(SHAPE)?;
        let printable = nonce.bytes().all(|octet| octet.is_ascii_graphic());
        if nonce.is_empty() || nonce.len() > MAX_NONCE || !printable {
            return Err(SaslError::Malformed("a nonce is 1 to 256 printable characters"));
        }
        let user = name(user)?;
        match authorization.strip_prefix("a=") {
            None if authorization.is_empty() => {}
            None => return Err(SHAPE),
            Some(identity) if name(identity)? != user => return Err(SaslError::Authorization),
            Some(_) => {}
        }
        Ok(Self { mechanism, user, bound, nonce: nonce.to_owned(), bare: bare.to_owned() })
    }

    /// By which mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whom the directory is asked about.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The server's first message, and the state after it; `None` when the system has no random numbers.
    pub(super) fn challenge(self, known: ScramMatch) -> Option<(String, Challenged)> {
        let mut random = [0; OWN_NONCE];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        Some(self.challenge_with(known, &BASE64.encode(random)))
    }

    fn challenge_with(self, known: ScramMatch, own_nonce: &str) -> (String, Challenged) {
        let Self { mechanism, user, bound, bare, nonce } = self;
        let nonce = format!("{nonce}{own_nonce}");
        let (salt, iterations) = (BASE64.encode(known.verifier.salt()), known.verifier.iterations());
        let first = format!("r={nonce},s={salt},i={iterations}");
        let said = format!("{bare},{first}");
        (first, Challenged { mechanism, user, bound, nonce, said, known })
    }
}

impl Challenged {
    /// RFC 5802 section 7: `c=header,r=nonce,…,p=proof`. Whatever it proves, the same is computed.
    pub(super) fn read(self, text: &str) -> Result<Credentials, SaslError> {
        const SHAPE: SaslError = SaslError::Malformed("SCRAM ends with c=…,r=…,p=…");
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(SHAPE)?;
        let mut attributes = without_proof.split(',');
        let bound = attributes.next().and_then(|part| part.strip_prefix("c=")).ok_or(SHAPE)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(SHAPE)?;
        if attributes.any(|part| part.starts_with("m=")) {
            return Err(SHAPE);
        }
        let bound = BASE64.decode(bound).map_err(|_| SHAPE)?;
        let proof = BASE64.decode(proof).map_err(|_| SHAPE)?;
        // RFC 5802 section 5.1: the header must be the one of the first message, the nonce both sides'.
        if bound != self.bound {
            return Err(SaslError::ChannelBinding("the client is not at the other end of this TLS connection"));
        }
        if nonce != self.nonce {
            return Err(SaslError::Malformed("another nonce"));
        }
        let said = format!("{},{without_proof}", self.said);
        let ScramMatch { verifier, proved } = self.known;
        let right = verifier.is_proved(said.as_bytes(), &proof);
        let server_final = format!("v={}", BASE64.encode(verifier.server_signature(said.as_bytes())));
        let outcome = match proved {
            PasswordMatch::Right { .. } if !right => PasswordMatch::Wrong(WrongPassword::Mismatch),
            proved => proved,
        };
        Ok(Credentials::Scram { mechanism: self.mechanism, user: self.user, outcome, server_final })
    }
}

/// What `c=` must be, or why the client's flag will not do (RFC 5802 sections 5.1 and 6).
fn bound(
    mechanism: Mechanism,
    flag: &str,
    header: &str,
    binding: Option<&ChannelBinding>,
) -> Result<Vec<u8>, SaslError> {
    let plus = mechanism == Mechanism::ScramSha256Plus;
    match (flag, binding) {
        ("p=tls-exporter", Some(ChannelBinding(exporter))) if plus => Ok([header.as_bytes(), exporter].concat()),
        (other, _) if other.starts_with("p=") && plus => {
            Err(SaslError::ChannelBinding("another kind of channel binding than tls-exporter"))
        }
        ("n", _) if !plus => Ok(header.as_bytes().to_vec()),
        // The client could, and saw no offer where there was one: somebody took it away.
        ("y", Some(_)) if !plus => Err(SaslError::ChannelBinding("the client did not see that -PLUS is offered")),
        ("y", None) if !plus => Ok(header.as_bytes().to_vec()),
        ("n" | "y", _) => Err(SaslError::Malformed("-PLUS without channel binding")),
        _ => Err(SaslError::Malformed("SCRAM begins with n, y or p=…")),
    }
}

/// As it is sent, then RFC 4013.
fn name(text: &str) -> Result<String, SaslError> {
    saslprep(&decoded(text)?).filter(|name| !name.is_empty()).ok_or(BAD_NAME)
}

const BAD_NAME: SaslError = SaslError::Malformed("no user name as RFC 5802 has them");

/// RFC 5802 section 5.1: `=2C` is a comma, `=3D` an equals sign, any other `=` an error.
pub(super) fn decoded(text: &str) -> Result<String, SaslError> {
    const BAD: SaslError = BAD_NAME;
    if text.len() > MAX_NAME {
        return Err(BAD);
    }
    let mut parts = text.split('=');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or(BAD)?;
        decoded.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return Err(BAD),
        });
        decoded.push_str(rest);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;
