//! Who the client is: runs certificate and password profiles over `pki` and `directory`, and states the facts.

pub mod facts;
pub mod principal;

pub use facts::{
    AllowanceFact, Attempt, CertificateFact, Facts, PasswordFact, PresentedCertificate, QueryFact, TlsFact, Transport,
    WrongPassword,
};
pub use principal::Principal;
