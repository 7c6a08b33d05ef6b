//! What a token claims (RFC 7519 section 4.1; RFC 7662 section 2.2 has the same), held against what is asked of it.

use std::time::Duration;

use pki::Time;
use serde_json::{Map, Value};

/// Octets of a user name.
const MAX_USER: usize = 256;

/// What is asked of a token.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) issuer: Option<String>,
    /// Any of them.
    pub(super) audience: Vec<String>,
    /// All of them.
    pub(super) scopes: Vec<String>,
    pub(super) user_claim: String,
    pub(super) clock_skew: Duration,
    /// The token speaks for itself: issuer and end must be in it. Else whom it was asked of knows.
    pub(super) self_contained: bool,
}

impl Rules {
    /// Whom the claims name, or what is wrong with them: for the log.
    pub(super) fn user(&self, claims: &Map<String, Value>, at: Time) -> Result<String, String> {
        self.times(claims, at)?;
        if let Some(issuer) = &self.issuer {
            match claims.get("iss") {
                Some(Value::String(claimed)) if claimed == issuer => {}
                None if !self.self_contained => {}
                None => return Err("it has no issuer (iss)".to_owned()),
                Some(other) => return Err(format!("its issuer is {}, not {issuer:?}", shown(other))),
            }
        }
        let audience = claims.get("aud");
        if !self.audience.is_empty() && !words(audience, false).iter().any(|word| self.audience.contains(word)) {
            return Err(format!(
                "it is for {}, not for {:?}",
                audience.map_or("nobody".to_owned(), shown),
                self.audience
            ));
        }
        // RFC 8693 section 4.2; Microsoft writes scp.
        let granted = [words(claims.get("scope"), true), words(claims.get("scp"), true)].concat();
        if let Some(lacking) = self.scopes.iter().find(|scope| !granted.contains(scope)) {
            return Err(format!("it lacks the scope {lacking:?}"));
        }
        self.named(claims)
    }

    fn times(&self, claims: &Map<String, Value>, at: Time) -> Result<(), String> {
        let skew = i64::try_from(self.clock_skew.as_secs()).unwrap_or(i64::MAX);
        let now = at.unix();
        match instant(claims, "exp")? {
            None if self.self_contained => return Err("it has no end (exp)".to_owned()),
            // RFC 7519 section 4.1.4: at that instant it is over.
            Some(end) if now >= end.saturating_add(skew) => {
                return Err(format!("it was good until {}", Time::from_unix(end)));
            }
            _ => {}
        }
        match instant(claims, "nbf")? {
            Some(begin) if now < begin.saturating_sub(skew) => {
                Err(format!("it is not good before {}", Time::from_unix(begin)))
            }
            _ => Ok(()),
        }
    }

    fn named(&self, claims: &Map<String, Value>) -> Result<String, String> {
        let claim = &self.user_claim;
        let user = match claims.get(claim) {
            Some(Value::String(user)) => user,
            Some(other) => return Err(format!("its {claim} is {}, and no name", shown(other))),
            None => return Err(format!("it names nobody: there is no {claim}")),
        };
        if user.trim() != user || user.is_empty() || user.len() > MAX_USER || user.contains(char::is_control) {
            return Err(format!("its {claim} is no user name"));
        }
        // OpenID Connect Core section 5.1: an address that somebody only typed is nobody's.
        let unverified = matches!(claims.get("email_verified"), Some(Value::Bool(false)))
            || claims.get("email_verified").and_then(Value::as_str) == Some("false");
        if claim == "email" && unverified {
            return Err("its issuer has not verified the address (email_verified)".to_owned());
        }
        Ok(user.clone())
    }
}

/// RFC 7519 section 2: NumericDate, possibly with a fraction.
fn instant(claims: &Map<String, Value>, claim: &str) -> Result<Option<i64>, String> {
    // A float's conversion ends at the ends of i64.
    #[allow(clippy::cast_possible_truncation)]
    let whole = |number: f64| number.floor() as i64;
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().or_else(|| value.as_f64().map(whole)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(format!("its {claim} is {}, and no instant", shown(value))),
        },
    }
}

/// A string, or a list of strings; or the words of one.
fn words(value: Option<&Value>, split: bool) -> Vec<String> {
    let each = |text: &str| match split {
        true => text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        false => vec![text.to_owned()],
    };
    match value {
        Some(Value::String(text)) => each(text),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).flat_map(each).collect(),
        _ => Vec::new(),
    }
}

