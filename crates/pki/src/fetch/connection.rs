//! Connections to where things are fetched from: TCP within a time limit, with TLS where the scheme has it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate::Certificate;
use crate::error::Error;
use crate::fetch::FetchError;

/// A connection with or without TLS.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How connections are made.
pub(crate) struct Connector {
    timeout: Duration,
    /// Roots from `fetch.ca`; empty: the system's.
    roots: Vec<Certificate>,
    /// Built when it is first needed: reading the system's roots takes its time, and most fetch by http.
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Connector {
    pub(crate) fn new(timeout: Duration, ca: &[PathBuf]) -> Result<Self, Error> {
        let files = ca.iter().map(|file| Certificate::from_file(file)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::over(timeout, files.into_iter().flatten().collect()))
    }

    pub(crate) fn over(timeout: Duration, roots: Vec<Certificate>) -> Self {
        Self { timeout, roots, config: OnceLock::new() }
    }

    /// Connects to a host (an IPv6 address in brackets) within the time limit; at these addresses if there are any, else
    /// where the system finds it.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        tls: bool,
        at: &[IpAddr],
    ) -> Result<Connection, FetchError> {
        let peer = format!("{host}:{port}");
        let connecting = async {
            let name = host.trim_start_matches('[').trim_end_matches(']');
            let no_connection =
                |error: std::io::Error| FetchError::Connect { host: peer.clone(), why: error.to_string() };
            let stream = match at {
                [] => TcpStream::connect((name, port)).await,
                at => {
                    let at: Vec<SocketAddr> = at.iter().map(|address| SocketAddr::new(*address, port)).collect();
                    TcpStream::connect(at.as_slice()).await
                }
            };
            let stream = stream.map_err(no_connection)?;
            // One request and its answer: nothing gains from waiting for more octets.
            stream.set_nodelay(true).map_err(no_connection)?;
            if !tls {
                return Ok(Connection::Plain(stream));
            }
            let no_tls = |why: String| FetchError::Tls { host: peer.clone(), why };
            let config = self.config().map_err(no_tls)?;
            let server = ServerName::try_from(name.to_owned()).map_err(|error| no_tls(error.to_string()))?;
            let stream = TlsConnector::from(config).connect(server, stream).await;
            Ok(Connection::Tls(Box::new(stream.map_err(|error| no_tls(error.to_string()))?)))
        };
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let why = format!("no answer within {}", humantime::format_duration(self.timeout));
                Err(FetchError::Connect { host: peer, why })
            }
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| client_config(&self.roots)).clone()
    }
}

fn client_config(roots: &[Certificate]) -> Result<Arc<ClientConfig>, String> {
    let mut store = RootCertStore::empty();
    if roots.is_empty() {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            return Err("the system has no root certificates; name some by fetch.ca".to_owned());
        }
    }
    for root in roots {
        store.add(CertificateDer::from(root.der().to_vec())).map_err(|error| format!("fetch.ca: {root}: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
