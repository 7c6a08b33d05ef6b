//! People: who a certificate or a user name stands for. Holds no certificates, only query tokens.
//!
//! A session asks a [`Directory`] two questions: whose certificate gave these [`Tokens`], and does this [`Password`]
//! belong to that user name. Filters ([`Template`]) are compiled once, and evaluated here for people files.

mod directory;
mod settings;
mod people_file;
mod people;
mod record;
mod password;
mod error;
mod template;
mod filter;
mod comparison;
mod tokens;

pub use directory::{Allowance, CertificateMatch, Directory, PasswordMatch, Person, WrongPassword};
pub use error::{Error, Problem, Problems};
pub use filter::{Entry, Extensible, Filter, Substrings};
pub use password::{Password, hash_password};
pub use people_file::{PeopleFile, Reload};
pub use settings::{CertificateQuery, Kind, Settings, SmtpAuthQuery, UnknownKind};
pub use template::{CertificateTemplate, Fault, LoginTemplate, Piece, Template, TemplateError, Value};
pub use tokens::{NoValue, Query, Token, Tokens, UnknownToken};
