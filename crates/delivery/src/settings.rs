//! `[[route]]` as the administrator writes it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use client::{Dialect, Mechanism};
use protocol::{Domain, MailPattern};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::duration;

mod hosts;
mod maildir;

pub use hosts::{Hosts, ListedHost};
pub use maildir::{MaildirSettings, Template};

/// One `[[route]]`: where some mail goes, and how. The first one that matches is taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Recipient domains: `"*"` for all, `"example.org"`, or `".example.org"` for what lies below it.
    pub domains: Spanned<Vec<DomainPattern>>,
    /// Senders whose mail may take it; `[]`: whoever's. What has a null sender is nobody's.
    #[serde(default)]
    pub senders: Vec<MailPattern>,
    /// User ids of those whose mail may take it; `[]`: whoever's, identified or not.
    #[serde(default)]
    pub identities: Vec<String>,
    /// Listeners whose mail may take it; `[]`: whichever's.
    #[serde(default)]
    pub listeners: Vec<Spanned<String>>,
    /// Mail flow policies whose mail may take it; `[]`: whichever's.
    #[serde(default)]
    pub policies: Vec<Spanned<String>>,
    /// Next hops, best first: `"mx.example.org:25"`, `"192.0.2.1"`, `{ host = "[2001:db8::1]:2525", priority = 20, weight = 3 }`;
    /// or `["mx"]`, whom the DNS names for the recipient's domain.
    #[serde(default = "no_hosts")]
    pub hosts: Spanned<Hosts>,
    /// In place of hosts: a folder on this machine for each recipient.
    #[serde(default)]
    pub maildir: Option<Spanned<MaildirSettings>>,
    /// Where connections come from: an IPv4 address, an IPv6 address, or one of each.
    #[serde(default = "default_source")]
    pub source: Spanned<Vec<IpAddr>>,
    /// What EHLO says here, in place of `hostname`.
    #[serde(default)]
    pub hello: Option<Domain>,
    /// What the hosts speak.
    #[serde(default)]
    pub protocol: Dialect,
    /// How much the connection must be trusted.
    #[serde(default)]
    pub tls: TlsMode,
    /// TLS from the first octet (RFC 8314) instead of STARTTLS.
    #[serde(default = "default_implicit_tls")]
    pub implicit_tls: Spanned<bool>,
    /// PEM file of the authorities that may vouch for the next hop; the system's own when absent. For `tls = "verify"`.
    #[serde(default)]
    pub ca: Option<Spanned<PathBuf>>,
    /// The `[trust.NAME]` that vouches for the next hop, with its rules, in place of `ca`.
    #[serde(default)]
    pub trust: Option<Spanned<String>>,
    /// What is shown to a next hop that asks for a certificate.
    #[serde(default)]
    pub client_certificate: Option<Spanned<ClientCertificate>>,
    /// Mail is signed on its way, where a `[dkim.NAME]` is for its author's domain.
    #[serde(default)]
    pub dkim: bool,
    /// Hosts that offer XCLIENT are told by whose connection a message came.
    #[serde(default)]
    pub xclient: bool,
    /// Who the gateway is there; nobody when absent.
    #[serde(default)]
    pub auth: Option<Spanned<AuthSettings>>,
    /// Most connections to this route at a time.
    #[serde(default = "default_connections")]
    pub max_connections: Spanned<u32>,
    /// Most messages over one connection.
    #[serde(default = "default_messages")]
    pub max_messages_per_connection: Spanned<u32>,
    /// Most recipients in one transaction; RFC 5321 section 4.5.3.1.8 promises room for 100.
    #[serde(default = "default_recipients")]
    pub max_recipients: Spanned<u32>,
    /// How long an unused connection is kept for the next message.
    #[serde(default = "default_keep_open", with = "duration")]
    pub keep_open: Duration,
    /// Most time over one connection: a next hop behind a balancer is to see all its hosts.
    #[serde(default = "default_time", with = "duration")]
    pub max_time_per_connection: Duration,
    /// Instead of the spool's.
    #[serde(default, deserialize_with = "duration::optional")]
    pub retry_interval: Option<Duration>,
    /// Instead of the spool's.
    #[serde(default, deserialize_with = "duration::optional")]
    pub max_retry_interval: Option<Duration>,
    /// Instead of the spool's.
    #[serde(default, deserialize_with = "duration::optional")]
    pub give_up_after: Option<Duration>,
    /// How long each step may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// `client_certificate = { certificate = "…", key = "…" }`: PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate, and what is between it and its root.
    pub certificate: PathBuf,
    /// Its key, not encrypted.
    pub key: PathBuf,
}

fn no_hosts() -> Spanned<Hosts> {
    Spanned::new(0..0, Hosts::Listed(Vec::new()))
}

fn default_time() -> Duration {
    Duration::from_secs(5 * 60)
}

fn default_source() -> Spanned<Vec<IpAddr>> {
    Spanned::new(0..0, Vec::new())
}

fn default_implicit_tls() -> Spanned<bool> {
    Spanned::new(0..0, false)
}

