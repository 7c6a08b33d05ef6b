//! What a `userPassword` attribute holds (RFC 2307 section 5.3 and what grew from it), and whether a password is that.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::alphabet::{CRYPT, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::password::Hash;
use crate::scram::ScramVerifier;

/// Rounds, iterations, cost that one verification may be made to take.
const MAX_SHA_CRYPT_ROUNDS: u32 = 10_000_000;
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;
const MAX_BCRYPT_COST: u32 = 16;
/// Octets of a value.
const MAX_VALUE: usize = 4096;

/// A value of a password attribute.
pub(crate) enum StoredPassword {
    /// Digest and salt; `{SHA}` and its longer kin have none.
    Salted {
        algorithm: &'static digest::Algorithm,
        digest: Vec<u8>,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: std::num::NonZeroU32,
        salt: Vec<u8>,
        key: Vec<u8>,
    },
    Argon2(Hash),
    ShaCrypt(String),
    Bcrypt(String),
    Yescrypt(String),
    Scram(ScramVerifier),
    Plain(Zeroizing<Vec<u8>>),
}

/// Padding or none, as servers happen to write it.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim()).ok()
}

/// Base64 with "." for "+", as passlib and OpenLDAP's pw-pbkdf2 write it.
fn adapted_base64(text: &str) -> Option<Vec<u8>> {
    base64(&text.replace('.', "+"))
}

impl StoredPassword {
    /// Reads a value. The error repeats nothing of it.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, String> {
        if value.len() > MAX_VALUE {
            return Err("longer than any password".to_owned());
        }
        let plain = || Self::Plain(Zeroizing::new(value.to_vec()));
        let Some(text) = std::str::from_utf8(value).ok() else { return Ok(plain()) };
        if ScramVerifier::is_meant(text) {
            return ScramVerifier::parse(text).map(Self::Scram).map_err(str::to_owned);
        }
        // Without a scheme in braces it is the password itself (RFC 4519 section 2.41).
        let Some((scheme, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
            return Ok(plain());
        };
        let scheme = scheme.to_ascii_uppercase();
        let malformed = || format!("a {{{scheme}}} value that is none");
        match scheme.as_str() {
            "SHA" | "SSHA" => salted(&digest::SHA1_FOR_LEGACY_USE_ONLY, rest),
            "SHA256" | "SSHA256" => salted(&digest::SHA256, rest),
            "SHA384" | "SSHA384" => salted(&digest::SHA384, rest),
            "SHA512" | "SSHA512" => salted(&digest::SHA512, rest),
            "PBKDF2" | "PBKDF2-SHA1" => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, rest),
            "PBKDF2-SHA256" => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, rest),
            "PBKDF2-SHA512" => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA512, rest),
            // 389's older form: iterations, 64 octets of salt, 256 of key, in one.
            "PBKDF2_SHA256" => old_pbkdf2(rest),
            "ARGON2" => return Hash::parse_any(rest).map(Self::Argon2).map_err(str::to_owned),
            "CRYPT" => return crypt(rest),
            "CLEAR" | "CLEARTEXT" => Some(Self::Plain(Zeroizing::new(rest.as_bytes().to_vec()))),
            // A password may begin with a brace, but not as a scheme does: better refused than compared as text.
            _ => return Err(format!("the scheme {{{}}} is not known", scheme.chars().take(20).collect::<String>())),
        }
        .ok_or_else(malformed)
    }

    /// Whether it is this password. Takes its time: for a thread that may.
    pub(crate) fn is(&self, password: &[u8]) -> bool {
        match self {
            Self::Salted { algorithm, digest: expected, salt } => {
                let mut context = digest::Context::new(algorithm);
                context.update(password);
                context.update(salt);
                context.finish().as_ref().ct_eq(expected).into()
            }
            Self::Pbkdf2 { algorithm, iterations, salt, key } => {
                pbkdf2::verify(*algorithm, *iterations, salt, password, key).is_ok()
            }
            Self::Argon2(hash) => Argon2::default().verify_password(password, hash.phc()).is_ok(),
            Self::ShaCrypt(text) => sha_crypt::ShaCrypt::default().verify_password(password, text.as_str()).is_ok(),
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Yescrypt(text) => yescrypt::Yescrypt::default().verify_password(password, text.as_str()).is_ok(),
            Self::Scram(verifier) => verifier.is(password),
            Self::Plain(expected) => expected.as_slice().ct_eq(password).into(),
        }
    }
}

