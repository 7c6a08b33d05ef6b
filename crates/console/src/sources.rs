//! Who is asked.

use std::sync::Arc;

use directory::Directory;
use pki::CrlStore;
use session::{Connections, Statistics};
use spool::Spool;

/// The parts of a gateway that have something to tell. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// Lists of revoked certificates.
    pub crls: CrlStore,
    /// People and their servers.
    pub directories: Arc<[Arc<Directory>]>,
    /// What sessions came to.
    pub statistics: Arc<Statistics>,
    /// How many there are.
    pub connections: Arc<Connections>,
    /// Accepted mail.
    pub spool: Spool,
}
