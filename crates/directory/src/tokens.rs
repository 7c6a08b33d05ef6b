//! The vocabulary of queries: what a certificate, a login or the clock can put into a filter.

use std::fmt;
use std::str::FromStr;

/// Windows counts from 1601: seconds until 1970.
pub(crate) const FILETIME_EPOCH: i64 = 11_644_473_600;
/// Its steps in a second.
pub(crate) const FILETIME_STEPS: i64 = 10_000_000;

/// A token of a filter, written `{name}`; in a people file, a key of a `certificate` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Token {
    /// `{u}`: the user name, without the domain if one was typed.
    User,
    /// `{d}`: the domain behind the last `@` of what was typed, or before a `\`.
    Domain,
    /// `{a}`: the whole of what was typed.
    Address,
    /// `{t}`: now, GeneralizedTime in UTC (`20261124080000.0Z`).
    Now,
    /// `{t:filetime}`: now, as Active Directory writes times into integers: steps of 100 ns since 1601.
    NowFileTime,
    /// `{cn}`: the subject's last common name.
    CommonName,
    /// `{o}`
    Organization,
    /// `{ou}`
    OrganizationalUnit,
    /// `{c}`
    Country,
    /// `{dn}`: the whole subject, RFC 4514.
    Subject,
    /// `{sn}`: the serial number, decimal.
    Serial,
    /// `{sn:hex}`: lower case, two digits an octet.
    SerialHex,
    /// `{sn:HEX}`: upper case.
    SerialUpperHex,
    /// `{sn:hex-colon}`: lower case, octets parted by colons.
    SerialHexColon,
    /// `{email}`: rfc822Name.
    Email,
    /// `{upn}`: Microsoft's user principal name.
    Upn,
    /// `{edipi}`: the ten digits that end a CAC common name.
    Edipi,
    /// `{fascn}`: PIV FASC-N, hex.
    FascN,
    /// `{uuid}`: PIV card UUID.
    CardUuid,
    /// `{issuer}`: the whole issuer, RFC 4514.
    Issuer,
    /// `{issuer_cn}`
    IssuerCommonName,
    /// `{ski}`: subject key identifier, hex.
    SubjectKeyId,
    /// `{sha1}`: fingerprint, hex.
    Sha1,
    /// `{sha256}`: fingerprint, hex.
    Sha256,
    /// `{cert}`: the certificate's own octets.
    Certificate,
    /// `{certificateExact}`: for certificateExactMatch (RFC 4523 section 2.1).
    CertificateExact,
    /// `{altsecid:issuer-serial}`: Active Directory's altSecurityIdentities, `X509:<I>…<SR>…`.
    AltSecIdIssuerSerial,
    /// `{altsecid:ski}`: `X509:<SKI>…`.
    AltSecIdSki,
    /// `{altsecid:sha1-pukey}`: `X509:<SHA1-PUKEY>…`.
    AltSecIdSha1PublicKey,
    /// `{altsecid:rfc822}`: `X509:<RFC822>…`, weak: whoever can choose the name chooses the account.
    AltSecIdRfc822,
}

/// Which question a filter asks, and so which tokens can ever have a value in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Who is this certificate?
    Certificate,
    /// Who is this user name, or may this user name use SMTP AUTH? Or: who has this address?
    SmtpAuth,
}

/// How texts of a token are compared when no directory server does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As caseIgnoreMatch does.
    Text,
    /// Hexadecimal digits, colons and spaces between them idle; the number of digits where it is fixed.
    Hex(Option<usize>),
    /// A number in hexadecimal: leading zeros idle.
    HexNumber,
    /// A number in decimal.
    Number,
    /// Exactly ten digits.
    Edipi,
    /// Octets, not text.
    Octets,
}

/// Not a token's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown token {{{0}}}")]
pub struct UnknownToken(pub String);

