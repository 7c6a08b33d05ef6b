//! A judgement in the words of the tables.

use auth::{CertificateFact, Facts};
use postern_policy::{AuthOffer, Authorized, Clearance, Judgement, Monitored, Permit, Refusal, Standing, Temporary};
use protocol::header::HeaderSection;

use crate::table::Row;

/// The cells of a row as they should have been.
pub(crate) fn judgement(row: &Row, judgement: &Judgement) -> Vec<(&'static str, String)> {
    let refused = |refusal: &Refusal| refusal_words(refusal, &row.facts);
    let cell = |column: &'static str, expected: &str| match column {
        "session" => match &judgement.standing {
            Standing::Disconnect => "closed".to_owned(),
            Standing::Refused(refusal) => refused(refusal),
            Standing::Open { tls_first: true, starttls } => {
                format!("TLS first{}", if *starttls { "" } else { ", unoffered" })
            }
            Standing::Open { starttls: true, .. } => "open, STARTTLS".to_owned(),
            Standing::Open { starttls: false, .. } => "open".to_owned(),
        },
        "AUTH offer" => match &judgement.auth {
            AuthOffer::Refused(refusal) => refused(refusal),
            AuthOffer::Mechanisms(mechanisms) => {
                mechanisms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
        },
        "outcome" => match &judgement.attempt {
            None => "-".to_owned(),
            Some(Ok(())) => "235".to_owned(),
            Some(Err(refusal)) => refused(refusal),
        },
        "MAIL" => match (&judgement.mail, expected) {
            (Err(Refusal::Temporary(_)), "454 any") => expected.to_owned(),
            (Err(refusal), _) => refused(refusal),
            (Ok(clearance), _) => whom(clearance),
        },
        "monitored" => monitored(&judgement.monitored, row, judgement),
        "author" => match permit(row, judgement).and_then(Result::ok).and_then(|permit| authorize(row, &permit)) {
            Some(Ok(authorized)) => {
                authorized.author().map_or_else(|| "accepted".to_owned(), |author| format!("becomes {author}"))
            }
            Some(Err(refusal)) => refused(&refusal),
            None => "-".to_owned(),
        },
        _ => match permit(row, judgement) {
            Some(Ok(permit)) if Some(permit.sender()) == row.sender.as_ref() => "permitted".to_owned(),
            Some(Ok(permit)) => format!("permitted for {}", permit.sender()),
            Some(Err(refusal)) => refused(&refusal),
            None => "-".to_owned(),
        },
    };
    row.expected.iter().map(|(column, expected)| (*column, cell(column, expected))).collect()
}

/// For the row's sender.
fn permit(row: &Row, judgement: &Judgement) -> Option<Result<Permit, Refusal>> {
    let (clearance, sender) = judgement.mail.clone().ok().zip(row.sender.clone())?;
    Some(clearance.permit(sender))
}

/// For the row's header.
fn authorize(row: &Row, permit: &Permit) -> Option<Result<Authorized, Refusal>> {
    let header = row.header.as_ref()?;
    Some(permit.authorize(&HeaderSection::read(header.as_bytes()).unwrap()))
}

/// What MAIL would have been refused for, the sender, and the author.
fn monitored(before: &[Monitored], row: &Row, judgement: &Judgement) -> String {
    let permit = permit(row, judgement).and_then(Result::ok);
    let authorized = permit.as_ref().and_then(|permit| authorize(row, permit)?.ok());
    let sender = permit.iter().flat_map(|permit| permit.monitored());
    let author = authorized.iter().filter_map(|authorized| authorized.monitored());
    let all: Vec<String> = before.iter().chain(sender).chain(author).map(|one| would_be(one, &row.facts)).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}

pub(crate) fn would_be(monitored: &Monitored, facts: &Facts) -> String {
    format!("{}: {}", monitored.rule, refusal_words(&monitored.refusal, facts))
}

pub(crate) fn whom(clearance: &Clearance) -> String {
    match clearance.identity() {
        None => "as nobody".to_owned(),
        Some(identified) => {
            let how = identified.mechanism.map_or("certificate", |mechanism| mechanism.name());
            format!("as {} by {how}", identified.principal.user_id)
        }
    }
}

pub(crate) fn refusal_words(refusal: &Refusal, facts: &Facts) -> String {
    let words = match refusal {
        Refusal::AccessDenied(None) => "554 access denied",
        Refusal::AccessDenied(Some(text)) => return format!("554 {text}"),
        Refusal::RecipientDenied(None) => "550 access denied",
        Refusal::RecipientDenied(Some(text)) => return format!("550 {text}"),
        Refusal::RelayingDenied => "550 relaying denied",
        Refusal::RecipientUnknown => "550 unknown",
        Refusal::TooManyRecipients(_) => "452 message full",
        Refusal::ClientHourFull(_) => "450 client's hour full",
        Refusal::IdentityHourFull(_) => "450 identity's hour full",
        Refusal::Harvesting(_) => "421 harvesting",
        Refusal::Temporary(Temporary::RecipientQuery) => "451 recipient query",
        Refusal::TlsRequired => "530 TLS first",
        Refusal::CertificateMissing => "554 no certificate",
        // The client must be told the very reason.
        Refusal::CertificateInvalid(error) => match &facts.certificate {
            CertificateFact::Presented(presented) if presented.path.as_ref() == Err(error) => "554 certificate invalid",
            _ => return format!("554 certificate invalid, but for another reason: {error}"),
        },
        Refusal::CertificateRevoked => "554 certificate revoked",
        Refusal::CertificateStatusUnknown => "554 status unknown",
        Refusal::CertificateUnmatched => "554 matches nobody",
        Refusal::CertificateAmbiguous => "554 matches several",
        Refusal::Temporary(Temporary::RevocationStatus) => "454 status unknown",
        Refusal::Temporary(Temporary::CertificateQuery) => "454 certificate query",
        Refusal::Temporary(Temporary::PasswordQuery) => "454 password query",
        Refusal::Temporary(Temporary::Allowance) => "454 allowance",
        Refusal::AuthenticationRequired => "530 authentication required",
        Refusal::EncryptionRequired => "538 encryption required",
        Refusal::InvalidCredentials => "535 credentials invalid",
        Refusal::AlreadyAuthenticated => "503 already authenticated",
        Refusal::AuthNotOffered => "503 AUTH not offered",
        Refusal::MechanismNotOffered => "504 mechanism not offered",
        Refusal::SenderNotOwn(own) => {
            let own: Vec<String> = own.iter().map(ToString::to_string).collect();
            return format!("550 not yours: {}", own.join(", ")).trim_end().to_owned();
        }
        Refusal::SenderNotOwnDomain => "550 not your domain",
        Refusal::NullSender => "550 null sender",
        Refusal::AuthorNotOwn { written, own } => {
            let own: Vec<String> = own.iter().map(ToString::to_string).collect();
            return format!("550 author {written} is not yours: {}", own.join(", ")).trim_end().to_owned();
        }
        Refusal::AuthorNotOwnDomain(written) => return format!("550 author {written} is not in your domain"),
        Refusal::AuthorUnclear(error) => return format!("550 author unclear: {error}"),
        Refusal::AuthorSigned => "550 author signed",
        other => return format!("a refusal without words in render.rs: {other:?}"),
    };
    words.to_owned()
}
