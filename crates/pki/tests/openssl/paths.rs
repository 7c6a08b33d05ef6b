//! Certificates made by openssl, odd ones above all: each with the verdict that it must get.

use crate::common::{CA, CLIENT, Pki, openssl_is_there};
use postern_pki::{AllowedHash, Certificate, CrlStore, Hash, KeyPurpose, KeyType, PathError, Time, Trust};

fn judge(trust: &Trust, chain: &[Certificate]) -> Result<Vec<String>, PathError> {
    let verdict = trust.verify(chain, &CrlStore::empty(), Time::now());
    verdict.path.clone().map(|path| path.policies.iter().map(ToString::to_string).collect())
}

#[test]
fn every_kind_of_key_and_signature() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    let pss = |salt: &'static str| vec!["-sigopt", "rsa_padding_mode:pss", "-sigopt", salt];
    let rows = [
        ("P-256", vec![], true),
        ("P-256", vec!["-sha512"], true),
        ("P-384", vec!["-sha384"], true),
        ("P-521", vec!["-sha512"], true),
        ("ed25519", vec![], true),
        ("rsa:2048", vec![], true),
        ("rsa:3072", vec!["-sha384"], true),
        ("rsa:2048", pss("rsa_pss_saltlen:32"), true),
        ("rsa:2048", pss("rsa_pss_saltlen:222"), true),
        ("rsa:2048", pss("rsa_pss_saltlen:0"), true),
        ("rsa-pss:2048", vec![], true),
        ("rsa:1024", vec![], false),
        ("rsa:2048", vec!["-sha1"], false),
        ("ed448", vec![], false),
    ];
    for (index, (kind, more, accepted)) in rows.into_iter().enumerate() {
        let (root, client) = (format!("root{index}"), format!("client{index}"));
        pki.key(&root, kind);
        pki.certify(&root, &root, &format!("/CN={root}"), Some(CA), &more);
        pki.key(&client, kind);
        let client = pki.certify(&client, &root, "/CN=client", Some(CLIENT), &more);
        let outcome = judge(&pki.trust(&root), &[client]);
        let row = format!("{kind} {more:?}: {outcome:?}");
        assert_eq!(outcome.is_ok(), accepted, "{row}");
        if !accepted {
            assert!(matches!(outcome, Err(PathError::WeakKeyOrAlgorithm { .. })), "{row}");
        }
    }
}

#[test]
fn a_weak_ca_in_between_is_named() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("sub", "rsa:1024");
    let sub = pki.certify("sub", "root", "/CN=sub", Some(CA), &[]);
    let client = pki.client("client", "sub");
    match judge(&pki.trust("root"), &[client, sub]) {
        Err(PathError::WeakKeyOrAlgorithm { certificate, what }) => {
            assert!(certificate.contains("CN=sub") && what.contains("RSA 1024"), "{certificate}: {what}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn strength_is_settable_by_name() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.key("root", "rsa:1024");
    pki.certify("root", "root", "/CN=root", Some(CA), &["-sha1"]);
    pki.key("client", "rsa:1024");
    let client = pki.certify("client", "root", "/CN=client", Some(CLIENT), &["-sha1"]);
    let weak = pki.trust_by("root", |settings| {
        settings.min_rsa_bits = 1024;
        settings.allowed_hashes.push(AllowedHash(Hash::Sha1));
    });
    assert!(judge(&weak, std::slice::from_ref(&client)).is_ok());
    let no_rsa = pki.trust_by("root", |settings| {
        settings.min_rsa_bits = 1024;
        settings.allowed_hashes.push(AllowedHash(Hash::Sha1));
        settings.allowed_keys = vec![KeyType::P256];
    });
    assert!(matches!(judge(&no_rsa, &[client]), Err(PathError::WeakKeyOrAlgorithm { .. })));
}

#[test]
fn what_a_client_certificate_is_for() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("client", "P-256");
    let trust = pki.trust("root");
    let any = pki.trust_by("root", |settings| settings.extended_key_usage = KeyPurpose::Any);
    let smartcard = pki.trust_by("root", |settings| {
        settings.extended_key_usage = "smartcardLogon".parse().unwrap();
    });
    let dsig = "keyUsage=critical,digitalSignature\n";
    // Extensions, then whether clientAuth, nothing, and smartcardLogon may be asked of it.
    let rows = [
        (format!("{dsig}extendedKeyUsage=clientAuth"), [true, true, false]),
        (format!("{dsig}extendedKeyUsage=clientAuth,1.3.6.1.4.1.311.20.2.2"), [true, true, true]),
        (format!("{dsig}extendedKeyUsage=1.3.6.1.4.1.311.20.2.2"), [false, true, true]),
        (format!("{dsig}extendedKeyUsage=emailProtection"), [false, true, false]),
        (format!("{dsig}extendedKeyUsage=anyExtendedKeyUsage"), [true, true, true]),
        (dsig.to_owned(), [true, true, true]),
        ("extendedKeyUsage=clientAuth".to_owned(), [true, true, false]),
        ("keyUsage=keyEncipherment\nextendedKeyUsage=clientAuth".to_owned(), [false, true, false]),
        (
            format!("{dsig}extendedKeyUsage=clientAuth\ncertificatePolicies=critical,2.16.840.1.101.2.1.11.42"),
            [true, true, false],
        ),
        (format!("{dsig}1.2.3.4=DER:0500"), [true, true, true]),
        (format!("{dsig}1.2.3.4=critical,DER:0500"), [false, false, false]),
    ];
    for (extensions, expected) in rows {
        let client = pki.certify("client", "root", "/CN=client", Some(&extensions), &[]);
        let outcomes = [&trust, &any, &smartcard].map(|trust| judge(trust, std::slice::from_ref(&client)));
        assert_eq!(outcomes.each_ref().map(Result::is_ok), expected, "{extensions}: {outcomes:?}");
    }
}

#[test]
fn version_1_is_read_and_judged_like_others() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("old", "P-256");
    let leaf = pki.certify("old", "root", "/CN=old", None, &[]);
    assert_eq!(leaf.version(), 1);
    let trust = pki.trust("root");
    assert!(judge(&trust, std::slice::from_ref(&leaf)).is_ok(), "as a leaf it may be");
    pki.key("below", "P-256");
    let below = pki.certify("below", "old", "/CN=below", Some("keyUsage=digitalSignature"), &[]);
    assert!(matches!(judge(&trust, &[below, leaf]), Err(PathError::NotACa { .. })), "as a CA it may not");
}

