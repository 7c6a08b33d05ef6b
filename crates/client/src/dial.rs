//! The TCP connection: to which address, from which.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::host::Host;

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Where the system says that its name is.
    OfSystem,
    /// Here, each tried in turn.
    Known(Vec<IpAddr>),
}

/// The addresses that connections come from, one of each family; the system's choice where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Source {
    /// Towards IPv4 addresses.
    pub v4: Option<Ipv4Addr>,
    /// Towards IPv6 addresses.
    pub v6: Option<Ipv6Addr>,
}

/// Tries each of the host's addresses, each for `limit`; why there is no connection, in words.
pub(crate) async fn dial(
    host: &Host,
    addresses: &Addresses,
    source: Source,
    limit: Duration,
    deadline: Instant,
) -> Result<TcpStream, String> {
    let until = || Instant::now().checked_add(limit).map_or(deadline, |end| end.min(deadline));
    let timeout = || io::Error::from(io::ErrorKind::TimedOut);
    let addresses: Vec<SocketAddr> = match addresses {
        Addresses::Known(known) => known.iter().map(|address| SocketAddr::new(*address, host.port())).collect(),
        Addresses::OfSystem => {
            let name = host.address();
            let lookup = tokio::net::lookup_host((name.as_str(), host.port()));
            let found = timeout_at(until(), lookup).await.unwrap_or_else(|_| Err(timeout()));
            found.map_err(|error| format!("its name cannot be looked up: {error}"))?.collect()
        }
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in addresses {
        match timeout_at(until(), connect(address, source)).await.unwrap_or_else(|_| Err(timeout())) {
            Ok(stream) => {
                // Commands are small and wait for their replies.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(format!("it cannot be connected to: {last}"))
}

async fn connect(address: SocketAddr, source: Source) -> io::Result<TcpStream> {
    let (socket, source) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, source.v4.map(IpAddr::V4)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, source.v6.map(IpAddr::V6)),
    };
    if let Some(source) = source {
        let wrong = |error: io::Error| io::Error::new(error.kind(), format!("from {source}: {error}"));
        socket.bind(SocketAddr::new(source, 0)).map_err(wrong)?;
    }
    socket.connect(address).await
}
