//! A certificate's fields as query tokens: `directory` knows no certificates.

use std::collections::BTreeSet;

use directory::{Token, Tokens};
use pki::{Certificate, FieldProblem, Identity, IdentityField, Time};

/// What a certificate query wants of a certificate, at the instant `at`. Only that: some values cost more than the query.
pub fn certificate_tokens(certificate: &Certificate, at: Time, wanted: &BTreeSet<Token>) -> Tokens {
    let identity = Identity::of(certificate);
    let mut tokens = Tokens::new();
    for &token in wanted {
        match token {
            // Beyond the calendar of the clock there is no {t}, and what needs it matches nobody.
            Token::Now | Token::NowFileTime => {
                if let Ok(now) = jiff::Timestamp::from_second(at.unix()) {
                    tokens.set_now(now);
                }
            }
            Token::Certificate => tokens.set(token, certificate.der()),
            Token::AltSecIdIssuerSerial => match issuer_serial(&identity) {
                Ok(value) => tokens.set(token, value),
                Err(why) => tokens.set_unusable(token, why),
            },
            _ => put(&mut tokens, token, value(token, &identity)),
        }
    }
    tokens
}

fn value(token: Token, identity: &Identity) -> Result<String, FieldProblem> {
    let field = |field| identity.get(field);
    match token {
        Token::SerialUpperHex => field(IdentityField::SerialHex).map(str::to_uppercase),
        Token::SerialHexColon => {
            field(IdentityField::SerialHex).map(|serial| octets(serial).collect::<Vec<_>>().join(":"))
        }
        Token::CertificateExact => certificate_exact(identity),
        Token::AltSecIdSki => prefixed("X509:<SKI>", field(IdentityField::SubjectKeyId)),
        // Microsoft's name and text say "public key"; what is entered, and matched, is the certificate's thumbprint.
        Token::AltSecIdSha1PublicKey => prefixed("X509:<SHA1-PUKEY>", field(IdentityField::Sha1)),
        Token::AltSecIdRfc822 => prefixed("X509:<RFC822>", field(IdentityField::Rfc822Name)),
        _ => {
            let row = FIELDS.iter().find(|row| row.0 == token);
            row.map_or(Err(FieldProblem::Absent), |row| field(row.1).map(str::to_owned))
        }
    }
}

const FIELDS: [(Token, IdentityField); 17] = [
    (Token::CommonName, IdentityField::CommonName),
    (Token::Organization, IdentityField::Organization),
    (Token::OrganizationalUnit, IdentityField::OrganizationalUnit),
    (Token::Country, IdentityField::Country),
    (Token::Subject, IdentityField::SubjectDn),
    (Token::Serial, IdentityField::SerialDecimal),
    (Token::SerialHex, IdentityField::SerialHex),
    (Token::Email, IdentityField::Rfc822Name),
    (Token::Upn, IdentityField::Upn),
    (Token::Edipi, IdentityField::Edipi),
    (Token::FascN, IdentityField::FascN),
    (Token::CardUuid, IdentityField::CardUuid),
    (Token::Issuer, IdentityField::IssuerDn),
    (Token::IssuerCommonName, IdentityField::IssuerCommonName),
    (Token::SubjectKeyId, IdentityField::SubjectKeyId),
    (Token::Sha1, IdentityField::Sha1),
    (Token::Sha256, IdentityField::Sha256),
];

fn put(tokens: &mut Tokens, token: Token, value: Result<String, FieldProblem>) {
    match value {
        Ok(value) => tokens.set(token, value),
        Err(FieldProblem::Absent) => {}
        Err(problem) => tokens.set_unusable(token, problem.to_string()),
    }
}

fn prefixed(prefix: &str, value: Result<&str, FieldProblem>) -> Result<String, FieldProblem> {
    value.map(|value| format!("{prefix}{value}"))
}

/// Pairs of hexadecimal digits.
fn octets(hex: &str) -> impl DoubleEndedIterator<Item = &str> {
    (0..hex.len()).step_by(2).filter_map(move |at| hex.get(at..at + 2))
}

/// RFC 4523 section 3.1 in the generic string encoding rules, where a quote is doubled (RFC 3641 section 3.2).
fn certificate_exact(identity: &Identity) -> Result<String, FieldProblem> {
    let serial = identity.get(IdentityField::SerialDecimal)?;
    let issuer = identity.get(IdentityField::IssuerDn)?.replace('"', "\"\"");
    Ok(format!("{{ serialNumber {serial}, issuer rdnSequence:\"{issuer}\" }}"))
}

/// `X509:<I>…<SR>…`: the issuer from its root on and without escapes, the serial number's octets backwards.
fn issuer_serial(identity: &Identity) -> Result<String, String> {
    let field = |field: IdentityField| identity.get(field).map_err(|problem| format!("{field}: {problem}"));
    let serial = field(IdentityField::SerialHex)?;
    if serial.starts_with('-') {
        return Err("the serial number is negative".to_owned());
    }
    let issuer = issuer_in_order(field(IdentityField::IssuerDn)?)?;
    let backwards: String = octets(serial).rev().collect();
    Ok(format!("X509:<I>{issuer}<SR>{backwards}"))
}

/// An RFC 4514 name the way Windows writes names: the order of the certificate, its own short names, no escapes.
fn issuer_in_order(rfc4514: &str) -> Result<String, String> {
    let mut rdns = Vec::new();
    for rdn in split(rfc4514, ',') {
        let mut attributes = Vec::new();
        for attribute in split(rdn, '+') {
            let (name, value) = attribute.split_once('=').ok_or("the issuer is not a name")?;
            let name = match name {
                "CN" | "OU" | "O" | "L" | "C" | "DC" | "STREET" => name,
                "ST" => "S",
                "emailAddress" => "E",
                _ => return Err(format!("how Windows writes {name} in an issuer is not known")),
            };
            if value.starts_with('#') {
                return Err(format!("the issuer's {name} is not a text"));
            }
            attributes.push(format!("{name}={}", unescaped(value)));
        }
        rdns.push(attributes.join("+"));
    }
    rdns.reverse();
    Ok(rdns.join(","))
}

/// Splits at a separator that no backslash stands before.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    let parts = text.split(move |c: char| {
        let splits = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    });
    parts.collect()
}

/// RFC 4514 section 2.4, for texts without control characters: an escape is a backslash before the character.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests;
