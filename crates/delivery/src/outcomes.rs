//! The outcomes of an attempt while it is under way.

use client::Cause;
use protocol::EnhancedCode;

use crate::outcome::Outcome;

/// What is known so far, in the order of the recipients.
#[derive(Debug)]
pub struct Outcomes(Vec<Fate>);

#[derive(Debug)]
enum Fate {
    Open(Option<Cause>),
    Final(Outcome),
}

impl Outcomes {
    /// For so many recipients, of whom nothing is known.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Fate::Open(None)).collect())
    }

    /// Those whom another host may still serve.
    pub(crate) fn open(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, fate)| matches!(fate, Fate::Open(_))).map(|(at, _)| at).collect()
    }

    pub(crate) fn defer(&mut self, at: usize, cause: Cause) {
        if let Some(Fate::Open(known)) = self.0.get_mut(at) {
            // What a host said of the recipient says more than that the next one is away.
            if known.is_none() || !cause.unreachable {
                *known = Some(cause);
            }
        }
    }

    pub(crate) fn settle(&mut self, at: usize, outcome: Outcome) {
        if let Some(fate) = self.0.get_mut(at) {
            *fate = Fate::Final(outcome);
        }
    }

    /// The final ones; `None` for whom there may be another attempt at once, the attempt having been broken off.
    #[must_use]
    pub fn settled(self) -> Vec<Option<Outcome>> {
        let outcome = |fate| match fate {
            Fate::Final(outcome) => Some(outcome),
            Fate::Open(_) => None,
        };
        self.0.into_iter().map(outcome).collect()
    }

    /// All of them, the attempt having come to its end.
    #[must_use]
    pub fn finish(self) -> Vec<Outcome> {
        let late = || Cause::local(None, EnhancedCode(4, 4, 7), "no host was reached within the time of an attempt");
        let outcome = |fate| match fate {
            Fate::Final(outcome) => outcome,
            Fate::Open(cause) => Outcome::Deferred(cause.unwrap_or_else(late)),
        };
        self.0.into_iter().map(outcome).collect()
    }
}
