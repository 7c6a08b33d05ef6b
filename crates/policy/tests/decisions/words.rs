//! What the words of the tables mean, as `legend.txt` explains them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use auth::{
    AllowanceFact, Attempt, CertificateFact, CertificateRules, Facts, Mechanism, OnNotAllowed, OnProblem, PasswordFact,
    PasswordRules, PresentedCertificate, Principal, ProfileRules, QueryFact, TlsFact, Transport, WrongPassword,
};
use pki::{KeyUsage, OnUnknownStatus, PathError, Revocation, RevocationReason, Time, UnknownStatus};
use postern_policy::{MailFlowPolicy, PolicySettings};
use protocol::{Mailbox, ReversePath};

const REFUSALS: [&str; 22] = [
    "554 Elsewhere",
    "530 TLS first",
    "530 authentication required",
    "538 encryption required",
    "535 credentials invalid",
    "503 already authenticated",
    "503 AUTH not offered",
    "504 mechanism not offered",
    "554 access denied",
    "554 no certificate",
    "554 certificate invalid",
    "554 certificate revoked",
    "554 status unknown",
    "554 matches nobody",
    "554 matches several",
    "454 status unknown",
    "454 certificate query",
    "454 password query",
    "454 allowance",
    "454 any",
    "550 not your domain",
    "550 null sender",
];

fn unknown(what: &str, word: &str) -> String {
    format!("unknown {what} {word:?}: legend.txt lists what there is")
}

/// Whether a cell of this column can say so.
pub(crate) fn expected(column: &str, cell: &str) -> Result<(), String> {
    let known = match column {
        "session" => matches!(cell, "open" | "open, STARTTLS" | "TLS first" | "closed"),
        "AUTH offer" => cell.split(' ').all(|name| name.parse::<Mechanism>().is_ok()),
        "outcome" => matches!(cell, "-" | "235"),
        "monitored" => {
            return cell.split("; ").filter(|part| *part != "-").try_for_each(|part| {
                let (rule, refusal) = part.split_once(": ").ok_or_else(|| unknown(column, part))?;
                postern_policy::Rule::named(rule).ok_or_else(|| unknown("rule", rule))?;
                if is_author_refusal(refusal) { Ok(()) } else { expected("verdict", refusal) }
            });
        }
        "MAIL" => cell == "as nobody" || is_identity(cell),
        "author" => matches!(cell, "-" | "accepted") || cell.starts_with("becomes ") || is_author_refusal(cell),
        _ => {
            matches!(cell, "-" | "permitted")
                || cell.starts_with("550 not yours:")
                || cell.starts_with("permitted for ")
        }
    };
    if known || REFUSALS.contains(&cell) { Ok(()) } else { Err(unknown(column, cell)) }
}

fn is_author_refusal(cell: &str) -> bool {
    let of_address = |rest: &str| rest.contains(" is not yours:") || rest.ends_with(" is not in your domain");
    cell == "550 author signed"
        || cell.starts_with("550 author unclear: ")
        || cell.strip_prefix("550 author ").is_some_and(of_address)
}

/// `as alice by PLAIN`
fn is_identity(cell: &str) -> bool {
    let words: Vec<&str> = cell.split(' ').collect();
    matches!(words.as_slice(), ["as", _, "by", how] if *how == "certificate" || how.parse::<Mechanism>().is_ok())
}

/// The words are the keys and values of `[policy.NAME]`, and read by the same code.
pub(crate) fn policy(words: &str) -> Result<MailFlowPolicy, String> {
    let mut toml = String::new();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("{word:?}: write key=value"))?;
        if matches!(key, "monitor" | "tls_required_for_senders") {
            let values: Vec<&str> = value.split(',').collect();
            let _ = writeln!(toml, "{key} = {values:?}");
            continue;
        }
        let bare = matches!(value, "true" | "false") || value.parse::<u32>().is_ok();
        let quote = if bare { "" } else { "\"" };
        let _ = writeln!(toml, "{key} = {quote}{value}{quote}");
    }
    let settings: PolicySettings = toml::from_str(&toml).map_err(|error| error.to_string())?;
    let mut problem = Ok(());
    let policy = MailFlowPolicy::new("table", &settings, |_, message| problem = Err(message));
    problem.map(|()| policy)
}

