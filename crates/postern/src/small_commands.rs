//! Commands that are over in a moment: `password`, `dkim`, `identity`, `completions`, `manual`.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;
use directory::{Password, ScramVerifier};
use session::{IdentityField, IdentityPublicKey};

use crate::cli::{Cli, DkimCommand, IdentityCommand, PasswordForm};
use crate::config;
use crate::run;

/// No password is longer.
const MAX_PASSWORD: u64 = 4096;

pub(crate) fn password(form: &PasswordForm) -> ExitCode {
    let password = match read_password() {
        Ok(password) => password,
        Err(error) => return fail(&format!("no password could be read: {error}")),
    };
    if password.is_empty() {
        return fail("an empty password authenticates nobody: give one");
    }
    let made = match form.scram {
        true => ScramVerifier::make(&password, form.iterations).map(|verifier| verifier.to_string()),
        false => directory::hash_password(&password),
    };
    match made {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn read_password() -> io::Result<Password> {
    if io::stdin().is_terminal() {
        let first = Password::new(rpassword::prompt_password("Password: ")?);
        let second = Password::new(rpassword::prompt_password("Again: ")?);
        return match first.expose() == second.expose() {
            true => Ok(first),
            false => Err(io::Error::other("the two are not the same")),
        };
    }
    let mut line = String::new();
    io::stdin().lock().take(MAX_PASSWORD).read_line(&mut line)?;
    let password = Password::new(line.trim_end_matches(['\r', '\n']).to_owned());
    zeroize::Zeroize::zeroize(&mut line);
    Ok(password)
}

/// What the DNS has to say of a key.
pub(crate) fn dkim(command: &DkimCommand) -> ExitCode {
    let DkimCommand::Record { name, config } = command;
    let read = run::enter_folder(&config.config).map_err(|problem| vec![problem]);
    let settings = match read.and_then(|file| config::dkim(&file, name)) {
        Ok(settings) => settings,
        Err(problems) => return run::refuse(&problems),
    };
    match settings.records() {
        Ok(records) => {
            records.iter().for_each(|record| println!("{record}"));
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

pub(crate) fn identity(command: &IdentityCommand) -> ExitCode {
    match command {
        IdentityCommand::Key { config } => {
            let read = run::enter_folder(&config.config).map_err(|problem| vec![problem]);
            match read.and_then(|file| config::identity_key(&file)) {
                Ok(key) => match key.public_pem() {
                    Some(pem) => {
                        print!("{pem}");
                        ExitCode::SUCCESS
                    }
                    None => fail("the public key could not be written"),
                },
                Err(problems) => run::refuse(&problems),
            }
        }
        IdentityCommand::Verify { key, file } => {
            let key = match IdentityPublicKey::load(key) {
                Ok(key) => key,
                Err(why) => return fail(&why),
            };
            let message = match fs::read(file) {
                Ok(message) => message,
                Err(error) => return fail(&format!("{}: {error}", file.display())),
            };
            match IdentityField::verify(&message, &key) {
                Ok(field) => {
                    // What is in it was written by our gateway, and the names in it by people.
                    field.tags().iter().for_each(|(name, value)| println!("{name:<8}{}", value.escape_debug()));
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("{}: {error}", file.display());
                    ExitCode::from(2)
                }
            }
        }
    }
}

pub(crate) fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "postern", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

pub(crate) fn manual(dir: &Path) -> ExitCode {
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{}: {error}", dir.display())),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}
