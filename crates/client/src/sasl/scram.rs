//! SCRAM-SHA-256's messages (RFC 5802, RFC 7677), from the client's side.

use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use protocol::Reply;
use secret::scram::{ITERATIONS, Keys, saslprep};
use zeroize::Zeroizing;

use super::{Line, Mechanism, initial, line, say};
use crate::connection::Connection;
use crate::wire::WireError;

/// Random octets of the nonce.
const NONCE: usize = 18;
/// Octets of a salt, and of both nonces together, at most.
const MAX_SALT: usize = 1024;
const MAX_NONCE: usize = 512;

/// What was said first, and what is to be bound.
struct First {
    header: &'static str,
    /// The header, and what only the ends of the connection know.
    bound: Vec<u8>,
    bare: String,
    nonce: String,
}

/// What is said at last, and what the server has to answer.
struct Final {
    text: String,
    said: String,
    keys: Keys,
}

/// From AUTH to the last reply.
pub(super) async fn exchange(
    connection: &mut Connection,
    mechanism: Mechanism,
    user: &str,
    password: &[u8],
    limit: Duration,
) -> Result<(Reply, Line), WireError> {
    let offered = connection.extensions.auth.iter().any(|name| name == Mechanism::ScramSha256Plus.name());
    let first = First::new(mechanism, user, connection.channel_binding, offered)?;
    let message = format!("{}{}", first.header, first.bare);
    let (reply, sent) = say(connection, initial(mechanism, message.as_bytes()), limit).await?;
    if reply.code() != 334 {
        return match reply.code() {
            235 => Err(WireError::Unproved("the server lets in whoever comes, and has proved nothing")),
            _ => Ok((reply, sent)),
        };
    }
    let challenge = text(&reply)?;
    let password = Zeroizing::new(password.to_vec());
    let prepared = tokio::task::spawn_blocking(move || first.answer(&challenge, &password)).await;
    let last = prepared.unwrap_or(Err("the keys could not be computed")).map_err(WireError::Unproved)?;
    let answer = line(b"", last.text.as_bytes());
    let reply = connection.command(&answer, limit).await?;
    if reply.code() != 334 {
        return match reply.code() {
            235 => Err(WireError::Unproved("the server has not proved that it knows the password")),
            _ => Ok((reply, answer)),
        };
    }
    last.check(&text(&reply)?).map_err(WireError::Unproved)?;
    // RFC 4954 section 4: the server's last word was a challenge, and is answered by nothing.
    Ok((connection.command(b"\r\n", limit).await?, answer))
}

/// The challenge in a 334.
fn text(reply: &Reply) -> Result<String, WireError> {
    let octets = reply.lines().next().and_then(|text| BASE64.decode(text.trim()).ok());
    octets.and_then(|octets| String::from_utf8(octets).ok()).ok_or(WireError::Unproved("the challenge is no base64"))
}

impl First {
    fn new(mechanism: Mechanism, user: &str, binding: Option<[u8; 32]>, plus_offered: bool) -> Result<Self, WireError> {
        let mut random = [0; NONCE];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| WireError::Unproved("the system has no random numbers"))?;
        Self::with_nonce(mechanism, user, binding, plus_offered, BASE64.encode(random)).map_err(WireError::Unproved)
    }

    fn with_nonce(
        mechanism: Mechanism,
        user: &str,
        binding: Option<[u8; 32]>,
        plus_offered: bool,
        nonce: String,
    ) -> Result<Self, &'static str> {
        // RFC 5802 section 6: "y" tells a server that does offer it that somebody took the offer away.
        let (header, exporter) = match (mechanism, binding) {
            (Mechanism::ScramSha256Plus, None) => return Err("this connection has nothing to be bound to"),
            (Mechanism::ScramSha256Plus, Some(exporter)) => ("p=tls-exporter,,", Some(exporter)),
            (_, Some(_)) if !plus_offered => ("y,,", None),
            (_, _) => ("n,,", None),
        };
        let bound = [header.as_bytes(), exporter.as_ref().map_or(&[], |octets| octets.as_slice())].concat();
        let user = saslprep(user).ok_or("the user name has characters that RFC 4013 forbids")?;
        // RFC 5802 section 5.1.
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Ok(Self { header, bound, bare: format!("n={user},r={nonce}"), nonce })
    }

    /// RFC 5802 section 7: `r=nonce,s=salt,i=iterations`. Takes its time: for a thread that may.
    fn answer(self, challenge: &str, password: &[u8]) -> Result<Final, &'static str> {
        const SHAPE: &str = "the server's first message is not r=…,s=…,i=…";
        let mut attributes = challenge.split(',');
        // "m=" asks for an extension that is not known here (section 5.1).
        let mut next = |name: &str| attributes.next().and_then(|part| part.strip_prefix(name)).ok_or(SHAPE);
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        // Section 5.1: the client's nonce, and something of the server's own.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() || nonce.len() > MAX_NONCE {
            return Err("the server's nonce does not begin with this side's");
        }
        let salt = BASE64.decode(salt).ok().filter(|salt| (1..=MAX_SALT).contains(&salt.len())).ok_or(SHAPE)?;
        let iterations: NonZeroU32 = iterations.parse().map_err(|_| SHAPE)?;
        if !ITERATIONS.contains(&iterations.get()) {
            return Err("the server's iterations are not 4096 (RFC 7677 section 4) to 1000000");
        }
        let text = std::str::from_utf8(password).ok().and_then(saslprep).map(Zeroizing::new);
        let prepared = text.ok_or("the password is not one that RFC 4013 allows")?;
        let keys = Keys::derive(prepared.as_bytes(), &salt, iterations);
        let without_proof = format!("c={},r={nonce}", BASE64.encode(&self.bound));
        let said = format!("{},{challenge},{without_proof}", self.bare);
        let proof = BASE64.encode(keys.proof(said.as_bytes()));
        Ok(Final { text: format!("{without_proof},p={proof}"), said, keys })
    }
}

