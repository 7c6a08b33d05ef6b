//! Name constraints (RFC 5280 section 4.2.1.10): which names a CA, and whatever is below it, may certify.

use crate::certificate::Certificate;
use crate::extensions::{NameConstraints, Subtree};
use crate::general_name::GeneralName;
use crate::oid;
use crate::path::budget::Budget;
use crate::verdict::PathError;

/// Does a name lie in a subtree?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Inside,
    Outside,
    /// It can't be told: refused, whether the subtree is permitted or excluded.
    Unclear,
}

/// Every name of `certificate` against the constraints of every CA above it: a name must satisfy each of them.
pub(crate) fn check(
    certificate: &Certificate,
    constraints: &[&NameConstraints],
    budget: &mut Budget,
) -> Result<(), PathError> {
    if constraints.is_empty() {
        return Ok(());
    }
    let subtrees: usize = constraints.iter().map(|one| one.permitted.len() + one.excluded.len()).sum();
    let names = names_of(certificate);
    budget.comparisons(subtrees.saturating_mul(names.len()))?;
    let refused = names.iter().find(|name| !constraints.iter().all(|constraints| allows(constraints, name)));
    match refused {
        None => Ok(()),
        Some(name) => Err(PathError::NameConstraint { certificate: certificate.to_string(), name: describe(name) }),
    }
}

/// The subject, its alternative names, and mail addresses in the subject: RFC 5280 applies rfc822Name constraints to
/// the last only where there is no subjectAltName; they are held to it always, for people read them either way.
fn names_of(certificate: &Certificate) -> Vec<GeneralName> {
    let subject = certificate.subject();
    let mut names = certificate.subject_alt_names().to_vec();
    if !subject.is_empty() {
        names.push(GeneralName::Directory(subject.clone()));
    }
    for address in subject.attributes(oid::EMAIL_ADDRESS) {
        // What is no text becomes an address that is unclear, and so refused where addresses are constrained.
        let text = address.text().unwrap_or_default();
        names.push(GeneralName::Rfc822(text.into_bytes().into()));
    }
    names
}

fn allows(constraints: &NameConstraints, name: &GeneralName) -> bool {
    let excluded = constraints
        .excluded
        .iter()
        .filter(|subtree| same_form(&subtree.base, name))
        .any(|subtree| lies(subtree, name) != Lies::Outside);
    let mut permitted = constraints.permitted.iter().filter(|subtree| same_form(&subtree.base, name)).peekable();
    // A form of name that no permitted subtree speaks of is free.
    let permitted = permitted.peek().is_none() || permitted.any(|subtree| lies(subtree, name) == Lies::Inside);
    permitted && !excluded
}

fn same_form(base: &GeneralName, name: &GeneralName) -> bool {
    match (base, name) {
        (GeneralName::Other { kind: one, .. }, GeneralName::Other { kind: other, .. }) => one == other,
        (GeneralName::Unread(one), GeneralName::Unread(other)) => one == other,
        _ => std::mem::discriminant(base) == std::mem::discriminant(name),
    }
}

fn lies(subtree: &Subtree, name: &GeneralName) -> Lies {
    // RFC 5280 defines no use of distances, so nobody knows what such a subtree holds.
    if subtree.has_distances {
        return Lies::Unclear;
    }
    match (&subtree.base, name) {
        (GeneralName::Directory(base), GeneralName::Directory(name)) => inside(name.is_within(base)),
        (GeneralName::Rfc822(base), GeneralName::Rfc822(name)) => mail_lies(base, name),
        (GeneralName::Dns(base), GeneralName::Dns(name)) => dns_lies(base, name),
        (GeneralName::Uri(base), GeneralName::Uri(name)) => uri_lies(base, name),
        (GeneralName::Ip(base), GeneralName::Ip(name)) => ip_lies(base, name),
        // otherName, registeredID, x400Address, ediPartyName: RFC 5280 gives their subtrees no meaning.
        _ => Lies::Unclear,
    }
}

fn inside(yes: bool) -> Lies {
    if yes { Lies::Inside } else { Lies::Outside }
}

/// A host below a domain, or the domain itself. `.example.mil` is the form that leaves the domain itself out.
fn dns_lies(base: &[u8], name: &[u8]) -> Lies {
    let (Some(base), Some(name)) = (host(base), host(name)) else { return Lies::Unclear };
    // A wildcard stands for hosts inside and for others outside of a subtree that is deeper than it.
    if name.strip_prefix("*.").is_some_and(|domain| is_below(domain, &base)) {
        return Lies::Unclear;
    }
    inside(base.is_empty() || is_below(&base, &name) || base == name)
}

