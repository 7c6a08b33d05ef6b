//! Recipients as a decision table: `recipients/7-recipients.txt` says how to read it.

use std::fmt::Write as _;
use std::fs;

use auth::{
    CertificateFact, CertificateRules, Facts, OnProblem, PresentedCertificate, ProfileRules, QueryFact, TlsFact,
    Transport,
};
use pki::{OnUnknownStatus, Revocation};
use postern_policy::{
    DirectoryFact, Effect, Listed, Listing, MailFlowPolicy, Permit, RecipientFacts, RecipientVerdict, judge,
    judge_recipient,
};
use protocol::ReversePath;

use crate::{render, words};

const COLUMNS: &str = "identity | message | client | identity's | unknown | listed | directory";

#[test]
fn every_recipient_is_judged_as_the_rules_say() {
    let text = fs::read_to_string(crate::folder().join("recipients/7-recipients.txt")).unwrap();
    let (mut policy, mut rows, mut failures) = (None, 0, String::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(" # ").next().unwrap().trim();
        let spaced = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty()
            || line.starts_with('#')
            || line.starts_with("== ")
            || spaced == format!("{COLUMNS} => verdict")
        {
            continue;
        }
        if let Some(settings) = line.strip_prefix("policy:") {
            policy = Some(words::policy(settings).unwrap_or_else(|error| panic!("line {number}: {error}")));
            continue;
        }
        let policy = policy.as_ref().expect("a policy above the row");
        let (facts, expected) = line.split_once("=>").unwrap_or_else(|| panic!("line {number}: no row: {line}"));
        let cells: Vec<&str> = facts.split('|').map(str::trim).collect();
        let got = verdict(&cells, policy).unwrap_or_else(|error| panic!("line {number}: {error}"));
        if got != expected.trim() {
            let _ = writeln!(failures, "7-recipients.txt:{number}: {line}\n  got {got}");
        }
        rows += 1;
    }
    assert!(failures.is_empty(), "judged otherwise:\n{failures}");
    assert!(rows >= 60, "only {rows} rows");
}

fn verdict(cells: &[&str], policy: &MailFlowPolicy) -> Result<String, String> {
    let [identity, message, client, of_identity, unknown, listed, directory] = cells else {
        return Err(format!("{} cells", cells.len()));
    };
    let number = |cell: &str| cell.parse::<u32>().map_err(|error| format!("{cell:?}: {error}"));
    let facts = RecipientFacts {
        in_message: number(message)?,
        hour_of_client: number(client)?,
        hour_of_identity: number(of_identity)?,
        unknown: number(unknown)?,
        listed: Listed { listing: listing(listed)?, entry: Some("the table".to_owned()) },
        directory: fact(directory)?,
    };
    let (permit, session) = permit(identity, policy)?;
    let judgement = judge_recipient(&facts, &permit, policy);
    assert_eq!(judgement, judge_recipient(&facts, &permit, policy), "the same facts give the same judgement");
    let last = judgement.steps.last().expect("a judgement has steps");
    let agrees = match &judgement.verdict {
        RecipientVerdict::Accepted => last.effect == Effect::Permitted,
        RecipientVerdict::AskDirectory => last.effect == Effect::Continue,
        RecipientVerdict::Refused(_) => matches!(last.effect, Effect::Refused | Effect::Temporary),
    };
    assert!(agrees, "the last step says otherwise: {judgement:?}");
    Ok(match &judgement.verdict {
        RecipientVerdict::Accepted if judgement.monitored.is_empty() => "accepted".to_owned(),
        RecipientVerdict::Accepted => {
            let all: Vec<String> = judgement.monitored.iter().map(|one| render::would_be(one, &session)).collect();
            format!("accepted, monitored {}", all.join("; "))
        }
        RecipientVerdict::AskDirectory => "ask".to_owned(),
        RecipientVerdict::Refused(refusal) => render::refusal_words(refusal, &session),
    })
}

fn listing(cell: &str) -> Result<Listing, String> {
    Ok(match cell {
        "not ours" => Listing::NotOurs,
        "accepted" => Listing::Accepted,
        "if known" => Listing::IfKnown,
        "rejected" => Listing::Rejected,
        _ => return Err(format!("unknown listing {cell:?}")),
    })
}

fn fact(cell: &str) -> Result<DirectoryFact, String> {
    Ok(match cell {
        "-" => DirectoryFact::NotAsked,
        "known" => DirectoryFact::Known,
        "unknown" => DirectoryFact::Unknown,
        "unavailable" => DirectoryFact::Unavailable("timed out".to_owned()),
        _ => return Err(format!("unknown answer of a directory {cell:?}")),
    })
}

/// The permit that such a client gets for `<>`, as only a judgement makes one.
fn permit(identity: &str, policy: &MailFlowPolicy) -> Result<(Permit, Facts), String> {
    let certificate = match identity {
        "nobody" => CertificateFact::NotPresented,
        _ => CertificateFact::Presented(Box::new(PresentedCertificate {
            subject: "CN=SMITH.ALICE.1234567890".to_owned(),
            issuer: "CN=Example Issuing CA".to_owned(),
            serial: "0a1b2c".to_owned(),
            path: Ok(()),
            revocation: Revocation::NotChecked,
            query: QueryFact::One(words::person(identity)?),
        })),
    };
    let tls = TlsFact {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        implicit: false,
        channel_binding: true,
    };
    let facts = Facts { transport: Transport::Tls(tls), certificate, attempt: auth::Attempt::None };
    let rules = CertificateRules {
        on_missing: OnProblem::Fallback,
        on_invalid: OnProblem::Reject,
        on_no_match: OnProblem::Reject,
        on_unknown_status: OnUnknownStatus::default(),
    };
    let profile =
        ProfileRules { certificate: Some(rules), password: None, recheck_after: std::time::Duration::from_secs(300) };
    let policy = MailFlowPolicy { verify_client_certificate: true, ..policy.clone() };
    let clearance = judge(&facts, &policy, &profile).mail.map_err(|refusal| refusal.to_string())?;
    Ok((clearance.permit(ReversePath::Null).map_err(|refusal| refusal.to_string())?, facts))
}
