//! Whether the gateway can do its work, and why not.

use pki::Time;

use crate::sources::Sources;

/// Why the gateway is not ready; empty when it is. A directory with one server left is ready.
pub(crate) fn troubles(sources: &Sources, now: Time) -> Vec<String> {
    let mut troubles = Vec::new();
    for directory in sources.directories.iter() {
        let servers = directory.health();
        if !servers.is_empty() && servers.iter().all(|server| server.down.is_some()) {
            troubles.push(format!("directory {}: no server answers", directory.name()));
        }
    }
    for source in sources.crls.status().into_iter().filter(|source| !source.followed) {
        let stale = |list: &pki::ListStatus| list.next_update.is_some_and(|next| next < now);
        if source.lists.is_empty() {
            troubles.push(format!("revocation list {}: none has been read", source.name));
        } else if source.lists.iter().any(stale) {
            troubles.push(format!("revocation list {}: out of date", source.name));
        }
    }
    troubles
}