pub(crate) fn profile(words: &str) -> Result<ProfileRules, String> {
    let mut rules = ProfileRules { certificate: None, password: None, recheck_after: Duration::from_secs(300) };
    let mut rest = words.trim();
    if rest == "none" {
        return Ok(rules);
    }
    while !rest.is_empty() {
        let (name, tail) = rest.split_once('(').ok_or_else(|| unknown("part of a profile", rest))?;
        let (inner, tail) = tail.split_once(')').ok_or("a ) is missing")?;
        match name {
            "certificate" => rules.certificate = Some(certificate_rules(inner)?),
            "password" => rules.password = Some(password_rules(inner)?),
            _ => return Err(unknown("part of a profile", name)),
        }
        rest = tail.trim();
    }
    Ok(rules)
}

fn certificate_rules(words: &str) -> Result<CertificateRules, String> {
    let mut rules = CertificateRules {
        on_missing: OnProblem::default(),
        on_invalid: OnProblem::default(),
        on_no_match: OnProblem::default(),
        on_unknown_status: OnUnknownStatus::default(),
    };
    for word in words.split_whitespace() {
        match (word.split_once('='), on_problem(word)) {
            (Some(("on_missing", _)), Some(value)) => rules.on_missing = value,
            (Some(("on_invalid", _)), Some(value)) => rules.on_invalid = value,
            (Some(("on_no_match", _)), Some(value)) => rules.on_no_match = value,
            (Some(("on_unknown_status", "reject")), _) => rules.on_unknown_status = OnUnknownStatus::Reject,
            (Some(("on_unknown_status", "temporary")), _) => rules.on_unknown_status = OnUnknownStatus::Temporary,
            (Some(("on_unknown_status", "allow")), _) => rules.on_unknown_status = OnUnknownStatus::Allow,
            _ => return Err(unknown("setting of certificate", word)),
        }
    }
    Ok(rules)
}

fn on_problem(word: &str) -> Option<OnProblem> {
    match word.split_once('=')?.1 {
        "reject" => Some(OnProblem::Reject),
        "fallback" => Some(OnProblem::Fallback),
        _ => None,
    }
}

fn password_rules(words: &str) -> Result<PasswordRules, String> {
    let mut rules = PasswordRules { mechanisms: Vec::new(), on_not_allowed: OnNotAllowed::default() };
    for word in words.split_whitespace() {
        match word {
            "on_not_allowed=reject" => rules.on_not_allowed = OnNotAllowed::Reject,
            "on_not_allowed=monitor" => rules.on_not_allowed = OnNotAllowed::Monitor,
            name => rules.mechanisms.push(name.parse().map_err(|_| unknown("setting of password", name))?),
        }
    }
    Ok(rules)
}

pub(crate) fn facts(known: &BTreeMap<&'static str, String>) -> Result<Facts, String> {
    let word = |column: &str| known.get(column).map(String::as_str).ok_or_else(|| format!("no fact {column:?}"));
    Ok(Facts {
        transport: transport(word("transport")?)?,
        certificate: certificate(word("certificate")?, word("path")?, word("revocation")?, word("query")?)?,
        attempt: attempt(word("AUTH")?, word("allowance")?)?,
    })
}

pub(crate) fn sender(word: &str) -> Result<ReversePath, String> {
    ReversePath::parse(word).map_err(|error| format!("sender {word:?}: {error}"))
}

/// `\n` ends a line of it; `\0` is a NUL.
pub(crate) fn header(word: &str) -> String {
    format!("{}\r\n", word.replace("\\n", "\r\n").replace("\\0", "\0"))
}

