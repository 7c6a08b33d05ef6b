use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{rsa, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::facts::{AllowanceFact, Attempt, PasswordFact, WrongPassword};
use crate::profile::{PasswordSource, Profile};
use crate::sasl::{Credentials, LastWord};

const ISSUER: &str = "https://login.example.mil";

/// A key of the issuer's.
struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl Signer {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        use Algorithm::{ES256, ES384, EdDSA};
        let random = SystemRandom::new();
        let ecdsa = |kind| signature::EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let key = match algorithm {
            ES256 => EncodingKey::from_ec_der(ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).as_ref()),
            ES384 => EncodingKey::from_ec_der(ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).as_ref()),
            EdDSA => {
                let pkcs8 = signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let x = BASE64URL.encode(pair.public_key());
                let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "alg": "EdDSA" });
                return Self { id, algorithm, key: EncodingKey::from_ed_der(pkcs8.as_ref()), public };
            }
            _ => {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
                // PKCS #8 of a key of this length has 26 octets before PKCS #1's.
                EncodingKey::from_rsa_der(&pair.as_der().unwrap().as_ref()[26..])
            }
        };
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        public["kid"] = id.into();
        public["use"] = "sig".into();
        Self { id, algorithm, key, public }
    }

    fn public(&self) -> Value {
        self.public.clone()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

fn claims(email: &str) -> Value {
    json!({ "iss": ISSUER, "aud": "postern", "exp": Time::now().unix() + 300, "email": email, "scope": "smtp" })
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn oauth(folder: &Path, more: &str) -> Oauth {
    let text = format!(
        "issuer = {ISSUER:?}\naudience = [\"postern\"]\nscopes = [\"smtp\"]\njwks = {:?}\n{more}",
        folder.join("keys.json").to_str().unwrap()
    );
    let oauth = Oauth::open("test", &toml::from_str(&text).unwrap(), Fetcher::local()).unwrap();
    oauth.with_refresh(Duration::ZERO)
}

async fn ask(oauth: &Oauth, token: &str) -> TokenAnswer {
    oauth.token(&Password::new(token), Time::now()).await
}

fn alice() -> TokenAnswer {
    TokenAnswer::Names("alice@example.mil".to_owned())
}

fn refused(answer: &TokenAnswer, says: &str) -> bool {
    matches!(answer, TokenAnswer::Refused(why) if why.contains(says))
}

#[tokio::test]
async fn every_algorithm_and_no_other() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let folder = tempfile::tempdir().unwrap();
    let all = [ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512];
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let signers: Vec<Signer> = all.into_iter().zip(ids).map(|(algorithm, id)| Signer::new(id, algorithm)).collect();
    let keys: Vec<Value> = signers.iter().map(Signer::public).collect();
    std::fs::write(folder.path().join("keys.json"), set(&keys)).unwrap();
    let usual = oauth(folder.path(), "");
    for signer in &signers {
        let token = signer.sign(&claims("alice@example.mil"));
        assert_eq!(ask(&usual, &token).await, alice(), "{:?}", signer.algorithm);
        // Another payload, another header, another signature.
        let parts: Vec<&str> = token.split('.').collect();
        let other = signer.sign(&claims("bob@example.mil"));
        let others: Vec<&str> = other.split('.').collect();
        let swapped = format!("{}.{}.{}", parts[0], others[1], parts[2]);
        assert!(refused(&ask(&usual, &swapped).await, "signature"), "{:?}", signer.algorithm);
        let header = BASE64URL.encode(json!({ "alg": parts_algorithm(signer), "kid": "zzz" }).to_string());
        assert!(refused(&ask(&usual, &format!("{header}.{}.{}", parts[1], parts[2])).await, "none of the issuer's"));
    }
    let few = oauth(folder.path(), "algorithms = [\"ES256\"]");
    assert_eq!(ask(&few, &signers[0].sign(&claims("alice@example.mil"))).await, alice());
    assert!(refused(&ask(&few, &signers[1].sign(&claims("alice@example.mil"))).await, "not among the algorithms"));
}

fn parts_algorithm(signer: &Signer) -> String {
    format!("{:?}", signer.algorithm)
}

#[tokio::test]
async fn forgeries() {
    let folder = tempfile::tempdir().unwrap();
    let own = Signer::new("own", Algorithm::ES256);
    let secret = json!({ "kty": "oct", "k": BASE64URL.encode("known to all"), "kid": "secret", "alg": "HS256" });
    let public = own.public();
    std::fs::write(folder.path().join("keys.json"), set(&[public.clone(), secret])).unwrap();
    let oauth = oauth(folder.path(), "");
    let good = own.sign(&claims("alice@example.mil"));
    assert_eq!(ask(&oauth, &good).await, alice());
    let part = |value: Value| BASE64URL.encode(value.to_string());
    let body = part(claims("alice@example.mil"));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    // With a key of the issuer's as the secret of a symmetric algorithm.
    let with_public = |key: &[u8]| {
        let header = Header { kid: Some("own".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims("alice@example.mil"), &EncodingKey::from_secret(key)).unwrap()
    };
    let x = BASE64URL.decode(public["x"].as_str().unwrap()).unwrap();
    let stranger = Signer { id: "own", ..Signer::new("x", Algorithm::ES256) };
    let mut of_secret = Header::new(Algorithm::HS256);
    of_secret.kid = Some("secret".to_owned());
    let by_secret =
        encode(&of_secret, &claims("alice@example.mil"), &EncodingKey::from_secret(b"known to all")).unwrap();
    for (token, says) in [
        (format!("{}.{body}.", part(json!({ "alg": "none" }))), "no signed token"),
        (format!("{}.{body}.", part(json!({ "alg": "None", "kid": "own" }))), "no signed token"),
        (format!("{}.{body}.{signature}", part(json!({ "alg": "ES512", "kid": "own" }))), "no signed token"),
        (with_public(&x), "not among the algorithms"),
        (with_public(public.to_string().as_bytes()), "not among the algorithms"),
        (by_secret, "not among the algorithms"),
        (stranger.sign(&claims("alice@example.mil")), "signature"),
        (format!("{header}.{payload}.{}", BASE64URL.encode([0; 64])), "signature"),
        (format!("{header}.{payload}."), "signature"),
        (format!("{header}.{payload}"), "no signed token"),
        (format!("{header}.{payload}.{signature}.x.y"), "no signed token"),
        (format!("{good}x"), "signature"),
        (
            format!(
                "{}.{body}.{signature}",
                part(json!({ "alg": "ES256", "kid": "own", "crit": ["b64"], "b64": false }))
            ),
            "critical",
        ),
        // A key of its own, or where to get one, is nothing that counts.
        (
            format!(
                "{}.{body}.{signature}",
                part(json!({ "alg": "ES256", "jku": "http://127.0.0.1/", "jwk": public }))
            ),
            "signature",
        ),
        ("".to_owned(), "there is none"),
        ("x".to_owned(), "no signed token"),
        ("..".to_owned(), "no signed token"),
        (own.sign(&json!({ "iss": ISSUER, "aud": "other", "exp": 9e9, "email": "alice@example.mil" })), "it is for"),
        (own.sign(&json!({ "iss": ISSUER, "aud": "postern", "exp": 5, "email": "alice@example.mil" })), "good until"),
        (own.sign(&json!([1, 2])), "signature"),
    ] {
        let answer = ask(&oauth, &token).await;
        assert!(refused(&answer, says), "{token}: {answer:?}, not {says:?}");
        let TokenAnswer::Refused(why) = answer else { continue };
        assert!(!why.contains(&body) && !why.contains(signature), "the token is in the log: {why}");
    }
}

#[tokio::test]
async fn keys_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let (old, new) = (Signer::new("old", Algorithm::ES256), Signer::new("new", Algorithm::ES256));
    let (by_old, by_new) = (old.sign(&claims("alice@example.mil")), new.sign(&claims("alice@example.mil")));
    let unavailable =
        |answer: &TokenAnswer| matches!(answer, TokenAnswer::Unavailable(why) if why.contains("keys.json"));

    let every_time = oauth(folder.path(), "");
    assert!(unavailable(&ask(&every_time, &by_old).await), "nothing was ever read");
    std::fs::write(&file, "{").unwrap();
    assert!(unavailable(&ask(&every_time, &by_old).await), "no JSON");
    std::fs::write(&file, set(&[])).unwrap();
    assert!(unavailable(&ask(&every_time, &by_old).await), "no keys");
    // What nobody can use does not spoil the others.
    let odd = [json!({ "kty": "EC", "crv": "P-521", "kid": "p" }), json!(7), json!({ "kty": "AKP", "kid": "q" })];
    std::fs::write(&file, set(&[&odd[..], &[old.public()]].concat())).unwrap();
    assert_eq!(ask(&every_time, &by_old).await, alice());
    assert!(refused(&ask(&every_time, &by_new).await, "none of the issuer's"));
    std::fs::write(&file, set(&[new.public()])).unwrap();
    assert_eq!(ask(&every_time, &by_new).await, alice());
    assert!(refused(&ask(&every_time, &by_old).await, "none of the issuer's"), "an old key is no key");
    let many: Vec<Value> = (0..201).map(|_| old.public()).collect();
    std::fs::write(&file, set(&many)).unwrap();
    assert!(unavailable(&ask(&every_time, &by_new).await), "too many keys");

    // Kept for a while: the issuer is not asked for what is known, nor twice for what is not.
    std::fs::write(&file, set(&[old.public()])).unwrap();
    let kept = oauth(folder.path(), "").with_refresh(Duration::from_secs(60));
    assert_eq!(ask(&kept, &by_old).await, alice());
    std::fs::write(&file, set(&[old.public(), new.public()])).unwrap();
    assert!(refused(&ask(&kept, &by_new).await, "none of the issuer's"), "it was asked just now");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ask(&kept, &by_old).await, alice());

    // A key that is not known, while the issuer can't be asked: later, perhaps.
    std::fs::write(&file, set(&[old.public()])).unwrap();
    let failing = oauth(folder.path(), "").with_refresh(Duration::from_millis(1));
    assert_eq!(ask(&failing, &by_old).await, alice());
    let failing = failing.with_refresh(Duration::from_millis(500));
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(ask(&failing, &by_old).await, alice());
    assert!(unavailable(&ask(&failing, &by_new).await));
}

