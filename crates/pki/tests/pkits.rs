//! NIST PKITS, every case of sections 4.1 to 4.16, by name: our verdict against the expected one, and `openssl verify`
//! as a second opinion. The outcome is the committed `pkits-report.txt`; `PKITS_REPORT=write` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../examples/judge/case.rs"]
mod case;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use case::{Case, decode};
use postern_pki::Time;

const CASES: usize = 249;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("pkits.jsonl")).unwrap();
    let cases: Vec<Case> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), CASES);
    cases
}

#[test]
fn every_case_as_expected() {
    let mut report = String::from(
        "# NIST PKITS by this crate: case, verdict, what the case is, our reason. Written by tests/pkits.rs.\n",
    );
    let mut wrong = Vec::new();
    for case in cases() {
        let judgement = case.judge();
        let verdict = if judgement.accepted { "accept" } else { "reject" };
        let note = case.note.split(';').next().unwrap();
        writeln!(report, "{} {verdict} [{note}] {}", case.id, judgement.reason).unwrap();
        if verdict != case.expected {
            wrong.push(format!(
                "{} [{note}]: {verdict} ({})\n  {}",
                case.id,
                judgement.reason,
                judgement.steps.join("\n  ")
            ));
        }
    }
    writeln!(report, "\n{} of {CASES} as expected", CASES - wrong.len()).unwrap();
    assert!(wrong.is_empty(), "{} wrong verdicts:\n{}", wrong.len(), wrong.join("\n"));
    compare("pkits-report.txt", &report);
}

#[test]
fn openssl_as_a_second_opinion() {
    let Some(version) = openssl_version() else {
        eprintln!("SKIPPED: there is no openssl here, so no second opinion on NIST PKITS");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut report =
        format!("# NIST PKITS where `openssl verify` disagrees with us. {version}. Written by tests/pkits.rs.\n");
    for case in cases() {
        let ours = case.judge().accepted;
        let (theirs, output) = openssl_verify(&case, folder.path());
        if ours != theirs {
            let word = |accepted| if accepted { "accept" } else { "reject" };
            let note = case.note.split(';').next().unwrap();
            let why = output.lines().find(|line| line.starts_with("error ")).unwrap_or("").to_owned();
            let (ours, theirs, expected) = (word(ours), word(theirs), &case.expected);
            writeln!(report, "{} [{note}] ours {ours}, openssl {theirs}, expected {expected}: {why}", case.id).unwrap();
        }
    }
    let golden = std::fs::read_to_string(self::folder().join("pkits-openssl.txt")).unwrap_or_default();
    let same_version = golden.contains(&version);
    if same_version || std::env::var_os("PKITS_REPORT").is_some() {
        compare("pkits-openssl.txt", &report);
    } else {
        // Another version may judge otherwise; that is worth seeing, and no fault of ours.
        eprintln!("another openssl than the committed report's:\n{report}");
    }
}

fn compare(name: &str, report: &str) {
    let path = folder().join(name);
    if std::env::var("PKITS_REPORT").is_ok_and(|value| value == "write") {
        std::fs::write(&path, report).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<_> = report.lines().filter(|line| !golden.lines().any(|old| old == *line)).collect();
    assert!(
        golden == report,
        "{name} is not what comes out; if that is meant, write it anew with PKITS_REPORT=write. New lines:\n{}",
        changed.join("\n")
    );
}

fn openssl_version() -> Option<String> {
    let output = Command::new("openssl").arg("version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ").into()
}

fn openssl_verify(case: &Case, folder: &Path) -> (bool, String) {
    let write = |name: &str, kind: &str, ders: &[&String]| {
        let pem: String = ders
            .iter()
            .map(|der| {
                decode(der).unwrap();
                let lines: Vec<&str> =
                    der.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
                format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
            })
            .collect();
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let others: Vec<&String> = case.chain.iter().skip(1).chain(&case.intermediates).collect();
    let leaf = write("leaf.pem", "CERTIFICATE", &[&case.chain[0]]);
    let untrusted = write("untrusted.pem", "CERTIFICATE", &others);
    let anchors = write("anchors.pem", "CERTIFICATE", &case.anchors.iter().collect::<Vec<_>>());
    let crls = write("crls.pem", "X509 CRL", &case.crls.iter().collect::<Vec<_>>());
    let mut command = Command::new("openssl");
    command.args(["verify", "-no-CApath", "-no-CAstore", "-auth_level", "0", "-policy_check", "-attime"]);
    command.arg(Time::from_rfc3339(&case.time).unwrap().unix().to_string());
    command.arg("-CAfile").arg(anchors);
    if !others.is_empty() {
        command.arg("-untrusted").arg(untrusted);
    }
    if case.check_crl {
        command.args(["-crl_check_all", "-extended_crl", "-use_deltas"]);
        if !case.crls.is_empty() {
            command.arg("-CRLfile").arg(crls);
        }
    }
    for policy in &case.policy.initial_policy_set {
        command.args(["-policy", policy]);
    }
    if case.policy.initial_policy_set.is_empty() {
        // Without any, openssl takes the set for empty rather than for any-policy.
        command.args(["-policy", "2.5.29.32.0"]);
    }
    let switches = [
        (case.policy.explicit_policy, "-explicit_policy"),
        (case.policy.inhibit_mapping, "-inhibit_map"),
        (case.policy.inhibit_any, "-inhibit_any"),
    ];
    command.args(switches.iter().filter(|(on, _)| *on).map(|(_, switch)| switch));
    let output = command.arg(leaf).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}