fn transport(word: &str) -> Result<Transport, String> {
    let (implicit, channel_binding) = match word {
        "plain" => return Ok(Transport::Plain),
        "STARTTLS" => (false, true),
        "implicit" => (true, true),
        "STARTTLS, 1.2" => (false, false),
        _ => return Err(unknown("transport", word)),
    };
    let version = if channel_binding { "TLSv1.3" } else { "TLSv1.2" };
    Ok(Transport::Tls(TlsFact {
        version: version.into(),
        cipher: "TLS13_AES_256_GCM_SHA384".into(),
        implicit,
        channel_binding,
    }))
}

fn certificate(certificate: &str, path: &str, revocation: &str, query: &str) -> Result<CertificateFact, String> {
    match (certificate, path, revocation, query) {
        ("not requested", "-", "-", "-") => Ok(CertificateFact::NotRequested),
        ("none", "-", "-", "-") => Ok(CertificateFact::NotPresented),
        ("presented", ..) => Ok(CertificateFact::Presented(Box::new(PresentedCertificate {
            subject: "CN=SMITH.ALICE.1234567890,O=Example,C=US".to_owned(),
            issuer: "CN=Example Issuing CA,O=Example,C=US".to_owned(),
            serial: "0a1b2c".to_owned(),
            path: self::path(path)?,
            revocation: self::revocation(revocation)?,
            query: self::query(query)?,
        }))),
        ("not requested" | "none", ..) => Err(format!(
            "{certificate:?} leaves path, revocation and query at -, not {path:?}, {revocation:?}, {query:?}"
        )),
        _ => Err(unknown("certificate", certificate)),
    }
}

fn noon() -> Time {
    Time::from_civil(2026, 3, 2, 12, 0, 0).unwrap()
}

fn path(word: &str) -> Result<Result<(), PathError>, String> {
    let certificate = "CN=SMITH.ALICE.1234567890".to_owned();
    let why = "as the table says".to_owned();
    Ok(Err(match word {
        "valid" => return Ok(Ok(())),
        "expired" => PathError::Expired { certificate, not_after: noon() },
        "not yet valid" => PathError::NotYetValid { certificate, not_before: noon() },
        "unknown issuer" => PathError::UnknownIssuer { certificate, issuer: "CN=Stranger CA".to_owned() },
        "bad signature" => PathError::BadSignature { certificate, why },
        "not a CA" => PathError::NotACa { certificate, why },
        "name constraint" => PathError::NameConstraint { certificate, name: "alice@example.com".to_owned() },
        "policy not acceptable" => PathError::PolicyNotAcceptable { why },
        "wrong key usage" => PathError::WrongKeyUsage { certificate, needed: KeyUsage::DIGITAL_SIGNATURE },
        "wrong EKU" => PathError::WrongExtendedKeyUsage { certificate, needed: "clientAuth".to_owned() },
        "weak key" => PathError::WeakKeyOrAlgorithm { certificate, what: "a 1024-bit RSA key".to_owned() },
        "critical extension" => PathError::CriticalExtension { certificate, oid: "1.2.3.4".parse().unwrap() },
        "malformed" => PathError::Malformed(pki::subject_public_key_info(b"").unwrap_err()),
        "too complex" => PathError::TooComplex,
        _ => return Err(unknown("path", word)),
    }))
}

fn revocation(word: &str) -> Result<Revocation, String> {
    let certificate = "CN=SMITH.ALICE.1234567890".to_owned();
    let source_name = "Example Issuing CA".to_owned();
    Ok(Revocation::Unknown(match word {
        "-" => return Ok(Revocation::NotChecked),
        "good" => {
            let source = source_name;
            return Ok(Revocation::Good {
                source,
                this_update: noon(),
                next_update: Some(noon().plus(Duration::from_secs(86_400))),
            });
        }
        "revoked" => {
            return Ok(Revocation::Revoked { certificate, reason: RevocationReason::KeyCompromise, at: noon() });
        }
        "no CRL" => UnknownStatus::NoCrl { certificate },
        "stale CRL" => UnknownStatus::Stale { certificate, source_name, next_update: noon() },
        "never fetched" => UnknownStatus::NeverFetched { certificate, sources: source_name },
        "bad signer" => UnknownStatus::BadSigner { certificate, source_name },
        "some reasons" => UnknownStatus::SomeReasons { certificate },
        "too complex" => UnknownStatus::TooComplex { certificate },
        _ => return Err(unknown("revocation", word)),
    }))
}

