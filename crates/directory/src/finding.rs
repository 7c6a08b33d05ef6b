//! What a look at a directory's servers found.

use std::fmt;

/// One thing that a check of a server found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The server's URL.
    pub server: String,
    /// Whether it is well.
    pub state: FindingState,
    /// What was found, and what would be right.
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingState {
    /// As it should be.
    Fine,
    /// The server is asked; somebody should look at it.
    Warning,
    /// The server is of no use as things stand.
    Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.text)
    }
}
