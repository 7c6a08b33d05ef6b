//! Mail flow policies: what an administrator writes under `[policy.NAME]`.

use std::ops::Range;
use std::sync::Arc;

use auth::{OnNotAllowed, ProfileRules};
use bytesize::ByteSize;
use protocol::MailPattern;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::flow_values::{MessageSize, MinVersion, ReplyText, TlsSuite};
use crate::rule::{Rule, Rules};
use crate::sender::{NullSender, OnForeign, SenderBinding, SenderRules, SubaddressSeparator};

/// `[policy.NAME]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// What such a client may do at all.
    pub access: Access,
    /// With `access = "reject"`: refuse each recipient instead of the connection, and no client with an identity.
    #[serde(default = "no")]
    pub delayed_rejection: Spanned<bool>,
    /// What the refusal of `access = "reject"` says; "Access denied" when left out.
    pub reject_text: Option<Spanned<ReplyText>>,
    /// What the greeting says after the host's name and `ESMTP`; the gateway's name when left out.
    pub banner: Option<ReplyText>,
    /// TLS on a `starttls` listener; `preferred` unless told otherwise.
    #[serde(default)]
    pub tls: TlsRule,
    /// Senders (MAIL FROM) for whom TLS is required, where it is not for all.
    #[serde(default = "nobody")]
    pub tls_required_for_senders: Spanned<Vec<MailPattern>>,
    /// The oldest TLS version; that of `[tls]` when left out.
    pub min_tls_version: Option<MinVersion>,
    /// The cipher suites that may be agreed upon, in order of preference; all that are sound when left out.
    pub tls_suites: Option<Spanned<Vec<TlsSuite>>>,
    /// Ask for a client certificate in the handshake, and judge it.
    #[serde(default)]
    pub verify_client_certificate: bool,
    /// Must, may or cannot the client authenticate?
    #[serde(default)]
    pub smtp_auth: SmtpAuth,
    /// Offer AUTH inside TLS only.
    #[serde(default = "yes")]
    pub require_tls_to_offer_auth: bool,
    /// What an identity may write in MAIL FROM.
    #[serde(default)]
    pub sender: SenderBinding,
    /// What follows from another MAIL FROM.
    #[serde(default)]
    pub on_foreign_sender: OnForeign,
    /// What an identity may write in the header's From and Sender. `any` unless told otherwise: mail that is resent, or
    /// comes through a list or a device, truly has another author, and what a policy refuses of it should be seen first.
    #[serde(default = "any")]
    pub from_header: SenderBinding,
    /// What follows from another author.
    #[serde(default)]
    pub on_foreign_from: OnForeign,
    /// May clients send from nobody?
    #[serde(default)]
    pub null_sender: NullSender,
    /// What separates a mailbox from a detail that makes no other address of it; nothing does when left out.
    pub subaddress_separator: Option<SubaddressSeparator>,
    /// Rules that are only tried out: what they would refuse is logged, counted and let through.
    #[serde(default = "none")]
    pub monitor: Spanned<Vec<Rule>>,
    /// Largest message, in bytes; what SIZE advertises.
    #[serde(default = "default_message_size")]
    pub max_message_size: Spanned<MessageSize>,
    /// Most RCPT TO in one message.
    #[serde(default = "default_recipients")]
    pub max_recipients_per_message: Spanned<u32>,
    /// Most messages in one connection.
    #[serde(default = "default_messages")]
    pub max_messages_per_connection: Spanned<u32>,
    /// Most connections of one client at a time.
    #[serde(default = "default_connections")]
    pub max_connections_per_client: Spanned<u32>,
    /// Most recipients of one client in an hour; as many as it likes when left out.
    pub max_recipients_per_hour: Option<Spanned<u32>>,
    /// Most recipients of one identity in an hour, wherever it connects from; as many as it likes when left out.
    pub max_recipients_per_hour_per_identity: Option<Spanned<u32>>,
    /// Most recipients that do not exist, of one client in an hour.
    #[serde(default = "default_unknown")]
    pub max_unknown_recipients_per_hour: Spanned<u32>,
}

/// What a client may do before anything else is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Mail to anywhere, once the other rules are content.
    Relay,
    /// Mail to the listener's own recipients; to anywhere for a client with an identity.
    Accept,
    /// A banner of 554, and nothing else.
    Reject,
    /// The connection is closed without a word.
    Refuse,
}

/// TLS on a listener that starts in clear text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsRule {
    /// STARTTLS is not offered.
    Off,
    /// STARTTLS is offered.
    #[default]
    Preferred,
    /// Before TLS, all but EHLO, HELO, STARTTLS, NOOP, RSET and QUIT is refused.
    Required,
}

/// Whether a client must authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpAuth {
    /// AUTH is not offered.
    Off,
    /// AUTH is offered; mail without an identity goes on.
    Preferred,
    /// No MAIL without an identity, by certificate or by AUTH.
    #[default]
    Required,
}