/// A mailbox, all mailboxes of a host, or (after a dot) of all hosts of a domain.
fn mail_lies(base: &[u8], name: &[u8]) -> Lies {
    let split = |address: &[u8]| {
        let at = address.iter().rposition(|&byte| byte == b'@')?;
        let (local, rest) = address.split_at_checked(at)?;
        Some((local.to_vec(), host(rest.get(1..)?)?))
    };
    // A second @ is only legal in quotes, and nobody agrees on where such an address ends.
    let sound = |(local, domain): &(Vec<u8>, String)| !local.is_empty() && !local.contains(&b'@') && !domain.is_empty();
    let Some((local, domain)) = split(name).filter(sound) else { return Lies::Unclear };
    if base.contains(&b'@') {
        // RFC 5280 section 7.5: the local part is compared letter by letter.
        return match split(base) {
            Some((base_local, base_domain)) => inside(base_local == local && base_domain == domain),
            None => Lies::Unclear,
        };
    }
    match host(base) {
        Some(base) if base.starts_with('.') => inside(is_below(&base, &domain)),
        Some(base) => inside(base.is_empty() || base == domain),
        None => Lies::Unclear,
    }
}

/// The host part of a URI. One without a host name can't satisfy a constraint: RFC 5280 demands its refusal.
fn uri_lies(base: &[u8], name: &[u8]) -> Lies {
    let host_of_uri = || {
        let uri = std::str::from_utf8(name).ok()?;
        let (_, rest) = uri.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host_name = host_and_port.split_once(':').map_or(host_and_port, |(host, _)| host);
        let is_address = host_name.parse::<std::net::Ipv4Addr>().is_ok() || host_name.starts_with('[');
        host(host_name.as_bytes()).filter(|host| !host.is_empty() && !is_address)
    };
    let (Some(base), Some(name)) = (host(base), host_of_uri()) else { return Lies::Unclear };
    inside(base.is_empty() || if base.starts_with('.') { is_below(&base, &name) } else { base == name })
}

/// An address and a mask, of the same family as the name.
fn ip_lies(base: &[u8], name: &[u8]) -> Lies {
    if !matches!((base.len(), name.len()), (8 | 32, 4 | 16)) {
        return Lies::Unclear;
    }
    let Some((address, mask)) = base.split_at_checked(base.len() / 2) else { return Lies::Unclear };
    let bits = mask.iter().fold(0_u128, |bits, &octet| bits << 8 | u128::from(octet)) << (128 - mask.len() * 8);
    // RFC 4632: ones, then zeros.
    if bits.leading_ones() + bits.trailing_zeros() < 128 {
        return Lies::Unclear;
    }
    let covered = address.iter().zip(mask).zip(name).all(|((address, mask), name)| address & mask == name & mask);
    inside(address.len() == name.len() && covered)
}

/// A host name in lower case; `None` where it has letters that no host name has.
fn host(octets: &[u8]) -> Option<String> {
    let clean = octets.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'@');
    clean.then(|| octets.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect())
}

/// Is `name` a host below `base`? Both in lower case; a dot before `base` makes no difference.
fn is_below(base: &str, name: &str) -> bool {
    name.strip_suffix(base.strip_prefix('.').unwrap_or(base))
        .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
}