fn salted(algorithm: &'static digest::Algorithm, text: &str) -> Option<StoredPassword> {
    let octets = base64(text)?;
    let (digest, salt) = octets.split_at_checked(algorithm.output_len())?;
    Some(StoredPassword::Salted { algorithm, digest: digest.to_vec(), salt: salt.to_vec() })
}

fn iterations(text: &str) -> Option<std::num::NonZeroU32> {
    text.parse().ok().filter(|iterations: &std::num::NonZeroU32| iterations.get() <= MAX_PBKDF2_ITERATIONS)
}

/// `10000$salt$key`
fn pbkdf2(algorithm: pbkdf2::Algorithm, text: &str) -> Option<StoredPassword> {
    let mut parts = text.split('$');
    let iterations = iterations(parts.next()?)?;
    let (salt, key) = (adapted_base64(parts.next()?)?, adapted_base64(parts.next()?)?);
    let whole = parts.next().is_none() && !key.is_empty();
    whole.then_some(StoredPassword::Pbkdf2 { algorithm, iterations, salt, key })
}

fn old_pbkdf2(text: &str) -> Option<StoredPassword> {
    let octets = base64(text)?;
    let (count, rest) = octets.split_at_checked(4)?;
    let (salt, key) = rest.split_at_checked(64)?;
    let count = count.iter().fold(0_u32, |count, octet| count << 8 | u32::from(*octet));
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    let iterations = std::num::NonZeroU32::new(count).filter(|count| count.get() <= MAX_PBKDF2_ITERATIONS)?;
    (key.len() == 256).then(|| StoredPassword::Pbkdf2 { algorithm, iterations, salt: salt.to_vec(), key: key.to_vec() })
}

/// crypt(3), as far as it is not from the last century.
fn crypt(text: &str) -> Result<StoredPassword, String> {
    let mut fields = text.split('$').skip(1);
    let (id, second) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let dear = || Err(format!("a {{CRYPT}} value of method ${id}$ that is too expensive to verify"));
    match id {
        "5" | "6" => match second.strip_prefix("rounds=") {
            Some(rounds) if rounds.parse::<u32>().map_or(true, |rounds| rounds > MAX_SHA_CRYPT_ROUNDS) => dear(),
            _ => Ok(StoredPassword::ShaCrypt(text.to_owned())),
        },
        "2a" | "2b" | "2y" => match second.parse::<u32>() {
            Ok(cost) if cost <= MAX_BCRYPT_COST => Ok(StoredPassword::Bcrypt(text.to_owned())),
            _ => dear(),
        },
        "y" if cheap_yescrypt(second) => Ok(StoredPassword::Yescrypt(text.to_owned())),
        "y" => dear(),
        _ => Err("a {CRYPT} value of a method that is not taken: $6$, $5$, $y$ and $2b$ are".to_owned()),
    }
}

/// Parameters as `j9T`: flavour, the logarithm of N, r. 128 · N · r octets, at most 256 MiB.
fn cheap_yescrypt(parameters: &str) -> bool {
    let value = |char: char| CRYPT.as_str().find(char).and_then(|at| u32::try_from(at).ok()).map(|at| at + 1);
    let mut chars = parameters.chars();
    let (Some('j'), Some(n), Some(r), None) = (chars.next(), chars.next(), chars.next(), chars.next()) else {
        return false;
    };
    match (value(n), value(r)) {
        (Some(n), Some(r)) => 2_u64
            .checked_pow(n)
            .and_then(|n| n.checked_mul(u64::from(r) * 128))
            .is_some_and(|octets| octets <= 256 << 20),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
