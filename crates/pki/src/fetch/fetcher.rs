//! The fetcher: one door for everything that comes over the network, and for files.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::Error;
use crate::fetch::FetchError;
use crate::fetch::connection::Connector;
use crate::fetch::http::{self, Answer, Ask, Form};
use crate::fetch::ldap::{self, Values};
use crate::location::{HttpUrl, Location};
use crate::settings::{FetchSettings, HostPattern};

/// Fetches; cheap to clone.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    connector: Connector,
    allowed_hosts: Vec<HostPattern>,
    timeout: Duration,
}

/// Who named a location: what a certificate names must be on an allowed host, redirects included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    Configuration,
    Certificate,
}

/// What is looked for, where a directory has it (RFC 4523).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Crl,
    CaCertificates,
}

impl Object {
    fn attribute(self) -> (&'static str, Values) {
        match self {
            Self::Crl => ("certificateRevocationList;binary", Values::One),
            Self::CaCertificates => ("cACertificate;binary", Values::Several),
        }
    }
}

/// How much may be fetched, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) size: u64,
    pub(crate) time: Duration,
}

/// What a server said of a state, to ask later whether it still holds (RFC 9110 section 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// What came of fetching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// It is in the sink.
    Body(Validators),
    /// It is what the validators say; nothing is in the sink.
    NotModified,
}

/// More redirects than any server has a reason for.
const MAX_REDIRECTS: usize = 5;