#[test]
fn why_a_path_is_refused() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.root("other");
    let good = pki.client("good", "root");
    let trust = pki.trust("root");
    assert!(judge(&trust, std::slice::from_ref(&good)).is_ok());

    let stranger = pki.client("stranger", "other");
    assert!(matches!(judge(&trust, &[stranger]), Err(PathError::UnknownIssuer { .. })));
    let verdict = trust.verify(&Vec::<Vec<u8>>::new(), &CrlStore::empty(), Time::now());
    assert_eq!(verdict.path.clone().unwrap_err(), PathError::Empty);
    let verdict = trust.verify(&[b"no certificate"], &CrlStore::empty(), Time::now());
    assert!(matches!(verdict.path, Err(PathError::Malformed(_))) && verdict.leaf.is_none());

    // A CA of the same name and another key.
    pki.key("imposter", "P-256");
    pki.certify("imposter", "imposter", "/C=US/O=Test/CN=root", Some(CA), &[]);
    let forged = pki.client("forged", "imposter");
    assert!(matches!(judge(&trust, &[forged]), Err(PathError::BadSignature { .. })));

    let late = Time::from_unix(good.not_after().unix() + 1);
    let early = Time::from_unix(good.not_before().unix() - 1);
    let at = |time| trust.verify(&[&good], &CrlStore::empty(), time).path.clone().map(|_| ());
    assert!(matches!(at(late), Err(PathError::Expired { .. })));
    assert!(matches!(at(early), Err(PathError::NotYetValid { .. })));
    assert!(at(good.not_after()).is_ok() && at(good.not_before()).is_ok(), "both ends are inside");

    // A trust anchor is not its own client.
    assert!(judge(&trust, &[pki.certificate("root")]).is_err());
}

#[test]
fn intermediates_come_from_the_handshake_or_from_the_settings() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("sub", "P-384");
    let sub = pki.certify("sub", "root", "/CN=sub", Some(CA), &[]);
    let client = pki.client("client", "sub");
    let without = pki.trust("root");
    assert!(matches!(judge(&without, std::slice::from_ref(&client)), Err(PathError::UnknownIssuer { .. })));
    assert!(judge(&without, &[client.clone(), sub]).is_ok());
    let with = pki.trust_by("root", |settings| settings.intermediates = vec![pki.path("sub.pem")]);
    assert!(judge(&with, &[client]).is_ok());
    assert_eq!(with.ca_names().len(), 2);
}

#[test]
fn a_bridge_with_several_paths_finds_the_good_one() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.root("away");
    pki.key("bridge", "P-256");
    // Three certificates of one bridge: from a root that is not trusted, one expired, one that forbids the client's
    // name, and a good one; the good one comes last.
    let elsewhere = pki.certify("bridge", "away", "/CN=bridge", Some(CA), &["-set_serial", "1"]);
    let expired = pki.certify("bridge", "root", "/CN=bridge", Some(CA), &["-set_serial", "2", "-days", "-1"]);
    let narrow = format!("{CA}\nnameConstraints=critical,excluded;dirName:d\n[d]\nC=US\nO=Test\n");
    let narrow = pki.certify("bridge", "root", "/CN=bridge", Some(&narrow), &["-set_serial", "3"]);
    let good = pki.certify("bridge", "root", "/CN=bridge", Some(CA), &["-set_serial", "4"]);
    let client = pki.client("client", "bridge");
    let trust = pki.trust("root");
    let bad = [client.clone(), elsewhere, expired, narrow];
    assert!(judge(&trust, &bad).is_err());
    let verdict = trust.verify(&[&bad[..], &[good]].concat(), &CrlStore::empty(), Time::now());
    assert!(verdict.path.is_ok(), "{:?}", verdict.steps);
    assert!(verdict.steps.len() > 2, "{:?}", verdict.steps);
}