/// A mail flow policy whose every value is sound.
#[derive(Debug, Clone)]
pub struct MailFlowPolicy {
    /// As in the configuration; for logs.
    pub name: Arc<str>,
    /// See [`PolicySettings::access`].
    pub access: Access,
    /// See [`PolicySettings::delayed_rejection`]; only ever with [`Access::Reject`].
    pub delayed_rejection: bool,
    /// See [`PolicySettings::reject_text`].
    pub reject_text: Option<ReplyText>,
    /// See [`PolicySettings::banner`].
    pub banner: Option<ReplyText>,
    /// See [`PolicySettings::tls`].
    pub tls: TlsRule,
    /// See [`PolicySettings::tls_required_for_senders`].
    pub tls_required_for_senders: Arc<[MailPattern]>,
    /// See [`PolicySettings::min_tls_version`].
    pub min_tls_version: Option<MinVersion>,
    /// See [`PolicySettings::tls_suites`]; never empty.
    pub tls_suites: Option<Vec<TlsSuite>>,
    /// See [`PolicySettings::verify_client_certificate`].
    pub verify_client_certificate: bool,
    /// See [`PolicySettings::smtp_auth`].
    pub smtp_auth: SmtpAuth,
    /// See [`PolicySettings::require_tls_to_offer_auth`].
    pub require_tls_to_offer_auth: bool,
    /// See [`PolicySettings::sender`] and what follows it.
    pub senders: SenderRules,
    /// See [`PolicySettings::monitor`].
    pub monitor: Rules,
    /// Bytes.
    pub max_message_size: u64,
    /// At least 1.
    pub max_recipients_per_message: u32,
    /// At least 1.
    pub max_messages_per_connection: u32,
    /// At least 1.
    pub max_connections_per_client: u32,
    /// At least 1.
    pub max_recipients_per_hour: Option<u32>,
    /// At least 1.
    pub max_recipients_per_hour_per_identity: Option<u32>,
    /// At least 1.
    pub max_unknown_recipients_per_hour: u32,
}

/// The smallest message size that RFC 5321 section 4.5.3.1.7 lets a server insist on.
const MINIMAL_MESSAGE_SIZE: u64 = 64 * 1024;

impl MailFlowPolicy {
    /// Checks the settings; every problem goes to `report` with its place in the file.
    pub fn new(name: &str, settings: &PolicySettings, mut report: impl FnMut(Range<usize>, String)) -> Self {
        settings.contradictions(&mut report);
        let policy = Self::as_written(name, settings);
        if let Some(suites) = settings.tls_suites.as_ref().filter(|_| !policy.has_suites()) {
            let text = "tls_suites has none of the versions spoken: add TLS_AES_256_GCM_SHA384, or leave it out";
            report(suites.span(), text.to_owned());
        }
        if settings.max_message_size.get_ref().0 < MINIMAL_MESSAGE_SIZE {
            let mend = "max_message_size must be at least 64KiB (RFC 5321 section 4.5.3.1.7)".to_owned();
            report(settings.max_message_size.span(), mend);
        }
        for (key, value) in settings.counts() {
            if *value.get_ref() == 0 {
                report(value.span(), format!("{key} must be at least 1"));
            }
        }
        policy
    }

    fn as_written(name: &str, settings: &PolicySettings) -> Self {
        let limit = |value: &Option<Spanned<u32>>| value.as_ref().map(|value| *value.get_ref());
        Self {
            name: name.into(),
            access: settings.access,
            delayed_rejection: *settings.delayed_rejection.get_ref(),
            reject_text: settings.reject_text.as_ref().map(|text| text.get_ref().clone()),
            banner: settings.banner.clone(),
            tls: settings.tls,
            tls_required_for_senders: settings.tls_required_for_senders.get_ref().as_slice().into(),
            min_tls_version: settings.min_tls_version,
            tls_suites: settings.tls_suites.as_ref().map(|suites| suites.get_ref().clone()),
            verify_client_certificate: settings.verify_client_certificate,
            smtp_auth: settings.smtp_auth,
            require_tls_to_offer_auth: settings.require_tls_to_offer_auth,
            senders: SenderRules {
                sender: settings.sender,
                on_foreign_sender: settings.on_foreign_sender,
                from_header: settings.from_header,
                on_foreign_from: settings.on_foreign_from,
                null_sender: settings.null_sender,
                subaddress_separator: settings.subaddress_separator,
            },
            monitor: settings.monitor.get_ref().iter().copied().collect(),
            max_message_size: settings.max_message_size.get_ref().0,
            max_recipients_per_message: *settings.max_recipients_per_message.get_ref(),
            max_messages_per_connection: *settings.max_messages_per_connection.get_ref(),
            max_connections_per_client: *settings.max_connections_per_client.get_ref(),
            max_recipients_per_hour: limit(&settings.max_recipients_per_hour),
            max_recipients_per_hour_per_identity: limit(&settings.max_recipients_per_hour_per_identity),
            max_unknown_recipients_per_hour: *settings.max_unknown_recipients_per_hour.get_ref(),
        }
    }