impl Token {
    const ALL: [(Self, &'static str, Form); 30] = [
        (Self::User, "u", Form::Text),
        (Self::Domain, "d", Form::Text),
        (Self::Address, "a", Form::Text),
        (Self::Now, "t", Form::Text),
        (Self::NowFileTime, "t:filetime", Form::Number),
        (Self::CommonName, "cn", Form::Text),
        (Self::Organization, "o", Form::Text),
        (Self::OrganizationalUnit, "ou", Form::Text),
        (Self::Country, "c", Form::Text),
        (Self::Subject, "dn", Form::Text),
        (Self::Serial, "sn", Form::Number),
        (Self::SerialHex, "sn:hex", Form::HexNumber),
        (Self::SerialUpperHex, "sn:HEX", Form::HexNumber),
        (Self::SerialHexColon, "sn:hex-colon", Form::HexNumber),
        (Self::Email, "email", Form::Text),
        (Self::Upn, "upn", Form::Text),
        (Self::Edipi, "edipi", Form::Edipi),
        (Self::FascN, "fascn", Form::Hex(None)),
        (Self::CardUuid, "uuid", Form::Text),
        (Self::Issuer, "issuer", Form::Text),
        (Self::IssuerCommonName, "issuer_cn", Form::Text),
        (Self::SubjectKeyId, "ski", Form::Hex(None)),
        (Self::Sha1, "sha1", Form::Hex(Some(40))),
        (Self::Sha256, "sha256", Form::Hex(Some(64))),
        (Self::Certificate, "cert", Form::Octets),
        (Self::CertificateExact, "certificateExact", Form::Text),
        (Self::AltSecIdIssuerSerial, "altsecid:issuer-serial", Form::Text),
        (Self::AltSecIdSki, "altsecid:ski", Form::Text),
        (Self::AltSecIdSha1PublicKey, "altsecid:sha1-pukey", Form::Text),
        (Self::AltSecIdRfc822, "altsecid:rfc822", Form::Text),
    ];

    /// Whether its value is the clock's: an answer that rests on it is not remembered.
    pub(crate) fn is_clock(self) -> bool {
        matches!(self, Self::Now | Self::NowFileTime)
    }

    fn row(self) -> (&'static str, Form) {
        Self::ALL.iter().find(|row| row.0 == self).map_or(("", Form::Octets), |row| (row.1, row.2))
    }

    /// The name between the braces. Case matters: `{sn:hex}` and `{sn:HEX}` are two.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(crate) fn form(self) -> Form {
        self.row().1
    }

    /// Whether `query` can give this token a value.
    pub fn answers(self, query: Query) -> bool {
        match self {
            Self::Now | Self::NowFileTime => true,
            Self::User | Self::Domain | Self::Address => query == Query::SmtpAuth,
            _ => query == Query::Certificate,
        }
    }

    /// Every token that such a query can use.
    pub fn of(query: Query) -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|row| row.0).filter(move |token| token.answers(query))
    }

    /// The tokens of `query`, for messages: `{u} {d} {a} {t}`.
    pub fn names(query: Query) -> String {
        let names = Self::ALL.iter().filter(|row| row.0.answers(query)).map(|row| format!("{{{}}}", row.1));
        names.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Token {
    type Err = UnknownToken;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let row = Self::ALL.iter().find(|row| row.1 == name);
        row.map(|row| row.0).ok_or_else(|| UnknownToken(name.to_owned()))
    }
}

/// What one client puts into a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<(Token, Result<Vec<u8>, String>)>);

/// Why a token has no value to compare: the query that needs it matches nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    /// Nothing to take it from.
    #[error("{{{0}}} has no value here")]
    Absent(Token),
    /// There is something, and it can't be used.
    #[error("{{{0}}} can't be used: {1}")]
    Unusable(Token, String),
}

impl Tokens {
    /// No token has a value.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tokens of an SMTP AUTH query: what was typed as the user name, and the time.
    pub fn login(typed: &str, now: jiff::Timestamp) -> Self {
        let mut tokens = Self::new();
        tokens.set_now(now);
        tokens.set(Token::Address, typed);
        // Windows writes DOMAIN\user, the rest of the world user@domain.
        let parts = typed.rsplit_once('@').or_else(|| typed.split_once('\\').map(|(domain, user)| (user, domain)));
        match parts {
            Some((user, domain)) => {
                tokens.set(Token::User, user);
                tokens.set(Token::Domain, domain);
            }
            None => tokens.set(Token::User, typed),
        }
        tokens
    }

    /// The tokens of a recipient query: an address, without the quotes of its local part, and the time.
    pub(crate) fn recipient(local_part: &str, domain: &str, now: jiff::Timestamp) -> Self {
        let mut tokens = Self::new();
        tokens.set_now(now);
        tokens.set(Token::Address, format!("{local_part}@{domain}"));
        tokens.set(Token::User, local_part);
        tokens.set(Token::Domain, domain);
        tokens
    }

    /// Sets `{t}` and `{t:filetime}`.
    pub fn set_now(&mut self, now: jiff::Timestamp) {
        // With a fraction: without one Active Directory takes it for no time at all, and `>=` is then true for everybody.
        self.set(Token::Now, now.strftime("%Y%m%d%H%M%S.0Z").to_string());
        let filetime = now.as_second().saturating_add(FILETIME_EPOCH).saturating_mul(FILETIME_STEPS);
        self.set(Token::NowFileTime, filetime.to_string());
    }

