//! A listener's own recipients: the table, and the directory that knows them.

use std::sync::Arc;

use directory::{Directory, RecipientMatch};
use policy::{DirectoryFact, Listed, Listing, RecipientTable};
use protocol::{ForwardPath, Mailbox};

/// Whom clients that may not relay can send to.
#[derive(Debug, Clone)]
pub struct Recipients {
    /// What is accepted, by domain and address.
    pub table: RecipientTable,
    /// Who knows the addresses; asked where the table says so.
    pub directory: Option<Arc<Directory>>,
}

impl Recipients {
    /// What a listener's table says of a recipient; without a table nobody is its own.
    pub fn look(recipients: Option<&Self>, path: &ForwardPath) -> Listed {
        match (path, recipients) {
            // RFC 5321 section 4.5.1: whoever takes mail has a postmaster.
            (ForwardPath::Postmaster, Some(_)) => {
                Listed { listing: Listing::Accepted, entry: Some("<Postmaster>".to_owned()) }
            }
            (ForwardPath::Mailbox(mailbox), Some(recipients)) => recipients.table.look(mailbox),
            (_, None) => Listed { listing: Listing::NotOurs, entry: None },
        }
    }

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
