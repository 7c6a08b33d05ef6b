//! Authority information access (RFC 5280 section 4.2.2.1): where a certificate's issuer and responder are.

use crate::certificate::Certificate;
use crate::der::{Malformed, Reader};
use crate::general_name::GeneralName;
use crate::location::Location;
use crate::oid;

/// What a certificate says can be found somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Ocsp,
    CaIssuers,
}

/// More places than any certificate names, and as many as are ever tried.
const MAX_LOCATIONS: usize = 4;

/// The network locations for this access, in the certificate's order. The extension is a hint and no rule: one that
/// can't be read names nothing.
pub(crate) fn locations(certificate: &Certificate, access: Access) -> Vec<Location> {
    let extension = certificate.extensions().iter().find(|extension| extension.oid == *oid::AUTHORITY_INFO_ACCESS);
    let found = extension.map(|extension| read(&extension.value, access));
    let mut locations = found.and_then(Result::ok).unwrap_or_default();
    locations.truncate(MAX_LOCATIONS);
    locations
}

fn read(value: &[u8], access: Access) -> Result<Vec<Location>, Malformed> {
    const FIELD: &str = "authorityInfoAccess";
    let wanted = match access {
        Access::Ocsp => oid::ACCESS_OCSP,
        Access::CaIssuers => oid::ACCESS_CA_ISSUERS,
    };
    let mut descriptions = Reader::new(value).sequence(FIELD)?;
    let mut locations = Vec::new();
    while !descriptions.is_empty() {
        let mut description = descriptions.sequence(FIELD)?;
        let method = description.oid(FIELD)?;
        let GeneralName::Uri(uri) = GeneralName::from_tlv(description.any(FIELD)?, FIELD)? else { continue };
        if method == wanted {
            locations.extend(Location::of_certificate(&uri));
        }
    }
    Ok(locations)
}

/// The network locations of a certificate's distribution points.
pub(crate) fn distribution_points(certificate: &Certificate) -> Vec<Location> {
    let points = certificate.known().crl_distribution_points.iter();
    let names = points.filter_map(|point| point.name.as_ref()).flat_map(|name| name.names(certificate.issuer()));
    let uri = |name| match name {
        GeneralName::Uri(uri) => Location::of_certificate(&uri),
        _ => None,
    };
    names.filter_map(uri).take(MAX_LOCATIONS).collect()
}
