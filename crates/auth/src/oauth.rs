//! Tokens of OAuth 2.0: whether one is good, and whom it names. By the issuer's keys, here (RFC 7515, RFC 7519), or by
//! asking the issuer each time (RFC 7662). Who that is, and whether they may, a directory says.

use std::fmt;

use directory::Password;
use pki::{Fetcher, Time};

mod claims;
mod introspection;
mod keys;
mod settings;

use claims::Rules;
use introspection::Introspection;
use keys::{Keys, Verified};
pub use settings::{IntrospectionSettings, OauthSettings, TokenAlgorithm};

use crate::forward::SettingFault;
use crate::rules::Mechanism;

/// A `[oauth.NAME]`, ready to be asked.
pub struct Oauth {
    name: String,
    rules: Rules,
    source: Source,
}

enum Source {
    Keys(Keys),
    Introspection(Introspection),
}

/// What a token is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenAnswer {
    /// It names this user.
    Names(String),
    /// It is no good; the text is for the log, and repeats nothing of the token.
    Refused(String),
    /// Nobody can say now; the text is for the log.
    Unavailable(String),
}

impl Oauth {
    /// Reads the files that the settings name. The issuer is not asked yet.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, each with its place in the file.
    pub fn open(name: &str, settings: &OauthSettings, fetcher: Fetcher) -> Result<Self, Vec<SettingFault>> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let source = match &settings.introspection {
            Some(own) => Source::Introspection(
                Introspection::open(own, fetcher, settings.timeout.get_ref().0).map_err(|fault| vec![fault])?,
            ),
            None => Source::Keys(settings.keys(fetcher).ok_or_else(Vec::new)?),
        };
        Ok(Self { name: name.to_owned(), rules: settings.rules(), source })
    }

    /// The NAME of `[oauth.NAME]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom the token names, if it is good at this instant.
    pub(crate) async fn token(&self, token: &Password, at: Time) -> TokenAnswer {
        let Ok(text) = std::str::from_utf8(token.expose()) else {
            return TokenAnswer::Refused("it is not text".to_owned());
        };
        if text.is_empty() {
            return TokenAnswer::Refused("there is none".to_owned());
        }
        let claims = match &self.source {
            Source::Keys(keys) => match keys.verify(text).await {
                Verified::Good(claims) => claims,
                Verified::Bad(why) => return TokenAnswer::Refused(why),
                Verified::Unavailable(why) => return self.unavailable(&why),
            },
            Source::Introspection(introspection) => match introspection.ask(text).await {
                Ok(Some(claims)) => claims,
                Ok(None) => return TokenAnswer::Refused("the issuer says that it is not active".to_owned()),
                Err(why) => return self.unavailable(&why),
            },
        };
        match self.rules.user(&claims, at) {
            Ok(user) => TokenAnswer::Names(user),
            Err(why) => TokenAnswer::Refused(why),
        }
    }

    fn unavailable(&self, why: &str) -> TokenAnswer {
        TokenAnswer::Unavailable(format!("oauth {}: {why}", self.name))
    }

    /// What a client with a bad token is told (RFC 7628 section 3.2.2; XOAUTH2 has its own words).
    pub(crate) fn refusal(&self, mechanism: Mechanism) -> String {
        let scope = self.rules.scopes.join(" ");
        let mut answer = serde_json::Map::new();
        let mut say = |key: &str, value: &str| answer.insert(key.to_owned(), value.into());
        match mechanism {
            Mechanism::Xoauth2 => {
                say("status", "401");
                say("schemes", "bearer");
            }
            _ => drop(say("status", "invalid_token")),
        }
        if !scope.is_empty() {
            say("scope", &scope);
        }
        if let Some(issuer) = self.rules.issuer.as_deref().filter(|issuer| issuer.starts_with("https://"))
            && mechanism == Mechanism::OauthBearer
        {
            let issuer = issuer.trim_end_matches('/');
            say("openid-configuration", &format!("{issuer}/.well-known/openid-configuration"));
        }
        serde_json::Value::Object(answer).to_string()
    }
}

impl fmt::Debug for Oauth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oauth").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