impl Oauth {
    fn with_refresh(mut self, refresh: Duration) -> Self {
        if let Source::Keys(keys) = &mut self.source {
            keys.refresh = refresh;
        }
        self
    }
}

#[test]
fn settings_that_cannot_be_meant() {
    let faults = |text: &str| {
        let settings: OauthSettings = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        settings.faults().into_iter().map(|fault| format!("{}: {}", fault.key, fault.text)).collect::<Vec<_>>()
    };
    let whole = "issuer = \"https://i\"\naudience = [\"a\"]\n";
    let asked = |url: &str| {
        format!("introspection = {{ url = \"{url}\", client_id = \"c\", client_secret_file = \"/nowhere\" }}")
    };
    for (text, says) in [
        (whole.to_owned(), vec!["neither jwks nor introspection"]),
        (format!("{whole}jwks = \"keys.json\""), vec![]),
        (format!("{whole}jwks = \"https://i/keys\""), vec![]),
        (format!("{whole}jwks = \"http://127.0.0.1/keys\""), vec![]),
        (format!("{whole}jwks = \"http://i/keys\""), vec!["could forge"]),
        (format!("{whole}jwks = \"ldap://i/cn=x\""), vec!["could forge"]),
        ("jwks = \"https://i/keys\"".to_owned(), vec!["issuer and audience"]),
        ("issuer = \"https://i\"\njwks = \"https://i/keys\"".to_owned(), vec!["issuer and audience"]),
        (format!("{whole}jwks = \"https://i/keys\"\n{}", asked("https://i/ask")), vec!["one of them"]),
        (asked("https://i/ask"), vec![]),
        (asked("http://i/ask"), vec!["clear text"]),
        (format!("{whole}jwks = \"keys.json\"\nalgorithms = []"), vec!["none: no token"]),
        (format!("{whole}jwks = \"k\"\nrefresh = \"0s\"\ntimeout = \"9ms\""), vec!["refresh: less", "timeout: less"]),
    ] {
        let found = faults(&text);
        let all = found.len() == says.len() && found.iter().zip(&says).all(|(fault, says)| fault.contains(says));
        assert!(all, "{text}: {found:?}, not {says:?}");
    }
    for (text, says) in [
        ("algorithms = [\"none\"]", "never taken"),
        ("algorithms = [\"HS256\"]", "never taken"),
        ("algorithms = [\"ES512\"]", "is not known"),
        ("jwks = \"ftp://i/keys\"", "nothing is fetched by ftp"),
        ("keys = \"x\"", "unknown field `keys`"),
    ] {
        let error = toml::from_str::<OauthSettings>(text).unwrap_err();
        assert!(error.message().contains(says), "{text}: {error}");
    }
    let missing: OauthSettings = toml::from_str(&asked("https://i/ask")).unwrap();
    let faults = Oauth::open("x", &missing, Fetcher::local()).unwrap_err();
    assert!(faults[0].text.contains("/nowhere") && faults[0].key == "introspection.client_secret_file");
}

