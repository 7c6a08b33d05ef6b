//! The header section's filter. The first octet says how the rest is cut; no cut may make a difference, and nothing of
//! ours is left after it.

use postern_protocol::header::{Header, HeaderFilter, HeaderSection, HeaderSettings, HeaderSummary, HeaderTooLong};

const MAX_SIZE: usize = 1024;

pub(crate) fn run(octets: &[u8]) {
    let Some((&cut, message)) = octets.split_first() else { return };
    let whole = filter(message, message.len().max(1), None);
    let pieces = filter(message, usize::from(cut).max(1), None);
    let (once, summary) = match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces);
            whole
        }
        (whole, pieces) => return assert_eq!(whole.is_err(), pieces.is_err()),
    };
    assert!(once.len() <= message.len() + 2);
    if let Ok((twice, again)) = filter(&once, once.len().max(1), None) {
        assert_eq!(twice, once);
        assert_eq!(again, HeaderSummary { removed: 0, ..summary });
    }
    if let Ok((completed, _)) = filter(message, message.len().max(1), Some("x"))
        && let Ok((_, summary)) = filter(&completed, completed.len(), None)
    {
        assert!(summary.date && summary.message_id);
    }
}

fn filter(message: &[u8], piece: usize, added: Option<&str>) -> Result<(Vec<u8>, HeaderSummary), HeaderTooLong> {
    let mut open = Some(HeaderFilter::new(HeaderSettings {
        authserv_id: "us".to_owned(),
        own_field: Some("Ours"),
        max_size: MAX_SIZE,
        date: added.map(str::to_owned),
        message_id: added.map(str::to_owned),
    }));
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let mut summary = HeaderSummary::default();
    let mut close = |section: HeaderSection| {
        // Whoever is named: afterwards it is us.
        let us = section.with_author(&"us@us.example".parse().unwrap());
        if !section.summary().control && us.len() <= MAX_SIZE {
            let whole = HeaderFilter::new(HeaderSettings {
                authserv_id: "us".to_owned(),
                own_field: Some("Ours"),
                max_size: MAX_SIZE,
                date: None,
                message_id: None,
            });
            let section = match whole.push(&us) {
                Ok(Header::Closed(section, _)) => section,
                Ok(Header::Open(filter)) => filter.finish(),
                Err(_) => return,
            };
            assert_eq!(section.originators().unwrap().authors, ["us@us.example".parse().unwrap()]);
        }
        summary = section.summary().clone();
        out.extend_from_slice(section.as_bytes());
    };
    for octets in message.chunks(piece) {
        match open.take() {
            None => body.extend_from_slice(octets),
            Some(filter) => match filter.push(octets)? {
                Header::Open(filter) => open = Some(filter),
                Header::Closed(section, rest) => {
                    close(section);
                    body.extend_from_slice(rest);
                }
            },
        }
    }
    if let Some(filter) = open {
        close(filter.finish());
    }
    out.extend_from_slice(&body);
    Ok((out, summary))
}
