//! A listener's own recipients: the table, and the directory that knows them.

use std::sync::Arc;

use directory::{Directory, RecipientMatch};
use policy::{DirectoryFact, RecipientTable};
use protocol::Mailbox;

/// Whom clients that may not relay can send to.
#[derive(Debug, Clone)]
pub struct Recipients {
    /// What is accepted, by domain and address.
    pub table: RecipientTable,
    /// Who knows the addresses; asked where the table says so.
    pub directory: Option<Arc<Directory>>,
}

impl Recipients {
    /// What the directory says of an address.
    pub async fn directory_fact(&self, mailbox: &Mailbox) -> DirectoryFact {
        let Some(directory) = &self.directory else { return DirectoryFact::NotAsked };
        match directory.recipient_query(mailbox.local_part(), mailbox.domain().as_str()).await {
            RecipientMatch::Known => DirectoryFact::Known,
            RecipientMatch::Unknown => DirectoryFact::Unknown,
            RecipientMatch::Unavailable(why) => DirectoryFact::Unavailable(why),
        }
    }
}
