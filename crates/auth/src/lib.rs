//! Who the client is: runs certificate and password profiles over `pki` and `directory`, and states the facts.

pub mod facts;
pub mod rules;
pub mod principal;

pub use facts::{
    AllowanceFact, Attempt, CertificateFact, Facts, PasswordFact, PresentedCertificate, QueryFact, TlsFact, Transport,
    WrongPassword,
};
pub use principal::Principal;
pub use rules::{CertificateRules, Mechanism, OnNotAllowed, OnProblem, PasswordRules, ProfileRules, UnknownMechanism};
