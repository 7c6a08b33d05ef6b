//! The authorities that the system trusts.

use crate::certificate::Certificate;

/// The certificates of the system's bundle; those that cannot be read are left out, for the others still serve. Reads the
/// files each time.
pub fn system_roots() -> Vec<Certificate> {
    let found = rustls_native_certs::load_native_certs().certs;
    found.iter().filter_map(|certificate| Certificate::from_der(certificate).ok()).collect()
}
