//! A bound address: accepts connections and starts a session for each.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use policy::Naming;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::connections::Counted;
use crate::conversation::converse;
use crate::outcome::End;
use crate::record::SessionId;
use crate::replies;
use crate::serving::Serving;
use crate::session::{GOODBYE, Session, TurnedAway};
use crate::settings::ListenerTls;
use crate::wire::Wire;

/// A bound socket. It accepts until it is dropped or cancelled.
pub struct Listener {
    address: SocketAddr,
    serving: Arc<ArcSwap<Serving>>,
    socket: Option<TcpListener>,
    accepting: Option<JoinHandle<()>>,
    cancel: CancellationToken,
}

/// Pending connections the kernel keeps while all are busy.
const BACKLOG: i32 = 1024;
/// After a failed accept (too many open files): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Listener {
    /// Binds `address`. Nothing is accepted before [`Listener::start`].
    pub fn bind(address: SocketAddr, serving: Arc<Serving>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // `[::]` is IPv6 only, so that it can stand beside `0.0.0.0`.
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(socket.into())?;
        Ok(Self {
            address: socket.local_addr()?,
            serving: Arc::new(ArcSwap::new(serving)),
            socket: Some(socket),
            accepting: None,
            cancel: CancellationToken::new(),
        })
    }

    /// Where it listens; the port the system chose when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections are served so from now on.
    pub fn serve(&self, serving: Arc<Serving>) {
        self.serving.store(serving);
    }

    /// Begins to accept; sessions are tracked by `sessions`.
    pub fn start(&mut self, sessions: &TaskTracker) {
        if let Some(socket) = self.socket.take() {
            let accepting = accept(socket, Arc::clone(&self.serving), self.cancel.clone(), sessions.clone());
            self.accepting = Some(tokio::spawn(accepting));
        }
    }

    /// Accepts no more; when this returns, the address is free. Sessions go on.
    pub async fn close(mut self) {
        self.cancel.cancel();
        if let Some(accepting) = self.accepting.take() {
            // A task that panicked has let go of its socket too.
            let _ = accepting.await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn accept(socket: TcpListener, serving: Arc<ArcSwap<Serving>>, cancel: CancellationToken, sessions: TaskTracker) {
    let stop = serving.load().server.stop.clone();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let id = SessionId::next();
                // Its name is in all that is logged on its way; of errors too, so that a level of `warn` has it.
                let span = tracing::error_span!("session", %id);
                sessions.spawn(serve(stream, client, serving.load_full(), id).instrument(span));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, serving: Arc<Serving>, id: SessionId) {
    // Replies are small and wait for nobody.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire::new(stream, serving.server.limits.idle_timeout);
    let from_proxy = serving.proxy_protocol_from.iter().any(|proxy| proxy.holds(peer.ip()));
    let client = match from_proxy {
        false => peer,
        true => {
            let until = Instant::now() + serving.server.limits.handshake_timeout;
            match wire.proxy_header(until).await {
                Ok(client) => client.unwrap_or(peer),
                Err(end) => return turned_away(TurnedAway::unheard(wire, None, end), &serving, peer).await,
            }
        }
    };
    let server = &serving.server;
    let counted = server.connections.enter(&serving.name, serving.max_connections, server.limits.max_connections);
    let counted = match counted {
        Ok(counted) => counted,
        Err(too_many) => {
            let reply = Some(replies::too_many_connections(too_many));
            let refused = TurnedAway::unheard(wire, reply, End::TooManyConnections(too_many));
            return turned_away(refused, &serving, client).await;
        }
    };
    let naming = match &server.names {
        // Nobody else waits for it: each connection has a task of its own.
        Some(names) if serving.groups.needs_name(client.ip()) => Box::pin(names.of(client.ip())).await,
        _ => Naming::NotAsked,
    };
    match conversation(wire, Arc::clone(&serving), client, naming, counted, id) {
        Ok(conversation) => conversation.await,
        Err(refused) => turned_away(*refused, &serving, client).await,
    }
}

type Conversation = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Not in `serve` itself: its future would keep room for all that is moved here, as long as the connection lives.
fn conversation(
    wire: Wire,
    serving: Arc<Serving>,
    client: SocketAddr,
    naming: Naming,
    counted: Counted,
    id: SessionId,
) -> Result<Conversation, Box<TurnedAway>> {
    match Session::open(wire, serving, client, naming, counted, id) {
        Ok(session) => Ok(Box::pin(converse(session))),
        Err(refused) => Err(Box::new(refused)),
    }
}

/// A connection that never became a session.
async fn turned_away(refused: TurnedAway, serving: &Serving, client: SocketAddr) {
    let TurnedAway { mut wire, reply, end, recorder } = refused;
    let facts = recorder.and_then(|recorder| recorder.finish(&end));
    tracing::info!(listener = serving.name, %client, verdict = "refused", %end, facts, "session");
    // On an implicit-TLS port clear text would only confuse the client.
    if let Some(reply) = reply.filter(|_| serving.implicit_tls == ListenerTls::Starttls) {
        let _ = wire.send(&reply, false).await;
    }
    wire.close(Instant::now() + GOODBYE).await;
}
