//! SCRAM-SHA-256's computations (RFC 5802 section 3, RFC 7677): what a client makes of a password, and a server of what it
//! keeps in its place.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use aws_lc_rs::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Octets of each key, and of a proof.
pub const KEY: usize = digest::SHA256_OUTPUT_LEN;

/// A key, a signature, or a proof.
pub type Key = [u8; KEY];

/// RFC 7677 section 4: no less; and a second or so, which is what a login may be made to take.
pub const ITERATIONS: RangeInclusive<u32> = 4096..=1_000_000;

/// What a password comes to, with a salt. Who has them can act as the client and as the server.
pub struct Keys {
    client: Zeroizing<Key>,
    server: Key,
}

impl Keys {
    /// Takes its time: for a thread that may.
    #[must_use]
    pub fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = Zeroizing::new([0; KEY]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, salted.as_mut());
        Self {
            client: Zeroizing::new(mac(salted.as_ref(), b"Client Key")),
            server: mac(salted.as_ref(), b"Server Key"),
        }
    }

    /// By which a server knows the client.
    #[must_use]
    pub fn stored(&self) -> Key {
        stored(&self.client)
    }

    /// By which a client knows the server.
    #[must_use]
    pub fn server(&self) -> Key {
        self.server
    }

    /// The client's, of having the password.
    #[must_use]
    pub fn proof(&self, auth_message: &[u8]) -> Key {
        xor(&self.client, &signature(&self.stored(), auth_message))
    }

    /// Whether it is the signature of a server that knows the password, or has its keys.
    #[must_use]
    pub fn is_signed(&self, auth_message: &[u8], signed: &[u8]) -> bool {
        signature(&self.server, auth_message).ct_eq(signed).into()
    }
}

/// Whether the client that sent this proof knows the password that a server keeps the stored key of.
#[must_use]
pub fn is_proved(stored_key: &Key, auth_message: &[u8], proof: &[u8]) -> bool {
    let Ok(proof) = Key::try_from(proof) else { return false };
    let client = Zeroizing::new(xor(&proof, &signature(stored_key, auth_message)));
    stored(&client).ct_eq(stored_key).into()
}

/// ServerSignature with the server key, ClientSignature with the stored key.
#[must_use]
pub fn signature(key: &Key, auth_message: &[u8]) -> Key {
    mac(key, auth_message)
}

/// RFC 4013: user names and passwords in the one form that both sides compute with; `None` for what it forbids.
#[must_use]
pub fn saslprep(text: &str) -> Option<String> {
    stringprep::saslprep(text).ok().map(std::borrow::Cow::into_owned)
}

fn stored(client_key: &Key) -> Key {
    <Key>::try_from(digest::digest(&digest::SHA256, client_key).as_ref()).unwrap_or([0; KEY])
}

fn mac(key: &[u8], message: &[u8]) -> Key {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    <Key>::try_from(tag.as_ref()).unwrap_or([0; KEY])
}

fn xor(a: &Key, b: &Key) -> Key {
    let mut octets = *a;
    octets.iter_mut().zip(b).for_each(|(octet, other)| *octet ^= other);
    octets
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use super::*;

    /// RFC 7677 section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let said = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={salt},i=4096,c=biws,r={nonce}");
        let keys = Keys::derive(b"pencil", &BASE64.decode(salt).unwrap(), NonZeroU32::new(4096).unwrap());
        let proof = keys.proof(said.as_bytes());
        assert_eq!(BASE64.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert!(is_proved(&keys.stored(), said.as_bytes(), &proof));
        let signed = BASE64.decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert!(keys.is_signed(said.as_bytes(), &signed) && signature(&keys.server(), said.as_bytes()) == signed[..]);
        for at in 0..KEY {
            let (mut wrong, mut forged) = (proof, signed.clone());
            (wrong[at], forged[at]) = (wrong[at] ^ 1, forged[at] ^ 1);
            assert!(!is_proved(&keys.stored(), said.as_bytes(), &wrong) && !keys.is_signed(said.as_bytes(), &forged));
        }
        assert!(!is_proved(&keys.stored(), b"another", &proof) && !is_proved(&keys.stored(), said.as_bytes(), b""));
        assert!(!keys.is_signed(said.as_bytes(), b"") && !keys.is_signed(b"another", &signed));
    }
}
