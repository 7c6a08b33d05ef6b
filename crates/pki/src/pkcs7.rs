//! `certs-only` messages (RFC 5652, as RFC 5280 section 4.2.2.1 names them): certificates in a SignedData that signs nothing.

use crate::certificate::Certificate;
use crate::der::{Malformed, Reader, tag};
use crate::oid;

/// The certificates of a `certs-only` message that can be read, no more than `most`.
pub(crate) fn certificates(der: &[u8], most: usize) -> Result<Vec<Certificate>, Malformed> {
    const FIELD: &str = "SignedData";
    let mut outer = Reader::new(der);
    let mut content = outer.sequence("ContentInfo")?;
    outer.finish("ContentInfo")?;
    if content.oid("contentType")? != oid::SIGNED_DATA {
        return Err(Malformed::new("contentType", "not signed-data"));
    }
    let mut explicit = content.take(tag::context_constructed(0), "content")?.contents();
    let mut signed = explicit.sequence(FIELD)?;
    signed.integer("version")?;
    signed.take(tag::SET, "digestAlgorithms")?;
    signed.take(tag::SEQUENCE, "encapContentInfo")?;
    let Some(set) = signed.optional(tag::context_constructed(0), "certificates")? else { return Ok(Vec::new()) };
    let mut set = set.contents();
    let mut certificates = Vec::new();
    while !set.is_empty() && certificates.len() < most {
        // Other choices than a certificate have other tags, and are passed over.
        let choice = set.any("certificates")?;
        certificates.extend(Certificate::from_der(choice.raw));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::write::{element, integer};
    use proptest::prelude::*;

    fn message(content: &[u8]) -> Vec<u8> {
        let signed = [
            integer(1),
            element(tag::SET, &[]),
            element(tag::SEQUENCE, &[]),
            element(tag::context_constructed(0), content),
            element(tag::SET, &[]),
        ];
        let explicit = element(tag::context_constructed(0), &element(tag::SEQUENCE, &signed.concat()));
        element(tag::SEQUENCE, &[element(tag::OID, oid::SIGNED_DATA), explicit].concat())
    }

    #[test]
    fn what_is_no_certificate_is_passed_over() {
        assert_eq!(certificates(&message(&[]), 5).unwrap().len(), 0);
        assert_eq!(certificates(&message(&element(tag::context_constructed(2), b"other")), 5).unwrap().len(), 0);
        assert!(certificates(&element(tag::SEQUENCE, &element(tag::OID, oid::OCSP_BASIC)), 5).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = certificates(&message(&octets), 5);
            let _ = certificates(&octets, 5);
        }
    }
}
