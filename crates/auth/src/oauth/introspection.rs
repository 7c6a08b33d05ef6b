//! Asking the issuer about each token (RFC 7662).

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pki::{Fetcher, Form, HttpUrl};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::settings::IntrospectionSettings;
use crate::forward::SettingFault;

/// Octets of an answer.
const MAX_ANSWER: u64 = 64 * 1024;
/// Octets of a secret.
const MAX_SECRET: usize = 4096;
/// Questions at a time; more wait, within the time for one.
const MAX_QUESTIONS: usize = 32;

/// Where tokens are asked about.
pub(super) struct Introspection {
    url: HttpUrl,
    authorization: Zeroizing<String>,
    fetcher: Fetcher,
    timeout: Duration,
    questions: Semaphore,
}

impl Introspection {
    /// Reads the secret.
    pub(super) fn open(
        settings: &IntrospectionSettings,
        fetcher: Fetcher,
        timeout: Duration,
    ) -> Result<Self, SettingFault> {
        let file = &settings.client_secret_file;
        let secret = secret(file.get_ref()).map_err(|text| SettingFault {
            key: "introspection.client_secret_file",
            span: file.span(),
            text,
            mend: "write the file of the secret that the issuer gave to this client, in one line",
        })?;
        // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Zeroizing::new(format!("{}:{}", encoded(&settings.client_id), encoded(&secret)));
        let authorization = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
        let url = settings.url.get_ref().clone();
        Ok(Self { url, authorization, fetcher, timeout, questions: Semaphore::new(MAX_QUESTIONS) })
    }

    /// What the issuer says of an active token; `None`: it is not one. The error says why nobody can tell.
    pub(super) async fn ask(&self, token: &str) -> Result<Option<Map<String, Value>>, String> {
        let pairs = [("token", token), ("token_type_hint", "access_token")];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let body = Zeroizing::new(body);
        let asking = async {
            let _place = self.questions.acquire().await.map_err(|error| error.to_string())?;
            let form = Form { authorization: Some(&self.authorization), body: &body };
            self.fetcher.post(&self.url, form, MAX_ANSWER, self.timeout).await.map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(self.timeout, asking).await;
        let answer = answer.unwrap_or_else(|_| Err("too many questions wait".to_owned()));
        let octets = answer.map_err(|why| format!("{}: {why}", self.url))?;
        match serde_json::from_slice::<Value>(&octets) {
            Ok(Value::Object(claims)) => match claims.get("active") {
                Some(Value::Bool(true)) => Ok(Some(claims)),
                Some(Value::Bool(false)) => Ok(None),
                _ => Err(format!("{}: an answer without \"active\"", self.url)),
            },
            _ => Err(format!("{}: an answer that is no JSON object", self.url)),
        }
    }
}

fn secret(file: &Path) -> Result<Zeroizing<String>, String> {
    use std::io::Read as _;
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET + 1));
    let opened = std::fs::File::open(file).map_err(|error| told(&error))?;
    opened.take(MAX_SECRET as u64 + 1).read_to_string(&mut text).map_err(|error| told(&error))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    match secret.len() {
        0 => Err(told(&"it is empty")),
        1..=MAX_SECRET => Ok(Zeroizing::new(secret.to_owned())),
        _ => Err(told(&"longer than any secret")),
    }
}
