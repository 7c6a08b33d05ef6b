//! The floor of sessions: a server that does nothing but TLS handshakes with client certificates, by the same library,
//! with the same key and suites, in a process of its own. It listens until its standard input ends.

use std::env;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Failure;
use crate::process::Process;
use crate::stage::Stage;

/// The child process.
pub(crate) struct BareTls {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// The folder with the server's key.
const PKI: &str = "POSTERN_BENCHES_PKI";

impl BareTls {
    pub(crate) fn start(stage: &Stage) -> Result<Self, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .arg("bare-tls")
            .env(PKI, stage.pki().dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take();
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(output.ok_or("the bare TLS server has no output")?).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| "the bare TLS server does not start")?;
        Ok(Self { process, address })
    }
}

/// What the child does.
pub(crate) async fn serve() -> Result<(), Failure> {
    let pki = PathBuf::from(env::var_os(PKI).ok_or("bare-tls is started by the measurement of sessions")?);
    let acceptor = TlsAcceptor::from(Arc::new(configuration(pki)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let owner = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    // Among the workers, as in the gateway: what accepts elsewhere has to wake one for every connection.
    let accepting = tokio::spawn(accept(listener, acceptor));
    tokio::select! {
        ended = owner => Ok(ended?.map(|_| ())?),
        failed = accepting => Ok(failed??),
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        // A client whose session fails sees that itself.
        tokio::spawn(async move { session(stream, acceptor).await.ok() });
    }
}

/// A handshake, and goodbye in both directions.
async fn session(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    while stream.read(&mut [0; 64]).await? > 0 {}
    stream.shutdown().await
}

fn configuration(pki: PathBuf) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(pki.join("server.pem"))?.collect::<Result<_, _>>()?;
    let mut configuration = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(Possession(provider)))
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(pki.join("server.key"))?)?;
    // As in the gateway: every session shows its certificate.
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    configuration.send_tls13_tickets = 0;
    Ok(configuration)
}

/// Takes any certificate whose key the client holds, by rustls' own means.
#[derive(Debug)]
struct Possession(Arc<CryptoProvider>);

impl ClientCertVerifier for Possession {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
