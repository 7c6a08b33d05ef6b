//! Who the client is: runs certificate and password profiles over `pki`, `directory` and other SMTP servers, and states the
//! facts.
//!
//! A session hands a [`Profile`] the client's certificate chain, or the [`sasl::Credentials`] of an exchange, and gets
//! [`Facts`] back; `policy` judges them under the profile's [`ProfileRules`].

pub mod profile;
pub mod oauth;
pub mod forward;
pub mod settings;
pub mod sasl;
pub mod tokens;
pub mod facts;
pub mod rules;
pub mod principal;

pub use facts::{
    AllowanceFact, Attempt, CertificateFact, Facts, PasswordFact, PresentedCertificate, QueryFact, TlsFact, Transport,
    WrongPassword,
};
pub use forward::{Domains, Forward, ForwardSettings, Look, SettingFault};
pub use oauth::{IntrospectionSettings, Oauth, OauthSettings, TokenAlgorithm};
pub use principal::Principal;
pub use profile::{Epoch, Examination, PasswordSource, Profile};
pub use rules::{CertificateRules, Mechanism, OnNotAllowed, OnProblem, PasswordRules, ProfileRules, UnknownMechanism};
pub use sasl::{ChannelBinding, ClientFirst, Credentials, Exchange, LastWord, SaslError, Step};
pub use settings::{
    AddressSource, AddressSources, CertificateSettings, Contradiction, Mechanisms, PasswordSettings, Settings,
};
pub use tokens::certificate_tokens;