impl Fetcher {
    /// Reads the files of `fetch.ca`.
    ///
    /// # Errors
    /// [`Error`] names the file.
    pub fn new(settings: &FetchSettings) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            connector: Connector::new(settings.connect_timeout.0, &settings.ca)?,
            allowed_hosts: settings.allowed_hosts.clone(),
            timeout: settings.timeout.0,
        })))
    }

    /// With the defaults: nothing that a certificate names is fetched.
    pub fn local() -> Self {
        let FetchSettings { connect_timeout, timeout, .. } = FetchSettings::default();
        let connector = Connector::over(connect_timeout.0, Vec::new());
        Self(Arc::new(Inner { connector, allowed_hosts: Vec::new(), timeout: timeout.0 }))
    }

    /// The time limit for what has none of its own.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Fetches into `sink`, which may hold a part of it when there is an error.
    pub(crate) async fn get(
        &self,
        location: &Location,
        named_by: NamedBy,
        object: Object,
        limits: Limits,
        known: Option<&Validators>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Fetched, FetchError> {
        self.check_host(location.host(), named_by)?;
        let fetching = async {
            match location {
                Location::File(path) => {
                    copy_file(path, limits.size, sink).await?;
                    Ok(Fetched::Body(Validators::default()))
                }
                Location::Http(url) => self.http(url, named_by, Ask::Get(known), limits, sink).await,
                Location::Ldap(url) => {
                    let (attribute, values) = object.attribute();
                    ldap::search(&self.0.connector, url, attribute, values, limits.size, sink).await?;
                    Ok(Fetched::Body(Validators::default()))
                }
            }
        };
        within(limits.time, fetching).await
    }

    /// Sends an OCSP request by POST; returns the answer.
    pub(crate) async fn post_ocsp(
        &self,
        url: &HttpUrl,
        named_by: NamedBy,
        request: &[u8],
        limits: Limits,
    ) -> Result<Vec<u8>, FetchError> {
        self.check_host(Some(url.host()), named_by)?;
        let mut answer = Vec::new();
        within(limits.time, self.http(url, named_by, Ask::Ocsp(request), limits, &mut answer)).await?;
        Ok(answer)
    }

    /// Reads a file, or what an http or https URL of the configuration leads to, whole: at most `size` octets, within `time`.
    ///
    /// # Errors
    /// [`FetchError`] says what went wrong.
    pub async fn read(&self, location: &Location, size: u64, time: Duration) -> Result<Vec<u8>, FetchError> {
        let limits = Limits { size, time };
        let mut octets = Vec::new();
        self.get(location, NamedBy::Configuration, Object::Crl, limits, None, &mut octets).await?;
        Ok(octets)
    }

    /// Reads what an https URL of nobody's configuration leads to, from a server at one of these addresses whose
    /// certificate names the URL's host; redirects are not followed. At most `size` octets, within `time`.
    ///
    /// # Errors
    /// [`FetchError`] says what went wrong.
    pub async fn read_at(
        &self,
        url: &HttpUrl,
        at: &[IpAddr],
        size: u64,
        time: Duration,
    ) -> Result<Vec<u8>, FetchError> {
        let mut octets = Vec::new();
        if !url.is_https() || at.is_empty() {
            return Err(FetchError::protocol("only https is read, from an address that is known"));
        }
        let asking = http::ask(&self.0.connector, (url, at), &Ask::Get(None), size, &mut octets);
        match within(time, asking).await? {
            Answer::Done(_) => Ok(octets),
            Answer::Redirect(to) => Err(FetchError::Redirect { to: to.to_string(), why: "no redirect is, here" }),
        }
    }

    /// Posts content to an https URL of nobody's configuration, at a server at one of these addresses whose certificate
    /// names the URL's host; what it answers does not count, but whether it takes it. Redirects are not followed.
    ///
    /// # Errors
    /// [`FetchError`] says what went wrong.
    pub async fn post_at(
        &self,
        url: &HttpUrl,
        at: &[IpAddr],
        (kind, content): (&'static str, &[u8]),
        time: Duration,
    ) -> Result<(), FetchError> {
        if !url.is_https() || at.is_empty() {
            return Err(FetchError::protocol("only https is posted to, at an address that is known"));
        }
        let (ask, mut nothing) = (Ask::Content(kind, content), Vec::new());
        let asking = http::ask(&self.0.connector, (url, at), &ask, 0, &mut nothing);
        match within(time, asking).await? {
            Answer::Done(_) => Ok(()),
            Answer::Redirect(to) => {
                Err(FetchError::Redirect { to: to.to_string(), why: "a POST is not sent elsewhere" })
            }
        }
    }

    /// Posts a form to a URL of the configuration; returns the answer, at most `size` octets, within `time`.
    ///
    /// # Errors
    /// [`FetchError`] says what went wrong, and repeats nothing of the form.
    pub async fn post(&self, url: &HttpUrl, form: Form<'_>, size: u64, time: Duration) -> Result<Vec<u8>, FetchError> {
        let mut answer = Vec::new();
        let limits = Limits { size, time };
        within(time, self.http(url, NamedBy::Configuration, Ask::Form(form), limits, &mut answer)).await?;
        Ok(answer)
    }

    async fn http(
        &self,
        url: &HttpUrl,
        named_by: NamedBy,
        ask: Ask<'_>,
        limits: Limits,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Fetched, FetchError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let next = match http::ask(&self.0.connector, (&url, &[]), &ask, limits.size, sink).await? {
                Answer::Done(fetched) => return Ok(fetched),
                Answer::Redirect(next) => next,
            };
            let refused = |why| Err(FetchError::Redirect { to: next.to_string(), why });
            if !matches!(ask, Ask::Get(_)) {
                return refused("a POST is not sent elsewhere");
            }
            if url.is_https() && !next.is_https() {
                return refused("from https only https is followed");
            }
            self.check_host(Some(next.host()), named_by)?;
            url = next;
        }
        Err(FetchError::Redirect { to: url.to_string(), why: "there were too many before it" })
    }

    fn check_host(&self, host: Option<&str>, named_by: NamedBy) -> Result<(), FetchError> {
        let allowed = |host: &str| self.0.allowed_hosts.iter().any(|pattern| pattern.matches(host));
        match (named_by, host) {
            (NamedBy::Configuration, _) => Ok(()),
            (NamedBy::Certificate, Some(host)) if allowed(host) => Ok(()),
            (NamedBy::Certificate, host) => {
                Err(FetchError::NotAllowed { host: host.unwrap_or("this machine").to_owned() })
            }
        }
    }

    /// Would it be fetched if a certificate named it?
    pub(crate) fn allows(&self, location: &Location) -> bool {
        self.check_host(location.host(), NamedBy::Certificate).is_ok()
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("allowed_hosts", &self.0.allowed_hosts).finish_non_exhaustive()
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(FetchError::TimedOut(time)))
}

async fn copy_file(path: &Path, max_size: u64, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), FetchError> {
    let fail = |error: io::Error| FetchError::io(&error);
    let mut file = tokio::fs::File::open(path).await.map_err(fail)?.take(max_size.saturating_add(1));
    let copied = tokio::io::copy(&mut file, sink).await.map_err(fail)?;
    sink.flush().await.map_err(fail)?;
    if copied > max_size { Err(FetchError::TooLarge(max_size)) } else { Ok(()) }
}