impl Final {
    /// RFC 5802 section 7: `v=signature`, or `e=why`.
    fn check(&self, text: &str) -> Result<(), &'static str> {
        let signature = text.split(',').next().and_then(|part| part.strip_prefix("v="));
        let signature = signature.and_then(|signature| BASE64.decode(signature).ok());
        match signature.is_some_and(|signature| self.keys.is_signed(self.said.as_bytes(), &signature)) {
            true => Ok(()),
            false => Err("the server has not proved that it knows the password"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(mechanism: Mechanism, binding: Option<[u8; 32]>, offered: bool) -> First {
        First::with_nonce(mechanism, "user", binding, offered, "rOprNGfwEbeRWgbNEkqO".to_owned()).unwrap()
    }

    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// RFC 7677 section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let first = first(Mechanism::ScramSha256, None, false);
        assert_eq!(format!("{}{}", first.header, first.bare), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = first.answer(CHALLENGE, b"pencil").unwrap();
        assert_eq!(
            last.text,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(last.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        for forged in ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "v=!", "", "e=other-error"] {
            assert!(last.check(forged).is_err(), "{forged}");
        }
    }

    #[test]
    fn what_is_bound() {
        let bound = |mechanism, binding, offered| BASE64.encode(first(mechanism, binding, offered).bound);
        let exporter = Some([7; 32]);
        assert_eq!(bound(Mechanism::ScramSha256, None, true), "biws");
        assert_eq!(bound(Mechanism::ScramSha256, exporter, false), "eSws");
        // Another one of this side's was taken by setting: that is no attack.
        assert_eq!(bound(Mechanism::ScramSha256, exporter, true), "biws");
        let plus = BASE64.encode([b"p=tls-exporter,,".as_slice(), &[7; 32]].concat());
        assert_eq!(bound(Mechanism::ScramSha256Plus, exporter, true), plus);
        assert!(First::new(Mechanism::ScramSha256Plus, "user", None, true).is_err());
    }

    #[test]
    fn names_are_escaped_and_what_servers_say_is_judged() {
        let named = |user: &str| First::with_nonce(Mechanism::Plain, user, None, false, "x".to_owned()).map(|f| f.bare);
        assert_eq!(named("a=b,c").unwrap(), "n=a=3Db=2Cc,r=x");
        assert!(named("a\u{7}").is_err());
        for (challenge, says) in [
            ("r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096", "begin"),
            ("r=other,s=AAAA,i=4096", "begin"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "r=…"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096", "r=…"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4095", "4096"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=2000000", "1000000"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0", "r=…"),
            ("r=rOprNGfwEbeRWgbNEkqOx,s=AAAA", "r=…"),
            ("m=x,r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=4096", "r=…"),
            ("", "r=…"),
        ] {
            let error = first(Mechanism::ScramSha256, None, false).answer(challenge, b"pencil").err();
            assert!(error.is_some_and(|error| error.contains(says)), "{challenge}: {error:?}");
        }
    }
}
