//! `[oauth.NAME]`

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use pki::{Fetcher, HttpUrl, Location};
use serde::Deserialize;
use serde_spanned::Spanned;
use tokio::sync::Mutex;

use super::claims::Rules;
use super::keys::Keys;
use crate::forward::SettingFault;

/// A file is looked at more often than a server is asked.
const FILE_REFRESH: Duration = Duration::from_secs(10);

/// Who issues tokens, and what is asked of one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthSettings {
    /// The issuer, as its tokens name it (`iss`).
    pub issuer: Option<String>,
    /// For whom tokens must be made (`aud`): any of these.
    #[serde(default)]
    pub audience: Vec<String>,
    /// Where the issuer's public keys are: an https URL or a file.
    pub jwks: Option<Spanned<Location>>,
    /// Or whom to ask about each token.
    pub introspection: Option<IntrospectionSettings>,
    /// The claim that names the user.
    #[serde(default = "email")]
    pub user_claim: String,
    /// What a token must allow: all of these.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// By which tokens may be signed.
    #[serde(default = "usual")]
    pub algorithms: Spanned<Vec<TokenAlgorithm>>,
    /// How far the issuer's clock may be from ours.
    #[serde(default = "one_minute")]
    pub clock_skew: pki::Span,
    /// The age from which the issuer's keys are fetched anew.
    #[serde(default = "one_hour")]
    pub refresh: Spanned<pki::Span>,
    /// For one question to the issuer.
    #[serde(default = "five_seconds")]
    pub timeout: Spanned<pki::Span>,
}

/// `introspection = { … }` (RFC 7662)
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionSettings {
    /// The issuer's introspection endpoint.
    pub url: Spanned<HttpUrl>,
    /// As whom the gateway asks.
    pub client_id: String,
    /// The file with its secret.
    pub client_secret_file: Spanned<PathBuf>,
}

/// A signature algorithm (RFC 7518 section 3.1) with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TokenAlgorithm(Algorithm);

impl TryFrom<String> for TokenAlgorithm {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        const KNOWN: &str = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA are";
        if name.eq_ignore_ascii_case("none") || name.starts_with("HS") {
            return Err(format!("{name} is never taken: everybody could make such a token; {KNOWN}"));
        }
        name.parse().map(Self).map_err(|_| format!("the algorithm {name:?} is not known: {KNOWN}"))
    }
}

fn email() -> String {
    "email".to_owned()
}

fn usual() -> Spanned<Vec<TokenAlgorithm>> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let all = [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA];
    Spanned::new(0..0, all.map(TokenAlgorithm).into())
}

fn one_minute() -> pki::Span {
    pki::Span(Duration::from_secs(60))
}

fn one_hour() -> Spanned<pki::Span> {
    Spanned::new(0..0, pki::Span(Duration::from_secs(3600)))
}

fn five_seconds() -> Spanned<pki::Span> {
    Spanned::new(0..0, pki::Span(Duration::from_secs(5)))
}

impl OauthSettings {
    /// What is wrong, without looking at any file.
    pub(super) fn faults(&self) -> Vec<SettingFault> {
        let mut found = Vec::new();
        let mut fault = |key, span: Range<usize>, text: &str, mend| {
            found.push(SettingFault { key, span, text: text.to_owned(), mend });
        };
        match (&self.jwks, &self.introspection) {
            (None, None) => fault(
                "",
                0..0,
                "neither jwks nor introspection: nobody could judge a token",
                "write jwks = \"https://…\", the issuer's jwks_uri, or introspection = { … }",
            ),
            (Some(jwks), Some(_)) => fault(
                "jwks",
                jwks.span(),
                "jwks and introspection: one of them judges tokens",
                "leave one of the two out",
            ),
            (Some(jwks), None) => {
                // A token of the same issuer for another service would be as good as one for this.
                if self.issuer.is_none() || self.audience.is_empty() {
                    let text =
                        "with jwks both issuer and audience are needed: keys alone do not say for whom a token is";
                    fault("jwks", jwks.span(), text, "write issuer = \"https://…\" and audience = [\"…\"]");
                }
                match jwks.get_ref() {
                    Location::File(_) => {}
                    Location::Http(url) if url.is_protected() => {}
                    _ => fault("jwks", jwks.span(), "keys that somebody on the way could forge", "write an https URL"),
                }
            }
            (None, Some(introspection)) => {
                if !introspection.url.get_ref().is_protected() {
                    let text = "tokens and the secret would cross the network in clear text";
                    fault("introspection.url", introspection.url.span(), text, "write an https URL");
                }
            }
        }
        let seconds = [("refresh", &self.refresh), ("timeout", &self.timeout)];
        for (key, span) in seconds.into_iter().filter(|(_, span)| span.get_ref().0 < Duration::from_secs(1)) {
            fault(key, span.span(), "less than a second", "write 1s or more");
        }
        if self.algorithms.get_ref().is_empty() {
            fault(
                "algorithms",
                self.algorithms.span(),
                "none: no token could be good",
                "leave it out for the usual ones",
            );
        }
        found
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            scopes: self.scopes.clone(),
            user_claim: self.user_claim.clone(),
            clock_skew: self.clock_skew.0,
            self_contained: self.introspection.is_none(),
        }
    }

    pub(super) fn keys(&self, fetcher: Fetcher) -> Option<Keys> {
        let location = self.jwks.as_ref()?.get_ref().clone();
        let refresh = match location {
            Location::File(_) => self.refresh.get_ref().0.min(FILE_REFRESH),
            _ => self.refresh.get_ref().0,
        };
        Some(Keys {
            location,
            fetcher,
            timeout: self.timeout.get_ref().0,
            refresh,
            algorithms: self.algorithms.get_ref().iter().map(|algorithm| algorithm.0).collect(),
            current: ArcSwapOption::empty(),
            last: Mutex::new(None),
        })
    }
}
