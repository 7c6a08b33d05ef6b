//! From the settings of directory servers to the parts that ask them, or the first thing that is wrong.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_spanned::Spanned;

use crate::account::STATE_ATTRIBUTES;
use crate::error::Error;
use crate::ldap::connector::{Connector, Identity, Refused};
use crate::ldap::message::Depth;
use crate::ldap::pool::Pool;
use crate::ldap::schema::Wanted;
use crate::ldap::server::Server;
use crate::settings::{
    Attribute, Attributes, Bind, ClientCertificate, Method, Order, Scope, Settings, UnknownAttributes,
};
use crate::tokens::Query;

/// Servers of one directory.
const MAX_SERVERS: usize = 16;

/// Which attributes of an entry make a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) user_id: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) send_as: Vec<String>,
    pub(crate) log: Vec<String>,
    /// All of them, and what tells of a closed account.
    pub(crate) asked: Vec<String>,
}

impl Reading {
    pub(crate) fn new(user_id: &Attribute, addresses: &Attributes, send_as: &Attributes, log: &Attributes) -> Self {
        let names = |attributes: &Attributes| attributes.0.iter().map(|one| one.0.clone()).collect::<Vec<_>>();
        let mut asked = vec![user_id.0.clone()];
        let others = names(addresses)
            .into_iter()
            .chain(names(send_as))
            .chain(names(log))
            .chain(STATE_ATTRIBUTES.map(str::to_owned));
        for name in others {
            if !asked.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                asked.push(name);
            }
        }
        Self {
            user_id: user_id.0.clone(),
            addresses: names(addresses),
            send_as: names(send_as),
            log: names(log),
            asked,
        }
    }
}

/// Reads settings of `kind = "ldap"`.
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) settings: &'a Settings,
}

