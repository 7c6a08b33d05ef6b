//! A certificate in words: every field and extension, for people who ask what is in it.

use std::net::IpAddr;

use crate::certificate::Certificate;
use crate::extensions::{DistributionPoint, Extension, NameConstraints, Subtree};
use crate::general_name::GeneralName;
use crate::hex;
use crate::oid::Oid;

/// One line of a description: what, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The field's name, as RFC 5280 spells it; critical extensions say so.
    pub field: String,
    /// Its value, on one line; what is not text is hexadecimal.
    pub value: String,
}

/// Extensions by the arc below `id-ce`, 2.5.29.
const ID_CE: [(u8, &str); 15] = [
    (9, "subjectDirectoryAttributes"),
    (14, "subjectKeyIdentifier"),
    (15, "keyUsage"),
    (16, "privateKeyUsagePeriod"),
    (17, "subjectAltName"),
    (18, "issuerAltName"),
    (19, "basicConstraints"),
    (30, "nameConstraints"),
    (31, "cRLDistributionPoints"),
    (32, "certificatePolicies"),
    (33, "policyMappings"),
    (35, "authorityKeyIdentifier"),
    (36, "policyConstraints"),
    (37, "extendedKeyUsage"),
    (54, "inhibitAnyPolicy"),
];

/// Key purposes and name types that people know by name.
const NAMED: [(&str, &str); 9] = [
    ("1.3.6.1.5.5.7.3.1", "serverAuth"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning"),
    ("1.3.6.1.4.1.311.20.2.2", "smartcardLogon"),
    ("2.5.29.37.0", "anyExtendedKeyUsage"),
    ("2.5.29.32.0", "anyPolicy"),
    ("1.3.6.1.4.1.311.20.2.3", "userPrincipalName"),
    ("2.16.840.1.101.3.6.6", "FASC-N"),
];

impl Certificate {
    /// Everything in it, in the order of RFC 5280 section 4.
    pub fn describe(&self) -> Vec<Described> {
        let fields = [
            ("version", self.version().to_string()),
            ("serialNumber", format!("{} (decimal {})", self.serial().hex(), self.serial().decimal())),
            ("signature", self.signature_description()),
            ("issuer", self.issuer().to_string()),
            ("notBefore", self.not_before().to_string()),
            ("notAfter", self.not_after().to_string()),
            ("subject", self.subject().to_string()),
            ("subjectPublicKey", self.key_description()),
        ];
        let fields = fields.map(|(field, value)| Described { field: field.to_owned(), value });
        let extensions = self.extensions().iter().map(|extension| self.describe_extension(extension));
        let hashes = [("SHA-1", hex::lower(&self.sha1())), ("SHA-256", hex::lower(self.sha256()))];
        let hashes = hashes.map(|(field, value)| Described { field: field.to_owned(), value });
        fields.into_iter().chain(extensions).chain(hashes).collect()
    }

    fn describe_extension(&self, extension: &Extension) -> Described {
        let known = self.known();
        let name = extension_name(&extension.oid);
        let value = match name.as_str() {
            "subjectKeyIdentifier" => known.subject_key_id.as_deref().map(hex::lower),
            "authorityKeyIdentifier" => known.authority_key_id.key_id.as_deref().map(hex::lower),
            "keyUsage" => known.key_usage.map(|usage| usage.to_string()),
            "extendedKeyUsage" => known.extended_key_usage.as_deref().map(joined_oids),
            "certificatePolicies" => known.policies.as_deref().map(joined_oids),
            "subjectAltName" => Some(joined(&known.subject_alt_names)),
            "basicConstraints" => {
                known.basic_constraints.map(|constraints| match (constraints.ca, constraints.path_len) {
                    (false, _) => "no CA".to_owned(),
                    (true, None) => "CA".to_owned(),
                    (true, Some(length)) => format!("CA, at most {length} below it"),
                })
            }
            "nameConstraints" => known.name_constraints.as_ref().map(constraints_text),
            "policyMappings" => Some(list(known.policy_mappings.iter().map(|(from, to)| format!("{from} = {to}")))),
            "policyConstraints" => {
                let constraints = known.policy_constraints;
                let parts = [
                    ("requireExplicitPolicy", constraints.require_explicit_policy),
                    ("inhibitPolicyMapping", constraints.inhibit_policy_mapping),
                ];
                Some(list(parts.iter().filter_map(|(name, skip)| skip.map(|skip| format!("{name} after {skip}")))))
            }
            "inhibitAnyPolicy" => known.inhibit_any_policy.map(|skip| format!("after {skip}")),
            "cRLDistributionPoints" => {
                Some(list(known.crl_distribution_points.iter().map(|point| self.point_text(point))))
            }
            _ => None,
        };
        let critical = if extension.critical { " (critical)" } else { "" };
        Described { field: format!("{name}{critical}"), value: value.unwrap_or_else(|| hex::lower(&extension.value)) }
    }

    fn point_text(&self, point: &DistributionPoint) -> String {
        let names = point.name.as_ref().map(|name| name.names(self.issuer())).unwrap_or_default();
        match (names.is_empty(), point.crl_issuer.is_empty()) {
            (_, false) => format!("{} by {}", joined(&names), joined(&point.crl_issuer)),
            (false, true) => joined(&names),
            (true, true) => "(no name)".to_owned(),
        }
    }
}

fn extension_name(oid: &Oid) -> String {
    match oid.octets() {
        [0x55, 0x1d, arc] => ID_CE.iter().find(|(known, _)| known == arc).map(|(_, name)| (*name).to_owned()),
        [0x2b, 6, 1, 5, 5, 7, 1, 1] => Some("authorityInfoAccess".to_owned()),
        [0x2b, 6, 1, 5, 5, 7, 1, 11] => Some("subjectInfoAccess".to_owned()),
        _ => None,
    }
    .unwrap_or_else(|| oid.to_string())
}

fn joined_oids(oids: &[Oid]) -> String {
    list(oids.iter().map(named))
}

/// The name that people know, with the number they may have to write.
fn named(oid: &Oid) -> String {
    let text = oid.to_string();
    NAMED.iter().find(|(number, _)| *number == text).map_or(text.clone(), |(_, name)| format!("{name} ({text})"))
}

fn joined(names: &[GeneralName]) -> String {
    list(names.iter().map(general_name))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn constraints_text(constraints: &NameConstraints) -> String {
    let subtrees = |word: &str, subtrees: &[Subtree]| -> Option<String> {
        let bases = list(subtrees.iter().map(|subtree| general_name(&subtree.base)));
        (!subtrees.is_empty()).then(|| format!("{word}: {bases}"))
    };
    let both = [subtrees("permitted", &constraints.permitted), subtrees("excluded", &constraints.excluded)];
    both.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn general_name(name: &GeneralName) -> String {
    match name {
        GeneralName::Other { kind, value } => format!("{}: {}", named(kind), other_value(value)),
        GeneralName::Rfc822(address) => format!("email: {}", printable(address)),
        GeneralName::Dns(host) => format!("DNS: {}", printable(host)),
        GeneralName::Directory(name) => format!("directory: {name}"),
        GeneralName::Uri(uri) => format!("URI: {}", printable(uri)),
        GeneralName::Ip(octets) => format!("IP: {}", ip(octets)),
        GeneralName::Registered(oid) => format!("registered: {oid}"),
        GeneralName::Unread(tag) => format!("a name of form {:#04x}", tag),
    }
}

/// A UTF8String or IA5String in words, anything else in hexadecimal.
fn other_value(der: &[u8]) -> String {
    let mut reader = crate::der::Reader::new(der);
    match reader.any("otherName") {
        Ok(tlv) if matches!(tlv.tag, crate::der::tag::UTF8_STRING | crate::der::tag::IA5_STRING) => {
            printable(tlv.value)
        }
        _ => hex::lower(der),
    }
}

fn ip(octets: &[u8]) -> String {
    let address = |octets: &[u8]| -> Option<IpAddr> {
        let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
    };
    let network = |octets: &[u8]| {
        let (base, mask) = octets.split_at_checked(octets.len() / 2)?;
        Some(format!("{}/{}", address(base)?, address(mask)?))
    };
    let single = if octets.len() == 8 || octets.len() == 32 {
        network(octets)
    } else {
        address(octets).map(|it| it.to_string())
    };
    single.unwrap_or_else(|| hex::lower(octets))
}

/// Text as it is; what could confuse a terminal or hide something is escaped.
fn printable(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets)
        .chars()
        .flat_map(|c| {
            let plain = !c.is_control() && c != '\u{fffd}';
            let escaped = (!plain).then(|| c.escape_unicode());
            plain.then_some(c).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}
