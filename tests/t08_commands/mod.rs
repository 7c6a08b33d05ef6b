//! The commands as they are typed: `check` on configurations good and bad, `explain` on the four how-tos, `demo` from
//! nothing. Expected outputs are files; `GOLDEN=write` writes them anew.

mod route;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use demo::ca::{KEY_COMPROMISE, Revoked, crl_pem};
use demo::pki::{ALICE, Holder};
use demo::{Ca, Issued, Name, Template};

use crate::harness::gateway::binary;
use crate::harness::golden;
use crate::harness::peers::{Said, run};
use crate::harness::world::{World, card};
use crate::t03_authentication::at_home;

pub(crate) fn postern(world: &World, arguments: &[&str]) -> Said {
    run(Command::new("timeout").arg("60").arg(binary()).args(arguments).current_dir(world.dir()).env_remove("RUST_LOG"))
}

/// Without what differs from run to run.
pub(crate) fn neutral(world: &World, text: &str) -> String {
    let folder = world.dir().canonicalize().unwrap();
    text.replace(&format!("{}/", folder.display()), "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check() {
    let world = World::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("t08_commands/check");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() > 10);
    for file in &files {
        world.write(file.file_name().unwrap().to_str().unwrap(), fs::read(file).unwrap());
    }
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let said = postern(&world, &["check", "--config", name]);
        let got = format!("{}exit {}\n", neutral(&world, &said.text), if said.success { "well" } else { "ill" });
        assert!(!got.contains("open-sesame"), "a password is quoted: {got}");
        let expected = format!("t08_commands/check/{}", name.replace(".toml", ".expected"));
        failures.extend(golden::differs(&expected, &got));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A PKI in which nothing depends on the day.
pub(crate) fn timeless(world: &World) {
    let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 60 * 60);
    let (y2020, y2021, y2023, y2049) = (day(18_262), day(18_628), day(19_358), day(28_855));
    let authority = |name: &str, serial: u8, below| Template {
        serial: Some(vec![serial]),
        ..Template::authority(Name::dod().common_name(name), below).valid(y2020, y2049)
    };
    let root = Ca::root(&authority("Test Root CA", 1, None)).unwrap();
    let issuing = root.subordinate_as(&authority("Test ID CA-1", 2, Some(0))).unwrap();
    let issue = |name: &str, serial: u8, template: Template| -> Issued {
        let issued = issuing.issue(&Template { serial: Some(vec![serial]), ..template }).unwrap();
        world.keep(name, &issued);
        issued
    };
    issue("alice", 0x0a, card(ALICE).valid(y2020, y2049));
    issue("expired", 0x0b, card(ALICE).valid(y2020, y2021));
    issue("several", 0x0e, card(Holder { common_name: "FOE.HENRY.H.1234567895", ..ALICE }).valid(y2020, y2049));
    issue("nobody", 0x0c, card(Holder { common_name: "NIX.NEMO.N.9999999999", ..ALICE }).valid(y2020, y2049));
    let revoked = issue("revoked", 0x0d, card(ALICE).valid(y2020, y2049));
    let lost = Revoked { serial: revoked.serial, at: y2021, reason: Some(KEY_COMPROMISE) };
    let crls = [issuing.crl(&[lost], y2023, y2049).unwrap(), root.crl(&[], y2023, y2049).unwrap()];
    world.write("pki/crl.pem", crls.iter().map(crl_pem).collect::<String>());
    world.write("pki/ca.pem", root.certificate_pem());
    world.write("pki/issuing.pem", issuing.certificate_pem());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain() {
    const CASES: [(&str, &str, &[&[&str]]); 5] = [
        (
            "how-to-1",
            include_str!("../t03_authentication/how-to-1-client-certificate/postern.toml"),
            &[
                &["--client", "10.1.2.3", "--certificate", "pki/alice.pem"],
                &["--client", "10.1.2.3", "--certificate", "pki/alice.pem", "--sender", "bob@example.mil"],
                &["--client", "10.1.2.3", "--certificate", "pki/expired.pem"],
                &["--client", "10.1.2.3", "--certificate", "pki/revoked.pem"],
                &["--client", "10.1.2.3", "--certificate", "pki/nobody.pem"],
                &["--client", "10.1.2.3"],
                &["--client", "10.1.2.3", "--without-tls"],
                &["--client", "192.0.2.7", "--certificate", "pki/alice.pem"],
            ],
        ),
        (
            "how-to-2",
            include_str!("../t03_authentication/how-to-2-smtp-auth-with-allowance/postern.toml"),
            &[
                &["--client", "10.1.2.3", "--user", "carol", "--sender", "carol@example.mil"],
                &["--client", "10.1.2.3", "--user", "alice"],
                &["--client", "10.1.2.3", "--user", "dave"],
                &["--client", "10.1.2.3", "--user", "erin"],
                &["--client", "10.1.2.3", "--user", "frank"],
                &["--client", "10.1.2.3", "--user", "gina"],
                &["--client", "10.1.2.3", "--user", "mallory"],
                &["--client", "10.1.2.3"],
            ],
        ),
        (
            "how-to-3",
            include_str!("../t03_authentication/how-to-3-certificate-or-smtp-auth/postern.toml"),
            &[
                &["--client", "10.1.2.3", "--certificate", "pki/alice.pem"],
                &["--client", "10.1.2.3", "--certificate", "pki/alice.pem", "--user", "bob"],
                &["--client", "10.1.2.3", "--certificate", "pki/expired.pem", "--user", "carol"],
                &["--client", "10.1.2.3", "--user", "carol"],
                &["--client", "10.1.2.3", "--user", "carol", "--without-tls"],
            ],
        ),
        (
            "how-to-4",
            include_str!("../t03_authentication/how-to-4-by-client-address/postern.toml"),
            &[
                &["--client", "10.1.2.3", "--certificate", "pki/alice.pem"],
                &["--client", "10.1.2.3", "--user", "carol"],
                &["--client", "10.2.2.3", "--user", "carol"],
                &["--client", "10.2.2.3", "--certificate", "pki/alice.pem"],
                &["--client", "10.3.2.3", "--user", "carol"],
            ],
        ),
        (
            "forward",
            include_str!("../t03_authentication/forward/postern.toml"),
            &[
                &["--client", "10.1.2.3", "--user", "carol", "--sender", "carol@example.mil"],
                &["--client", "10.1.2.3", "--user", "carol@example.com", "--sender", "carol@example.com"],
                &["--client", "10.1.2.3", "--user", " carol"],
                &["--client", "10.1.2.3", "--certificate", "pki/alice.pem"],
            ],
        ),
    ];
    let world = World::new().await;
    timeless(&world);
    let mut failures = Vec::new();
    for (name, configuration, questions) in CASES {
        world.configure(&at_home(configuration));
        let mut transcript = String::new();
        for question in questions {
            let arguments = [&["explain", "--config", "postern.toml", "--listener", "submission"], *question].concat();
            let said = postern(&world, &arguments);
            let exit = if said.success { "well" } else { "ill" };
            let text = golden::without_now(&neutral(&world, &said.text));
            transcript.push_str(&format!("$ postern explain … {}\n{text}exit {exit}\n\n", question.join(" ")));
        }
        failures.extend(golden::differs(&format!("t08_commands/explain/{name}.expected"), &transcript));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_asks_for_what_it_needs() {
    let world = World::new().await;
    world.configure(&at_home(include_str!("../t03_authentication/how-to-1-client-certificate/postern.toml")));
    for (arguments, told) in [
        (["--listener", "submision", "--client", "10.1.2.3"].as_slice(), "submission, submissions"),
        (&["--listener", "submission", "--client", "10.1.2.300"], "10.1.2.300"),
        (&["--listener", "submission", "--client", "10.1.2.3", "--certificate", "nowhere.pem"], "nowhere.pem"),
        (&["--listener", "submission", "--client", "10.1.2.3", "--certificate", "people.toml"], "people.toml"),
        (&["--listener", "submission", "--client", "10.1.2.3", "--sender", "no address"], "address"),
        (&["--listener", "submission"], "--client"),
    ] {
        let said = postern(&world, &[&["explain", "--config", "postern.toml"], arguments].concat());
        assert!(!said.success && said.text.contains(told), "{arguments:?}: {}", said.text);
    }
}

/// One command, from nothing; and again in the folder it made. What it wrote is sound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_from_nothing() {
    let world = World::new().await;
    for round in ["new", "again"] {
        let said = postern(&world, &["demo", "--dir", "here", "--tour-only"]);
        assert!(said.success, "{round}: {}", said.text);
        assert_eq!(said.text.matches('✓').count(), 10, "{}", said.text);
        assert!(!said.text.contains('✗'), "{}", said.text);
    }
    let here = world.path("here");
    for file in ["pki/ca.pem", "pki/alice.pem", "pki/alice.key", "pki/bob.pem", "pki/bob.key", "pki/expired.pem"] {
        assert!(here.join(file).is_file(), "{file}");
    }
    for file in ["pki/revoked.pem", "pki/stranger.pem", "people.toml", "postern.toml", "delivered"] {
        assert!(here.join(file).exists(), "{file}");
    }
    assert_eq!(fs::read_dir(here.join("delivered")).unwrap().count(), 6, "three a tour");
    let said = postern(&world, &["check", "--config", "here/postern.toml"]);
    assert!(said.success && said.text.contains("0 errors, 0 warnings"), "{}", said.text);
    // Somebody's own folder is not written to, however much it looks like a demo's; one whose making broke off is.
    world.write("postern.toml", "# mine");
    let said = postern(&world, &["demo", "--dir", ".", "--tour-only"]);
    assert!(!said.success && said.text.contains("--dir"), "{}", said.text);
    assert_eq!(fs::read_to_string(world.path("postern.toml")).unwrap(), "# mine");
    fs::remove_file(here.join("pki/renew-after")).unwrap();
    assert!(postern(&world, &["demo", "--dir", "here", "--tour-only"]).success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_commands() {
    let world = World::new().await;
    let said = postern(&world, &["--version"]);
    assert!(said.success && said.text.starts_with("postern "), "{}", said.text);
    let said = postern(&world, &[]);
    assert!(!said.success && said.text.contains("Usage: postern"), "{}", said.text);
    for command in ["run", "check", "demo", "explain", "directory", "password", "completions", "manual"] {
        let said = postern(&world, &[command, "--help"]);
        assert!(said.success && said.text.contains("Usage: postern"), "{}", said.text);
    }
    for shell in ["bash", "zsh", "fish"] {
        let said = postern(&world, &["completions", shell]);
        assert!(said.success && said.text.contains("explain"), "{shell}: {}", said.text);
    }
    let said = postern(&world, &["manual", "man"]);
    assert!(said.success, "{}", said.text);
    assert!(fs::read_to_string(world.path("man/postern-explain.1")).unwrap().contains(".SH NAME"));
    let said = postern(&world, &["run", "--config", "nowhere.toml"]);
    assert!(!said.success && said.text.contains("nowhere.toml"), "{}", said.text);
}

/// A password hash by the command is one that a people file takes.
/// `postern … | head`: whoever read the output has left, and that is no reason to panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_on() {
    let world = World::new().await;
    timeless(&world);
    world.configure(&at_home(include_str!("../t03_authentication/how-to-1-client-certificate/postern.toml")));
    world.write("wrong.toml", "hostname = 1\n");
    for arguments in [
        &["check", "--config", "postern.toml"][..],
        &["check", "--config", "wrong.toml"],
        &["explain", "--config", "postern.toml", "--listener", "submission", "--client", "10.1.2.3"],
        &["certificate", "show", "pki/alice.pem"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(binary());
        let ended = command.args(arguments).current_dir(world.dir()).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        let expected = if arguments == ["--help"] { 0 } else { 141 };
        assert_eq!(ended.status.code(), Some(expected), "{arguments:?}: {said}");
        // And when nobody reads what is wrong either.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let code = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap().code();
        assert_eq!(code, Some(expected), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_hash() {
    let world = World::new().await;
    let hash = |password: &str| {
        let mut command = Command::new(binary());
        crate::harness::peers::run_with_input(command.arg("password"), password)
    };
    let said = hash("correct horse\n");
    assert!(said.success && said.text.starts_with("$argon2id$"), "{}", said.text);
    assert_ne!(hash("correct horse\n").text, said.text, "salted");
    assert!(!hash("\n").success, "an empty password is none");
    let person = format!(
        "[[person]]\nuser_id = \"zoe\"\naddresses = [\"zoe@example.mil\"]\npassword = \"{}\"\n",
        said.text.trim()
    );
    world.write("people.toml", person);
    let configuration = at_home(include_str!("../t03_authentication/how-to-2-smtp-auth-with-allowance/postern.toml"))
        .replace("proxy_protocol_from = [\"127.0.0.1\"]", "")
        .replace("\"10.0.0.0/8\"", "\"127.0.0.1\"");
    let gateway = world.start(&configuration);
    let tls = world.tls(None);
    let address = gateway.address("submission");
    let mut client = demo::Client::connect(address, demo::Security::StartTls(&tls)).await.unwrap();
    client.ehlo().await.unwrap();
    client.starttls(&tls).await.unwrap();
    client.ehlo().await.unwrap();
    let credentials = demo::Credentials::Plain("zoe", "correct horse");
    assert_eq!(client.authenticate(credentials).await.unwrap().unwrap().code(), 235);
}
