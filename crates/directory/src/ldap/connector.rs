//! From a server's URL to a connection that is bound: TCP, TLS, who we are.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ldap::ber::message_length;
use crate::ldap::connection::Connection;
use crate::ldap::message::{Ended, Response, external_bind, message, read, simple_bind, start_tls};
use crate::server_url::ServerUrl;

/// Octets of a message before TLS: an answer to StartTLS.
const MAX_GREETING: usize = 16 * 1024;
/// An idle connection through a firewall is kept in its tables by this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long a server is not shown a password again that it found wrong. Directories lock accounts after a few of these
/// within a quarter of an hour, and the gateway's own is one.
const REFUSED_HOLDS: Duration = Duration::from_secs(15 * 60);

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
    pub(crate) refused: Refused,
}

/// The gateway's password that this server found wrong, by its hash, and when.
#[derive(Default)]
pub(crate) struct Refused(Mutex<Option<(digest::Digest, Instant)>>);

impl Refused {
    /// Another password may be shown at once.
    fn admits(&self, secret: &[u8]) -> Result<(), String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((hash, at)) if at.elapsed() < REFUSED_HOLDS && hash.as_ref() == hashed(secret).as_ref() => {
                let minutes = REFUSED_HOLDS.as_secs() / 60;
                let told = "the gateway's own bind: invalidCredentials (49), and the same password is not tried again";
                Err(format!("{told} for {minutes} min, lest the account be locked"))
            }
            _ => Ok(()),
        }
    }

    fn remember(&self, secret: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((hashed(secret), Instant::now()));
    }
}

fn hashed(secret: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, secret)
}

/// Counted by the server. Active Directory has this code for accounts that are locked or disabled too, and says which by a
/// code of its own.
fn is_wrong_password(ended: &Ended) -> bool {
    ended.code == 49 && (!ended.text.contains("data ") || ended.text.contains("data 52e"))
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
        let (operation, secret) = match &self.identity {
            // Of version 3 no bind is asked (RFC 4511 section 4.2).
            Identity::Anonymous => return self.connect(url).await,
            Identity::External => (external_bind(), None),
            Identity::Simple { name, password_file } => {
                let path = password_file.clone();
                let secret = tokio::task::spawn_blocking(move || secret::read(&path)).await;
                let secret = secret.map_err(|error| error.to_string())??;
                self.refused.admits(&secret)?;
                (simple_bind(name, &secret), Some(secret))
            }
        };
        let connection = self.connect(url).await?;
        let ended = connection.call(operation, 0).await.map_err(|lost| lost.to_string())?.ended;
        if let Some(secret) = secret.filter(|_| is_wrong_password(&ended)) {
            self.refused.remember(&secret);
        }
        match ended.code {
            0 => Ok(connection),
            _ => Err(format!("the gateway's own bind: {}", ended.told())),
        }
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