impl Plan<'_> {
    fn wrong(&self, key: &'static str, span: Range<usize>, text: impl Into<String>) -> Error {
        Error::Setting { directory: self.name.to_owned(), key, span, text: text.into() }
    }

    /// What is missing has no place of its own.
    fn missing(&self, key: &'static str, text: &str) -> Error {
        self.wrong(key, self.settings.kind.span(), format!("missing: {text}"))
    }

    pub(crate) fn depth(&self) -> Depth {
        match self.settings.scope.get_ref() {
            Scope::Base => Depth::Base,
            Scope::One => Depth::OneLevel,
            Scope::Sub => Depth::Subtree,
        }
    }

    /// Reads the files that are named, and makes no connection yet.
    pub(crate) fn pool(&self) -> Result<Pool, Error> {
        let settings = self.settings;
        let servers = settings.servers.get_ref();
        if servers.is_empty() {
            return Err(self.missing("servers", "directory servers need servers = [\"ldaps://ldap1.example.org\"]"));
        }
        if servers.len() > MAX_SERVERS {
            return Err(self.wrong("servers", settings.servers.span(), format!("{MAX_SERVERS} servers at most")));
        }
        self.protection()?;
        self.bounds()?;
        let identity = self.identity()?;
        let starttls = *settings.starttls.get_ref();
        let encrypts = starttls || servers.iter().any(|server| server.is_ldaps());
        let tls = if encrypts { Some(self.tls()?) } else { None };
        let make = |url: &crate::server_url::ServerUrl| {
            let (tls, identity) = (tls.clone(), identity.clone());
            let connector = Connector { tls, starttls, identity, refused: Refused::default() };
            let (searches, binds) = (*settings.connections.get_ref(), *settings.bind_connections.get_ref());
            Server::new(url.clone(), self.name.to_owned(), connector, self.wanted(), searches as usize, binds as usize)
        };
        let balance = *settings.order.get_ref() == Order::Balance;
        Ok(Pool::new(servers.iter().map(make).collect(), balance))
    }

    /// Nothing secret in clear text, unless that is wanted.
    fn protection(&self) -> Result<(), Error> {
        let settings = self.settings;
        let servers = &settings.servers;
        let starttls = *settings.starttls.get_ref();
        if starttls && servers.get_ref().iter().all(|server| server.is_ldaps()) {
            let text = "StartTLS is for ldap:// servers, and there is none: leave it out";
            return Err(self.wrong("starttls", settings.starttls.span(), text));
        }
        let open = servers.get_ref().iter().find(|server| !server.is_ldaps() && !server.is_loopback());
        match open {
            Some(server) if !starttls && !settings.allow_plaintext.get_ref() => {
                let text = format!(
                    "passwords would cross the network in clear text to {server}, and answers could be forged: \
                     write ldaps://, or starttls = true; or allow_plaintext = true"
                );
                Err(self.wrong("servers", servers.span(), text))
            }
            _ => Ok(()),
        }
    }

    fn bounds(&self) -> Result<(), Error> {
        let settings = self.settings;
        let timeout = settings.timeout.get_ref().0;
        if timeout.is_zero() || timeout.as_secs() > 60 {
            return Err(self.wrong("timeout", settings.timeout.span(), "more than nothing, and 60s at most"));
        }
        for (key, value) in [("connections", &settings.connections), ("bind_connections", &settings.bind_connections)] {
            if !(1..=64).contains(value.get_ref()) {
                return Err(self.wrong(key, value.span(), "1 to 64"));
            }
        }
        if !(1..=1_000_000).contains(&settings.cache.get_ref().entries) {
            return Err(self.wrong("cache.entries", settings.cache.span(), "1 to 1000000"));
        }
        let query = settings.certificate_query.as_ref();
        if query.is_some() && !settings.base.get_ref().iter().any(|base| base.answers(Query::Certificate)) {
            let text = "every base needs what only a login has, and there is a certificate_query: add a base without {u}, {d}, {a}";
            return Err(self.wrong("base", settings.base.span(), text));
        }
        let bases = settings.base.get_ref();
        if let Some(base) =
            bases.iter().find(|base| !base.answers(Query::Certificate) && !base.answers(Query::SmtpAuth))
        {
            let text = format!("{base}: no query has all of these tokens");
            return Err(self.wrong("base", settings.base.span(), text));
        }
        Ok(())
    }

    fn identity(&self) -> Result<Identity, Error> {
        let settings = self.settings;
        let idle = |key: &'static str, span: Option<Range<usize>>| {
            span.map(|span| self.wrong(key, span, "is not used with this `bind`: leave it out"))
        };
        let name = idle("bind_dn", settings.bind_dn.as_ref().map(Spanned::span));
        let secret = idle("bind_password_file", settings.bind_password_file.as_ref().map(Spanned::span));
        match settings.bind.get_ref() {
            Bind::Anonymous => name.or(secret).map_or(Ok(Identity::Anonymous), Err),
            Bind::External if settings.client_certificate.is_none() => {
                Err(self
                    .missing("client_certificate", "bind = \"external\" needs { certificate = \"…\", key = \"…\" }"))
            }
            Bind::External => name.or(secret).map_or(Ok(Identity::External), Err),
            Bind::Simple => {
                let help = "write bind_dn and bind_password_file, or bind = \"external\", or bind = \"anonymous\"";
                let name = settings.bind_dn.as_ref().ok_or_else(|| self.missing("bind_dn", help))?;
                let file = settings.bind_password_file.as_ref();
                let file = file.ok_or_else(|| self.missing("bind_password_file", help))?;
                if name.get_ref().trim().is_empty() {
                    // RFC 4513 section 5.1.2: it would be an anonymous bind that looks like another.
                    return Err(self.wrong(
                        "bind_dn",
                        name.span(),
                        "it is empty: write bind = \"anonymous\" if that is meant",
                    ));
                }
                secret::read(file.get_ref()).map_err(|why| self.wrong("bind_password_file", file.span(), why))?;
                Ok(Identity::Simple { name: name.get_ref().clone(), password_file: file.get_ref().clone() })
            }
        }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, Error> {
        let settings = self.settings;
        let roots = match &settings.ca {
            Some(ca) => authorities(ca.get_ref()).map_err(|why| self.wrong("ca", ca.span(), why))?,
            None => {
                let mut roots = RootCertStore::empty();
                // A system's bundle may hold a certificate that rustls cannot use; the others still serve.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(self.missing("ca", "the system has no root certificates: name some by ca"));
                }
                roots
            }
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let whole = |error: rustls::Error| self.wrong("servers", settings.servers.span(), error.to_string());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(whole)?.with_root_certificates(roots);
        let config = match &settings.client_certificate {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let wrong = |why: String| self.wrong("client_certificate", own.span(), why);
                let (chain, key) = own_certificate(own.get_ref()).map_err(wrong)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| wrong(error.to_string()))?
            }
        };
        Ok(Arc::new(config))
    }

    /// Every attribute that is named, by the key that names it.
    fn wanted(&self) -> Wanted {
        let settings = self.settings;
        let warn_only = *settings.unknown_attributes.get_ref() == UnknownAttributes::Warn;
        let mut wanted = Wanted::new(warn_only);
        let all = |wanted: &mut Wanted, list: &Attributes, key| list.0.iter().for_each(|one| wanted.add(&one.0, key));
        if let Some(query) = &settings.certificate_query {
            wanted.add_filter(query.filter.get_ref().0.filter(), "certificate_query.filter");
            wanted.add(&query.user_id.get_ref().0, "certificate_query.user_id");
            all(&mut wanted, query.addresses.get_ref(), "certificate_query.addresses");
            all(&mut wanted, query.send_as.get_ref(), "certificate_query.send_as");
            all(&mut wanted, query.log.get_ref(), "certificate_query.log");
        }
        let login = &settings.smtp_auth_query;
        wanted.add_filter(login.filter.get_ref().0.filter(), "smtp_auth_query.filter");
        if let Some(allowance) = &login.allowance {
            wanted.add_filter(allowance.get_ref().0.filter(), "smtp_auth_query.allowance");
        }
        wanted.add(&login.user_id.get_ref().0, "smtp_auth_query.user_id");
        all(&mut wanted, login.addresses.get_ref(), "smtp_auth_query.addresses");
        all(&mut wanted, login.send_as.get_ref(), "smtp_auth_query.send_as");
        all(&mut wanted, login.log.get_ref(), "smtp_auth_query.log");
        if let Method::PasswordAttribute(attribute) = login.method.get_ref() {
            wanted.add(&attribute.0, "smtp_auth_query.method.password_attribute");
        }
        if let Some(query) = &settings.recipient_query {
            wanted.add_filter(query.filter.get_ref().0.filter(), "recipient_query.filter");
        }
        if let Some(attribute) = &login.scram_attribute {
            wanted.add(&attribute.get_ref().0, "smtp_auth_query.scram_attribute");
        }
        if let Some(require) = &settings.require {
            wanted.add_filter(require.get_ref().filter(), "require");
        }
        wanted
    }

    /// What an administrator should look at, though it is no error.
    pub(crate) fn notes(&self) -> Vec<String> {
        let settings = self.settings;
        let mut notes = Vec::new();
        let open = |server: &&crate::server_url::ServerUrl| !server.is_ldaps() && !server.is_loopback();
        if !settings.starttls.get_ref()
            && let Some(server) = settings.servers.get_ref().iter().find(open)
        {
            notes.push(format!("passwords cross the network in clear text to {server}, and its answers can be forged"));
        }
        if *settings.unknown_attributes.get_ref() == UnknownAttributes::Warn {
            let text =
                "unknown_attributes = \"warn\": on some servers a misspelt attribute in (!(…)) is true for everybody";
            notes.push(text.to_owned());
        }
        notes
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| told(&error))? {
        let certificate = certificate.map_err(|error| told(&error))?;
        roots.add(certificate).map_err(|error| told(&error))?;
    }
    if roots.is_empty() { Err(told(&"no CERTIFICATE block")) } else { Ok(roots) }
}

fn own_certificate(
    files: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(|error| told(&files.certificate, &error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| told(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| told(&files.key, &error))?;
    Ok((chain, key))
}
