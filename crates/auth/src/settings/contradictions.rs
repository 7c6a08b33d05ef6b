//! What can only be seen by looking at several keys of a profile together.

use std::ops::Range;

use serde_spanned::Spanned;

use crate::rules::OnProblem;
use crate::settings::{PasswordSettings, Settings};

/// Settings of a profile that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The key below `authentication.NAME`; empty for the whole.
    pub key: &'static str,
    /// Where its value stands in the configuration, octets; empty for the whole.
    pub span: Range<usize>,
    /// What is wrong, and what would be right.
    pub text: &'static str,
}

impl Settings {
    /// What can only be seen by looking at several keys together.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        if self.certificate.is_none() && self.password.is_none() {
            let text = "neither certificate nor password: nobody could be identified; add one, or both";
            found.push(Contradiction { key: "", span: 0..0, text });
        }
        found.extend(self.password.as_ref().and_then(password_contradiction));
        let directory = self.certificate.as_ref().is_some_and(|certificate| certificate.directory.is_some());
        let problems =
            [("on_missing", &self.on_missing), ("on_invalid", &self.on_invalid), ("on_no_match", &self.on_no_match)];
        for (key, setting) in problems {
            let Some(setting) = setting else { continue };
            let text = if self.certificate.is_none() {
                "without `certificate` it has no meaning: leave it out"
            } else if key == "on_no_match" && !directory {
                "without `certificate.directory` nobody is looked for: add one, or leave it out"
            } else if *setting.get_ref() == OnProblem::Fallback && self.password.is_none() {
                "there is no `password` to fall back to: add one, or write \"reject\""
            } else {
                continue;
            };
            found.push(Contradiction { key, span: setting.span(), text });
        }
        found
    }
}

/// One judge, and no questions that it can't answer.
fn password_contradiction(password: &Spanned<PasswordSettings>) -> Option<Contradiction> {
    let settings = password.get_ref();
    let tokens = settings.mechanisms.as_slice().iter().any(|mechanism| mechanism.is_token());
    let (key, span, text) = match (&settings.directory, &settings.forward, &settings.on_not_allowed) {
        (None, None, _) => {
            let text = "neither directory nor forward: nobody could judge a password; write directory = \"…\" or forward = \"…\"";
            ("password", password.span(), text)
        }
        (Some(_), Some(forward), _) => {
            let text = "directory and forward: one of them judges passwords; leave the other out";
            ("password.forward", forward.span(), text)
        }
        (None, Some(_), _) if settings.mechanisms.as_slice().iter().any(|mechanism| mechanism.is_scram()) => {
            let text = "SCRAM proves a password without sending it, and a forward has to be sent it: leave SCRAM out of the mechanisms";
            ("password.forward", settings.forward.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (None, Some(_), _) if settings.oauth.is_some() => {
            let text = "a forward knows nobody without a password, so no token can name anybody: take a directory, or leave oauth out";
            ("password.oauth", settings.oauth.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (Some(_), None, _) if settings.oauth.is_none() && tokens => {
            let text =
                "OAUTHBEARER and XOAUTH2 need something that judges tokens: write oauth = \"…\", or leave them out";
            ("password.mechanisms", password.span(), text)
        }
        (Some(_), None, _) if settings.oauth.is_some() && !tokens => {
            let text =
                "no mechanism brings a token: write OAUTHBEARER or XOAUTH2 among the mechanisms, or leave oauth out";
            ("password.oauth", settings.oauth.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (None, Some(_), _) if tokens => {
            let text = "a forward knows nobody without a password: leave OAUTHBEARER and XOAUTH2 out of the mechanisms";
            ("password.forward", settings.forward.as_ref().map_or_else(|| password.span(), Spanned::span), text)
        }
        (None, Some(_), Some(setting)) => {
            let text = "a forward has no allowance query, so it has no meaning: leave it out";
            ("password.on_not_allowed", setting.span(), text)
        }
        _ => return None,
    };
    Some(Contradiction { key, span, text })
}
