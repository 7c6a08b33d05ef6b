//! The client's end of a connection, before and after its TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ca::Identity;
use crate::error::DemoError;

/// How long the other side may take, for the handshake and for each read and write.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which TLS versions the client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// 1.2 and 1.3
    #[default]
    Both,
    /// 1.2 alone
    Tls12,
    /// 1.3 alone
    Tls13,
}

/// The client's TLS settings.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

/// A connection.
#[derive(Debug)]
pub struct Transport {
    /// `None` while a handshake runs, and after one that failed.
    stream: Option<Stream>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientTls {
    /// Trusts what this anchor issued for `localhost`, and shows and proves the identity, whatever names the server's
    /// request for a certificate gives.
    pub fn new(
        anchor: CertificateDer<'static>,
        identity: Option<Identity>,
        versions: TlsVersions,
    ) -> Result<Self, DemoError> {
        let mut roots = RootCertStore::empty();
        roots.add(anchor)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions.list())?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                // Not from_der, which would check that the two belong together.
                let key = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        // Each connection is to show its own certificate.
        config.resumption = Resumption::disabled();
        let server_name = ServerName::try_from("localhost").map_err(|_| DemoError::Crypto("take a server's name"))?;
        Ok(Self { config: Arc::new(config), server_name })
    }
}

impl TlsVersions {
    fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&version::TLS13, &version::TLS12],
            Self::Tls12 => vec![&version::TLS12],
            Self::Tls13 => vec![&version::TLS13],
        }
    }
}

impl Transport {
    /// Connects, without TLS.
    pub async fn connect(address: SocketAddr) -> Result<Self, DemoError> {
        let stream = patiently("connect", TcpStream::connect(address)).await?;
        // A conversation of short lines suffers from waiting for more to send.
        stream.set_nodelay(true).map_err(DemoError::connection("connect"))?;
        Ok(Self { stream: Some(Stream::Plain(stream)) })
    }

    /// The TLS handshake.
    pub async fn handshake(&mut self, tls: &ClientTls) -> Result<(), DemoError> {
        let Some(Stream::Plain(stream)) = self.stream.take() else {
            return Err(DemoError::Closed("TLS handshake"));
        };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let stream = patiently("TLS handshake", connector.connect(tls.server_name.clone(), stream)).await?;
        self.stream = Some(Stream::Tls(Box::new(stream)));
        Ok(())
    }

    /// Whether the connection is inside TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Some(Stream::Tls(_)))
    }

    /// Sends all of it.
    pub async fn send(&mut self, step: &'static str, octets: &[u8]) -> Result<(), DemoError> {
        let send = async {
            match self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)? {
                Stream::Plain(stream) => stream.write_all(octets).await,
                Stream::Tls(stream) => {
                    stream.write_all(octets).await?;
                    stream.flush().await
                }
            }
        };
        patiently(step, send).await
    }

    /// Reads what is there, at least one octet.
    pub async fn receive(&mut self, step: &'static str, into: &mut (impl BufMut + Send)) -> Result<(), DemoError> {
        let receive = async {
            match self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)? {
                Stream::Plain(stream) => stream.read_buf(into).await,
                Stream::Tls(stream) => stream.read_buf(into).await,
            }
        };
        match patiently(step, receive).await? {
            0 => Err(DemoError::Closed(step)),
            _ => Ok(()),
        }
    }

    /// Says that nothing more will be sent.
    pub async fn shut_down(&mut self) -> Result<(), DemoError> {
        let shut_down = async {
            match self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)? {
                Stream::Plain(stream) => stream.shutdown().await,
                Stream::Tls(stream) => stream.shutdown().await,
            }
        };
        patiently("close", shut_down).await
    }
}

async fn patiently<T>(step: &'static str, work: impl Future<Output = io::Result<T>>) -> Result<T, DemoError> {
    match timeout(PATIENCE, work).await {
        Err(_) => Err(DemoError::TimedOut(step)),
        // TLS without its close_notify, TCP with a reset: closed, all the same.
        Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            Err(DemoError::Closed(step))
        }
        Ok(result) => result.map_err(DemoError::connection(step)),
    }
}
