//! Where something is fetched from: a file, or a URL of the schemes that RFC 5280 and RFC 6960 have.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

/// Where something is: `http`, `https`, `ldap`, `ldaps` or `file`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Location {
    /// On this machine.
    File(PathBuf),
    /// On another, by HTTP.
    Http(HttpUrl),
    /// In a directory.
    Ldap(LdapUrl),
}

/// A URL of scheme `http` or `https`, with a host and without user or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(Url);

/// An LDAP URL (RFC 4516) of which host, DN and attribute count: the search is of the base object alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LdapUrl {
    url: Url,
    dn: String,
    attribute: Option<String>,
}

/// Longer than any URL in a certificate has a reason to be.
const MAX_URL: usize = 2048;

impl Location {
    /// A file on this machine.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Http(_) | Self::Ldap(_) => None,
        }
    }

    /// What a certificate names: only by the network, never a file of ours.
    pub(crate) fn of_certificate(octets: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok().filter(|text| text.contains("://"))?;
        text.parse().ok().filter(|location: &Self| location.path().is_none())
    }

    /// The host, as it would be allowed by name.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Http(http) => http.0.host_str(),
            Self::Ldap(ldap) => ldap.url.host_str(),
        }
    }
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty location; write http://host/list.crl or file:///absolute/path".to_owned());
        }
        if text.len() > MAX_URL {
            return Err(format!("a URL of more than {MAX_URL} octets"));
        }
        if let Some(path) = strip_scheme(text, "file://") {
            // RFC 8089: an empty host, or localhost.
            let path = path.strip_prefix("localhost").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(format!("`{text}` names another host; write file:///absolute/path"));
            }
            return Ok(Self::File(path.into()));
        }
        match text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
            Some("http" | "https") => text.parse().map(Self::Http),
            Some("ldap" | "ldaps") => text.parse().map(Self::Ldap),
            Some(scheme) => Err(format!("nothing is fetched by {scheme}; write http, https, ldap, ldaps or file")),
            None => Ok(Self::File(text.into())),
        }
    }
}

fn strip_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

impl TryFrom<String> for Location {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Http(http) => http.fmt(f),
            Self::Ldap(ldap) => ldap.fmt(f),
        }
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no URL ({error})"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("`{text}` names no host"));
    }
    // Logs and status show URLs, so no secret can be in one.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a user name or password in it; what is fetched is public".to_owned());
    }
    Ok(url)
}

