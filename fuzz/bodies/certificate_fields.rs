//! Certificates: what can be read keeps its octets, and no identity field holds what nobody could have typed.

use postern_pki::{Certificate, Identity, IdentityField};

pub(crate) fn run(octets: &[u8]) {
    let certificate = match Certificate::from_der(octets) {
        Ok(certificate) => certificate,
        Err(error) => return assert!(!error.to_string().contains(['\r', '\n', '\0'])),
    };
    assert_eq!(certificate.der(), octets);
    assert_eq!(certificate.subject(), certificate.subject());
    let identity = Identity::of(&certificate);
    for field in IdentityField::ALL {
        if let Ok(value) = identity.get(field) {
            assert!(!value.is_empty() && !value.chars().any(char::is_control), "{field}: {value:?}");
        }
    }
    // What is logged stays on its line.
    for text in [certificate.to_string(), certificate.issuer().to_string(), certificate.not_after().to_string()] {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    assert_eq!(certificate.serial().decimal().starts_with('-'), certificate.serial().hex().starts_with('-'));
}
