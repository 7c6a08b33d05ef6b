//! Mail flow policies: what an administrator writes under `[policy.NAME]`.

use std::sync::Arc;

use bytesize::ByteSize;
use serde::Deserialize;
use serde_spanned::Spanned;

/// `[policy.NAME]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// What such a client may do at all.
    pub access: Access,
    /// TLS on a `starttls` listener; `preferred` unless told otherwise.
    #[serde(default)]
    pub tls: TlsRule,
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
    /// Largest message, in bytes; what SIZE advertises.
    #[serde(default = "default_message_size")]
    pub max_message_size: Spanned<MessageSize>,
    /// Most RCPT TO in one message.
    #[serde(default = "default_recipients")]
    pub max_recipients_per_message: Spanned<u32>,
    /// Most messages in one connection.
    #[serde(default = "default_messages")]
    pub max_messages_per_connection: Spanned<u32>,
    /// Most connections of one client address at a time.
    #[serde(default = "default_connections")]
    pub max_connections_per_client: Spanned<u32>,
}

/// Octets, written as `25MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MessageSize(pub u64);

impl TryFrom<String> for MessageSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let size: Result<ByteSize, _> = text.parse();
        size.map(|size| Self(size.as_u64())).map_err(|_| format!("{text:?} is not a size: write 512KiB or 25MiB"))
    }
}

/// What a client may do before anything else is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Mail to anywhere, once the other rules are content.
    Relay,
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

/// What an identity may write in MAIL FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SenderBinding {
    /// One of the identity's own addresses.
    #[default]
    OwnAddress,
    /// Any address in the domain of one of them.
    OwnDomain,
    /// Anything.
    Any,
}

/// A mail flow policy whose every value is sound.
#[derive(Debug, Clone)]
pub struct MailFlowPolicy {
    /// As in the configuration; for logs.
    pub name: Arc<str>,
    /// See [`PolicySettings::access`].
    pub access: Access,
    /// See [`PolicySettings::tls`].
    pub tls: TlsRule,
    /// See [`PolicySettings::verify_client_certificate`].
    pub verify_client_certificate: bool,
    /// See [`PolicySettings::smtp_auth`].
    pub smtp_auth: SmtpAuth,
    /// See [`PolicySettings::require_tls_to_offer_auth`].
    pub require_tls_to_offer_auth: bool,
    /// See [`PolicySettings::sender`].
    pub sender: SenderBinding,
    /// Bytes.
    pub max_message_size: u64,
    /// At least 1.
    pub max_recipients_per_message: u32,
    /// At least 1.
    pub max_messages_per_connection: u32,
    /// At least 1.
    pub max_connections_per_client: u32,
}

/// The smallest message size that RFC 5321 section 4.5.3.1.7 lets a server insist on.
const MINIMAL_MESSAGE_SIZE: u64 = 64 * 1024;

impl MailFlowPolicy {
    /// Checks the settings; every problem goes to `report` with its place in the file.
    pub fn new(name: &str, settings: &PolicySettings, mut report: impl FnMut(std::ops::Range<usize>, String)) -> Self {
        if settings.max_message_size.get_ref().0 < MINIMAL_MESSAGE_SIZE {
            let mend = "max_message_size must be at least 64KiB (RFC 5321 section 4.5.3.1.7)".to_owned();
            report(settings.max_message_size.span(), mend);
        }
        let mut at_least_one = |key: &str, value: &Spanned<u32>| {
            if *value.get_ref() == 0 {
                report(value.span(), format!("{key} must be at least 1"));
            }
            *value.get_ref()
        };
        Self {
            max_recipients_per_message: at_least_one(
                "max_recipients_per_message",
                &settings.max_recipients_per_message,
            ),
            max_messages_per_connection: at_least_one(
                "max_messages_per_connection",
                &settings.max_messages_per_connection,
            ),
            max_connections_per_client: at_least_one(
                "max_connections_per_client",
                &settings.max_connections_per_client,
            ),
            name: name.into(),
            access: settings.access,
            tls: settings.tls,
            verify_client_certificate: settings.verify_client_certificate,
            smtp_auth: settings.smtp_auth,
            require_tls_to_offer_auth: settings.require_tls_to_offer_auth,
            sender: settings.sender,
            max_message_size: settings.max_message_size.get_ref().0,
        }
    }
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

#[cfg(test)]
mod tests;
