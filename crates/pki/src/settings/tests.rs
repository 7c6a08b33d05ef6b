use std::time::Duration;

use super::*;

fn trust(text: &str) -> Result<TrustSettings, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
}

fn crl(text: &str) -> Result<CrlSettings, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
}

#[test]
fn only_anchors_are_needed() {
    let settings = trust("anchors = ['/etc/root.pem']").unwrap();
    assert_eq!(settings.revocation, [RevocationMethod::Crl]);
    assert_eq!(settings.on_unknown_status, OnUnknownStatus::Temporary);
    assert_eq!(settings.extended_key_usage, "clientAuth".parse().unwrap());
    assert_eq!(settings.min_rsa_bits, 2048);
    assert!(!settings.allowed_hashes.contains(&AllowedHash(Hash::Sha1)));
    assert!(!settings.allowed_keys.contains(&KeyType::Dsa));
    let same = TrustSettings::with_anchors(vec!["/etc/root.pem".into()]);
    assert_eq!(format!("{settings:?}"), format!("{same:?}"));
}

#[test]
fn a_whole_trust() {
    let settings = trust(
        "anchors = ['a']\nintermediates = ['b']\nrequired_policies = ['2.16.840.1.101.2.1.11.42']\n\
         require_explicit_policy = true\ninhibit_policy_mapping = true\ninhibit_any_policy = true\n\
         extended_key_usage = '1.3.6.1.5.5.7.3.2'\nrevocation = []\non_unknown_status = 'allow'\nmin_rsa_bits = 3072\n\
         allowed_keys = ['RSA', 'P-256', 'P-384', 'P-521', 'Ed25519', 'DSA']\nallowed_hashes = ['SHA-1', 'SHA-512']",
    );
    let settings = settings.unwrap();
    assert_eq!(settings.allowed_hashes, [AllowedHash(Hash::Sha1), AllowedHash(Hash::Sha512)]);
    assert_eq!(settings.required_policies[0].0.to_string(), "2.16.840.1.101.2.1.11.42");
}

#[test]
fn what_is_wrong_with_a_trust_is_said() {
    let rows = [
        ("", "missing field `anchors`"),
        ("anchors = ['a']\nanchor = ['b']", "unknown field `anchor`"),
        ("anchors = ['a']\nrevocation = ['clr']", "`clr` is no way to check revocation; write crl or ocsp"),
        ("anchors = ['a']\nrequired_policies = ['medium']", "`medium` is not an object identifier"),
        ("anchors = ['a']\nextended_key_usage = 'client'", "`client` is no key purpose; write clientAuth"),
        ("anchors = ['a']\non_unknown_status = 'ignore'", "unknown variant `ignore`"),
        ("anchors = ['a']\nallowed_keys = ['secp256k1']", "unknown variant `secp256k1`"),
        ("anchors = ['a']\nallowed_hashes = ['MD5']", "`MD5` is no hash; write SHA-256"),
    ];
    for (text, expected) in rows {
        let error = trust(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn sources_of_lists() {
    let settings = crl(
        "grace = '2h'\n[[source]]\nname = 'ca'\nformat = 'asn1'\nprimary = 'file:///srv/ca.crl'\nsecondary = '/srv/b.crl'\n\
         schedule = 'every 4h'\nenabled = false\n[[source]]\nname = 'other'\nprimary = 'relative.crl'",
    )
    .unwrap();
    let [source, other] = settings.source.as_slice() else { panic!() };
    assert_eq!(source.primary.path(), Some(std::path::Path::new("/srv/ca.crl")));
    assert_eq!(source.secondary.as_ref().unwrap().path(), Some(std::path::Path::new("/srv/b.crl")));
    assert_eq!(source.schedule(), Schedule::Every(Duration::from_secs(4 * 3600)));
    assert_eq!(settings.grace.0, Duration::from_secs(2 * 3600));
    assert!(!source.enabled && other.enabled && other.format == CrlFormat::Auto);
    assert_eq!(other.schedule(), Schedule::Every(Duration::from_secs(60)));
    let empty = crl("").unwrap();
    assert!(empty.check_inbound && empty.check_outbound && empty.source.is_empty());
}

#[test]
fn what_is_wrong_with_a_source_is_said() {
    let rows = [
        ("primary = 'file://server/a.crl'", "names another host"),
        ("primary = ''", "an empty location"),
        ("primary = '/a'\nschedule = 'every 4 bananas'", "is no time span"),
        ("primary = '/a'\nschedule = 'every 10ms'", "less than a second"),
        ("primary = '/a'\nformat = 'der'", "unknown variant `der`"),
        ("primary = '/a'\nurl = 'x'", "unknown field `url`"),
    ];
    for (text, expected) in rows {
        let error = crl(&format!("[[source]]\nname = 'a'\n{text}")).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
