//! From and Sender. What is taken is taken again when it stands in a whole header, each address can be parsed by itself,
//! and every `@` of a field belongs to an address that is known.

use postern_protocol::Mailbox;
use postern_protocol::header::{HeaderSection, Originators};

pub(crate) fn run(octets: &[u8]) {
    // A Sender field may follow, after an octet that no field may hold.
    let mut parts = octets.splitn(2, |octet| *octet == 0xff);
    let from = [b"From:", parts.next().unwrap_or_default()].concat();
    let sender = parts.next().map(|value| [b"Sender:", value].concat());
    if [Some(&from), sender.as_ref()].iter().flatten().any(|field| field.ends_with(b"\r\n")) {
        return;
    }
    let senders: Vec<&[u8]> = sender.iter().map(Vec::as_slice).collect();
    let Ok(found) = Originators::parse(&[&from], &senders) else { return };
    assert!(!found.authors.is_empty());
    assert!(found.authors.len() == 1 || found.sender.is_some());
    for mailbox in found.authors.iter().chain(&found.sender) {
        assert_eq!(mailbox.to_string().parse::<Mailbox>().as_ref(), Ok(mailbox));
    }
    // A field that is read by itself ends where the header says that it ends.
    let mut header = from.clone();
    for field in senders {
        header.extend_from_slice(b"\r\n");
        header.extend_from_slice(field);
    }
    header.extend_from_slice(b"\r\n\r\nFrom: body@example.com\r\n");
    let section = HeaderSection::read(&header).unwrap();
    assert_eq!(section.originators(), Ok(found));
}
