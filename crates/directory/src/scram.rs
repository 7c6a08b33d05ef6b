//! SCRAM-SHA-256's verifiers (RFC 5802, RFC 7677): made, read, and what can be proved with them. Who has one can judge a
//! password without having it; who steals one can guess at it, and act as the server.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secret::scram::{ITERATIONS, KEY, Key, Keys, is_proved, saslprep, signature};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::answers::PasswordMatch;
use crate::comparison::fold;
use crate::error::Error;
use crate::password::Password;
use crate::template::Template;
use crate::tokens::Tokens;

/// The name before the verifier, as PostgreSQL and RFC 5803 write it.
const SCHEME: &str = "SCRAM-SHA-256";
/// Octets of a salt that is made here, as PostgreSQL's are.
const OWN_SALT: usize = 16;
const MAX_SALT: usize = 64;

/// What a directory holds in place of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    shape: ScramShape,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// What SCRAM needs of a user, before the client proves anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramMatch {
    /// The person's, or nobody's that looks like one.
    pub verifier: ScramVerifier,
    /// What follows if the client proves to know the password.
    pub proved: PasswordMatch,
}

/// What a client sees of a verifier before it proves anything: verifiers of one shape are told apart by their salt alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ScramShape {
    iterations: NonZeroU32,
    salt_length: usize,
}

impl Default for ScramShape {
    fn default() -> Self {
        Self { iterations: ScramVerifier::ITERATIONS, salt_length: OWN_SALT }
    }
}

impl ScramVerifier {
    /// A tenth of a second of a telephone, and about what Argon2id takes of a server for PLAIN.
    pub const ITERATIONS: NonZeroU32 = match NonZeroU32::new(100_000) {
        Some(iterations) => iterations,
        None => NonZeroU32::MIN,
    };

    /// Makes one, with a salt of its own.
    ///
    /// # Errors
    /// When the password is empty, or not one that clients could type (RFC 4013); when the system has no random numbers.
    pub fn make(password: &Password, iterations: NonZeroU32) -> Result<Self, Error> {
        let fail = |text: &str| Err(Error::Hash(text.to_owned()));
        if password.is_empty() {
            return fail("the password is empty");
        }
        if !ITERATIONS.contains(&iterations.get()) {
            return fail("SCRAM takes 4096 to 1000000 iterations");
        }
        let Ok(prepared) =
            std::str::from_utf8(password.expose()).map_err(drop).and_then(|text| saslprep(text).ok_or(()))
        else {
            return fail("it has characters that SCRAM does not allow (RFC 4013)");
        };
        let mut salt = vec![0; OWN_SALT];
        if aws_lc_rs::rand::fill(&mut salt).is_err() {
            return fail("the system has no random numbers");
        }
        Ok(Self::derived(prepared.as_bytes(), salt, iterations))
    }

