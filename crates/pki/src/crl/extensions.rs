//! Extensions of lists (RFC 5280 section 5.2): number, delta indicator, scope.

use crate::der::{self, Malformed, Reader, Tlv, tag};
use crate::extensions::{AuthorityKeyId, DistributionPointName, RawExtension, Reasons, read_extension};
use crate::oid;

/// RFC 5280 section 5.2.
#[derive(Debug, Default)]
pub(crate) struct CrlExtensions {
    pub(crate) number: Option<Number>,
    /// BaseCRLNumber: the list is a delta.
    pub(crate) base_number: Option<Number>,
    pub(crate) authority_key_id: AuthorityKeyId,
    pub(crate) scope: Scope,
}

/// A CRL number: up to 20 octets (RFC 5280 section 5.2.3), ordered as numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Number {
    length: usize,
    octets: Box<[u8]>,
}

impl Number {
    fn read(octets: &[u8]) -> Result<Self, Malformed> {
        der::check_integer(octets, "cRLNumber")?;
        if octets.first().is_some_and(|first| first & 0x80 != 0) || octets.len() > 64 {
            return Err(Malformed::new("cRLNumber", "negative or absurdly long"));
        }
        let magnitude = octets.strip_prefix(&[0]).unwrap_or(octets);
        Ok(Self { length: magnitude.len(), octets: magnitude.into() })
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.length == 0 { "00" } else { "" })?;
        f.write_str(&crate::hex::lower(&self.octets))
    }
}

/// `IssuingDistributionPoint` (RFC 5280 section 5.2.5): which certificates and reasons a list is about.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) distribution_point: Option<DistributionPointName>,
    pub(crate) only_users: bool,
    pub(crate) only_cas: bool,
    pub(crate) only_attributes: bool,
    pub(crate) only_some_reasons: Option<Reasons>,
    pub(crate) indirect: bool,
    /// As it was written: a delta must have the very scope of its base.
    pub(crate) raw: Box<[u8]>,
}

impl CrlExtensions {
    /// Reads the `[0]` that holds the SEQUENCE.
    pub(crate) fn read(tlv: Tlv<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "crlExtensions";
        let mut explicit = tlv.expect(tag::context_constructed(0), FIELD)?.contents();
        let mut sequence = explicit.sequence(FIELD)?;
        explicit.finish(FIELD)?;
        let mut extensions = Self::default();
        let mut seen = Vec::new();
        while !sequence.is_empty() {
            let extension = read_extension(&mut sequence)?;
            if seen.contains(&extension.oid) || seen.len() >= 64 {
                let oid = oid::dotted(extension.oid);
                return Err(Malformed::new(FIELD, format!("{oid} is there twice, or there are too many")));
            }
            let mut value = Reader::new(extension.value);
            match extension.oid {
                oid::CRL_NUMBER => extensions.number = Some(Number::read(value.integer("cRLNumber")?)?),
                oid::DELTA_CRL_INDICATOR => {
                    extensions.base_number = Some(Number::read(value.integer("deltaCRLIndicator")?)?);
                }
                oid::ISSUING_DISTRIBUTION_POINT => extensions.scope = Scope::read(extension.value)?,
                oid::AUTHORITY_KEY_ID => extensions.authority_key_id = AuthorityKeyId::read(&mut value)?,
                // Neither changes what the list says.
                oid::ISSUER_ALT_NAME | oid::FRESHEST_CRL => {}
                _ if extension.critical => return Err(unknown_critical(&extension)),
                _ => {}
            }
            seen.push(extension.oid);
        }
        Ok(extensions)
    }
}

/// A list with a critical extension that nobody processes must not be used (RFC 5280 sections 5.2 and 5.3).
pub(crate) fn unknown_critical(extension: &RawExtension<'_>) -> Malformed {
    Malformed::new("CertificateList", format!("unknown critical extension {}", oid::dotted(extension.oid)))
}

impl Scope {
    fn read(value: &[u8]) -> Result<Self, Malformed> {
        const FIELD: &str = "issuingDistributionPoint";
        let mut outer = Reader::new(value);
        let mut sequence = outer.sequence(FIELD)?;
        outer.finish(FIELD)?;
        let distribution_point = match sequence.optional(tag::context_constructed(0), FIELD)? {
            Some(tlv) => Some(DistributionPointName::read(tlv.contents(), FIELD)?),
            None => None,
        };
        let only_users = sequence.boolean_or_false(tag::context(1), FIELD)?;
        let only_cas = sequence.boolean_or_false(tag::context(2), FIELD)?;
        let only_some_reasons = match sequence.optional(tag::context(3), FIELD)? {
            Some(tlv) => Some(Reasons::read(tlv.value, FIELD)?),
            None => None,
        };
        let indirect = sequence.boolean_or_false(tag::context(4), FIELD)?;
        let only_attributes = sequence.boolean_or_false(tag::context(5), FIELD)?;
        sequence.finish(FIELD)?;
        Ok(Self {
            distribution_point,
            only_users,
            only_cas,
            only_attributes,
            only_some_reasons,
            indirect,
            raw: value.into(),
        })
    }
}