#[test]
fn a_path_building_bomb_ends() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    // CAs that all certify one another: millions of paths, none to the anchor.
    const CAS: usize = 6;
    for number in 0..CAS {
        pki.key(&format!("ca{number}"), "P-256");
        pki.certify(&format!("ca{number}"), &format!("ca{number}"), &format!("/CN=ca{number}"), Some(CA), &[]);
    }
    let mut chain = vec![pki.client("client", "ca0")];
    for subject in 0..CAS {
        for issuer in (0..CAS).filter(|issuer| *issuer != subject) {
            let (name, issuer) = (format!("x{subject}-{issuer}"), format!("ca{issuer}"));
            std::fs::copy(pki.path(&format!("ca{subject}.key")), pki.path(&format!("{name}.key"))).unwrap();
            let extensions = "basicConstraints=critical,CA:true";
            chain.push(pki.certify(&name, &issuer, &format!("/CN=ca{subject}"), Some(extensions), &[]));
        }
    }
    let begun = std::time::Instant::now();
    let outcome = judge(&pki.trust("root"), &chain);
    assert!(outcome.is_err());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn policies_of_settings() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("client", "P-256");
    let medium = "2.16.840.1.101.2.1.11.42";
    let with = format!("{CLIENT}\ncertificatePolicies=critical,{medium}");
    let requiring = |policy: &str| {
        let policy = policy.to_owned().try_into().unwrap();
        pki.trust_by("root", |settings| settings.required_policies = vec![policy])
    };
    let client = pki.certify("client", "root", "/CN=client", Some(&with), &[]);
    assert_eq!(judge(&pki.trust("root"), std::slice::from_ref(&client)).unwrap(), [medium]);
    assert_eq!(judge(&requiring(medium), std::slice::from_ref(&client)).unwrap(), [medium]);
    assert!(matches!(judge(&requiring("1.2.3"), &[client]), Err(PathError::PolicyNotAcceptable { .. })));
    // A certificate without any policy has not the one required.
    let without = pki.certify("client", "root", "/CN=client", Some(CLIENT), &[]);
    assert!(matches!(judge(&requiring(medium), &[without]), Err(PathError::PolicyNotAcceptable { .. })));
}

#[test]
fn an_anchor_binds_as_a_whole() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.key("narrow", "P-256");
    let narrow = format!("{CA}\nnameConstraints=critical,permitted;email:.example.mil");
    pki.certify("narrow", "narrow", "/CN=narrow", Some(&narrow), &[]);
    pki.key("client", "P-256");
    for (address, accepted) in [("a@x.example.mil", true), ("a@example.com", false)] {
        let extensions = format!("{CLIENT}\nsubjectAltName=email:{address}");
        let client = pki.certify("client", "narrow", "/CN=client", Some(&extensions), &[]);
        let outcome = judge(&pki.trust("narrow"), &[client]);
        assert_eq!(outcome.is_ok(), accepted, "{address}: {outcome:?}");
    }
    // An otherName under a constraint on its type can't be compared: refused.
    let upns = format!("{CA}\nnameConstraints=critical,permitted;otherName:1.3.6.1.4.1.311.20.2.3;UTF8:example.mil");
    pki.certify("narrow", "narrow", "/CN=narrow", Some(&upns), &[]);
    let extensions = format!("{CLIENT}\nsubjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@example.mil");
    let client = pki.certify("client", "narrow", "/CN=client", Some(&extensions), &[]);
    assert!(matches!(judge(&pki.trust("narrow"), &[client]), Err(PathError::NameConstraint { .. })));
}

#[test]
fn what_may_not_be_in_a_certificate_at_all() {
    if !openssl_is_there() {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("client", "P-256");
    pki.openssl(&["req", "-new", "-key", "client.key", "-out", "client.csr", "-subj", "/CN=client"]);
    pki.sign("client", "root", Some("2.5.29.37=DER:3000"), &[]);
    let empty = Certificate::from_file(&pki.path("client.pem")).unwrap_err().to_string();
    assert!(empty.contains("extKeyUsage: an empty sequence"), "{empty}");

    // openssl writes no extension twice, so one is renamed afterwards.
    let extensions = "1.2.3.4=DER:0500\n1.2.3.5=DER:0500";
    let mut der = pki.certify("client", "root", "/CN=client", Some(extensions), &[]).der().to_vec();
    let at = der.windows(5).position(|window| window == [0x06, 3, 0x2a, 3, 5]).unwrap();
    der[at + 4] = 4;
    let twice = Certificate::from_der(&der).unwrap_err().to_string();
    assert!(twice.contains("1.2.3.4 is there twice"), "{twice}");
}
