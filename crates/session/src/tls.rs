//! The server's side of TLS: its key, and how client certificates are met.
//!
//! The handshake proves possession and nothing else. It completes for every certificate whose key the client holds, so
//! that a refusal can be said in SMTP, where a person reads it; what the certificate is worth is `pki`'s to judge
//! afterwards. Resumption is off: a resumed session would carry the certificate of an earlier one.
//! `SSLKEYLOGFILE` has no effect: rustls logs keys only where a `KeyLog` is set, and none is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use policy::{MailFlowPolicy, MinVersion, TlsSuite};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use crate::settings::TlsSettings;

/// Why the server's key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read, or holds no such PEM section.
    #[error("{file}: {problem}")]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Certificate and key do not belong together, or rustls cannot use them.
    #[error("{certificate} and {key}: {problem}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        problem: rustls::Error,
    },
    /// No handshake could be made by these settings.
    #[error("policy {policy:?}, min_version and tls_suites: {problem}")]
    Policy {
        /// Whose.
        policy: String,
        /// What rustls says.
        problem: rustls::Error,
    },
}

/// The server's certificate and key, exchangeable under running listeners.
#[derive(Debug)]
pub struct ServerKey {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    stamps: Stamps,
}

/// Tells whether the files changed since they were read.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl ServerKey {
    /// Reads certificate and key, and holds them against each other.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let loaded = read_pair(certificate, key)?;
        Ok(Self { certificate: certificate.into(), key: key.into(), current: ArcSwap::from_pointee(loaded) })
    }

    /// Reads the files again if they changed. A bad pair leaves the old one in use; it is reported once per change.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let stamps = stamps(&self.certificate, &self.key);
        let current = self.current.load();
        if stamps == current.stamps {
            return Ok(false);
        }
        match read_pair(&self.certificate, &self.key) {
            Ok(mut loaded) => {
                // The same certificate anew keeps its staple.
                if loaded.key.cert == current.key.cert {
                    let key = CertifiedKey { ocsp: current.key.ocsp.clone(), ..CertifiedKey::clone(&loaded.key) };
                    loaded.key = Arc::new(key);
                }
                self.current.store(Arc::new(loaded));
                Ok(true)
            }
            Err(error) => {
                self.current.store(Arc::new(Loaded { key: Arc::clone(&current.key), stamps }));
                Err(error)
            }
        }
    }
}

impl ServerKey {
    /// The certificate in use and its chain.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.load().key.cert.clone()
    }

    /// Hands out this OCSP response with the certificate from now on (RFC 6066 section 8), or none; nothing happens if
    /// another chain is in use meanwhile.
    pub fn staple(&self, chain: &[CertificateDer<'static>], response: Option<Vec<u8>>) {
        self.current.rcu(|current| {
            if current.key.cert != chain || current.key.ocsp == response {
                return Arc::clone(current);
            }
            let key = CertifiedKey { ocsp: response.clone(), ..CertifiedKey::clone(&current.key) };
            Arc::new(Loaded { key: Arc::new(key), stamps: current.stamps })
        });
    }
}