fn default_connections() -> Spanned<u32> {
    Spanned::new(0..0, 20)
}

fn default_messages() -> Spanned<u32> {
    Spanned::new(0..0, 100)
}

fn default_recipients() -> Spanned<u32> {
    Spanned::new(0..0, 100)
}

fn default_keep_open() -> Duration {
    Duration::from_secs(5)
}

/// `auth` of a route: AUTH towards its hosts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// The user name there. With EXTERNAL alone it may be left out: the certificate says it.
    #[serde(default)]
    pub username: Option<String>,
    /// A file with the password, and nothing else.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// What may be used, best first: all that prove a password; without a password, EXTERNAL.
    #[serde(default)]
    pub mechanisms: Option<Vec<Mechanism>>,
    /// The password may go to a host of which nobody knows that it is the right one.
    #[serde(default)]
    pub to_anybody: bool,
}

/// How long each step of an attempt may take. The SMTP ones are the minimums of RFC 5321 section 4.5.3.2.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// The TCP connection to one address of a host, its name looked up.
    #[serde(with = "duration")]
    pub connect: Duration,
    /// The TLS handshake.
    #[serde(with = "duration")]
    pub handshake: Duration,
    /// The 220 greeting: section 4.5.3.2.1.
    #[serde(with = "duration")]
    pub greeting: Duration,
    /// The reply to EHLO, STARTTLS, MAIL, RCPT and RSET: sections 4.5.3.2.2 and 4.5.3.2.3.
    #[serde(with = "duration")]
    pub command: Duration,
    /// The 354 after DATA: section 4.5.3.2.4.
    #[serde(with = "duration")]
    pub data: Duration,
    /// The next hop's taking of one block of the message: section 4.5.3.2.5.
    #[serde(with = "duration")]
    pub block: Duration,
    /// The reply to the final dot: section 4.5.3.2.6. Too short a wait makes duplicates.
    #[serde(with = "duration")]
    pub end: Duration,
    /// The whole attempt, over all hosts: what stops a next hop that drips its octets.
    #[serde(with = "duration")]
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            handshake: Duration::from_secs(60),
            greeting: Duration::from_secs(5 * 60),
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(2 * 60),
            block: Duration::from_secs(3 * 60),
            end: Duration::from_secs(10 * 60),
            attempt: Duration::from_secs(60 * 60),
        }
    }
}

/// How much the connection to the next hop must be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum TlsMode {
    /// Clear text, even where TLS is offered.
    None,
    /// TLS where it is offered and works, with whoever answers; else clear text.
    May,
    /// TLS or no delivery, with whoever answers: it keeps listeners out, not impostors.
    Require,
    /// TLS with a certificate for the host's name from a trusted authority, or no delivery.
    #[default]
    Verify,
    /// As the next hop's zone says by TLSA records (RFC 7672): the right host, or no delivery; without records as `May`.
    Dane,
    /// As the recipient's domain says by its policy (RFC 8461); without a policy as `May`.
    MtaSts,
}

impl TryFrom<String> for TlsMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "none" => Ok(Self::None),
            "may" => Ok(Self::May),
            "require" => Ok(Self::Require),
            "verify" => Ok(Self::Verify),
            "dane" => Ok(Self::Dane),
            "mta-sts" => Ok(Self::MtaSts),
            _ => Err(format!(
                "\"{text}\" is not a TLS mode: use \"none\", \"may\", \"require\", \"verify\", \"dane\" or \"mta-sts\""
            )),
        }
    }
}

impl std::fmt::Display for TlsMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::May => "may",
            Self::Require => "require",
            Self::Verify => "verify",
            Self::Dane => "dane",
            Self::MtaSts => "mta-sts",
        })
    }
}

/// The recipient domains a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DomainPattern {
    /// `"*"`, address literals included.
    Any,
    /// The domain itself.
    Exactly(Domain),
    /// `".example.org"`: every domain below `example.org`.
    Below(Domain),
}

impl DomainPattern {
    /// Whether mail for `domain` is meant.
    #[must_use]
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(own) => own == domain,
            Self::Below(parent) => {
                let (parent, domain) = (parent.as_str(), domain.as_str());
                let start = domain.len().checked_sub(parent.len());
                let split = start.and_then(|at| domain.split_at_checked(at));
                split.is_some_and(|(labels, tail)| labels.ends_with('.') && same_domain(tail, parent))
            }
        }
    }
}

fn same_domain(a: &str, b: &str) -> bool {
    matches!((Domain::parse(a), Domain::parse(b)), (Ok(a), Ok(b)) if a == b)
}

impl TryFrom<String> for DomainPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let explain = |error| format!("\"{text}\" is not \"*\", a domain, or a domain with a dot before it: {error}");
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix('.') {
            Some(parent) => Domain::parse(parent).map(Self::Below).map_err(explain),
            None => Domain::parse(&text).map(Self::Exactly).map_err(explain),
        }
    }
}

#[cfg(test)]
mod tests;