fn query(word: &str) -> Result<QueryFact, String> {
    Ok(match word {
        "-" => QueryFact::NotAsked,
        "nobody" => QueryFact::Nobody("no entry has cn=SMITH.ALICE.1234567890".to_owned()),
        "several" => QueryFact::Several,
        "unavailable" => QueryFact::Unavailable("connection timed out".to_owned()),
        name => QueryFact::One(person(name)?),
    })
}

fn attempt(exchange: &str, allowance: &str) -> Result<Attempt, String> {
    let allowance = match allowance {
        "-" => AllowanceFact::NotAsked,
        "allowed" => AllowanceFact::Allowed,
        "not allowed" => AllowanceFact::NotAllowed,
        "unavailable" => AllowanceFact::Unavailable("connection timed out".to_owned()),
        _ => return Err(unknown("allowance", allowance)),
    };
    let named = exchange.strip_prefix("EXTERNAL as ");
    if named.is_some() || matches!(exchange, "-" | "EXTERNAL") {
        if allowance != AllowanceFact::NotAsked {
            return Err("an allowance without a password".to_owned());
        }
        let authorization_identity = named.unwrap_or_default().to_owned();
        return Ok(if exchange == "-" { Attempt::None } else { Attempt::External { authorization_identity } });
    }
    let parts = exchange.split_once(": ").and_then(|(who, password)| {
        let (mechanism, user) = who.split_once(' ')?;
        Some((mechanism.parse::<Mechanism>().ok()?, user, password))
    });
    let (mechanism, user, password) = parts.ok_or_else(|| unknown("AUTH", exchange))?;
    Ok(Attempt::Password { mechanism, user: user.to_owned(), password: self::password(user, password)?, allowance })
}

fn password(user: &str, word: &str) -> Result<PasswordFact, String> {
    Ok(PasswordFact::Wrong(match word {
        "right" => return Ok(PasswordFact::Right(person(user)?)),
        "disabled" => return Ok(PasswordFact::AccountDisabled),
        "unavailable" => return Ok(PasswordFact::Unavailable("connection timed out".to_owned())),
        "refused" => return Ok(PasswordFact::TokenRefused("expired at 2026-03-02T12:00:00Z".to_owned())),
        "wrong" => WrongPassword::Mismatch,
        "unknown user" => WrongPassword::UnknownUser,
        "several users" => WrongPassword::SeveralUsers,
        "empty" => WrongPassword::Empty,
        "no password" => WrongPassword::NoPassword,
        "no verifier" => WrongPassword::NoVerifier,
        _ => return Err(unknown("password", word)),
    }))
}

/// The people of the tables, by user id or by the address they type as one.
pub(crate) fn person(name: &str) -> Result<Principal, String> {
    let user_id = name.split_once('@').map_or(name, |(user, _)| user);
    let addresses: &[&str] = match user_id.to_ascii_lowercase().as_str() {
        "alice" => &["alice@example.mil", "a.smith@example.mil"],
        "bob" => &["bob@example.mil"],
        "carol" => &[],
        "erin" => &["erin@example.mil", "e.jörg@example.mil"],
        "dave" => &["d1@example.mil", "d2@example.mil", "d3@example.mil", "d4@example.mil", "d5@example.mil"],
        _ => return Err(unknown("person", name)),
    };
    let addresses = addresses.iter().map(|address| Mailbox::parse(address).unwrap()).collect();
    let send_as: &[&str] = match user_id {
        "erin" => &["support@example.mil", "@lists.example.mil", "@.below.example"],
        _ => &[],
    };
    let send_as = send_as.iter().map(|pattern| pattern.parse().unwrap()).collect();
    Ok(Principal { user_id: user_id.to_owned(), addresses, send_as })
}
