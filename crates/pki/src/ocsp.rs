//! OCSP (RFC 6960): one certificate's status from its CA itself.
//!
//! Requests and answers are read and written by the crate's own DER, not by `x509-ocsp`: that crate has the types and
//! leaves out all that matters here (who may sign, how old, about what, which nonce), and its certificates are those of
//! another library than ours.

pub(crate) mod store;
mod staple;
pub(crate) mod answer;
pub(crate) mod response;
mod request;

pub use answer::{BadOcspAnswer, check_ocsp_response};
pub use response::OcspStatus;
pub use staple::{NoStaple, Staple, staple};
pub use store::OcspStore;
