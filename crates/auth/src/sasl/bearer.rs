//! OAUTHBEARER (RFC 7628) and XOAUTH2: a token of OAuth 2.0 in one message.

use directory::Password;

use super::{Credentials, SaslError};
use crate::rules::Mechanism;

/// Between parts, and at the end.
const SEPARATOR: char = '\u{1}';
/// Octets of a user name.
const MAX_NAME: usize = 1024;

/// Reads the client's only message.
pub(super) fn read(mechanism: Mechanism, text: &str) -> Result<Credentials, SaslError> {
    const SHAPE: SaslError = SaslError::Malformed("a token comes as header ^A auth=Bearer token ^A ^A");
    // Both end with two separators; only the last part is empty.
    let body = text.strip_suffix("\u{1}\u{1}").ok_or(SHAPE)?;
    let mut parts = body.split(SEPARATOR);
    let header = parts.next().unwrap_or_default();
    let user = match mechanism {
        Mechanism::Xoauth2 => header.strip_prefix("user=").ok_or(SHAPE)?.to_owned(),
        _ => authorization_identity(header)?,
    };
    if user.len() > MAX_NAME || user.contains(char::is_control) {
        return Err(SaslError::Malformed("no user name"));
    }
    let mut authorization = None;
    for part in parts {
        let (key, value) = part.split_once('=').ok_or(SHAPE)?;
        // host= and port= say what this server knows (RFC 7628 section 3.1).
        if key == "auth" && authorization.replace(value).is_some() {
            return Err(SHAPE);
        }
    }
    // RFC 7628 section 3.2.2: without a token the client asks what it should have brought; it is refused like a bad one.
    let token = match authorization.filter(|value| !value.is_empty()) {
        None => "",
        Some(value) => match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim_matches(' '),
            _ => return Err(SaslError::Malformed("another scheme than Bearer")),
        },
    };
    if !is_token(token) {
        return Err(SaslError::Malformed("no token as RFC 6750 has them"));
    }
    Ok(Credentials::Token { mechanism, user, token: Password::new(token) })
}

/// RFC 5801 section 4: `n,a=name,`, and there is no channel binding to be had with a token.
fn authorization_identity(header: &str) -> Result<String, SaslError> {
    const SHAPE: SaslError = SaslError::Malformed("OAUTHBEARER begins with n,a=name,");
    let rest = header.strip_prefix("n,").or_else(|| header.strip_prefix("y,")).ok_or(SHAPE)?;
    let identity = rest.strip_suffix(',').ok_or(SHAPE)?;
    match identity.strip_prefix("a=") {
        Some(name) if !name.is_empty() => super::scram::decoded(name),
        None if identity.is_empty() => Ok(String::new()),
        _ => Err(SHAPE),
    }
}

/// RFC 6750 section 2.1: b64token.
fn is_token(text: &str) -> bool {
    text.trim_end_matches('=').bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(mechanism: Mechanism, user: &str, token: &str) -> Result<Credentials, SaslError> {
        Ok(Credentials::Token { mechanism, user: user.to_owned(), token: Password::new(token) })
    }

    #[test]
    fn the_examples_of_rfc_7628_and_of_google() {
        let text = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
        let expected = token(Mechanism::OauthBearer, "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        assert_eq!(read(Mechanism::OauthBearer, text), expected);
        let text = "user=someuser@example.com\u{1}auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\u{1}\u{1}";
        let expected =
            token(Mechanism::Xoauth2, "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        assert_eq!(read(Mechanism::Xoauth2, text), expected);
    }

    #[test]
    fn every_other_shape() {
        use Mechanism::{OauthBearer, Xoauth2};
        for (mechanism, text, expected) in [
            (OauthBearer, "n,,^auth=bearer x.y^^", token(OauthBearer, "", "x.y")),
            (OauthBearer, "y,a=a=2Cb=3D,^auth=Bearer  x^^", token(OauthBearer, "a,b=", "x")),
            (OauthBearer, "n,a=x,^auth=^^", token(OauthBearer, "x", "")),
            (OauthBearer, "n,a=x,^^", token(OauthBearer, "x", "")),
            (Xoauth2, "user=^auth=Bearer x^^", token(Xoauth2, "", "x")),
        ] {
            assert_eq!(read(mechanism, &text.replace('^', "\u{1}")), expected, "{text}");
        }
        for (mechanism, text) in [
            (OauthBearer, "n,a=x,^auth=Bearer x^"),
            (OauthBearer, "p=tls-exporter,a=x,^auth=Bearer x^^"),
            (OauthBearer, "n,a=,^auth=Bearer x^^"),
            (OauthBearer, "n,b=x,^auth=Bearer x^^"),
            (OauthBearer, "n,a=x^auth=Bearer x^^"),
            (OauthBearer, "n,a=x=2D,^auth=Bearer x^^"),
            (OauthBearer, "user=x^auth=Bearer x^^"),
            (OauthBearer, "n,a=x,^auth=Basic x^^"),
            (OauthBearer, "n,a=x,^auth=Bearer x y^^"),
            (OauthBearer, "n,a=x,^auth=Bearer x\"^^"),
            (OauthBearer, "n,a=x,^auth=Bearer x^auth=Bearer y^^"),
            (OauthBearer, "n,a=x,^host^auth=Bearer x^^"),
            (OauthBearer, ""),
            (Xoauth2, "n,a=x,^auth=Bearer x^^"),
            (Xoauth2, "user=x\u{2}^auth=Bearer x^^"),
            (Xoauth2, "^^"),
        ] {
            assert!(matches!(read(mechanism, &text.replace('^', "\u{1}")), Err(SaslError::Malformed(_))), "{text}");
        }
        let long = format!("user={}\u{1}\u{1}", "x".repeat(MAX_NAME + 1));
        assert!(read(Xoauth2, &long).is_err());
    }
}
