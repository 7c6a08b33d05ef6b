//! From a server's URL to a connection that is bound: TCP, TLS, who we are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::ldap::ber::message_length;
use crate::ldap::connection::Connection;
use crate::ldap::message::{Response, external_bind, message, read, simple_bind, start_tls};
use crate::server_url::ServerUrl;

/// Octets of a message before TLS: an answer to StartTLS.
const MAX_GREETING: usize = 16 * 1024;
/// An idle connection through a firewall is kept in its tables by this.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Octets of a file with a password.
const MAX_SECRET: usize = 4096;

/// As whom the gateway searches.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// A name (a DN; on Active Directory also `user@domain` or `DOMAIN\user`) and the file that holds its password. It is
    /// read at each bind, so that a new password needs no restart.
    Simple { name: String, password_file: PathBuf },
    /// Whoever the TLS client certificate names.
    External,
    /// Nobody.
    Anonymous,
}

/// How connections are made.
pub(crate) struct Connector {
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// TLS by the StartTLS operation on ldap:// (RFC 4511 section 4.14).
    pub(crate) starttls: bool,
    pub(crate) identity: Identity,
}

impl Connector {
    /// Connects without binding, for the binds of users. Takes no longer than its caller waits.
    pub(crate) async fn connect(&self, url: &ServerUrl) -> Result<Connection, String> {
        let stream = TcpStream::connect((url.host(), url.port())).await.map_err(|error| error.to_string())?;
        // Small questions, each waited for.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(|error| error.to_string())?;
        if !url.is_ldaps() && !self.starttls {
            return Ok(Connection::over(stream));
        }
        let stream = if url.is_ldaps() { stream } else { ask_for_tls(stream).await? };
        let config = self.tls.clone().ok_or("there is no TLS configuration")?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Connection::over(stream.map_err(|error| format!("TLS: {error}"))?))
    }

    /// Connects and binds as the gateway itself.
    pub(crate) async fn connect_and_bind(&self, url: &ServerUrl) -> Result<Connection, String> {
        let connection = self.connect(url).await?;
        let operation = match &self.identity {
            // Of version 3 no bind is asked (RFC 4511 section 4.2).
            Identity::Anonymous => return Ok(connection),
            Identity::External => external_bind(),
            Identity::Simple { name, password_file } => {
                let path = password_file.clone();
                let secret = tokio::task::spawn_blocking(move || read_secret(&path)).await;
                simple_bind(name, &secret.map_err(|error| error.to_string())??)
            }
        };
        let answer = connection.call(operation, 0).await.map_err(|lost| lost.to_string())?;
        match answer.ended.code {
            0 => Ok(connection),
            _ => Err(format!("the gateway's own bind: {}", answer.ended.told())),
        }
    }
}

/// The content of a password file, without the newline at its end. An empty one would make the bind an anonymous one
/// (RFC 4513 section 5.1.2).
pub(crate) fn read_secret(path: &std::path::Path) -> Result<Zeroizing<Vec<u8>>, String> {
    use std::io::Read as _;
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut secret = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(MAX_SECRET as u64 + 1).read_to_end(&mut secret).map_err(told)?;
    while secret.last().is_some_and(|octet| matches!(octet, b'\n' | b'\r')) {
        secret.pop();
    }
    match secret.len() {
        0 => Err(format!("{}: there is no password in it", path.display())),
        length if length > MAX_SECRET => Err(format!("{}: longer than a password", path.display())),
        _ => Ok(secret),
    }
}

async fn ask_for_tls(mut stream: TcpStream) -> Result<TcpStream, String> {
    let told = |error: std::io::Error| format!("StartTLS: {error}");
    stream.write_all(&message(1, &start_tls())).await.map_err(told)?;
    let mut octets = Vec::new();
    loop {
        if stream.read_buf(&mut octets).await.map_err(told)? == 0 {
            return Err("StartTLS: the server closed the connection".to_owned());
        }
        match message_length(&octets, MAX_GREETING).map_err(|error| error.to_string())? {
            None => {}
            // What follows the answer in clear text was put there by somebody else.
            Some(length) if length < octets.len() => return Err("StartTLS: more than its answer came".to_owned()),
            Some(_) => break,
        }
    }
    match read(&octets).map_err(|error| error.to_string())? {
        (1, Response::Ended(ended)) if ended.code == 0 => Ok(stream),
        (_, Response::Ended(ended)) => Err(format!("StartTLS: {}", ended.told())),
        _ => Err("StartTLS: an answer to something else came".to_owned()),
    }
}