impl ResolvesServerCert for ServerKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|file| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Loaded, TlsError> {
    // Taken before reading: a change while reading is seen as one the next time.
    let stamps = stamps(certificate, key);
    let in_file = |file: &Path, problem: String| TlsError::File { file: file.into(), problem };
    let read = |file: &Path| fs::read(file).map_err(|error| in_file(file, error.to_string()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| in_file(certificate, format!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(in_file(certificate, "holds no certificate: expected -----BEGIN CERTIFICATE-----".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| {
        in_file(key, "holds no private key: expected -----BEGIN PRIVATE KEY-----, unencrypted".to_owned())
    })?;
    let key = CertifiedKey::from_der(chain, private, &provider()).map_err(|problem| TlsError::Pair {
        certificate: certificate.into(),
        key: key.into(),
        problem,
    })?;
    Ok(Loaded { key: Arc::new(key), stamps })
}

/// The cryptography that both sides of the gateway use.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// How handshakes of one listener go, by the policy of the client: it is known before the handshake.
#[derive(Debug, Clone)]
pub struct TlsContext {
    by_policy: BTreeMap<Arc<str>, Arc<ServerConfig>>,
}

/// What the configurations of one listener share.
struct Maker<'t> {
    settings: &'t TlsSettings,
    key: Arc<ServerKey>,
    possession: Arc<Possession>,
    judges_certificates: bool,
}

impl TlsContext {
    /// One configuration for each policy. `authorities` are the DER names sent as a hint to clients with several
    /// certificates (RFC 8446 section 4.2.4), where a policy asks for one and the listener's profile judges it; `None`
    /// where none does, empty leaves the choice to the client.
    pub fn new<'p>(
        settings: &TlsSettings,
        key: Arc<ServerKey>,
        authorities: Option<Vec<Vec<u8>>>,
        policies: impl IntoIterator<Item = &'p Arc<MailFlowPolicy>>,
    ) -> Result<Self, TlsError> {
        let judges_certificates = authorities.is_some();
        let authorities = authorities.unwrap_or_default().into_iter().map(DistinguishedName::from).collect();
        let maker = Maker { settings, key, possession: Arc::new(Possession { authorities }), judges_certificates };
        let mut by_policy = BTreeMap::new();
        for policy in policies {
            let config = maker
                .config(policy)
                .map_err(|problem| TlsError::Policy { policy: policy.name.to_string(), problem })?;
            by_policy.insert(Arc::clone(&policy.name), config);
        }
        Ok(Self { by_policy })
    }

    /// Every policy of the listener has one.
    pub(crate) fn config(&self, policy: &MailFlowPolicy) -> Option<Arc<ServerConfig>> {
        self.by_policy.get(&policy.name).cloned()
    }
}

impl Maker<'_> {
    fn config(&self, policy: &MailFlowPolicy) -> Result<Arc<ServerConfig>, rustls::Error> {
        let versions: &[_] = match policy.min_tls_version.unwrap_or(self.settings.min_version) {
            MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            MinVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(with_suites(policy.tls_suites.as_deref()));
        let builder = builder.with_protocol_versions(versions)?;
        let builder = match policy.verify_client_certificate && self.judges_certificates {
            true => builder.with_client_cert_verifier(Arc::clone(&self.possession) as Arc<dyn ClientCertVerifier>),
            false => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.key) as Arc<dyn ResolvesServerCert>);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        // Who names suites means their order too.
        config.ignore_client_order = policy.tls_suites.is_some();
        Ok(Arc::new(config))
    }
}

fn with_suites(suites: Option<&[TlsSuite]>) -> Arc<CryptoProvider> {
    let Some(suites) = suites else { return provider() };
    let provider = CryptoProvider::clone(&provider());
    let named = |suite: &TlsSuite| {
        provider.cipher_suites.iter().find(|known| suite_name(known.suite()) == suite.name()).copied()
    };
    Arc::new(CryptoProvider { cipher_suites: suites.iter().filter_map(named).collect(), ..provider })
}

/// The IANA's name: rustls writes TLS 1.3 suites its own way.
pub(crate) fn suite_name(suite: rustls::CipherSuite) -> &'static str {
    use rustls::CipherSuite as Suite;
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("unknown"),
    }
}

/// Takes any certificate, and insists on proof of its key. rustls' own helper would refuse X.509 v1 and critical policy
/// extensions here, before a word can be said about them.
#[derive(Debug)]
struct Possession {
    authorities: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(pki::TlsVersion::Tls12, certificate, message, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify(pki::TlsVersion::Tls13, certificate, message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        pki::POSSESSION_SCHEMES.into_iter().map(SignatureScheme::from).collect()
    }
}

fn verify(
    version: pki::TlsVersion,
    certificate: &CertificateDer<'_>,
    message: &[u8],
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let bad = |error: String| rustls::Error::General(format!("client certificate: {error}"));
    let key = pki::subject_public_key_info(certificate).map_err(|error| bad(error.to_string()))?;
    pki::verify_possession(key, version, signed.scheme.into(), message, signed.signature())
        .map_err(|error| bad(error.to_string()))?;
    Ok(HandshakeSignatureValid::assertion())
}
