//! Certificate revocation lists: read by the same streaming reader that the gateway uses.

use postern_pki::{Crl, Serial};

pub(crate) fn run(octets: &[u8]) {
    match Crl::from_der(octets) {
        Ok(list) => {
            // An entry takes at least a serial and a date, so more than the input holds would be invented.
            assert!(list.entries() <= octets.len() / 16);
            assert!(!list.issuer().to_string().chars().any(char::is_control));
            for serial in octets.windows(4) {
                list.lists(&Serial::from_octets(serial));
            }
        }
        Err(error) => assert!(!error.to_string().contains(['\r', '\n', '\0'])),
    }
}
