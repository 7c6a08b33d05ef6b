//! What directories and verifiers answer, as facts.

use directory::{Allowance, CertificateMatch, PasswordMatch, Person};
use pki::{Certificate, Revocation};
use protocol::{MailPattern, Mailbox};

use crate::facts::{AllowanceFact, PasswordFact, PresentedCertificate, QueryFact};
use crate::principal::Principal;
use crate::settings::AddressSource;

pub(super) fn password_facts(answer: PasswordMatch) -> (PasswordFact, AllowanceFact) {
    match answer {
        PasswordMatch::Right { person, allowance } => {
            (PasswordFact::Right(principal(person)), allowance_fact(allowance))
        }
        PasswordMatch::Wrong(why) => (PasswordFact::Wrong(why), AllowanceFact::NotAsked),
        PasswordMatch::Disabled => (PasswordFact::AccountDisabled, AllowanceFact::NotAsked),
        PasswordMatch::Unavailable(why) => (PasswordFact::Unavailable(why), AllowanceFact::NotAsked),
    }
}

pub(super) fn presented(
    leaf: Option<&Certificate>,
    path: Result<(), pki::PathError>,
    revocation: Revocation,
) -> PresentedCertificate {
    let unreadable = || "(unreadable)".to_owned();
    PresentedCertificate {
        subject: leaf.map_or_else(unreadable, |leaf| leaf.subject().to_string()),
        issuer: leaf.map_or_else(unreadable, |leaf| leaf.issuer().to_string()),
        serial: leaf.map_or_else(unreadable, |leaf| leaf.serial().hex()),
        path,
        revocation,
        query: QueryFact::NotAsked,
    }
}

/// The certificate's addresses, beside those of the directory or in their place. Only a certificate whose path was valid
/// gets here: the directory is not asked about others.
pub(super) fn use_sources(sources: &[AddressSource], principal: &mut Principal, leaf: &Certificate) {
    let of_directory = std::mem::take(&mut principal.addresses);
    for source in sources {
        match source {
            AddressSource::Directory => principal.add_addresses(of_directory.iter().cloned()),
            AddressSource::Certificate => {
                let names = leaf.subject_alt_names().iter().filter_map(|name| match name {
                    pki::GeneralName::Rfc822(octets) => Mailbox::parse(std::str::from_utf8(octets).ok()?).ok(),
                    _ => None,
                });
                principal.add_addresses(names);
            }
        }
    }
}

pub(super) fn query_fact(answer: CertificateMatch) -> QueryFact {
    match answer {
        CertificateMatch::One(person) => QueryFact::One(principal(person)),
        CertificateMatch::Nobody { why } => QueryFact::Nobody(why),
        CertificateMatch::Several => QueryFact::Several,
        CertificateMatch::Unavailable(why) => QueryFact::Unavailable(why),
    }
}

pub(super) fn told(query: &QueryFact) -> String {
    match query {
        QueryFact::NotAsked => "not asked".to_owned(),
        QueryFact::One(principal) => format!("the certificate is {}'s", principal.user_id),
        QueryFact::Nobody(why) => format!("nobody: {why}"),
        QueryFact::Several => "several people match".to_owned(),
        QueryFact::Unavailable(why) => format!("unavailable: {why}"),
    }
}

fn allowance_fact(allowance: Allowance) -> AllowanceFact {
    match allowance {
        Allowance::NotConfigured => AllowanceFact::NotAsked,
        Allowance::Allowed => AllowanceFact::Allowed,
        Allowance::NotAllowed => AllowanceFact::NotAllowed,
        Allowance::Unavailable(why) => AllowanceFact::Unavailable(why),
    }
}

/// A directory may hold what is no address: nobody can send as that, and the rest still holds.
fn principal(person: Person) -> Principal {
    let parse = |address: &String| match Mailbox::parse(address) {
        Ok(mailbox) => Some(mailbox),
        Err(error) => {
            tracing::warn!(user_id = person.user_id, address, %error, "an address of the directory is none");
            None
        }
    };
    // A word without an @ is a name or a mistake, and must not open a domain.
    let pattern = |text: &String| match text.parse::<MailPattern>() {
        Ok(pattern) if text.contains('@') => Some(pattern),
        _ => {
            tracing::warn!(
                user_id = person.user_id,
                send_as = text,
                "what the directory lets send as is no address and no @domain"
            );
            None
        }
    };
    let addresses = person.addresses.iter().filter_map(parse).collect();
    let send_as = person.send_as.iter().filter_map(pattern).collect();
    Principal { user_id: person.user_id, addresses, send_as }
}
