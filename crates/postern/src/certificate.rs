//! `postern certificate`: what is in a certificate, and whether it would be accepted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use auth::certificate_tokens;
use directory::{Query, Token};
use pki::{Certificate, Revocation, Time, Verdict, Verifier};

use crate::cli::CertificateCommand;
use crate::run;
use crate::table::table;

/// For what a judgement lacks: OCSP answers, issuers. A person waits longer than a mail client.
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(crate) fn certificate(command: &CertificateCommand) -> ExitCode {
    match command {
        CertificateCommand::Show { file } => show(file),
        CertificateCommand::Verify { file, config, trust, at } => {
            verify(file, &config.config, trust, at.unwrap_or_else(Time::now))
        }
    }
}

fn read(file: &Path) -> Result<Vec<Certificate>, ExitCode> {
    Certificate::from_file(file).map_err(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn show(file: &Path) -> ExitCode {
    let certificates = match read(file) {
        Ok(certificates) => certificates,
        Err(code) => return code,
    };
    for certificate in &certificates {
        let mut fields = table();
        for described in certificate.describe() {
            fields.add_row([described.field, described.value]);
        }
        println!("{fields}\n");
    }
    if let Some(leaf) = certificates.first() {
        println!("What a certificate query could use:\n{}", tokens(leaf));
    }
    ExitCode::SUCCESS
}

fn tokens(leaf: &Certificate) -> comfy_table::Table {
    // {cert} is the certificate itself, and nothing to read.
    let wanted: BTreeSet<Token> = Token::of(Query::Certificate).filter(|token| *token != Token::Certificate).collect();
    let tokens = certificate_tokens(leaf, Time::now(), &wanted);
    let mut rows = table();
    for token in wanted {
        let value = match tokens.text(token) {
            Ok(value) => value.to_owned(),
            Err(why) => format!("— {why}"),
        };
        rows.add_row([format!("{{{token}}}"), value]);
    }
    rows
}

fn verify(file: &Path, config: &Path, trust: &str, at: Time) -> ExitCode {
    // Read before the configuration's folder is entered: this path is the shell's.
    let chain: Vec<Vec<u8>> = match read(file) {
        Ok(certificates) => certificates.iter().map(|certificate| certificate.der().to_vec()).collect(),
        Err(code) => return code,
    };
    let configuration = match run::load(config) {
        Ok((_, configuration)) => configuration,
        Err(code) => return code,
    };
    let Some(found) = configuration.trusts.iter().find(|found| found.name() == trust) else {
        let names: Vec<&str> = configuration.trusts.iter().map(|trust| trust.name()).collect();
        eprintln!("error: there is no [trust.{trust}]; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    let verifier = Verifier::new(Arc::clone(found), configuration.knowledge.clone(), MAX_WAIT);
    run::block_on(async move { tell(trust, verifier.verify(&chain, at).await.as_ref(), at) })
}

/// Prints each step and the verdict.
fn tell(trust: &str, verdict: &Verdict, at: Time) -> ExitCode {
    println!("under [trust.{trust}], at {at}:");
    verdict.steps.iter().for_each(|step| println!("  {step}"));
    match (&verdict.path, &verdict.revocation) {
        (Err(error), _) => {
            println!("invalid: {error}");
            ExitCode::from(2)
        }
        (Ok(_), status @ (Revocation::Revoked { .. } | Revocation::Unknown(_))) => {
            println!("valid path, but {status}");
            ExitCode::from(2)
        }
        (Ok(path), status) => {
            let policies: Vec<String> = path.policies.iter().map(ToString::to_string).collect();
            println!(
                "valid; revocation: {status}; policies: {}",
                if policies.is_empty() { "none".to_owned() } else { policies.join(", ") }
            );
            ExitCode::SUCCESS
        }
    }
}