/// A claim for the log, not longer than it helps.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        None => text,
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> Rules {
        Rules {
            issuer: Some("https://login.example.mil".to_owned()),
            audience: vec!["postern".to_owned(), "mail".to_owned()],
            scopes: vec!["smtp.send".to_owned(), "openid".to_owned()],
            user_claim: "email".to_owned(),
            clock_skew: Duration::from_secs(60),
            self_contained: true,
        }
    }

    fn good() -> Map<String, Value> {
        let claims = json!({
            "iss": "https://login.example.mil", "aud": "postern", "exp": NOW + 300, "nbf": NOW - 300,
            "scope": "openid profile smtp.send", "email": "alice@example.mil", "sub": "4711",
        });
        claims.as_object().unwrap().clone()
    }

    fn judged(rules: &Rules, changes: &Value) -> Result<String, String> {
        let mut claims = good();
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.remove(key)),
                value => drop(claims.insert(key.clone(), value.clone())),
            }
        }
        rules.user(&claims, Time::from_unix(NOW))
    }

    #[test]
    fn each_claim_has_its_say() {
        let alice = Ok("alice@example.mil".to_owned());
        let refused = |says: &str| Err(says.to_owned());
        let own = rules();
        let asked = Rules { self_contained: false, ..rules() };
        for (rules, changes, expected) in [
            (&own, json!({}), alice.clone()),
            (&own, json!({ "exp": NOW - 59 }), alice.clone()),
            (&own, json!({ "exp": NOW - 60 }), refused("good until")),
            (&own, json!({ "exp": NOW as f64 - 59.5 }), refused("good until")),
            (&own, json!({ "exp": NOW as f64 - 58.5 }), alice.clone()),
            (&own, json!({ "exp": 1e300 }), alice.clone()),
            (&own, json!({ "exp": "soon" }), refused("no instant")),
            (&own, json!({ "exp": null }), refused("no end")),
            (&asked, json!({ "exp": null }), alice.clone()),
            (&asked, json!({ "exp": NOW - 60 }), refused("good until")),
            (&own, json!({ "nbf": NOW + 60 }), alice.clone()),
            (&own, json!({ "nbf": NOW + 61 }), refused("not good before")),
            (&own, json!({ "nbf": null }), alice.clone()),
            (&own, json!({ "iss": "https://login.example.mil/" }), refused("its issuer is")),
            (&own, json!({ "iss": ["https://login.example.mil"] }), refused("its issuer is")),
            (&own, json!({ "iss": null }), refused("no issuer")),
            (&asked, json!({ "iss": null }), alice.clone()),
            (&asked, json!({ "iss": "x" }), refused("its issuer is")),
            (&own, json!({ "aud": ["other", "mail"] }), alice.clone()),
            (&own, json!({ "aud": "postern mail" }), refused("it is for")),
            (&own, json!({ "aud": [] }), refused("it is for")),
            (&own, json!({ "aud": null }), refused("it is for nobody")),
            (&asked, json!({ "aud": null }), refused("it is for nobody")),
            (&own, json!({ "scope": "smtp.send" }), refused("lacks the scope \"openid\"")),
            (&own, json!({ "scope": ["smtp.send", "openid"] }), alice.clone()),
            (&own, json!({ "scope": null, "scp": "openid smtp.send" }), alice.clone()),
            (&own, json!({ "scope": null }), refused("lacks the scope")),
            (&own, json!({ "email": null }), refused("no email")),
            (&own, json!({ "email": 7 }), refused("no name")),
            (&own, json!({ "email": "" }), refused("no user name")),
            (&own, json!({ "email": " alice" }), refused("no user name")),
            (&own, json!({ "email": "a\u{0}b" }), refused("no user name")),
            (&own, json!({ "email": "x".repeat(257) }), refused("no user name")),
            (&own, json!({ "email_verified": false }), refused("email_verified")),
            (&own, json!({ "email_verified": "false" }), refused("email_verified")),
            (&own, json!({ "email_verified": true }), alice.clone()),
        ] {
            let got = judged(rules, &changes);
            let matches = match (&got, &expected) {
                (Err(why), Err(says)) => why.contains(says.as_str()),
                (got, expected) => got == expected,
            };
            assert!(matches, "{changes}: {got:?}, not {expected:?}");
        }
        let other_claim = Rules { user_claim: "sub".to_owned(), ..rules() };
        assert_eq!(judged(&other_claim, &json!({ "email_verified": false })), Ok("4711".to_owned()));
        let nothing = Rules { issuer: None, audience: vec![], scopes: vec![], ..rules() };
        assert_eq!(judged(&nothing, &json!({ "iss": 1, "aud": 2, "scope": 3 })), alice);
    }

    #[test]
    fn what_is_shown_is_short() {
        let long = json!("ü".repeat(1000));
        assert_eq!(shown(&long).chars().count(), 101);
    }
}
