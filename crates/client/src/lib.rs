//! The client's side of SMTP connections, whoever needs one: `delivery` to hand mail on, `auth` to have a password judged.
//!
//! An [`Opener`] makes a [`Connection`]: TCP, TLS as it was told, EHLO or LHLO. [`authenticate`] proves a password on it, or a certificate. A
//! [`Pool`] keeps connections for the next use. What failed is a [`Cause`].

mod pool;
mod sasl;
mod connection;
mod dial;
mod wire;
mod tls;
mod error;
mod cause;
mod tls_failure;
mod server_url;
mod host;

pub use cause::{Cause, Ends, What};
pub use connection::{Connection, Dialect, Limits, Opener, status_of};
pub use dial::{Addresses, Source};
pub use error::SetupError;
pub use host::{Host, SMTP_PORT};
pub use pool::Pool;
pub use sasl::{Answer, MAX_PASSWORD, MAX_USER, Mechanism, Verdict, authenticate};
pub use server_url::{ServerUrl, ServerUrlError};
pub use tls::{OwnCertificate, Tls, authorities, connector, connector_to_verified};
pub use tls_failure::{Mistrust, TlsFailure};
pub use wire::WireError;