impl HttpUrl {
    /// Whether nobody on the way can read or forge what comes and goes: https, or a server on this machine.
    pub fn is_protected(&self) -> bool {
        let own = match self.0.host() {
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        own || self.is_https()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The server's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Path and query: what a request line names.
    pub(crate) fn target(&self) -> &str {
        self.0.as_str().get(self.0[..url::Position::BeforePath].len()..).unwrap_or("/")
    }

    /// Host and, where it is not the scheme's own, port: the Host field (RFC 9110 section 7.2).
    pub(crate) fn authority(&self) -> &str {
        &self.0[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// Where a `Location` field leads from here.
    pub(crate) fn join(&self, reference: &str) -> Result<Self, String> {
        if reference.len() > MAX_URL {
            return Err(format!("a URL of more than {MAX_URL} octets"));
        }
        let joined = self.0.join(reference).map_err(|error| error.to_string())?;
        joined.as_str().parse()
    }

    /// This URL with another segment behind its path, for OCSP by GET.
    pub(crate) fn below(&self, segment: &str) -> Result<Self, String> {
        let slash = if self.0.path().ends_with('/') { "" } else { "/" };
        format!("{}{slash}{segment}", self.0).parse()
    }

    pub(crate) fn has_query(&self) -> bool {
        self.0.query().is_some()
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url = parse_url(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{text}` is neither http nor https"));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl LdapUrl {
    pub(crate) fn is_ldaps(&self) -> bool {
        self.url.scheme() == "ldaps"
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port().unwrap_or(if self.is_ldaps() { 636 } else { 389 })
    }

    pub(crate) fn dn(&self) -> &str {
        &self.dn
    }

    /// The attribute that the URL names, if it names one.
    pub(crate) fn attribute(&self) -> Option<&str> {
        self.attribute.as_deref()
    }
}

impl FromStr for LdapUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = parse_url(text)?;
        let decode = |part: &str| {
            let decoded = percent_decode_str(part).decode_utf8();
            decoded.map(|text| text.into_owned()).map_err(|_| format!("`{part}` is not UTF-8"))
        };
        let dn = decode(url.path().strip_prefix('/').unwrap_or_default())?;
        // RFC 4516 section 2: attributes ? scope ? filter ? extensions.
        let mut parts = url.query().unwrap_or_default().split('?');
        let attribute = parts.next().filter(|part| !part.is_empty()).map(decode).transpose()?;
        if attribute.as_ref().is_some_and(|attribute| attribute.contains(',')) {
            return Err(format!("`{text}` names several attributes; write the one that holds the list"));
        }
        if parts.next().is_some_and(|scope| !scope.is_empty() && !scope.eq_ignore_ascii_case("base")) {
            return Err(format!("`{text}` has a scope other than base; write the DN of the entry itself"));
        }
        if dn.is_empty() {
            return Err(format!("`{text}` names no entry; write ldap://host/DN?certificateRevocationList;binary"));
        }
        Ok(Self { url, dn, attribute })
    }
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme() {
        for (text, host) in [
            ("http://crl.example.mil/a%20b.crl?x=1", Some("crl.example.mil")),
            ("HTTPS://crl.example.mil:8443/", Some("crl.example.mil")),
            ("ldap://ds.example.mil/cn=CA%2063,o=x?certificateRevocationList;binary", Some("ds.example.mil")),
            ("ldaps://[::1]:6360/cn=x??base?(objectClass=*)", Some("[::1]")),
            ("file:///srv/list.crl", None),
            ("file://localhost/srv/list.crl", None),
            ("list.crl", None),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().host(), host, "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("ftp://host/list.crl", "ftp"),
            ("file://host/list.crl", "another host"),
            ("http://", "no URL"),
            ("http://user:secret@host/", "user name"),
            ("ldap:///cn=x", "no host"),
            ("ldap://host/", "no entry"),
            ("ldap://host/cn=x?a,b", "several"),
            ("ldap://host/cn=x?a?sub", "scope"),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn ldap_urls_are_read_as_rfc_4516_says() {
        let Ok(Location::Ldap(ldap)) = "ldap://ds/cn=A%2CB%20C,o=%C3%BC?cRL%3Bbinary?base".parse() else { panic!() };
        assert_eq!((ldap.dn(), ldap.attribute(), ldap.port()), ("cn=A,B C,o=ü", Some("cRL;binary"), 389));
    }

    #[test]
    fn http_requests_name_path_and_query() {
        let url: HttpUrl = "http://host:8080/a/b?c=d#e".parse().unwrap();
        assert_eq!((url.target(), url.authority(), url.port()), ("/a/b?c=d", "host:8080", 8080));
        assert_eq!(url.join("../f").unwrap().to_string(), "http://host:8080/f");
        assert!(url.join("file:///etc/passwd").is_err());
        let url: HttpUrl = "https://host".parse().unwrap();
        assert_eq!((url.target(), url.authority(), url.port()), ("/", "host", 443));
        assert_eq!(url.below("MFE%2B").unwrap().target(), "/MFE%2B");
    }

    #[test]
    fn protected_is_https_or_this_machine() {
        for (url, protected) in [
            ("https://host/", true),
            ("http://host/", false),
            ("http://localhost:8080/", true),
            ("http://127.0.0.2/", true),
            ("http://[::1]/", true),
            ("http://127.0.0.1.example/", false),
        ] {
            assert_eq!(url.parse::<HttpUrl>().unwrap().is_protected(), protected, "{url}");
        }
    }

    #[test]
    fn certificates_name_no_files() {
        for text in ["file:///etc/passwd", "/etc/passwd", "etc", "FILE:///x", "\u{0}://x"] {
            assert_eq!(Location::of_certificate(text.as_bytes()), None, "{text}");
        }
        assert!(Location::of_certificate(b"http://ca.example/ca.cer").is_some());
    }
}