/// A profile of a people file, and a token's way through it.
#[tokio::test]
async fn whom_a_token_names_the_directory_knows_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let own = Signer::new("own", Algorithm::ES256);
    std::fs::write(folder.path().join("keys.json"), set(&[own.public()])).unwrap();
    let people = "[[person]]\nuser_id = \"alice\"\naddresses = [\"alice@example.mil\", \"a.smith@example.mil\"]\n\
                  [[person]]\nuser_id = \"bob\"\naddresses = [\"bob@example.mil\"]\nattributes = { card = \"yes\" }\n\
                  [[person]]\nuser_id = \"carol\"\ndisabled = true\n";
    std::fs::write(folder.path().join("people.toml"), people).unwrap();
    let settings = format!(
        "kind = \"file\"\npath = {:?}\nsmtp_auth_query.allowance = \"(!(card=*))\"",
        folder.path().join("people.toml").to_str().unwrap()
    );
    let directory = directory::Directory::open("people", &toml::from_str(&settings).unwrap()).unwrap();
    let settings =
        "password = { directory = \"people\", oauth = \"test\", mechanisms = [\"OAUTHBEARER\", \"XOAUTH2\"] }";
    let settings: crate::settings::Settings = toml::from_str(settings).unwrap();
    assert_eq!(settings.contradictions(), []);
    let source = PasswordSource::Directory(Arc::new(directory));
    let profile = Profile::new("test", &settings, None, Some(source));
    let profile = profile.with_tokens(Arc::new(oauth(folder.path(), "")));
    let sent = |user: &str, token: String| Credentials::Token {
        mechanism: Mechanism::OauthBearer,
        user: user.to_owned(),
        token: Password::new(token),
    };
    let good = |email: &str| own.sign(&claims(email));
    for (claimed, token, user, expected) in [
        ("", good("alice@example.mil"), "alice@example.mil", "right, allowed"),
        ("alice@example.mil", good("alice@example.mil"), "alice@example.mil", "right, allowed"),
        ("ALICE", good("alice"), "alice", "right, allowed"),
        ("a.smith@example.mil", good("alice"), "alice", "right, allowed"),
        ("bob", good("alice"), "bob", "names \"alice\""),
        ("", good("bob"), "bob", "right, not allowed"),
        ("", good("carol"), "carol", "disabled"),
        ("", good("zoe"), "zoe", "unknown user"),
        ("zoe", good("*"), "*", "unknown user"),
        ("alice", "no.token.x".to_owned(), "alice", "no signed token"),
        ("alice", String::new(), "alice", "there is none"),
    ] {
        let (attempt, last) = profile.attempt(sent(claimed, token), Time::now()).await;
        let Attempt::Password { mechanism: Mechanism::OauthBearer, user: named, password, allowance } = &attempt else {
            panic!("{attempt:?}")
        };
        assert_eq!(named, user);
        let told = match (password, allowance) {
            (PasswordFact::Right(principal), AllowanceFact::Allowed) if principal.user_id == "alice" => {
                "right, allowed"
            }
            (PasswordFact::Right(principal), AllowanceFact::NotAllowed) if principal.user_id == "bob" => {
                "right, not allowed"
            }
            (PasswordFact::AccountDisabled, AllowanceFact::NotAsked) => "disabled",
            (PasswordFact::Wrong(WrongPassword::UnknownUser), AllowanceFact::NotAsked) => "unknown user",
            (PasswordFact::TokenRefused(why), AllowanceFact::NotAsked) => why,
            other => panic!("{other:?}"),
        };
        assert!(told.contains(expected), "{claimed:?} {user:?}: {told}, not {expected}");
        let LastWord::IfRefused(word) = last else { panic!("{last:?}") };
        let word = base64::engine::general_purpose::STANDARD.decode(word).unwrap();
        let expected = json!({
            "status": "invalid_token", "scope": "smtp",
            "openid-configuration": "https://login.example.mil/.well-known/openid-configuration",
        });
        assert_eq!(serde_json::from_slice::<Value>(&word).unwrap(), expected);
        // Asked again without the token: who is still there stays.
        let now = profile.standing(&attempt, Time::now()).await;
        assert_eq!(now, attempt);
    }
    let told: Value = serde_json::from_str(&oauth(folder.path(), "").refusal(Mechanism::Xoauth2)).unwrap();
    assert_eq!(told, json!({ "status": "401", "schemes": "bearer", "scope": "smtp" }));
    // No directory is asked about tokens that nobody can judge.
    std::fs::remove_file(folder.path().join("keys.json")).unwrap();
    let profile = profile.with_tokens(Arc::new(oauth(folder.path(), "")));
    let (attempt, _) = profile.attempt(sent("", good("alice")), Time::now()).await;
    let Attempt::Password { password: PasswordFact::Unavailable(why), .. } = attempt else { panic!("{attempt:?}") };
    assert!(why.starts_with("oauth test: "), "{why}");
}