    /// RFC 5802 section 3.
    fn derived(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let keys = Keys::derive(password, &salt, iterations);
        let shape = ScramShape { iterations, salt_length: salt.len() };
        Self { shape, stored_key: keys.stored(), server_key: keys.server(), salt }
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as PostgreSQL and RFC 5803 write it, or Dovecot's
    /// `{SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey`; keys and salt in base64. The error repeats nothing of it.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str =
            "not SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey: make one with `postern password --scram`";
        let rest = Self::after_scheme(text.trim()).ok_or(SHAPE)?;
        // RFC 3112 section 2: spaces around the dollar signs.
        let mut parts = rest.split([':', '$', ',']).map(str::trim);
        let (Some(iterations), Some(salt), Some(stored_key), Some(server_key), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SHAPE);
        };
        let key = |text: &str| BASE64.decode(text).ok().and_then(|octets| Key::try_from(octets).ok());
        let (stored_key, server_key) = (key(stored_key).ok_or(SHAPE)?, key(server_key).ok_or(SHAPE)?);
        let salt = BASE64.decode(salt).map_err(|_| SHAPE)?;
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| SHAPE)?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err("the verifier's salt has 1 to 64 octets");
        }
        if !ITERATIONS.contains(&iterations.get()) {
            return Err("the verifier's iterations are 4096 (RFC 7677 section 4) to 1000000");
        }
        let shape = ScramShape { iterations, salt_length: salt.len() };
        Ok(Self { shape, salt, stored_key, server_key })
    }

    fn after_scheme(text: &str) -> Option<&str> {
        let (braced, bare) = match text.strip_prefix('{') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (scheme, rest) = bare.split_at_checked(SCHEME.len())?;
        let rest = if braced { rest.strip_prefix('}') } else { rest.trim_start().strip_prefix('$') };
        rest.filter(|_| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Whether a text is meant as one, sound or not: a password that begins so is nobody's.
    pub(crate) fn is_meant(text: &str) -> bool {
        Self::after_scheme(text.trim()).is_some()
    }

    /// The client needs it to make its proof.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The client needs them to make its proof.
    pub fn iterations(&self) -> NonZeroU32 {
        self.shape.iterations
    }

    pub(crate) fn shape(&self) -> ScramShape {
        self.shape
    }

    /// Whether the client that sent this proof over `auth_message` knows the password (RFC 5802 section 3).
    pub fn is_proved(&self, auth_message: &[u8], proof: &[u8]) -> bool {
        is_proved(&self.stored_key, auth_message, proof)
    }

    /// By which the client sees that the server has its verifier: for whom has proved to know the password.
    pub fn server_signature(&self, auth_message: &[u8]) -> Key {
        signature(&self.server_key, auth_message)
    }

    /// Whether it was made of this password. Takes its time: for a thread that may.
    pub(crate) fn is(&self, password: &[u8]) -> bool {
        // As PostgreSQL does: what RFC 4013 does not allow is taken as it is.
        let prepared = std::str::from_utf8(password).ok().and_then(saslprep).map(Zeroizing::new);
        let password = prepared.as_ref().map_or(password, |text| text.as_bytes());
        let other = Self::derived(password, self.salt.clone(), self.shape.iterations);
        other.stored_key.ct_eq(&self.stored_key).into()
    }

    /// One that nobody has, for those who have none: as long as this process lives the same for names that this filter
    /// would take for the same person, and of the same shape as those of others, so that a client can't tell
    /// (RFC 5802 section 9).
    pub(crate) fn nobodys(filter: &Template, user: &str, shape: ScramShape) -> Result<Self, String> {
        // At a fixed time: that a filter looks at the clock must not show.
        let filter = filter.resolve(&Tokens::login(user, jiff::Timestamp::UNIX_EPOCH));
        let asked = fold(&filter.map_or_else(|_| user.to_owned(), |filter| filter.to_string()));
        static SECRET: LazyLock<Option<hmac::Key>> =
            LazyLock::new(|| hmac::Key::generate(hmac::HMAC_SHA512, &SystemRandom::new()).ok());
        let secret = SECRET.as_ref().ok_or("the system has no random numbers")?;
        let made = |what: &str| hmac::sign(secret, format!("{what} {asked}").as_bytes());
        let key = |what: &str| sha256(made(what).as_ref());
        let salt = made("salt").as_ref().iter().copied().take(shape.salt_length).collect();
        Ok(Self { shape, salt, stored_key: key("stored"), server_key: key("server") })
    }

    /// One that no password has, of a given cost.
    pub(crate) fn dummy(iterations: NonZeroU32) -> Self {
        let shape = ScramShape { iterations, salt_length: OWN_SALT };
        Self { shape, salt: vec![0; OWN_SALT], stored_key: [0; KEY], server_key: [0; KEY] }
    }
}

/// As a people file takes it.
impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|key| BASE64.encode(key));
        write!(f, "{SCHEME}${}:{salt}${stored}:{server}", self.shape.iterations)
    }
}

/// As secret as a hash.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramVerifier({:?})", self.shape)
    }
}

