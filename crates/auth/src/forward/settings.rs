//! `[forward.NAME]`

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::{OwnCertificate, ServerUrl, Tls, authorities, connector_to_verified};
use directory::{ClientCertificate, Order};
use protocol::Domain;
use rustls::crypto::CryptoProvider;
use serde::Deserialize;
use serde_spanned::Spanned;

/// Servers of one forward.
const MAX_SERVERS: usize = 16;
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_CONNECTIONS: u32 = 64;

/// A forward, as configured. A value that was left out has the span 0..0.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardSettings {
    /// The SMTP servers that judge passwords.
    pub servers: Spanned<Vec<ServerUrl>>,
    /// Which of them is asked.
    #[serde(default = "failover")]
    pub order: Spanned<Order>,
    /// TLS by STARTTLS on smtp://.
    #[serde(default = "yes")]
    pub starttls: Spanned<bool>,
    /// Passwords may cross the network in clear text.
    #[serde(default = "no")]
    pub allow_plaintext: Spanned<bool>,
    /// PEM file of the authorities that may vouch for the servers; the system's when left out.
    pub ca: Option<Spanned<PathBuf>>,
    /// What the gateway shows to a server that asks.
    pub client_certificate: Option<Spanned<ClientCertificate>>,
    /// For a question with all that belongs to it: connections, a try on another server.
    #[serde(default = "fifteen_seconds")]
    pub timeout: Spanned<pki::Span>,
    /// Connections to each server at most.
    #[serde(default = "eight")]
    pub connections: Spanned<u32>,
    /// The users' mail domains: what somebody may send as whom a server only says yes to.
    #[serde(default = "none")]
    pub domains: Spanned<Domains>,
}

fn left_out<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

fn failover() -> Spanned<Order> {
    left_out(Order::Failover)
}

fn yes() -> Spanned<bool> {
    left_out(true)
}

fn no() -> Spanned<bool> {
    left_out(false)
}

fn fifteen_seconds() -> Spanned<pki::Span> {
    left_out(pki::Span(Duration::from_secs(15)))
}

fn eight() -> Spanned<u32> {
    left_out(8)
}

fn none() -> Spanned<Domains> {
    left_out(Domains(Vec::new()))
}

/// Mail domains.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Domains(pub Vec<Domain>);

impl TryFrom<Vec<String>> for Domains {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let domain = |text: &String| {
            Domain::parse(text).map_err(|error| format!("{text:?} is no mail domain such as \"example.org\": {error}"))
        };
        texts.iter().map(domain).collect::<Result<_, _>>().map(Self)
    }
}

/// A setting of a forward that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The key below `forward.NAME`.
    pub key: &'static str,
    /// Where its value stands in the configuration, octets.
    pub span: Range<usize>,
    /// What is wrong.
    pub text: String,
    /// What would be right.
    pub mend: &'static str,
}

impl ForwardSettings {
    /// What is wrong, without looking at any file.
    pub(super) fn faults(&self) -> Vec<SettingFault> {
        let mut found = Vec::new();
        let mut fault = |key, span: Range<usize>, text: String, mend| {
            found.push(SettingFault { key, span, text, mend });
        };
        let servers = self.servers.get_ref();
        let starttls = *self.starttls.get_ref();
        if !(1..=MAX_SERVERS).contains(&servers.len()) {
            let text = format!("there are {}, and it takes 1 to {MAX_SERVERS}", servers.len());
            fault("servers", self.servers.span(), text, "write servers = [\"smtps://mx1.example.org\"]");
        }
        let written = self.starttls.span() != (0..0);
        if starttls && written && !servers.is_empty() && servers.iter().all(ServerUrl::implicit_tls) {
            let text = "STARTTLS is for smtp:// servers, and there is none".to_owned();
            fault("starttls", self.starttls.span(), text, "leave it out");
        }
        if let (Some(server), false) = (self.in_clear_text(), *self.allow_plaintext.get_ref()) {
            let text = format!("passwords would cross the network in clear text to {server}");
            let mend =
                "leave starttls out, or write smtps://; on a network that nobody else can read, allow_plaintext = true";
            fault("starttls", self.starttls.span(), text, mend);
        }
        if !servers.is_empty() && !self.uses_tls() {
            let text = || "no server is asked inside TLS, so it is not used".to_owned();
            if let Some(ca) = &self.ca {
                fault("ca", ca.span(), text(), "leave it out, or write smtps:// or starttls = true");
            }
            if let Some(own) = &self.client_certificate {
                fault("client_certificate", own.span(), text(), "leave it out, or write smtps:// or starttls = true");
            }
        }
        let timeout = self.timeout.get_ref().0;
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            let text = "more than nothing, and 60s at most".to_owned();
            fault("timeout", self.timeout.span(), text, "write timeout = \"15s\"");
        }
        if !(1..=MAX_CONNECTIONS).contains(self.connections.get_ref()) {
            let text = format!("1 to {MAX_CONNECTIONS}");
            fault("connections", self.connections.span(), text, "write connections = 8");
        }
        found
    }

    /// The first server that passwords travel to unprotected.
    pub(super) fn in_clear_text(&self) -> Option<&ServerUrl> {
        let starttls = *self.starttls.get_ref();
        let open = |server: &&ServerUrl| !starttls && !server.implicit_tls() && !server.host().is_loopback();
        self.servers.get_ref().iter().find(open)
    }

    fn uses_tls(&self) -> bool {
        *self.starttls.get_ref() || self.servers.get_ref().iter().any(ServerUrl::implicit_tls)
    }

    /// What each server is spoken to by, in order. Reads the files that are named.
    pub(super) fn tls(&self, provider: &Arc<CryptoProvider>) -> Result<Vec<Tls>, SettingFault> {
        let verified = if self.uses_tls() { self.verified(provider)? } else { Tls::Never };
        let starttls = *self.starttls.get_ref();
        let of = |server: &ServerUrl| if starttls || server.implicit_tls() { verified.clone() } else { Tls::Never };
        Ok(self.servers.get_ref().iter().map(of).collect())
    }

    fn verified(&self, provider: &Arc<CryptoProvider>) -> Result<Tls, SettingFault> {
        let fault = |key, span: Range<usize>, error: client::SetupError, mend| SettingFault {
            key,
            span,
            text: error.to_string(),
            mend,
        };
        let (key, span) = self.ca.as_ref().map_or(("servers", self.servers.span()), |ca| ("ca", ca.span()));
        let roots = authorities(self.ca.as_ref().map(|ca| ca.get_ref().as_path()));
        let roots =
            roots.map_err(|error| fault(key, span, error, "ca names a PEM file with the servers' authorities"))?;
        let mend = "{ certificate = \"…\", key = \"…\" } names two PEM files that belong together";
        let span = self.client_certificate.as_ref().map_or(self.servers.span(), Spanned::span);
        let own = self.client_certificate.as_ref().map(Spanned::get_ref);
        let own = own.map(|own| OwnCertificate::load(&own.certificate, &own.key)).transpose();
        own.and_then(|own| connector_to_verified(roots, own.as_ref(), provider))
            .map(Tls::Must)
            .map_err(|error| fault("client_certificate", span, error, mend))
    }
}
