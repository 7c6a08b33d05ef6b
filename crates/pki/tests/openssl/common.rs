//! A throw-away PKI made by the `openssl` command, so that what we read was written by somebody else.

use std::path::PathBuf;
use std::process::Command;

use postern_pki::{Certificate, Crl, Trust, TrustSettings};
use tempfile::TempDir;

/// A folder with keys and certificates.
pub(crate) struct Pki {
    folder: TempDir,
}

/// Is there an openssl? Where there is none the test is skipped, loudly, but never in CI.
pub(crate) fn openssl_is_there() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI must have openssl");
    if !there {
        eprintln!("SKIPPED: there is no openssl here");
    }
    there
}

/// Waits for what is asynchronous.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// Extensions of a CA.
pub(crate) const CA: &str = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n\
                      subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid";
/// Extensions of a client.
pub(crate) const CLIENT: &str = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n\
                          extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid";

impl Pki {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs openssl in the folder; it must succeed. Returns what it printed.
    pub(crate) fn openssl(&self, arguments: &[&str]) -> String {
        let output = Command::new("openssl").current_dir(self.folder.path()).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes `NAME.key`; `kind` is `P-256`, `rsa:2048`, `ed25519` or another algorithm of openssl genpkey.
    pub(crate) fn key(&self, name: &str, kind: &str) {
        let file = format!("{name}.key");
        let mut arguments = vec!["genpkey", "-out", &file];
        let bits;
        match kind.split_once(':') {
            Some(("rsa", size)) => {
                bits = format!("rsa_keygen_bits:{size}");
                arguments.extend(["-algorithm", "RSA", "-pkeyopt", &bits]);
            }
            Some(("rsa-pss", size)) => {
                bits = format!("rsa_keygen_bits:{size}");
                arguments.extend(["-algorithm", "RSA-PSS", "-pkeyopt", &bits]);
            }
            _ if kind.starts_with("P-") => {
                bits = format!("ec_paramgen_curve:{kind}");
                arguments.extend(["-algorithm", "EC", "-pkeyopt", &bits, "-pkeyopt", "ec_param_enc:named_curve"]);
            }
            _ => arguments.extend(["-algorithm", kind]),
        }
        self.openssl(&arguments);
    }

    /// Makes `NAME.pem` for the existing `NAME.key`, signed by `issuer` (itself: a root), with these extensions
    /// (none: version 1) and further arguments of `openssl x509`.
    pub(crate) fn certify(
        &self,
        name: &str,
        issuer: &str,
        subject: &str,
        extensions: Option<&str>,
        more: &[&str],
    ) -> Certificate {
        let [key, csr] = ["key", "csr"].map(|kind| format!("{name}.{kind}"));
        self.openssl(&["req", "-new", "-key", &key, "-out", &csr, "-subj", subject, "-utf8"]);
        self.sign(name, issuer, extensions, more);
        self.certificate(name)
    }

    /// Signs an existing `NAME.csr`.
    pub(crate) fn sign(&self, name: &str, issuer: &str, extensions: Option<&str>, more: &[&str]) {
        let [key, csr, pem, conf] = ["key", "csr", "pem", "ext"].map(|kind| format!("{name}.{kind}"));
        let [issuer_key, issuer_pem] = ["key", "pem"].map(|kind| format!("{issuer}.{kind}"));
        let mut arguments = vec!["x509", "-req", "-in", &csr, "-out", &pem];
        if name == issuer {
            arguments.extend(["-signkey", &key]);
        } else {
            arguments.extend(["-CA", &issuer_pem, "-CAkey", &issuer_key]);
        }
        if let Some(extensions) = extensions {
            std::fs::write(self.path(&conf), extensions).unwrap();
            arguments.extend(["-extfile", &conf]);
        }
        let defaults = [("-days", "3650"), ("-set_serial", "0x1234")];
        for (option, value) in defaults {
            if !more.contains(&option) {
                arguments.extend([option, value]);
            }
        }
        arguments.extend(more);
        self.openssl(&arguments);
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_file(&self.path(&format!("{name}.pem"))).unwrap().remove(0)
    }

    /// A root `NAME` with a P-256 key.
    pub(crate) fn root(&self, name: &str) -> Certificate {
        self.key(name, "P-256");
        self.certify(name, name, &format!("/C=US/O=Test/CN={name}"), Some(CA), &["-days", "7300"])
    }

    /// A client `NAME` with a P-256 key.
    pub(crate) fn client(&self, name: &str, issuer: &str) -> Certificate {
        self.key(name, "P-256");
        self.certify(name, issuer, &format!("/C=US/O=Test/CN={name}"), Some(CLIENT), &[])
    }

    /// A trust in this root, without revocation.
    pub(crate) fn trust(&self, root: &str) -> Trust {
        self.trust_by(root, |_| {})
    }

    /// The same with changed settings.
    pub(crate) fn trust_by(&self, root: &str, change: impl FnOnce(&mut TrustSettings)) -> Trust {
        let mut settings = TrustSettings::with_anchors(vec![self.path(&format!("{root}.pem"))]);
        settings.revocation = Vec::new();
        change(&mut settings);
        Trust::load("test", &settings).unwrap()
    }

    /// Makes `FILE`, a list in PEM by `issuer` with these revoked serials (hexadecimal) and this number.
    pub(crate) fn crl(&self, file: &str, issuer: &str, serials: &[&str], number: u32) -> Crl {
        self.crl_by(file, issuer, serials, number, &["-crldays", "30"])
    }

    pub(crate) fn crl_by(&self, file: &str, issuer: &str, serials: &[&str], number: u32, more: &[&str]) -> Crl {
        let index: String = serials
            .iter()
            .map(|serial| format!("R\t351231235959Z\t240102030405Z,keyCompromise\t{serial}\tunknown\t/CN=x\n"))
            .collect();
        std::fs::write(self.path("index.txt"), index).unwrap();
        std::fs::write(self.path("index.txt.attr"), "").unwrap();
        std::fs::write(self.path("number"), format!("{number:04X}\n")).unwrap();
        let conf = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\n\
                    crl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
        std::fs::write(self.path("ca.conf"), conf).unwrap();
        let [key, pem] = ["key", "pem"].map(|kind| format!("{issuer}.{kind}"));
        let mut arguments = vec!["ca", "-config", "ca.conf", "-gencrl", "-keyfile", &key, "-cert", &pem, "-out", file];
        arguments.extend(more);
        self.openssl(&arguments);
        let der = format!("{file}.der");
        self.openssl(&["crl", "-in", file, "-outform", "DER", "-out", &der]);
        Crl::from_der(&std::fs::read(self.path(&der)).unwrap()).unwrap()
    }
}
