//! A server with STARTTLS and a certificate of the test's making, that takes whatever it gets.

use std::sync::{Arc, Mutex};

use demo::ca::Issued;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub struct TlsServer {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl TlsServer {
    pub async fn start(issued: &Issued) -> Self {
        Self::start_at("127.0.0.1:0", &issued.chain_pem(), &issued.key.private_pem(), &["PIPELINING"]).await
    }

    /// Extensions are those inside TLS; STARTTLS is offered outside.
    pub async fn start_at(address: &str, chain: &str, key: &str, extensions: &[&str]) -> Self {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let extensions: Vec<String> = extensions.iter().map(ToString::to_string).collect();
        let task = tokio::spawn({
            let heard = heard.clone();
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, acceptor.clone(), heard.clone(), extensions.clone()));
                }
            }
        });
        Self { port, heard, task }
    }

    /// What was said inside TLS.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, heard: Arc<Mutex<Vec<String>>>, extensions: Vec<String>) {
    let mut stream = BufReader::new(stream);
    let _ = stream.write_all(b"220 tls.example\r\n").await;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
        let reply: &[u8] = match line.split_whitespace().next() {
            Some("EHLO") => b"250-tls.example\r\n250 STARTTLS\r\n",
            Some("STARTTLS") => b"220 go on\r\n",
            _ => b"530 5.7.0 STARTTLS first\r\n",
        };
        let _ = stream.write_all(reply).await;
        if reply.starts_with(b"220") {
            if let Ok(stream) = acceptor.accept(stream.into_inner()).await {
                take(BufReader::new(stream), &heard, &extensions).await;
            }
            return;
        }
        line.clear();
    }
}

async fn take<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    heard: &Mutex<Vec<String>>,
    extensions: &[String],
) {
    let mut line = String::new();
    let mut text = false;
    while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
        let said = std::mem::take(&mut line).trim_end().to_owned();
        heard.lock().unwrap().push(said.clone());
        let reply = match said.split_whitespace().next() {
            _ if text && said == "." => {
                text = false;
                "250 2.0.0 taken\r\n".to_owned()
            }
            _ if text => continue,
            Some("EHLO") => {
                let lines: Vec<&str> =
                    std::iter::once("tls.example").chain(extensions.iter().map(String::as_str)).collect();
                let (last, others) = lines.split_last().unwrap();
                others.iter().map(|line| format!("250-{line}\r\n")).chain([format!("250 {last}\r\n")]).collect()
            }
            Some("DATA") => {
                text = true;
                "354 go on\r\n".to_owned()
            }
            Some("QUIT") => "221 bye\r\n".to_owned(),
            _ => "250 ok\r\n".to_owned(),
        };
        let _ = stream.write_all(reply.as_bytes()).await;
        let _ = stream.flush().await;
    }
}
