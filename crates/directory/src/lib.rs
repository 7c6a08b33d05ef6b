//! People: who a certificate or a user name stands for. Holds no certificates, only query tokens.
//!
//! A session asks a [`Directory`] two questions: whose certificate gave these [`Tokens`], and does this [`Password`]
//! belong to that user name. Filters ([`Template`]) are compiled once; directory servers evaluate them, or this crate does
//! for a people file.

mod directory;
mod ldap_directory;
mod proof;
mod ldap_plan;
mod cache;
mod account;
mod ldap;
mod file_directory;
mod people_file;
mod people;
mod record;
mod held_password;
mod stored_password;
mod scram;
mod step;
mod settings;
mod server_url;
mod base;
mod finding;
mod password;
mod answers;
mod error;
mod template;
mod filter;
mod comparison;
mod tokens;

pub use answers::{Allowance, CertificateMatch, PasswordMatch, Person, RecipientMatch, WrongPassword};
pub use base::{Base, Bases};
pub use cache::CacheHealth;
pub use directory::Directory;
pub use error::{Error, Problem, Problems};
pub use filter::{Entry, Extensible, Filter, Substrings};
pub use finding::{Finding, FindingState};
pub use ldap::server::{ServerDown, ServerHealth};
pub use ldap_directory::{Listed, Walk};
pub use password::{Password, hash_password};
pub use people_file::{PeopleFile, Reload};
pub use scram::{ScramMatch, ScramVerifier};
pub use server_url::{ServerUrl, ServerUrlError};
pub use settings::{
    Attribute, Attributes, Bind, CacheSettings, CertificateQuery, ClientCertificate, Kind, Method, Order,
    RecipientQuery, RequireTemplate, Scope, Settings, SmtpAuthQuery, Span, UnknownAttributes, UnknownKind,
};
pub use step::{Question, SeenEntry, Sight, Step};
pub use template::{CertificateTemplate, Fault, LoginTemplate, Piece, Template, TemplateError, Value};
pub use tokens::{NoValue, Query, Token, Tokens, UnknownToken};
