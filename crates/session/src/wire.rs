//! Octets to and from one client: buffers, deadlines, and the change to TLS.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::framing::{DataDecoder, Inbound, LineError};
use protocol::proxy::{self, Parsed};
use protocol::{ChunkDecoder, Reply};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::outcome::End;

/// The longest line taken: AUTH's (RFC 4954 section 4).
pub(crate) const MAX_LINE: usize = 12_288;
/// What is read at once while commands are waited for: small, since most sessions wait most of the time.
const COMMAND_READ: usize = 2 * 1024;
/// What is read at once while a message comes in.
const MESSAGE_READ: usize = 32 * 1024;
/// Replies to pipelined commands are held back up to this size.
const MAX_OUTBOUND: usize = 8 * 1024;

/// The connection, in clear text or inside TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A handshake has it; seen by nobody else, since the handshake's owner has the wire.
    Handshaking,
}

pub(crate) struct Wire {
    stream: Stream,
    inbound: Inbound,
    outbound: BytesMut,
    /// How long the client may take to read what is sent.
    patience: Duration,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream: Stream::Plain(stream),
            inbound: Inbound::new(MESSAGE_READ.max(MAX_LINE)),
            outbound: BytesMut::new(),
            patience,
        }
    }

    /// The client's address by the PROXY header that the connection must begin with; `None` when the proxy speaks for
    /// itself.
    pub(crate) async fn proxy_header(&mut self, until: Instant) -> Result<Option<SocketAddr>, End> {
        loop {
            if let Parsed::Complete { consumed, source } = proxy::parse(self.inbound.pending()).map_err(End::Proxy)? {
                self.inbound.consume(consumed);
                return Ok(source);
            }
            // One octet at a time: what follows the header in the same segment may be a TLS handshake, which is read from
            // the socket itself.
            self.fill(1, until).await?;
        }
    }

    /// Holds a reply until the next read, so that replies to pipelined commands leave together.
    pub(crate) async fn send(&mut self, reply: &Reply, utf8: bool) -> Result<(), End> {
        match utf8 {
            true => reply.write_utf8_to(&mut self.outbound),
            false => reply.write_to(&mut self.outbound),
        }
        if self.outbound.len() > MAX_OUTBOUND { self.flush().await } else { Ok(()) }
    }

    /// Sends what is held.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        if self.outbound.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.outbound);
        let write = async {
            self.stream.write_all(&held).await?;
            self.stream.flush().await
        };
        // A client that reads no replies would hold its connection for ever.
        Ok(timeout(self.patience, write).await.map_err(|_| End::TimedOut)??)
    }

    /// The next command line. `stop` ends the wait, but not a line that is there already.
    pub(crate) async fn line(
        &mut self,
        limit: usize,
        until: Instant,
        stop: Option<&CancellationToken>,
    ) -> Result<Result<Bytes, LineError>, End> {
        loop {
            match self.inbound.next_line(limit) {
                Ok(Some(line)) => return Ok(Ok(line)),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
            match stop {
                None => self.fill(COMMAND_READ, until).await?,
                Some(stop) => tokio::select! {
                    biased;
                    filled = self.fill(COMMAND_READ, until) => filled?,
                    () = stop.cancelled() => return Err(End::Stopping),
                },
            }
        }
    }

    /// More of a message after DATA, appended to `content`; true at its end.
    pub(crate) async fn data(
        &mut self,
        decoder: &mut DataDecoder,
        content: &mut Vec<u8>,
        until: Instant,
    ) -> Result<bool, End> {
        if self.inbound.is_empty() {
            self.fill(MESSAGE_READ, until).await?;
        }
        Ok(self.inbound.decode_data(decoder, content))
    }

    /// More of a BDAT chunk, appended to `content`; true at its end.
    pub(crate) async fn chunk(
        &mut self,
        decoder: &mut ChunkDecoder,
        content: &mut Vec<u8>,
        until: Instant,
    ) -> Result<bool, End> {
        if self.inbound.is_empty() && decoder.remaining() > 0 {
            self.fill(MESSAGE_READ, until).await?;
        }
        Ok(self.inbound.decode_chunk(decoder, content))
    }

    async fn fill(&mut self, want: usize, until: Instant) -> Result<(), End> {
        self.flush().await?;
        let mut space = self.inbound.space(want);
        match timeout_at(until, self.stream.read_buf(&mut space)).await {
            Err(_) => Err(End::TimedOut),
            Ok(Ok(0)) => Err(End::ClientGone),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// Whether the client sent something that nobody has read.
    pub(crate) fn is_drained(&self) -> bool {
        self.inbound.is_empty()
    }

    /// Makes the connection a TLS session.
    pub(crate) async fn handshake(&mut self, config: Arc<ServerConfig>, until: Instant) -> Result<(), End> {
        self.flush().await?;
        let Stream::Plain(tcp) = std::mem::replace(&mut self.stream, Stream::Handshaking) else {
            return Err(End::Tls("a handshake inside TLS".to_owned()));
        };
        match timeout_at(until, TlsAcceptor::from(config).accept(tcp)).await {
            Err(_) => Err(End::Tls("the handshake took too long".to_owned())),
            Ok(Err(error)) => Err(End::Tls(error.to_string())),
            Ok(Ok(tls)) => {
                self.stream = Stream::Tls(Box::new(tls));
                Ok(())
            }
        }
    }

    /// The TLS session, once there is one.
    pub(crate) fn tls(&self) -> Option<&rustls::ServerConnection> {
        match &self.stream {
            Stream::Tls(tls) => Some(tls.get_ref().1),
            Stream::Plain(_) | Stream::Handshaking => None,
        }
    }

    /// Sends what is held and says goodbye, as far as the client still listens.
    pub(crate) async fn close(mut self, until: Instant) {
        let goodbye = async {
            let held = std::mem::take(&mut self.outbound);
            match &mut self.stream {
                // Into the session's own buffer: the last reply and close_notify leave together.
                Stream::Tls(tls) => tls.get_mut().1.writer().write_all(&held)?,
                stream => stream.write_all(&held).await?,
            }
            self.stream.shutdown().await
        };
        // The client may be gone; there is nobody left to tell.
        let _ = timeout_at(until, goodbye).await;
    }
}

fn handshaking() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "a TLS handshake failed here")
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Handshaking => Poll::Ready(Err(handshaking())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Handshaking => Poll::Ready(Err(handshaking())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Handshaking => Poll::Ready(Err(handshaking())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Handshaking => Poll::Ready(Err(handshaking())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_let_go() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let mut wire = Wire::new(server.unwrap().0, Duration::from_millis(200));
        let reply = Reply::new(250, None, "x".repeat(400));
        // More than the kernel's buffers of both ends hold.
        let mut end = None;
        for _ in 0..100_000 {
            if let Err(error) = wire.send(&reply, false).await {
                end = Some(error);
                break;
            }
        }
        assert!(matches!(end, Some(End::TimedOut)), "{end:?}");
        drop(client);
    }
}