    /// Sets a value. One without a visible character is unusable: it would match too much, or nothing on purpose. So is a
    /// text with a NUL in it: 389 compares what stands before it, and `alice\0x` would be alice.
    pub fn set(&mut self, token: Token, value: impl Into<Vec<u8>>) {
        let value = value.into();
        let blank = std::str::from_utf8(&value).is_ok_and(|text| text.trim().is_empty());
        let value = match token {
            Token::Certificate => Ok(value),
            _ if value.contains(&0) => Err("it holds a NUL".to_owned()),
            _ if blank => Err("it is empty".to_owned()),
            _ => Ok(value),
        };
        self.put(token, value);
    }

    /// Says why a token has no usable value (two common names, a NUL in it …).
    pub fn set_unusable(&mut self, token: Token, reason: impl Into<String>) {
        self.put(token, Err(reason.into()));
    }

    fn put(&mut self, token: Token, value: Result<Vec<u8>, String>) {
        match self.0.iter_mut().find(|entry| entry.0 == token) {
            Some(entry) => entry.1 = value,
            None => self.0.push((token, value)),
        }
    }

    /// The token's one value, or why there is none.
    pub fn get(&self, token: Token) -> Result<&[u8], NoValue> {
        match self.0.iter().find(|entry| entry.0 == token) {
            Some((_, Ok(value))) => Ok(value),
            Some((_, Err(reason))) => Err(NoValue::Unusable(token, reason.clone())),
            None => Err(NoValue::Absent(token)),
        }
    }

    /// The value as text, if it is text.
    pub fn text(&self, token: Token) -> Result<&str, NoValue> {
        std::str::from_utf8(self.get(token)?).map_err(|_| NoValue::Unusable(token, "it is not UTF-8".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_none_is_missing() {
        for (token, name, _) in Token::ALL {
            assert_eq!(name.parse(), Ok(token));
            assert_eq!(token.to_string(), name);
        }
        assert_eq!("sn:Hex".parse::<Token>(), Err(UnknownToken("sn:Hex".to_owned())));
        assert_eq!(Token::names(Query::SmtpAuth), "{u} {d} {a} {t} {t:filetime}");
    }

    #[test]
    fn a_login_is_taken_apart_at_the_last_at_or_the_first_backslash() {
        let now = "2026-11-24T08:00:00Z".parse().unwrap();
        let typed = Tokens::login("o@k@example.mil", now);
        assert_eq!(typed.text(Token::User), Ok("o@k"));
        assert_eq!(typed.text(Token::Domain), Ok("example.mil"));
        assert_eq!(typed.text(Token::Address), Ok("o@k@example.mil"));
        assert_eq!(typed.text(Token::Now), Ok("20261124080000.0Z"));
        assert_eq!(typed.text(Token::NowFileTime), Ok("134399808000000000"));
        let bare = Tokens::login("alice", now);
        assert_eq!(bare.text(Token::User), Ok("alice"));
        assert_eq!(bare.text(Token::Domain), Err(NoValue::Absent(Token::Domain)));
        let windows = Tokens::login("CORP\\alice", now);
        assert_eq!((windows.text(Token::User), windows.text(Token::Domain)), (Ok("alice"), Ok("CORP")));
        assert_eq!(windows.text(Token::Address), Ok("CORP\\alice"));
        let headless = Tokens::login("@example.mil", now);
        assert!(matches!(headless.text(Token::User), Err(NoValue::Unusable(Token::User, _))));
    }

    #[test]
    fn blank_values_are_unusable() {
        let mut tokens = Tokens::new();
        for blank in ["", " ", "\t \u{a0}"] {
            tokens.set(Token::CommonName, blank);
            assert!(matches!(tokens.get(Token::CommonName), Err(NoValue::Unusable(..))), "{blank:?}");
        }
        for value in ["alice\0", "\0", "alice\0@example.mil"] {
            let login = Tokens::login(value, "2026-11-24T08:00:00Z".parse().unwrap());
            assert!(matches!(login.get(Token::User), Err(NoValue::Unusable(..))), "{value:?}");
        }
        // DER is full of them.
        tokens.set(Token::Certificate, [0x30, 0]);
        assert_eq!(tokens.get(Token::Certificate), Ok([0x30, 0].as_slice()));
        tokens.set_unusable(Token::Email, "two values");
        assert_eq!(tokens.text(Token::Email).unwrap_err().to_string(), "{email} can't be used: two values");
    }
}