fn sha256(octets: &[u8]) -> Key {
    Key::try_from(digest::digest(&digest::SHA256, octets).as_ref()).unwrap_or([0; KEY])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Query;

    /// RFC 7677 section 3: user "user", password "pencil".
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    fn pencil() -> ScramVerifier {
        ScramVerifier::derived(b"pencil", BASE64.decode(SALT).unwrap(), NonZeroU32::new(4096).unwrap())
    }

    #[test]
    fn the_example_of_rfc_7677() {
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let message = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={SALT},i=4096,c=biws,r={nonce}");
        let proof = BASE64.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let verifier = pencil();
        assert!(verifier.is_proved(message.as_bytes(), &proof));
        let signature = BASE64.encode(verifier.server_signature(message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        for at in 0..proof.len() {
            let mut wrong = proof.clone();
            wrong[at] ^= 1;
            assert!(!verifier.is_proved(message.as_bytes(), &wrong), "octet {at}");
        }
        assert!(!verifier.is_proved(message.replace("n=user", "n=User").as_bytes(), &proof));
        for wrong in [&proof[1..], &[], &[&proof[..], b"x"].concat()] {
            assert!(!verifier.is_proved(message.as_bytes(), wrong));
        }
    }

    #[test]
    fn made_written_and_read() {
        let made = ScramVerifier::make(&Password::new("Grüße"), ScramVerifier::ITERATIONS).unwrap();
        assert_eq!(ScramVerifier::parse(&made.to_string()), Ok(made.clone()));
        assert!(made.is("Grüße".as_bytes()) && !made.is(b"Gruesse") && !made.is(b""));
        // Composed or not, it is one password (RFC 4013 section 2.2).
        assert!(made.is("Gru\u{308}ße".as_bytes()));
        let again = ScramVerifier::make(&Password::new("Grüße"), ScramVerifier::ITERATIONS).unwrap();
        assert_ne!(made.salt, again.salt);
        assert_eq!(format!("{made:?}"), "ScramVerifier(ScramShape { iterations: 100000, salt_length: 16 })");
        for (password, iterations, says) in
            [("", 4096, "empty"), ("x\u{7}", 4096, "RFC 4013"), ("x", 4095, "4096"), ("x", 1_000_001, "1000000")]
        {
            let made = ScramVerifier::make(&Password::new(password), NonZeroU32::new(iterations).unwrap());
            assert!(made.unwrap_err().to_string().contains(says), "{password:?} {iterations}");
        }
        // Not UTF-8 is no reason to fail where a client can send it: by PLAIN.
        assert!(ScramVerifier::derived(&[0xFF], vec![1], NonZeroU32::MIN).is(&[0xFF]));
    }

    #[test]
    fn as_others_write_it() {
        let text = pencil().to_string();
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        let dovecot = text.replacen("SCRAM-SHA-256$", "{SCRAM-SHA-256}", 1).replace([':', '$'], ",");
        let spaced = text.replace('$', " $ ");
        for other in
            [&text, &dovecot, &spaced, &text.to_lowercase().replacen(&text[14..].to_lowercase(), &text[14..], 1)]
        {
            assert_eq!(ScramVerifier::parse(other), Ok(pencil()), "{other}");
            assert!(ScramVerifier::is_meant(other));
        }
        let good = text.as_str();
        for (bad, says) in [
            (good.replace("4096", "4095"), "RFC 7677"),
            (good.replace("4096", "9999999"), "1000000"),
            (good.replace("4096", "-1"), "postern password --scram"),
            (good.replace("SHA-256", "SHA-1"), "postern password --scram"),
            (good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""), "1 to 64"),
            (good.replace("gQ==", "gQ"), "postern password --scram"),
            (good.replace("4qY=", "4qY"), "postern password --scram"),
            (format!("{good}:x"), "postern password --scram"),
            (good.rsplit_once(':').unwrap().0.to_owned(), "postern password --scram"),
            ("hunter2".to_owned(), "postern password --scram"),
        ] {
            let error = ScramVerifier::parse(&bad).unwrap_err();
            assert!(error.contains(says) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn nobodys_are_stable_and_look_like_others() {
        let shape = pencil().shape();
        let template = Template::parse("(&(uid={u})(until>={t}))", Query::SmtpAuth).unwrap();
        let nobodys = |user: &str, shape| ScramVerifier::nobodys(&template, user, shape).unwrap();
        let one = nobodys("zoe", shape);
        assert_eq!(one.shape(), shape);
        assert_eq!(one.salt.len(), 16);
        assert!(one.stored_key != one.server_key);
        // Whom the filter takes for one person has one salt.
        for same in ["zoe", "ZOE", "zoe@example.mil"] {
            assert_eq!(nobodys(same, shape), one, "{same}");
        }
        let other = nobodys("zed", shape);
        assert!(other.salt != one.salt && other.stored_key != one.stored_key);
        assert_eq!(nobodys("x\0", shape), nobodys("x\0", shape));
        let long = ScramShape { salt_length: MAX_SALT, ..shape };
        assert_eq!(nobodys("x", long).salt.len(), MAX_SALT);
        assert!(!ScramVerifier::dummy(NonZeroU32::new(4096).unwrap()).is(b"x"));
    }
}