fn describe(name: &GeneralName) -> String {
    let text = |kind: &str, octets: &[u8]| format!("{kind} `{}`", octets.escape_ascii());
    match name {
        GeneralName::Other { kind, .. } => format!("otherName {kind}"),
        GeneralName::Rfc822(octets) => text("rfc822Name", octets),
        GeneralName::Dns(octets) => text("dNSName", octets),
        GeneralName::Directory(name) => format!("directoryName `{name}`"),
        GeneralName::Uri(octets) => text("uniformResourceIdentifier", octets),
        GeneralName::Ip(octets) => format!("iPAddress {}", crate::hex::lower(octets)),
        GeneralName::Registered(oid) => format!("registeredID {oid}"),
        GeneralName::Unread(_) => "x400Address or ediPartyName".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subtree(base: GeneralName) -> Subtree {
        Subtree { base, has_distances: false }
    }

    fn dns(text: &str) -> GeneralName {
        GeneralName::Dns(text.as_bytes().into())
    }

    fn mail(text: &str) -> GeneralName {
        GeneralName::Rfc822(text.as_bytes().into())
    }

    fn uri(text: &str) -> GeneralName {
        GeneralName::Uri(text.as_bytes().into())
    }

    fn ip(octets: &[u8]) -> GeneralName {
        GeneralName::Ip(octets.into())
    }

    fn upn(value: &[u8]) -> GeneralName {
        GeneralName::Other { kind: oid::Oid::from_octets(oid::UPN), value: value.into() }
    }

    #[test]
    fn where_names_lie() {
        use Lies::{Inside, Outside, Unclear};
        let rows = [
            (dns("example.mil"), dns("example.mil"), Inside),
            (dns("example.mil"), dns("A.Example.MIL"), Inside),
            (dns("example.mil"), dns("badexample.mil"), Outside),
            (dns("example.mil"), dns("mil"), Outside),
            (dns(".example.mil"), dns("a.example.mil"), Inside),
            (dns(".example.mil"), dns("example.mil"), Outside),
            (dns(""), dns("example.mil"), Inside),
            (dns("example.mil"), dns("a\0.example.mil"), Unclear),
            (dns("example.mil"), dns("*.example.mil"), Inside),
            (dns("a.example.mil"), dns("*.example.mil"), Unclear),
            (dns("a.example.mil"), dns("*.b.example.mil"), Outside),
            (mail("example.mil"), mail("a@example.mil"), Inside),
            (mail("example.mil"), mail("a@EXAMPLE.mil"), Inside),
            (mail("example.mil"), mail("a@b.example.mil"), Outside),
            (mail(".example.mil"), mail("a@b.example.mil"), Inside),
            (mail(".example.mil"), mail("a@example.mil"), Outside),
            (mail("a@example.mil"), mail("a@example.mil"), Inside),
            (mail("a@example.mil"), mail("A@example.mil"), Outside),
            (mail("example.mil"), mail("example.mil"), Unclear),
            (mail("example.mil"), mail("@example.mil"), Unclear),
            (mail("example.mil"), mail("a@b@example.mil"), Unclear),
            (uri("example.mil"), uri("https://example.mil/x"), Inside),
            (uri("example.mil"), uri("https://u@example.mil:8/x"), Inside),
            (uri("example.mil"), uri("https://a.example.mil"), Outside),
            (uri(".example.mil"), uri("https://a.example.mil?x"), Inside),
            (uri("example.mil"), uri("urn:uuid:1"), Unclear),
            (uri("example.mil"), uri("https://10.0.0.1/"), Unclear),
            (ip(&[10, 0, 0, 0, 255, 0, 0, 0]), ip(&[10, 1, 2, 3]), Inside),
            (ip(&[10, 0, 0, 0, 255, 0, 0, 0]), ip(&[11, 1, 2, 3]), Outside),
            (ip(&[10, 0, 0, 0, 255, 0, 255, 0]), ip(&[10, 1, 2, 3]), Unclear),
            (ip(&[10, 0, 0, 0, 255, 0, 0, 0]), ip(&[10; 16]), Outside),
            (ip(&[0; 32]), ip(&[10; 16]), Inside),
            (ip(&[0; 8]), ip(&[10; 4]), Inside),
            (ip(&[10]), ip(&[10; 4]), Unclear),
            (upn(b"a"), upn(b"a"), Unclear),
        ];
        for (base, name, expected) in rows {
            let text = format!("{} in {}", describe(&name), describe(&base));
            assert_eq!(lies(&subtree(base), &name), expected, "{text}");
        }
    }

    #[test]
    fn what_cant_be_told_is_refused_on_either_side() {
        let constraint = || vec![subtree(upn(b"x"))];
        let permitted = NameConstraints { permitted: constraint(), excluded: vec![] };
        let excluded = NameConstraints { permitted: vec![], excluded: constraint() };
        for constraints in [permitted, excluded] {
            assert!(!allows(&constraints, &upn(b"a")));
            assert!(allows(&constraints, &mail("a@b")), "other forms are free");
        }
        let mut far = subtree(mail("example.mil"));
        far.has_distances = true;
        let constraints = NameConstraints { permitted: vec![far], excluded: vec![] };
        assert!(!allows(&constraints, &mail("a@example.mil")));
    }
}
