//! What a people file holds a person's password against, and what holding costs.

use std::num::NonZeroU32;

use crate::error::Error;
use crate::password::{Cost, Hash, Password, Verifier};
use crate::scram::ScramVerifier;

/// One of the forms of a password.
#[derive(Debug, Clone)]
pub(crate) enum HeldPassword {
    Argon2(Hash),
    Scram(ScramVerifier),
}

/// What holding a password against a form costs: equal ones take equal time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HeldCost {
    Argon2(Cost),
    Scram(NonZeroU32),
}

impl Default for HeldCost {
    fn default() -> Self {
        Self::Argon2(Cost::default())
    }
}

impl HeldPassword {
    pub(crate) fn cost(&self) -> HeldCost {
        match self {
            Self::Argon2(hash) => HeldCost::Argon2(hash.cost()),
            Self::Scram(verifier) => HeldCost::Scram(verifier.iterations()),
        }
    }

    /// A form that no password has, of a given cost.
    pub(crate) fn dummy(cost: &HeldCost) -> Result<Self, Error> {
        match cost {
            HeldCost::Argon2(cost) => Hash::dummy(cost).map(Self::Argon2),
            HeldCost::Scram(iterations) => Ok(Self::Scram(ScramVerifier::dummy(*iterations))),
        }
    }

    /// Whether it is this password's, when there is a place to compute that; the error is a fault of this process.
    pub(crate) async fn is(&self, password: &Password, verifier: &Verifier) -> Result<bool, String> {
        let held = self.clone();
        let check = move |password: &[u8]| match &held {
            Self::Argon2(hash) => hash.is(password),
            Self::Scram(verifier) => Ok(verifier.is(password)),
        };
        verifier.run(password, check).await?
    }
}
