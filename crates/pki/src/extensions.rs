//! Certificate extensions (RFC 5280 section 4.2): each known one read into what it means, the others kept by name.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::der::{self, Malformed, Reader, tag};
use crate::general_name::GeneralName;
use crate::name::Name;
use crate::oid::{self, Oid};

/// One extension as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its type.
    pub oid: Oid,
    /// A certificate with a critical extension that nobody processes must be refused.
    pub critical: bool,
    /// The DER inside the OCTET STRING.
    pub value: Box<[u8]>,
}

/// The known extensions of a certificate; `None` or empty where it has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extensions {
    pub(crate) all: Vec<Extension>,
    pub(crate) unknown_critical: Option<Oid>,
    pub(crate) subject_key_id: Option<Box<[u8]>>,
    pub(crate) authority_key_id: AuthorityKeyId,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<Vec<Oid>>,
    pub(crate) subject_alt_names: Vec<GeneralName>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) policies: Option<Vec<Oid>>,
    /// (issuerDomainPolicy, subjectDomainPolicy).
    pub(crate) policy_mappings: Vec<(Oid, Oid)>,
    pub(crate) policy_constraints: PolicyConstraints,
    pub(crate) inhibit_any_policy: Option<u32>,
    pub(crate) crl_distribution_points: Vec<DistributionPoint>,
}

/// RFC 5280 section 4.2.1.1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuthorityKeyId {
    pub(crate) key_id: Option<Box<[u8]>>,
    pub(crate) issuer: Vec<GeneralName>,
    pub(crate) serial: Option<Box<[u8]>>,
}

/// RFC 5280 section 4.2.1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u32>,
}

/// RFC 5280 section 4.2.1.3: a set of bits, bit 0 (digitalSignature) first.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// Bit 0: signatures other than on certificates and lists, a TLS handshake's for one.
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// Bit 5.
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// Bit 6.
    pub const CRL_SIGN: Self = Self(1 << 6);

    /// Has every bit of `other`.
    pub fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = [
            "digitalSignature",
            "nonRepudiation",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| *name);
        f.write_str(&set.collect::<Vec<_>>().join(", "))
    }
}

/// RFC 5280 section 4.2.1.10.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameConstraints {
    pub(crate) permitted: Vec<Subtree>,
    pub(crate) excluded: Vec<Subtree>,
}

/// A subtree of names. RFC 5280 demands a minimum of 0 and no maximum; anything else fails closed.
#[derive(Debug, Clone)]
pub(crate) struct Subtree {
    pub(crate) base: GeneralName,
    pub(crate) has_distances: bool,
}

/// RFC 5280 section 4.2.1.11.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PolicyConstraints {
    pub(crate) require_explicit_policy: Option<u32>,
    pub(crate) inhibit_policy_mapping: Option<u32>,
}

/// RFC 5280 section 4.2.1.13.
#[derive(Debug, Clone, Default)]
pub(crate) struct DistributionPoint {
    pub(crate) name: Option<DistributionPointName>,
    pub(crate) reasons: Option<Reasons>,
    pub(crate) crl_issuer: Vec<GeneralName>,
}

/// `DistributionPointName`; a relative one is kept as its SET's contents until the CRL issuer it is relative to is known.
#[derive(Debug, Clone)]
pub(crate) enum DistributionPointName {
    Full(Vec<GeneralName>),
    Relative(Box<[u8]>),
}

impl DistributionPointName {
    /// From inside the `[0]` that holds the CHOICE.
    pub(crate) fn read(mut choice: Reader<'_>, field: &'static str) -> Result<Self, Malformed> {
        let tlv = choice.any(field)?;
        choice.finish(field)?;
        match tlv.tag {
            tag if tag == tag::context_constructed(0) => Ok(Self::Full(GeneralName::list(tlv.contents(), field)?)),
            tag if tag == tag::context_constructed(1) => Ok(Self::Relative(tlv.value.into())),
            _ => Err(Malformed::new(field, "neither fullName nor nameRelativeToCRLIssuer")),
        }
    }

