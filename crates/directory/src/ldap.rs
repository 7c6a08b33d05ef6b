//! LDAP version 3 (RFC 4511) as a client that searches and binds: messages, connections, servers, and all servers of a
//! directory as one.
//!
//! Of our own, because the libraries for it put no bound on what a server sends: nested elements of one answer, before
//! any TLS or bind, overflow the stack and end the process. Here nothing recurses over what comes.

pub(crate) mod pool;
pub(crate) mod server;
pub(crate) mod schema;
pub(crate) mod connector;
pub(crate) mod connection;
pub(crate) mod message;
pub(crate) mod ber;
