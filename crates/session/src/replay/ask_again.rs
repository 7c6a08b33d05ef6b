//! The facts of a record, asked for again.

use auth::{Attempt, CertificateFact, PasswordFact};
use base64::Engine as _;
use pki::Time;
use policy::Listing;
use protocol::ForwardPath;

use crate::names::Names;
use crate::recipients::Recipients;
use crate::record::{Event, Exchange, Record};
use crate::replay::Rules;

/// The record as it would be if everybody were asked again now, about an instant: names, lists, responders, directories.
/// Passwords cannot be asked again; who gave the right one then is looked for.
pub async fn ask_again(record: &Record, rules: Rules<'_>, names: Option<&Names>, at: Time) -> Record {
    let mut asked = record.clone();
    if let Some(names) = names.filter(|_| rules.groups.needs_name(record.client)) {
        asked.naming = names.of(record.client).await;
    }
    let (mut all_certificates, mut all_passwords) = (true, true);
    for event in &mut asked.events {
        match (event, rules.profile) {
            (Event::Certificate(examined), Some(profile)) => {
                let CertificateFact::Presented(_) = examined.fact else { continue };
                let decoded = |text: &String| base64::engine::general_purpose::STANDARD.decode(text).ok();
                let chain: Vec<Vec<u8>> = examined.chain.iter().filter_map(decoded).collect();
                if chain.is_empty() {
                    all_certificates = false;
                } else {
                    let found = profile.certificate(&chain, at).await;
                    examined.fact = CertificateFact::Presented(Box::new(found.presented));
                    examined.steps = found.steps;
                }
            }
            (Event::Auth { exchange: Exchange::Ended(attempt), .. } | Event::Standing(attempt), Some(profile)) => {
                match attempt {
                    Attempt::Password { password: PasswordFact::Right(_), .. } => {
                        *attempt = profile.standing(attempt, at).await;
                    }
                    Attempt::Password { .. } => all_passwords = false,
                    Attempt::None | Attempt::External { .. } => {}
                }
            }
            (Event::Rcpt { recipient, directory, .. }, _) => {
                let (Ok(path), Some(recipients)) = (ForwardPath::parse(recipient), rules.recipients) else { continue };
                if let (Listing::IfKnown, ForwardPath::Mailbox(mailbox)) =
                    (Recipients::look(Some(recipients), &path).listing, &path)
                {
                    *directory = recipients.directory_fact(mailbox).await;
                }
            }
            _ => {}
        }
    }
    let now = rules.basis;
    asked.basis.recipients.clone_from(&now.recipients);
    if all_certificates {
        asked.basis.trust.clone_from(&now.trust);
        asked.basis.owners.clone_from(&now.owners);
    }
    if all_passwords {
        asked.basis.passwords.clone_from(&now.passwords);
    }
    asked
}