    /// The full names; a relative one below `issuer`.
    pub(crate) fn names(&self, issuer: &Name) -> Vec<GeneralName> {
        match self {
            Self::Full(names) => names.clone(),
            Self::Relative(set) => Name::with_relative(issuer, Reader::new(set), "nameRelativeToCRLIssuer")
                .map(|name| vec![GeneralName::Directory(name)])
                .unwrap_or_default(),
        }
    }
}

/// `ReasonFlags`: a set of revocation reasons, the numbered bits of RFC 5280 section 4.2.1.13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reasons(u16);

impl Reasons {
    pub(crate) const NONE: Self = Self(0);
    /// Bits 1 (keyCompromise) to 8 (aACompromise).
    pub(crate) const ALL: Self = Self(0x1fe);

    pub(crate) fn read(octets: &[u8], field: &'static str) -> Result<Self, Malformed> {
        Ok(Self(named_bits(octets, field)? & Self::ALL.0))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A named BIT STRING's content octets as a set, bit 0 of the name lowest.
fn named_bits(octets: &[u8], field: &'static str) -> Result<u16, Malformed> {
    let Some((&unused, bits)) = octets.split_first() else { return Err(Malformed::new(field, "no BIT STRING")) };
    if unused > 7 || (bits.is_empty() && unused != 0) {
        return Err(Malformed::new(field, "no BIT STRING"));
    }
    Ok(bits
        .iter()
        .take(2)
        .enumerate()
        .fold(0, |set, (index, octet)| set | u16::from(octet.reverse_bits()) << (8 * index)))
}

/// Far above any real certificate; bounds the search for duplicates and the memory.
const MAX_EXTENSIONS: usize = 128;

impl Extensions {
    /// Reads `Extensions`, from inside the SEQUENCE.
    pub(crate) fn read(mut sequence: Reader<'_>) -> Result<Self, Malformed> {
        let mut extensions = Self::default();
        let mut seen = HashSet::new();
        while !sequence.is_empty() {
            let RawExtension { oid, critical, value } = read_extension(&mut sequence)?;
            let extension = Extension { oid: Oid::from_octets(oid), critical, value: value.into() };
            // RFC 5280 section 4.2: no extension more than once.
            if !seen.insert(extension.oid.clone()) {
                return Err(Malformed::new("extensions", format!("{} is there twice", extension.oid)));
            }
            if seen.len() > MAX_EXTENSIONS {
                return Err(Malformed::new("extensions", "more than 128"));
            }
            let known = extensions.interpret(extension.oid.octets(), &extension.value)?;
            if !known && extension.critical && extensions.unknown_critical.is_none() {
                extensions.unknown_critical = Some(extension.oid.clone());
            }
            extensions.all.push(extension);
        }
        if extensions.all.is_empty() {
            return Err(Malformed::new("extensions", "an empty sequence"));
        }
        Ok(extensions)
    }

    /// Is this extension one that the rest of the crate obeys? `false` for those it knows nothing about.
    fn interpret(&mut self, kind: &[u8], value: &[u8]) -> Result<bool, Malformed> {
        let mut outer = Reader::new(value);
        match kind {
            oid::SUBJECT_KEY_ID => {
                self.subject_key_id = Some(outer.take(tag::OCTET_STRING, "subjectKeyIdentifier")?.value.into());
            }
            oid::AUTHORITY_KEY_ID => self.authority_key_id = AuthorityKeyId::read(&mut outer)?,
            oid::KEY_USAGE => {
                let bits = outer.take(tag::BIT_STRING, "keyUsage")?.value;
                self.key_usage = Some(KeyUsage(named_bits(bits, "keyUsage")?));
            }
            oid::EXTENDED_KEY_USAGE => self.extended_key_usage = Some(read_extended_key_usage(&mut outer)?),
            oid::SUBJECT_ALT_NAME => {
                self.subject_alt_names = GeneralName::list(outer.sequence("subjectAltName")?, "subjectAltName")?;
            }
            // Informational here (RFC 5280 section 4.2.1.7: not processed by path validation).
            oid::ISSUER_ALT_NAME => {
                GeneralName::list(outer.sequence("issuerAltName")?, "issuerAltName")?;
            }
            oid::BASIC_CONSTRAINTS => self.basic_constraints = Some(BasicConstraints::read(&mut outer)?),
            oid::NAME_CONSTRAINTS => self.name_constraints = Some(NameConstraints::read(&mut outer)?),
            oid::CERTIFICATE_POLICIES => self.policies = Some(read_policies(&mut outer)?),
            oid::POLICY_MAPPINGS => self.policy_mappings = read_policy_mappings(&mut outer)?,
            oid::POLICY_CONSTRAINTS => self.policy_constraints = PolicyConstraints::read(&mut outer)?,
            oid::INHIBIT_ANY_POLICY => {
                self.inhibit_any_policy = Some(der::count(outer.integer("inhibitAnyPolicy")?, "inhibitAnyPolicy")?);
            }
            oid::CRL_DISTRIBUTION_POINTS => self.crl_distribution_points = read_distribution_points(&mut outer)?,
            // Where to fetch deltas; those that are configured are used in any case.
            oid::FRESHEST_CRL => {
                read_distribution_points(&mut outer)?;
            }
            _ => return Ok(false),
        }
        outer.finish("extension")?;
        Ok(true)
    }
}

/// An extension while it is read: those of list entries come by the million, so nothing is copied.
pub(crate) struct RawExtension<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// `Extension`; also those of lists and of list entries.
pub(crate) fn read_extension<'a>(sequence: &mut Reader<'a>) -> Result<RawExtension<'a>, Malformed> {
    let mut extension = sequence.sequence("extension")?;
    let oid = extension.oid("extnID")?;
    let critical = extension.boolean_or_false(tag::BOOLEAN, "critical")?;
    let value = extension.take(tag::OCTET_STRING, "extnValue")?.value;
    extension.finish("extension")?;
    Ok(RawExtension { oid, critical, value })
}

