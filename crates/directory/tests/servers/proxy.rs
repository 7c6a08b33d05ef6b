//! A wire to a server that can be cut, held, or made to count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Octets go nowhere, in both directions.
    held: AtomicBool,
    /// Milliseconds that answers take longer.
    delay: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        Self::at("127.0.0.1", port).await
    }

    pub(crate) async fn at(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(State {
                held: AtomicBool::new(false),
                delay: AtomicUsize::new(0),
                connections: AtomicUsize::new(0),
                open: AtomicUsize::new(0),
            }),
        };
        let state = Arc::clone(&proxy.state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, port, Arc::clone(&state)));
            }
        });
        proxy
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn hold(&self, held: bool) {
        self.state.held.store(held, Ordering::SeqCst);
    }

    pub(crate) fn delay(&self, by: Duration) {
        self.state.delay.store(by.as_millis() as usize, Ordering::SeqCst);
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Connections now.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, port: u16, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    state.open.fetch_add(1, Ordering::SeqCst);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut octets = [0; 16 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut octets).await {
            pass(&state).await;
            if to_server.write_all(&octets[..count]).await.is_err() {
                break;
            }
        }
    };
    let back = async {
        let mut octets = [0; 16 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut octets).await {
            tokio::time::sleep(Duration::from_millis(state.delay.load(Ordering::SeqCst) as u64)).await;
            pass(&state).await;
            if to_client.write_all(&octets[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { () = there => {}, () = back => {} }
    state.open.fetch_sub(1, Ordering::SeqCst);
}

async fn pass(state: &State) {
    while state.held.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