    /// Whether its suites fit its own oldest version; where not, that has been reported.
    pub fn has_suites(&self) -> bool {
        let oldest = self.min_tls_version.unwrap_or_default();
        self.tls_suites.as_ref().is_none_or(|suites| suites.iter().any(|suite| suite.version() >= oldest))
    }

    /// Monitored rules that refuse nobody under this policy.
    pub fn idle_monitors(&self) -> Rules {
        let refuses = |rule| match rule {
            _ if !self.serves() => false,
            Rule::Tls => self.tls == TlsRule::Required || !self.tls_required_for_senders.is_empty(),
            Rule::Certificate => self.verify_client_certificate,
            Rule::Auth => self.smtp_auth == SmtpAuth::Required && !self.delayed_rejection,
            // No policy names it.
            Rule::Allowance => false,
            Rule::Sender => self.senders.sender != SenderBinding::Any || self.senders.null_sender == NullSender::Reject,
            Rule::FromHeader => self.senders.from_header != SenderBinding::Any,
            Rule::Recipients => self.access == Access::Accept,
            Rule::Limits => {
                let hourly = [self.max_recipients_per_hour, self.max_recipients_per_hour_per_identity];
                self.access == Access::Accept || hourly.iter().any(Option::is_some)
            }
        };
        self.monitor.iter().filter(|rule| !refuses(*rule)).collect()
    }

    /// The rules that a session is not held to under this policy and profile.
    pub fn tried_out(&self, profile: Option<&ProfileRules>) -> Rules {
        let on_not_allowed = profile.and_then(|rules| rules.password.as_ref()).map(|rules| rules.on_not_allowed);
        let allowance =
            on_not_allowed == Some(OnNotAllowed::Monitor) && self.smtp_auth != SmtpAuth::Off && self.serves();
        self.monitor.iter().chain(allowance.then_some(Rule::Allowance)).collect()
    }

    /// Whether any client may get further than a refusal.
    pub fn serves(&self) -> bool {
        match self.access {
            Access::Relay | Access::Accept => true,
            Access::Reject => self.delayed_rejection,
            Access::Refuse => false,
        }
    }
}

impl PolicySettings {
    /// Every limit that is a number, with its key, in the order of the struct.
    fn counts(&self) -> impl Iterator<Item = (&'static str, &Spanned<u32>)> {
        let always = [
            ("max_recipients_per_message", &self.max_recipients_per_message),
            ("max_messages_per_connection", &self.max_messages_per_connection),
            ("max_connections_per_client", &self.max_connections_per_client),
            ("max_unknown_recipients_per_hour", &self.max_unknown_recipients_per_hour),
        ];
        let perhaps = [
            ("max_recipients_per_hour", &self.max_recipients_per_hour),
            ("max_recipients_per_hour_per_identity", &self.max_recipients_per_hour_per_identity),
        ];
        always.into_iter().chain(perhaps.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))))
    }

    /// Settings that are right by themselves and not together.
    fn contradictions(&self, report: &mut impl FnMut(Range<usize>, String)) {
        if *self.delayed_rejection.get_ref() && self.access != Access::Reject {
            let text = "delayed_rejection delays a rejection: write access = \"reject\", or leave it out";
            report(self.delayed_rejection.span(), text.to_owned());
        }
        if let Some(text) = self.reject_text.as_ref().filter(|_| self.access != Access::Reject) {
            report(text.span(), "reject_text is never said: write access = \"reject\", or leave it out".to_owned());
        }
        if self.tls == TlsRule::Off && !self.tls_required_for_senders.get_ref().is_empty() {
            let text = "tls_required_for_senders needs TLS: write tls = \"preferred\", or leave it out";
            report(self.tls_required_for_senders.span(), text.to_owned());
        }
        if self.monitor.get_ref().contains(&Rule::Allowance) {
            let text = "allowance is the profile's: write on_not_allowed = \"monitor\" in its `password`";
            report(self.monitor.span(), text.to_owned());
        }
    }
}

fn nobody() -> Spanned<Vec<MailPattern>> {
    Spanned::new(0..0, Vec::new())
}

fn none() -> Spanned<Vec<Rule>> {
    Spanned::new(0..0, Vec::new())
}

fn no() -> Spanned<bool> {
    Spanned::new(0..0, false)
}

fn any() -> SenderBinding {
    SenderBinding::Any
}

fn yes() -> bool {
    true
}

fn default_message_size() -> Spanned<MessageSize> {
    Spanned::new(0..0, MessageSize(ByteSize::mib(25).as_u64()))
}

fn default_recipients() -> Spanned<u32> {
    Spanned::new(0..0, 100)
}

fn default_messages() -> Spanned<u32> {
    Spanned::new(0..0, 100)
}

fn default_connections() -> Spanned<u32> {
    Spanned::new(0..0, 20)
}

/// Enough for a sender with an old address book, too few for somebody who guesses names.
fn default_unknown() -> Spanned<u32> {
    Spanned::new(0..0, 25)
}

#[cfg(test)]
mod tests;
