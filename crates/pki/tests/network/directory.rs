//! Lists and CA certificates in a directory: slapd, by ldap and ldaps.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_pki::{
    CrlSettings, CrlStore, FetchSettings, Fetcher, IssuerStore, Knowledge, OcspSettings, OcspStore, Revocation,
    RevocationMethod, Time, Verifier,
};

use crate::common::{CA, CLIENT, Pki, openssl_is_there, wait};
use crate::peers::{Peer, closed_port, is_there};

const SLAPD: &str = "/usr/sbin/slapd";

/// slapd with these entries, by ldap and with `server.pem` by ldaps; returns it and both ports.
fn slapd(pki: &Pki, entries: &str) -> (Peer, u16, u16) {
    let file = |name: &str| pki.path(name).display().to_string();
    std::fs::create_dir(pki.path("database")).unwrap();
    let configuration = format!(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {}\n\
         TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
         database mdb\nsuffix o=x\ndirectory {}\n",
        file("slapd.pid"),
        file("root.pem"),
        file("server.pem"),
        file("server.key"),
        file("database"),
    );
    std::fs::write(pki.path("slapd.conf"), configuration).unwrap();
    std::fs::write(pki.path("entries.ldif"), entries).unwrap();
    let adding =
        Command::new(SLAPD).args(["-T", "add", "-f", &file("slapd.conf"), "-l", &file("entries.ldif")]).output();
    let adding = adding.unwrap();
    assert!(adding.status.success(), "{}", String::from_utf8_lossy(&adding.stderr));
    let [plain, tls] = [closed_port(), closed_port()];
    let urls = format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls}");
    let peer = Peer::at(Command::new(SLAPD).args(["-d", "0", "-f", &file("slapd.conf"), "-h", &urls]), plain);
    (peer, plain, tls)
}

fn binary(attribute: &str, der: &[u8]) -> String {
    format!("{attribute};binary:: {}\n", STANDARD.encode(der))
}

#[test]
fn lists_and_issuers() {
    if !openssl_is_there() || !is_there(SLAPD, &["-VV"]) {
        return;
    }
    let pki = Pki::new();
    pki.root("root");
    pki.key("sub", "P-256");
    let sub = pki.certify("sub", "root", "/CN=sub", Some(CA), &["-set_serial", "77"]);
    let old = pki.certify("sub", "root", "/CN=sub", Some(CA), &["-set_serial", "76"]);
    pki.key("server", "P-256");
    let extensions = CLIENT.replace("clientAuth", "serverAuth") + "\nsubjectAltName=IP:127.0.0.1";
    pki.certify("server", "root", "/CN=server", Some(&extensions), &[]);
    pki.crl("root.crl", "root", &[], 1);
    pki.crl("sub.crl", "sub", &["1234"], 1);
    let der = |name: &str| std::fs::read(pki.path(name)).unwrap();
    let entries = [
        "dn: o=x\nobjectClass: organization\no: x\n".to_owned(),
        format!(
            "dn: cn=root CA\\, 1,o=x\nobjectClass: cRLDistributionPoint\ncn: root CA, 1\n{}",
            binary("certificateRevocationList", &der("root.crl.der"))
        ),
        format!(
            "dn: cn=sub,o=x\nobjectClass: cRLDistributionPoint\nobjectClass: pkiCA\ncn: sub\n{}{}{}",
            binary("certificateRevocationList", &der("sub.crl.der")),
            binary("cACertificate", old.der()),
            binary("cACertificate", sub.der()),
        ),
    ];
    let (_slapd, plain, tls) = slapd(&pki, &entries.join("\n"));

    let at_sub = format!("ldap://127.0.0.1:{plain}/cn=sub,o=x?cACertificate;binary");
    pki.key("below", "P-256");
    let extensions = format!("{CLIENT}\nauthorityInfoAccess=@access\n[access]\ncaIssuers;URI.0={at_sub}\n");
    let below = pki.certify("below", "sub", "/CN=below", Some(&extensions), &["-set_serial", "9"]);
    let revoked = pki.certify("below", "sub", "/CN=below", Some(&extensions), &[]);
    let trust = pki.trust_by("root", |settings| {
        settings.revocation = vec![RevocationMethod::Crl];
        settings.fetch_issuers = true;
    });
    let settings = format!("ca = ['{}']\nallowed_hosts = ['127.0.0.1']", pki.path("root.pem").display());
    let fetcher = Fetcher::new(&toml::from_str::<FetchSettings>(&settings).unwrap()).unwrap();
    let crls: CrlSettings = toml::from_str(&format!(
        "[[source]]\nname = 'root'\nprimary = 'ldaps://127.0.0.1:{tls}/cn=root%20CA%5C%2C%201,o=x'\n\
         [[source]]\nname = 'sub'\nprimary = 'ldap://127.0.0.1:{plain}/CN=sub,O=X?certificateRevocationList;binary?base'\n\
         [[source]]\nname = 'nobody'\nprimary = 'ldap://127.0.0.1:{plain}/cn=nobody,o=x'\n\
         [[source]]\nname = 'none'\nprimary = 'ldap://127.0.0.1:{plain}/o=x'\n\
         [[source]]\nname = 'two'\nprimary = 'ldap://127.0.0.1:{plain}/cn=sub,o=x?cACertificate;binary'"
    ))
    .unwrap();
    let crls = CrlStore::open(&crls, trust.certificates(), fetcher.clone(), None::<&Path>).unwrap();
    wait(crls.refresh(None));
    let errors: Vec<String> = crls.status().into_iter().map(|source| source.last_error.unwrap_or_default()).collect();
    let expected = ["", "", "noSuchObject", "has no certificateRevocationList;binary", "2 values"];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{errors:?}");
    }

    let knowledge =
        Knowledge::new(crls, OcspStore::new(&OcspSettings::default(), fetcher.clone()), IssuerStore::new(fetcher));
    let verifier = Verifier::new(Arc::new(trust), knowledge, Duration::from_secs(5));
    let verdict = wait(verifier.verify(&[&below], Time::now()));
    assert!(matches!(verdict.revocation, Revocation::Good { .. }), "{verdict:?}");
    let verdict = wait(verifier.verify(&[&revoked], Time::now()));
    assert!(matches!(verdict.revocation, Revocation::Revoked { .. }), "{verdict:?}");
}
