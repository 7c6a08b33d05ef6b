//! What can be wrong with a directory's settings and files.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// A directory that can't be opened or read again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than a people file may be.
    #[error("{}: larger than {limit} octets, the most a people file may be", path.display())]
    TooLarge {
        /// As configured.
        path: PathBuf,
        /// Octets.
        limit: u64,
    },
    /// The file is not a people file; all that is wrong with it.
    #[error("{problems}")]
    People {
        /// At least one.
        problems: Problems,
    },
    /// A setting that only shows to be wrong beside others.
    #[error("directory.{directory}.{key}: {text}")]
    Setting {
        /// The directory's name.
        directory: String,
        /// The key below it.
        key: &'static str,
        /// Where its value stands in the configuration, octets.
        span: Range<usize>,
        /// What is wrong, and what would be right.
        text: String,
    },
    /// The process is going down, or a fault of its own stopped the reading.
    #[error("reading was cut off: {0}")]
    Stopped(String),
    /// A password can't be hashed.
    #[error("password hash: {0}")]
    Hash(String),
}

/// All that is wrong with a people file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// As configured.
    pub path: PathBuf,
    /// The first of them.
    pub list: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

/// One thing that is wrong with a people file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The first is 1.
    pub line: usize,
    /// Characters, the first is 1.
    pub column: usize,
    /// The key it is about: `person.certificate.sha256`.
    pub key: String,
    /// What is wrong, and what would be right. Repeats no secret.
    pub text: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let joint = if index > 0 { "\n" } else { "" };
            write!(f, "{joint}{}:{}:{}: ", self.path.display(), problem.line, problem.column)?;
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            f.write_str(&problem.text)?;
        }
        if self.more > 0 {
            write!(f, "\n{}: and {} more", self.path.display(), self.more)?;
        }
        Ok(())
    }
}
