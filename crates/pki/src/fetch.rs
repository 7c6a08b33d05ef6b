//! Fetches lists, certificates and OCSP answers: bounded in size, time and redirects, and from nowhere that nobody
//! configured.
//!
//! Ours over hyper rather than a whole HTTP client: one request on one connection is all there is to it, and proxies,
//! cookies and content codings stay out. LDAP is a search of one attribute that is streamed to where it is wanted; the
//! client library (`ldap3`) holds whole values in memory, and says of itself that it panics on unexpected answers.

pub(crate) mod fetcher;
mod http;
mod ldap;
mod connection;
mod error;

pub use error::FetchError;
pub use fetcher::Fetcher;
pub use http::Form;
