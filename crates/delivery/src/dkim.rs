//! DKIM signatures (RFC 6376, RFC 8463): keys of domains, and the fields they make. The message passes by; its text is
//! nowhere held whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::common::crypto::{Algorithm, DkimKey, Ed25519Key, RsaKey, Sha256, SigningKey};
use mail_auth::common::headers::{HeaderWriter as _, Writable};
use mail_auth::dkim::{Canonicalization, DkimSigner, Done};
use protocol::Domain;
use protocol::header::{Header, HeaderFilter, HeaderSection, HeaderSettings};
use rustls_pki_types::PrivateKeyDer;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::error::DeliveryError;
use crate::source::MessageSource;

/// Header sections are bounded when mail is accepted; what is longer here has not come that way.
const MAX_HEADER: usize = 1024 * 1024;
/// Characters of a `character-string` of a TXT record: RFC 1035 section 3.3.
const MAX_STRING: usize = 255;
/// RFC 6376 section 5.4.1, and what else readers see. From, To, Cc and Subject a time more than they occur: adding one
/// then breaks the signature (section 8.15).
const HEADERS: [&str; 25] = [
    "From",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "To",
    "Cc",
    "Cc",
    "Subject",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Resent-From",
    "Resent-To",
    "Resent-Date",
    "Resent-Message-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Post",
];

/// `[dkim.NAME]`: a key, and whose mail it signs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DkimSettings {
    /// Domains of From whose mail is signed; each publishes the key.
    pub domains: Spanned<Vec<Domain>>,
    /// Where below `_domainkey` it does: RFC 6376 section 3.1.
    pub selector: Spanned<Domain>,
    /// PEM, not encrypted: RSA of 2048 bits or more, or Ed25519. Readable to nobody else.
    pub key: Spanned<PathBuf>,
}

/// All keys.
#[derive(Default)]
pub struct Signers(Vec<Signer>);

struct Signer {
    domain: Domain,
    signer: DkimSigner<Shared, Done>,
}

impl std::fmt::Debug for Signers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|signer| &signer.domain)).finish()
    }
}

/// A key of several domains.
#[derive(Clone)]
struct Shared(Arc<DkimKey>);

impl SigningKey for Shared {
    type Hasher = Sha256;

    fn sign(&self, input: impl Writable) -> mail_auth::Result<Vec<u8>> {
        self.0.sign(input)
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl Signers {
    /// Reads the keys.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place in the file.
    pub fn new<'s>(settings: impl IntoIterator<Item = &'s DkimSettings>) -> Result<Self, Vec<DeliveryError>> {
        let (mut signers, mut errors) = (Vec::new(), Vec::new());
        for settings in settings {
            match load(settings.key.get_ref()) {
                Ok((key, _)) => signers.extend(settings.domains.get_ref().iter().map(|domain| {
                    Signer {
                        domain: domain.clone(),
                        signer: DkimSigner::from_key(key.clone())
                            .domain(domain.as_str())
                            .selector(settings.selector.get_ref().as_str())
                            .headers(HEADERS)
                            .header_canonicalization(Canonicalization::Relaxed)
                            .body_canonicalization(Canonicalization::Relaxed),
                    }
                })),
                Err(why) => errors.push(DeliveryError::DkimKey { why, span: settings.key.span() }),
            }
            if settings.domains.get_ref().is_empty() {
                errors.push(DeliveryError::DkimKey {
                    why: "domains is empty: whose mail is to be signed?".to_owned(),
                    span: settings.domains.span(),
                });
            }
        }
        if errors.is_empty() { Ok(Self(signers)) } else { Err(errors) }
    }

    /// The fields for a message, each with its CRLF: one for each key of its author's domain. Empty where there is none, or
    /// nobody can say who the author is.
    ///
    /// # Errors
    /// When the message cannot be read.
    pub(crate) async fn sign(&self, source: &mut impl MessageSource) -> io::Result<String> {
        if self.0.is_empty() {
            return Ok(String::new());
        }
        let Some(domain) = author(source).await? else { return Ok(String::new()) };
        let of_author = self.0.iter().filter(|signer| signer.domain.same_as(&domain));
        let mut streams: Vec<_> = of_author.map(|signer| signer.signer.sign_streaming()).collect();
        if streams.is_empty() {
            return Ok(String::new());
        }
        source.rewind();
        while let Some(octets) = source.next().await? {
            streams.iter_mut().for_each(|stream| stream.write(&octets));
        }
        let mut fields = String::new();
        for stream in streams {
            match stream.finish() {
                Ok(signature) => fields.push_str(&signature.to_header()),
                // A message without a signature is better than none.
                Err(error) => tracing::error!(%domain, %error, "a message could not be signed by DKIM"),
            }
        }
        Ok(fields)
    }
}

/// The domain of the first author.
async fn author(source: &mut impl MessageSource) -> io::Result<Option<Domain>> {
    let authors = |section: &HeaderSection| {
        let originators = section.originators().ok()?;
        Some(originators.authors.first()?.domain().clone())
    };
    source.rewind();
    let all = HeaderSettings { max_size: MAX_HEADER, ..HeaderSettings::default() };
    let mut filter = HeaderFilter::new(all);
    while let Some(octets) = source.next().await? {
        match filter.push(&octets) {
            Ok(Header::Open(open)) => filter = open,
            Ok(Header::Closed(section, _)) => return Ok(authors(&section)),
            Err(_) => return Ok(None),
        }
    }
    Ok(authors(&filter.finish()))
}

impl DkimSettings {
    /// What each domain publishes, as lines of a zone file: RFC 6376 section 3.6.2.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn records(&self) -> Result<Vec<String>, String> {
        let (_, published) = load(self.key.get_ref())?;
        let strings: Vec<String> = published
            .as_bytes()
            .chunks(MAX_STRING)
            .map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece)))
            .collect();
        let record = |domain: &Domain| {
            format!("{}._domainkey.{domain}. IN TXT ( {} )", self.selector.get_ref(), strings.join(" "))
        };
        Ok(self.domains.get_ref().iter().map(record).collect())
    }
}

/// The key, and what is published of it.
fn load(path: &Path) -> Result<(Shared, String), String> {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rsa::KeyPair as RsaPair;
    use aws_lc_rs::signature::KeyPair as _;
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let der = secret::private_key(path)?;
    const KIND: &str = "not a key for DKIM: RSA of 2048 bits or more, or Ed25519 (RFC 8463)";
    let pair = match &der {
        PrivateKeyDer::Pkcs1(der) => RsaPair::from_der(der.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(der) => RsaPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        _ => None,
    };
    if let Some(pair) = pair {
        let key = RsaKey::<Sha256>::from_key_der(der).map_err(|_| wrong(&KIND))?;
        // Appendix C of RFC 6376, and every verifier: SubjectPublicKeyInfo.
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| wrong(&KIND))?;
        let published = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(public.as_ref()));
        return Ok((Shared(Arc::new(DkimKey::Rsa(key))), published));
    }
    let PrivateKeyDer::Pkcs8(der) = &der else { return Err(wrong(&KIND)) };
    let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(der.secret_pkcs8_der()).map_err(|_| wrong(&KIND))?;
    let published = format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(key.public_key()));
    Ok((Shared(Arc::new(DkimKey::Ed25519(key))), published))
}
