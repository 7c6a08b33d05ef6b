//! Throw-away PKI, recording next hop and scripted client, for the demo command and for tests.

pub mod dialogue;
pub mod client;
pub mod transport;
pub mod next_hop;
pub mod pki;
pub mod ca;
pub mod certificate;
pub mod key;
pub mod der;
pub mod error;

pub use ca::{Ca, Identity, Issued, Revoked};
pub use certificate::{AltName, Name, Template};
pub use client::{Client, Credentials, Exchange, Security, Submission, Submitted, submit};
pub use error::DemoError;
pub use key::{Key, KeyKind};
pub use next_hop::NextHop;
pub use pki::Pki;
pub use transport::{ClientTls, TlsVersions, Transport};
