//! The bounds on the work that one judgement may cost, whatever certificates a stranger presents.

use crate::verdict::PathError;

/// What is left of each kind of work; real chains use a few percent of it.
#[derive(Debug)]
pub(crate) struct Budget {
    signatures: u32,
    steps: u32,
    comparisons: u32,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { signatures: 200, steps: 2_000, comparisons: 500_000 }
    }

    /// One signature to verify: some 20 to 200 microseconds.
    pub(crate) fn signature(&mut self) -> Result<(), PathError> {
        spend(&mut self.signatures, 1)
    }

    /// One certificate put on top of a path.
    pub(crate) fn step(&mut self) -> Result<(), PathError> {
        spend(&mut self.steps, 1)
    }

    /// Names to compare with subtrees.
    pub(crate) fn comparisons(&mut self, count: usize) -> Result<(), PathError> {
        spend(&mut self.comparisons, u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn spend(left: &mut u32, cost: u32) -> Result<(), PathError> {
    *left = left.checked_sub(cost).ok_or(PathError::TooComplex)?;
    Ok(())
}
