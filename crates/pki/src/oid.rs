//! Object identifiers: the known ones by name, and a type for those that settings and certificates bring.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::der::{Malformed, check_oid};

/// An object identifier; written and read in dotted form (`2.5.29.32.0`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Oid(Box<[u8]>);

impl Oid {
    /// From content octets that a reader has checked already.
    pub(crate) fn from_octets(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<[u8]> for Oid {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&dotted(&self.0))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Oid {
    type Error = BadOid;

    fn try_from(text: String) -> Result<Self, BadOid> {
        text.parse()
    }
}

impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is wrong with the text of an object identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an object identifier; write numbers with dots between, as 2.16.840.1.101.2.1.11.42")]
pub struct BadOid(String);

impl FromStr for Oid {
    type Err = BadOid;

    fn from_str(text: &str) -> Result<Self, BadOid> {
        let bad = || BadOid(text.to_owned());
        let mut arcs = Vec::new();
        for part in text.split('.') {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let canonical = plain && (part == "0" || !part.starts_with('0'));
            if !canonical {
                return Err(bad());
            }
            arcs.push(part.parse::<u128>().map_err(|_| bad())?);
        }
        let [first, second, rest @ ..] = arcs.as_slice() else { return Err(bad()) };
        // X.660 section 7.6: below the arcs 0 and 1 there are at most forty.
        if *first > 2 || (*first < 2 && *second >= 40) {
            return Err(bad());
        }
        let mut octets = Vec::new();
        let joined = second.checked_add(first * 40).ok_or_else(bad)?;
        for arc in std::iter::once(&joined).chain(rest) {
            let mut groups = vec![(arc & 0x7f) as u8];
            let mut left = arc >> 7;
            while left > 0 {
                groups.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            octets.extend(groups.iter().rev());
        }
        check_oid(&octets, "OID").map_err(|_: Malformed| bad())?;
        Ok(Self(octets.into()))
    }
}

/// Content octets in dotted form; an arc beyond 128 bits makes the whole appear as hexadecimal.
pub(crate) fn dotted(octets: &[u8]) -> String {
    let mut arcs: Vec<u128> = Vec::new();
    let mut arc = 0_u128;
    for octet in octets {
        if arc >> 121 != 0 {
            return format!("#{}", crate::hex::lower(octets));
        }
        arc = arc << 7 | u128::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let mut text = String::new();
    if let Some((&joined, rest)) = arcs.split_first() {
        let first = (joined / 40).min(2);
        text = format!("{first}.{}", joined - first * 40);
        for arc in rest {
            text.push_str(&format!(".{arc}"));
        }
    }
    text
}

// X.520 and RFC 4519 attribute types.
pub(crate) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
pub(crate) const SURNAME: &[u8] = &[0x55, 4, 4];
pub(crate) const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
pub(crate) const COUNTRY: &[u8] = &[0x55, 4, 6];
pub(crate) const LOCALITY: &[u8] = &[0x55, 4, 7];
pub(crate) const STATE: &[u8] = &[0x55, 4, 8];
pub(crate) const STREET: &[u8] = &[0x55, 4, 9];
pub(crate) const ORGANIZATION: &[u8] = &[0x55, 4, 10];
pub(crate) const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 4, 11];
pub(crate) const TITLE: &[u8] = &[0x55, 4, 12];
pub(crate) const GIVEN_NAME: &[u8] = &[0x55, 4, 42];
pub(crate) const DOMAIN_COMPONENT: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
pub(crate) const USER_ID: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
pub(crate) const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];

// RFC 5280 section 4.2 and 5.2: extensions, 2.5.29.N.
pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 29, 14];
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 29, 15];
pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];
pub(crate) const ISSUER_ALT_NAME: &[u8] = &[0x55, 29, 18];
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
pub(crate) const CRL_NUMBER: &[u8] = &[0x55, 29, 20];
pub(crate) const REASON_CODE: &[u8] = &[0x55, 29, 21];
pub(crate) const INVALIDITY_DATE: &[u8] = &[0x55, 29, 24];
pub(crate) const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 29, 27];
pub(crate) const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 29, 28];
pub(crate) const CERTIFICATE_ISSUER: &[u8] = &[0x55, 29, 29];
pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 29, 30];
pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 29, 31];
pub(crate) const CERTIFICATE_POLICIES: &[u8] = &[0x55, 29, 32];
pub(crate) const ANY_POLICY: &[u8] = &[0x55, 29, 32, 0];
pub(crate) const POLICY_MAPPINGS: &[u8] = &[0x55, 29, 33];
pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 29, 35];
pub(crate) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 29, 36];
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
pub(crate) const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37, 0];
pub(crate) const FRESHEST_CRL: &[u8] = &[0x55, 29, 46];
pub(crate) const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 29, 54];

// RFC 5280 section 4.2.2.1 and RFC 6960.
pub(crate) const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
pub(crate) const ACCESS_OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1];
pub(crate) const ACCESS_CA_ISSUERS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 2];
pub(crate) const OCSP_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
pub(crate) const OCSP_NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 2];
pub(crate) const OCSP_NOCHECK: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 5];
pub(crate) const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
// RFC 5652.
pub(crate) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];

// Names inside subjectAltName otherName.
/// Microsoft user principal name.
pub(crate) const UPN: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3];
/// FIPS 201 pivFASC-N, 2.16.840.1.101.3.6.6.
pub(crate) const FASC_N: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 6, 6];

// Key and signature algorithms: RFC 3279, 4055, 5480, 5758, 8410.
pub(crate) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
pub(crate) const SHA1_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
pub(crate) const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
pub(crate) const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
pub(crate) const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
pub(crate) const SHA384_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12];
pub(crate) const SHA512_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13];
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
pub(crate) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
pub(crate) const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
pub(crate) const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
pub(crate) const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
pub(crate) const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
pub(crate) const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
pub(crate) const ECDSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
pub(crate) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
pub(crate) const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
pub(crate) const DSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3];
pub(crate) const DSA_WITH_SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2];
pub(crate) const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 26];
pub(crate) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
pub(crate) const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
pub(crate) const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_and_back() {
        for text in ["2.5.29.32.0", "1.3.6.1.4.1.311.20.2.3", "2.16.840.1.101.2.1.11.42", "0.9.2342", "2.999.3"] {
            assert_eq!(text.parse::<Oid>().unwrap().to_string(), text);
        }
        assert_eq!(dotted(UPN), "1.3.6.1.4.1.311.20.2.3");
        assert_eq!(dotted(FASC_N), "2.16.840.1.101.3.6.6");
        assert_eq!(dotted(P521), "1.3.132.0.35");
        assert_eq!(dotted(USER_ID), "0.9.2342.19200300.100.1.1");
    }

    #[test]
    fn bad_text() {
        for text in ["", "1", "3.1", "1.40", "1..2", "1.02", "1.2.x", "clientAuth", "1.2.", "-1.2"] {
            assert!(text.parse::<Oid>().is_err(), "{text}");
        }
    }
}
