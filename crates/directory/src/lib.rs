//! People: who a certificate or a user name stands for. Holds no certificates, only query tokens.

mod template;
mod filter;
mod comparison;
mod tokens;

pub use filter::{Entry, Extensible, Filter, Substrings};
pub use template::{CertificateTemplate, Fault, LoginTemplate, Piece, Template, TemplateError, Value};
pub use tokens::{NoValue, Query, Token, Tokens, UnknownToken};
