//! Octets to and from the server, each step within its time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use protocol::{Reply, ReplyParser};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

/// Why the conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Of the step, or of the whole.
    #[error("no answer within the time")]
    Timeout,
    /// By the other side, or somebody on the way.
    #[error("the connection was closed")]
    Closed,
    /// What the system says.
    #[error("{0}")]
    Io(io::Error),
    /// Nothing that follows would be understood either.
    #[error("what came is no SMTP reply: {0}")]
    NoReply(String),
    /// It said yes, or was about to: no secret of this side's was shown to it.
    #[error("SCRAM: {0}")]
    Unproved(&'static str),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

pub(crate) trait Octets: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl Octets for TcpStream {}
impl Octets for TlsStream<TcpStream> {}

/// A connection on which commands go out and replies come in.
pub(crate) struct Wire<S: ?Sized = dyn Octets> {
    /// The end of the whole attempt: no step may go beyond it.
    pub(crate) deadline: Instant,
    parser: ReplyParser,
    stream: Box<S>,
}

impl<S: Octets> Wire<S> {
    pub(crate) fn new(stream: S, deadline: Instant) -> Self {
        Self { deadline, parser: ReplyParser::new(), stream: Box::new(stream) }
    }

    /// The bare stream; `None` when something came that nobody asked for: after STARTTLS it was not protected, and
    /// must not be taken for an answer to what will be (RFC 3207 section 4.2).
    pub(crate) fn into_stream(self) -> Option<S> {
        self.parser.is_empty().then_some(*self.stream)
    }
}

impl Wire<TcpStream> {
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn erased(self) -> Wire {
        Wire { deadline: self.deadline, parser: self.parser, stream: self.stream }
    }
}

impl Wire<TlsStream<TcpStream>> {
    pub(crate) fn stream(&self) -> &TlsStream<TcpStream> {
        &self.stream
    }

    /// What only the two ends of the connection know: RFC 9266 section 2. `None` where the protocol keeps none.
    pub(crate) fn channel_binding(&self) -> Option<[u8; 32]> {
        self.stream.get_ref().1.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }

    pub(crate) fn erased(self) -> Wire {
        Wire { deadline: self.deadline, parser: self.parser, stream: self.stream }
    }
}

impl<S: Octets + ?Sized> Wire<S> {
    fn until(&self, limit: Duration) -> Instant {
        Instant::now().checked_add(limit).map_or(self.deadline, |end| end.min(self.deadline))
    }

    /// Nothing has come, and not the end either.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let (mut space, mut context) = ([0], Context::from_waker(Waker::noop()));
        let read = Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut space));
        // An octet that is taken here is no loss: who is not quiet is left.
        self.parser.is_empty() && read.is_pending()
    }

    pub(crate) async fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), WireError> {
        let until = self.until(limit);
        let stream = &mut self.stream;
        let send = async move {
            stream.write_all(octets).await?;
            stream.flush().await
        };
        timeout_at(until, send).await.map_err(|_| WireError::Timeout)?.map_err(WireError::from)
    }

    pub(crate) async fn reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        let until = self.until(limit);
        loop {
            match self.parser.next_reply() {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(WireError::NoReply(error.to_string())),
            }
            let mut space = self.parser.space();
            let read = self.stream.read_buf(&mut space);
            if timeout_at(until, read).await.map_err(|_| WireError::Timeout)?? == 0 {
                return Err(WireError::Closed);
            }
        }
    }
}
