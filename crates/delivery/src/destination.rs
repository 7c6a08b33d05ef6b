//! Where mail goes.

use std::sync::Arc;

/// What has the same destination takes the same way, and waits when that is closed. Another courier, built from other
/// settings, has destinations of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    pub(crate) route: u32,
    /// Where the way depends on the recipient's domain: in A-labels and lower case, or an address literal.
    pub(crate) domain: Option<Arc<str>>,
}
