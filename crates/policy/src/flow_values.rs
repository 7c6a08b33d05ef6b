//! Values of a mail flow policy that can be wrong: sizes, texts for clients, TLS versions and suites.

use std::fmt;
use std::sync::Arc;

use bytesize::ByteSize;
use serde::Deserialize;

/// Octets, written as `25MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MessageSize(pub u64);

impl TryFrom<String> for MessageSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let size: Result<ByteSize, _> = text.parse();
        size.map(|size| Self(size.as_u64())).map_err(|_| format!("{text:?} is not a size: write 512KiB or 25MiB"))
    }
}

/// What a client reads in a reply: one line of an administrator's own words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ReplyText(Arc<str>);

/// RFC 5321 section 4.5.3.1.5 gives a reply line 512 octets; the code, the host's name (section 4.5.3.1.2: 255) and the
/// line's end are in them too.
const MAX_TEXT: usize = 200;

impl ReplyText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ReplyText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // RFC 5321 section 4.2: textstring. UTF-8 is for replies to clients that asked for it (RFC 6531 section 3.7.4.2),
        // and these come before a client could.
        if let Some(bad) = text.chars().find(|c| !matches!(c, ' '..='~')) {
            return Err(format!("{bad:?} can't stand in a reply: write one line of printable ASCII"));
        }
        match text.len() {
            0 => Err("an empty reply text: write some words, or leave it out".to_owned()),
            1..=MAX_TEXT => Ok(Self(text.into())),
            length => Err(format!("{length} characters are too long for a reply: write at most {MAX_TEXT}")),
        }
    }
}

impl fmt::Display for ReplyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The oldest TLS version spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub enum MinVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

macro_rules! suites {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $version:ident;)*) => {
        /// A cipher suite by the IANA's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum TlsSuite {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl TlsSuite {
            /// The IANA's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The version of TLS that it belongs to.
            pub fn version(self) -> MinVersion {
                match self { $(Self::$variant => MinVersion::$version,)* }
            }
        }
    };
}

suites! {
    /// RFC 8446 appendix B.4.
    Aes256GcmSha384 = "TLS_AES_256_GCM_SHA384", Tls13;
    /// RFC 8446 appendix B.4.
    Aes128GcmSha256 = "TLS_AES_128_GCM_SHA256", Tls13;
    /// RFC 8446 appendix B.4.
    Chacha20Poly1305Sha256 = "TLS_CHACHA20_POLY1305_SHA256", Tls13;
    /// RFC 5289.
    EcdheEcdsaAes256GcmSha384 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Tls12;
    /// RFC 5289.
    EcdheEcdsaAes128GcmSha256 = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Tls12;
    /// RFC 7905.
    EcdheEcdsaChacha20Poly1305 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Tls12;
    /// RFC 5289.
    EcdheRsaAes256GcmSha384 = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Tls12;
    /// RFC 5289.
    EcdheRsaAes128GcmSha256 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Tls12;
    /// RFC 7905.
    EcdheRsaChacha20Poly1305 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Tls12;
}