impl AuthorityKeyId {
    pub(crate) fn read(outer: &mut Reader<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "authorityKeyIdentifier";
        let mut sequence = outer.sequence(FIELD)?;
        let key_id = sequence.optional(tag::context(0), FIELD)?.map(|tlv| tlv.value.into());
        let issuer = match sequence.optional(tag::context_constructed(1), FIELD)? {
            Some(tlv) => GeneralName::list(tlv.contents(), FIELD)?,
            None => Vec::new(),
        };
        let serial = sequence.optional(tag::context(2), FIELD)?.map(|tlv| tlv.value.into());
        sequence.finish(FIELD)?;
        Ok(Self { key_id, issuer, serial })
    }
}

impl BasicConstraints {
    fn read(outer: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut sequence = outer.sequence("basicConstraints")?;
        let ca = sequence.boolean_or_false(tag::BOOLEAN, "cA")?;
        let path_len = match sequence.optional(tag::INTEGER, "pathLenConstraint")? {
            Some(tlv) => Some(der::count(tlv.value, "pathLenConstraint")?),
            None => None,
        };
        sequence.finish("basicConstraints")?;
        Ok(Self { ca, path_len })
    }
}

impl NameConstraints {
    fn read(outer: &mut Reader<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "nameConstraints";
        let mut sequence = outer.sequence(FIELD)?;
        let permitted = sequence.optional(tag::context_constructed(0), FIELD)?;
        let excluded = sequence.optional(tag::context_constructed(1), FIELD)?;
        sequence.finish(FIELD)?;
        if permitted.is_none() && excluded.is_none() {
            return Err(Malformed::new(FIELD, "neither permitted nor excluded subtrees"));
        }
        let subtrees = |side: Option<der::Tlv<'_>>| side.map_or(Ok(Vec::new()), |side| read_subtrees(side.contents()));
        Ok(Self { permitted: subtrees(permitted)?, excluded: subtrees(excluded)? })
    }
}

fn read_subtrees(mut sequence: Reader<'_>) -> Result<Vec<Subtree>, Malformed> {
    const FIELD: &str = "nameConstraints";
    let mut subtrees = Vec::new();
    while !sequence.is_empty() {
        let mut subtree = sequence.sequence(FIELD)?;
        let base = GeneralName::from_tlv(subtree.any(FIELD)?, FIELD)?;
        let minimum = subtree.optional(tag::context(0), FIELD)?;
        let maximum = subtree.optional(tag::context(1), FIELD)?;
        subtree.finish(FIELD)?;
        let has_distances = maximum.is_some() || minimum.is_some_and(|minimum| minimum.value != [0]);
        subtrees.push(Subtree { base, has_distances });
    }
    if subtrees.is_empty() {
        return Err(Malformed::new(FIELD, "an empty list of subtrees"));
    }
    Ok(subtrees)
}

