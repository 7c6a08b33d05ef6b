//! The recipients of a listener: which addresses its clients may send to without an identity. Appliances call such a
//! table the Recipient Access Table.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use protocol::{MailPattern, Mailbox};
use serde::Deserialize;
use serde_spanned::Spanned;

/// `[recipients.NAME]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientsSettings {
    /// Addresses and domains that take mail.
    pub accept: Spanned<Vec<Spanned<MailPattern>>>,
    /// Addresses and domains that do not, among those.
    #[serde(default)]
    pub reject: Vec<Spanned<MailPattern>>,
    /// The directory's name, which is asked for each address that only its domain accepts.
    pub directory: Option<Spanned<String>>,
}

/// A table of recipients.
#[derive(Debug, Clone)]
pub struct RecipientTable {
    /// As in the configuration; for logs.
    pub name: Arc<str>,
    entries: HashMap<MailPattern, Entry>,
    asks_directory: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Accept,
    Reject,
}

/// What a table says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Its domain takes no mail here.
    NotOurs,
    /// It takes mail.
    Accepted,
    /// It takes mail if the directory knows it.
    IfKnown,
    /// Its domain takes mail, and it does not.
    Rejected,
}

/// What a table says of an address, and by which entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it says.
    pub listing: Listing,
    /// The entry that decides, as text; `None` where there is none.
    pub entry: Option<String>,
}

impl RecipientTable {
    /// Checks the settings; every problem goes to `report` with its place in the file.
    pub fn new(name: &str, settings: &RecipientsSettings, mut report: impl FnMut(Range<usize>, String)) -> Self {
        let mut entries = HashMap::new();
        if settings.accept.get_ref().is_empty() {
            let text = "accepts nobody: write accept = [\"example.mil\"], or name no recipients at the listener";
            report(settings.accept.span(), text.to_owned());
        }
        for pattern in settings.accept.get_ref() {
            entries.insert(pattern.get_ref().clone(), Entry::Accept);
        }
        for pattern in &settings.reject {
            if entries.insert(pattern.get_ref().clone(), Entry::Reject) == Some(Entry::Accept) {
                report(pattern.span(), format!("{} is accepted too: leave out one of them", pattern.get_ref()));
            }
        }
        Self { name: name.into(), entries, asks_directory: settings.directory.is_some() }
    }

    /// What the table says of an address: its narrowest entry decides.
    pub fn look(&self, mailbox: &Mailbox) -> Listed {
        let mut found = MailPattern::holding(mailbox);
        let Some((pattern, entry)) = found.find_map(|pattern| Some((pattern.clone(), *self.entries.get(&pattern)?)))
        else {
            return Listed { listing: Listing::NotOurs, entry: None };
        };
        let address = matches!(pattern, MailPattern::Address(_));
        // RFC 5321 section 4.5.1: a domain that takes mail has a postmaster, whatever a directory knows.
        let certain = address || !self.asks_directory || mailbox.local_part().eq_ignore_ascii_case("postmaster");
        let listing = match entry {
            Entry::Accept if certain => Listing::Accepted,
            Entry::Accept => Listing::IfKnown,
            Entry::Reject if address => Listing::Rejected,
            Entry::Reject => Listing::NotOurs,
        };
        Listed { listing, entry: Some(pattern.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> (RecipientTable, Vec<String>) {
        let settings: RecipientsSettings = toml::from_str(text).unwrap();
        let mut problems = Vec::new();
        let table = RecipientTable::new("ours", &settings, |span, problem| {
            problems.push(format!("{}: {problem}", &text[span]));
        });
        (table, problems)
    }

    #[test]
    fn the_narrowest_entry_decides() {
        use Listing::{Accepted, IfKnown, NotOurs, Rejected};
        let entries = "accept = [\"example.mil\", \".example.mil\", \"boss@lab.example.mil\", \"x@elsewhere.example\"]\n\
                       reject = [\"lab.example.mil\", \".lab.example.mil\", \"gone@example.mil\"]\n";
        let (plain, problems) = table(entries);
        assert!(problems.is_empty(), "{problems:?}");
        let (asking, _) = table(&format!("{entries}directory = \"people\""));
        for (mailbox, listing, with_directory, entry) in [
            ("alice@example.mil", Accepted, IfKnown, Some("example.mil")),
            ("ALICE@EXAMPLE.MIL", Accepted, IfKnown, Some("EXAMPLE.MIL")),
            ("alice@mail.example.mil", Accepted, IfKnown, Some(".example.mil")),
            ("alice@lab.example.mil", NotOurs, NotOurs, Some("lab.example.mil")),
            ("alice@deep.lab.example.mil", NotOurs, NotOurs, Some(".lab.example.mil")),
            ("boss@lab.example.mil", Accepted, Accepted, Some("boss@lab.example.mil")),
            ("postmaster@lab.example.mil", NotOurs, NotOurs, Some("lab.example.mil")),
            ("gone@example.mil", Rejected, Rejected, Some("gone@example.mil")),
            ("Gone@Example.mil", Rejected, Rejected, Some("gone@example.mil")),
            ("postmaster@example.mil", Accepted, Accepted, Some("example.mil")),
            ("PostMaster@a.example.mil", Accepted, Accepted, Some(".example.mil")),
            ("x@elsewhere.example", Accepted, Accepted, Some("x@elsewhere.example")),
            ("y@elsewhere.example", NotOurs, NotOurs, None),
            ("alice@example.com", NotOurs, NotOurs, None),
            ("alice@mil", NotOurs, NotOurs, None),
            ("alice@notexample.mil", NotOurs, NotOurs, None),
            ("alice@[192.0.2.1]", NotOurs, NotOurs, None),
        ] {
            let mailbox: Mailbox = mailbox.parse().unwrap();
            let expected = |listing| Listed { listing, entry: entry.map(str::to_owned) };
            assert_eq!(plain.look(&mailbox), expected(listing), "{mailbox}");
            assert_eq!(asking.look(&mailbox), expected(with_directory), "{mailbox}, with a directory");
        }
    }

    #[test]
    fn what_contradicts_itself_is_reported_where_it_stands() {
        let (_, problems) = table("accept = []");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("[]: accepts nobody"), "{problems:?}");
        let (_, problems) = table("accept = [\"example.mil\"]\nreject = [\"@EXAMPLE.mil\", \"a@example.mil\"]");
        assert_eq!(problems, ["\"@EXAMPLE.mil\": EXAMPLE.mil is accepted too: leave out one of them"]);
        for (text, complaint) in [
            ("reject = []", "missing field `accept`"),
            ("accept = [\"*\"]", "write alice@example.mil, example.mil or .example.mil"),
            ("accept = []\ndirectry = \"x\"", "unknown field `directry`"),
        ] {
            let error = toml::from_str::<RecipientsSettings>(text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
