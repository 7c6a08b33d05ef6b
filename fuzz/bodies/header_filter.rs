//! The header section's filter. The first octet says how the rest is cut; no cut may make a difference, and nothing of
//! ours is left after it.

use postern_protocol::header::{HeaderFilter, HeaderSettings, HeaderSummary, HeaderTooLong};

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
    let mut filter = HeaderFilter::new(HeaderSettings {
        authserv_id: "us".to_owned(),
        max_size: MAX_SIZE,
        date: added.map(str::to_owned),
        message_id: added.map(str::to_owned),
    });
    let mut out = Vec::new();
    for octets in message.chunks(piece) {
        filter.push(octets, &mut out)?;
    }
    filter.finish(&mut out);
    Ok((out, filter.summary().clone()))
}