fn read_extended_key_usage(outer: &mut Reader<'_>) -> Result<Vec<Oid>, Malformed> {
    const FIELD: &str = "extKeyUsage";
    let mut sequence = outer.sequence(FIELD)?;
    let mut purposes = Vec::new();
    while !sequence.is_empty() {
        purposes.push(Oid::from_octets(sequence.oid(FIELD)?));
    }
    // RFC 5280 section 4.2.1.12: SIZE (1..MAX).
    if purposes.is_empty() {
        return Err(Malformed::new(FIELD, "an empty sequence"));
    }
    Ok(purposes)
}

fn read_policies(outer: &mut Reader<'_>) -> Result<Vec<Oid>, Malformed> {
    const FIELD: &str = "certificatePolicies";
    let mut sequence = outer.sequence(FIELD)?;
    let mut policies = Vec::new();
    while !sequence.is_empty() {
        let mut information = sequence.sequence(FIELD)?;
        policies.push(Oid::from_octets(information.oid(FIELD)?));
        // Qualifiers are for people to read; they decide nothing.
        information.optional(tag::SEQUENCE, FIELD)?;
        information.finish(FIELD)?;
    }
    policies.sort_unstable();
    // RFC 5280 section 4.2.1.4: SIZE (1..MAX), and no policy more than once.
    if policies.is_empty() || policies.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(Malformed::new(FIELD, "empty, or the same policy twice"));
    }
    Ok(policies)
}

fn read_policy_mappings(outer: &mut Reader<'_>) -> Result<Vec<(Oid, Oid)>, Malformed> {
    const FIELD: &str = "policyMappings";
    let mut sequence = outer.sequence(FIELD)?;
    let mut mappings = Vec::new();
    while !sequence.is_empty() {
        let mut mapping = sequence.sequence(FIELD)?;
        mappings.push((Oid::from_octets(mapping.oid(FIELD)?), Oid::from_octets(mapping.oid(FIELD)?)));
        mapping.finish(FIELD)?;
    }
    if mappings.is_empty() {
        return Err(Malformed::new(FIELD, "an empty sequence"));
    }
    Ok(mappings)
}

impl PolicyConstraints {
    fn read(outer: &mut Reader<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "policyConstraints";
        let mut sequence = outer.sequence(FIELD)?;
        let mut skip_certs = |number| match sequence.optional(tag::context(number), FIELD)? {
            Some(tlv) => der::count(tlv.value, FIELD).map(Some),
            None => Ok(None),
        };
        let constraints = Self { require_explicit_policy: skip_certs(0)?, inhibit_policy_mapping: skip_certs(1)? };
        sequence.finish(FIELD)?;
        // RFC 5280 section 4.2.1.11: never an empty sequence.
        if constraints == Self::default() {
            return Err(Malformed::new(FIELD, "an empty sequence"));
        }
        Ok(constraints)
    }
}

fn read_distribution_points(outer: &mut Reader<'_>) -> Result<Vec<DistributionPoint>, Malformed> {
    const FIELD: &str = "cRLDistributionPoints";
    let mut sequence = outer.sequence(FIELD)?;
    let mut points = Vec::new();
    while !sequence.is_empty() {
        let mut point = sequence.sequence(FIELD)?;
        let name = match point.optional(tag::context_constructed(0), FIELD)? {
            Some(tlv) => Some(DistributionPointName::read(tlv.contents(), FIELD)?),
            None => None,
        };
        let reasons = match point.optional(tag::context(1), FIELD)? {
            Some(tlv) => Some(Reasons::read(tlv.value, FIELD)?),
            None => None,
        };
        let crl_issuer = match point.optional(tag::context_constructed(2), FIELD)? {
            Some(tlv) => GeneralName::list(tlv.contents(), FIELD)?,
            None => Vec::new(),
        };
        point.finish(FIELD)?;
        points.push(DistributionPoint { name, reasons, crl_issuer });
    }
    if points.is_empty() {
        return Err(Malformed::new(FIELD, "an empty sequence"));
    }
    Ok(points)
}
