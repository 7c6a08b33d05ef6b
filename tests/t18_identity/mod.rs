//! The next hop is told who it was: by a signed field, which nobody can write in the gateway's stead.

mod xclient;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use demo::{Credentials, Security, Submission, submit};

use crate::harness::gateway::binary;
use crate::harness::peers::{self, Said, command, run};
use crate::harness::{Gateway, World};

const CONFIGURATION: &str = include_str!("postern.toml");
const MANUAL: &str = include_str!("../../docs/src/identity.md");
const FORGED: &str = "Postern-Identity: v=1; user=admiral\r\npostern-identity :\r\n v=1; user=general\r\n";

fn openssl(folder: &Path, arguments: &str) {
    let said = run(command("openssl").current_dir(folder).args(arguments.split(' ')));
    assert!(said.success, "{arguments}: {}", said.text);
}

fn new_key(world: &World) {
    openssl(world.dir(), "genpkey -algorithm ED25519 -out identity.pem");
    fs::set_permissions(world.path("identity.pem"), Permissions::from_mode(0o640)).unwrap();
}

async fn send(world: &World, gateway: &Gateway, who: &str, subject: &str) {
    let tls = world.tls((who == "alice").then_some("alice"));
    let password = format!("{who}-password");
    let credentials = if who == "alice" { Credentials::None } else { Credentials::Plain(who, &password) };
    let message = format!("From: {who}@example.mil\r\nSubject: {subject}\r\n folded\r\n{FORGED}To: x\r\n\r\n{FORGED}");
    let submission = Submission {
        from: &format!("{who}@example.mil"),
        to: &["somebody@example.net"],
        message: message.as_bytes(),
        credentials,
    };
    let said = submit(gateway.address("submission"), Security::StartTls(&tls), &submission).await.unwrap();
    assert!(said.accepted, "{}", said.decisive);
}

/// `postern identity verify`
fn verify(world: &World, message: &str) -> Said {
    fs::write(world.path("message.eml"), message).unwrap();
    run(Command::new(binary()).current_dir(world.dir()).args([
        "identity",
        "verify",
        "--key",
        "identity.pub.pem",
        "message.eml",
    ]))
}

/// The manual's way without Postern, for the message that was verified last.
fn by_openssl(world: &World) -> Said {
    let (_, recipe) = MANUAL.split_once("By other means than Postern").unwrap();
    let (_, recipe) = recipe.split_once("```sh\n").unwrap();
    let (recipe, _) = recipe.split_once("```").unwrap();
    run(command("sh").current_dir(world.dir()).args(["-e", "-c", recipe]))
}

fn publish_key(world: &World) {
    let said = run(Command::new(binary()).args(["identity", "key", "--config"]).arg(world.path("postern.toml")));
    assert!(said.success, "{}", said.text);
    world.write("identity.pub.pem", said.text);
}

/// In both modes of `[relay]`, whoever sends, however they have shown who they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_field() {
    if !peers::has(&["openssl"]) {
        return;
    }
    for mode in ["queued", "inline"] {
        let world = World::new().await;
        new_key(&world);
        let gateway = world.start(&format!("{CONFIGURATION}\n[relay]\nmode = \"{mode}\"\n"));
        publish_key(&world);
        for (who, how) in [("alice", "certificate"), ("carol", "PLAIN")] {
            let subject = format!("{who} by {how}");
            send(&world, &gateway, who, &subject).await;
            let delivered = world.delivered(&subject).await;
            let field = delivered.field("Postern-Identity");
            for tag in [format!("user={who};"), format!("how={how};"), format!("sender=<{who}@example.mil>;")] {
                assert!(field.contains(&tag), "{field}");
            }
            let id = field.split("id=").nth(1).unwrap().split(';').next().unwrap();
            assert!(delivered.field("Received").contains(&format!(" id {id};")), "{field}");
            assert_eq!(delivered.body(), FORGED);

            let said = verify(&world, &delivered.text);
            assert!(said.success && said.text.contains(&format!("user    {who}\n")), "{}", said.text);
            let said = by_openssl(&world);
            assert!(said.success && said.text.contains("Signature Verified Successfully"), "{}", said.text);

            // Another message with the same field, by both means.
            for (from, to) in [("Subject: ", "Subject: not "), ("user=", "user=x"), ("To: x", "To: y")] {
                let said = verify(&world, &delivered.text.replacen(from, to, 1));
                assert_eq!(said.code, 2, "{}", said.text);
                let said = by_openssl(&world);
                assert!(!said.success && said.text.contains("Verification Failure"), "{}", said.text);
            }
        }
        let secret = fs::read_to_string(world.path("identity.pem")).unwrap();
        let secret = secret.lines().nth(1).unwrap();
        assert!(!gateway.log_lines().iter().any(|line| line.contains(secret)));
    }
}

/// A key that changes is used after a reload; one that anybody could read is refused. Without the setting there is no field,
/// forged ones included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_settings_change() {
    if !peers::has(&["openssl"]) {
        return;
    }
    let world = World::new().await;
    new_key(&world);
    let gateway = world.start(CONFIGURATION);
    publish_key(&world);
    new_key(&world);
    let reload = |expected: &str| {
        let before = gateway.log_length();
        gateway.signal("HUP");
        gateway.wait_for_log_after(before, expected, |line| {
            line["message"].as_str().is_some_and(|message| message.contains(expected))
        });
    };
    send(&world, &gateway, "alice", "first key").await;
    let first = world.delivered("first key").await;
    assert!(verify(&world, &first.text).success);
    reload("the new configuration is in use");
    send(&world, &gateway, "alice", "second key").await;
    let second = world.delivered("second key").await;
    assert_eq!(verify(&world, &second.text).code, 2);
    publish_key(&world);
    assert!(verify(&world, &second.text).success && verify(&world, &first.text).code == 2);

    let check = || run(Command::new(binary()).args(["check", "--config"]).arg(world.path("postern.toml")));
    fs::set_permissions(world.path("identity.pem"), Permissions::from_mode(0o644)).unwrap();
    let said = check();
    assert!(!said.success && said.text.contains("trace.identity_key"), "{}", said.text);
    assert!(said.text.contains("everybody on this machine may read the key"), "{}", said.text);
    reload("the new configuration is refused");
    fs::set_permissions(world.path("identity.pem"), Permissions::from_mode(0o600)).unwrap();

    world.configure(&CONFIGURATION.replace("identity = true\n", ""));
    assert!(check().text.contains("there is nothing to sign"), "{}", check().text);
    world.configure(&CONFIGURATION.replace("identity_key = \"identity.pem\"\n", ""));
    reload("the new configuration is in use");
    send(&world, &gateway, "alice", "unsigned").await;
    let unsigned = world.delivered("unsigned").await;
    assert!(unsigned.field("Postern-Identity").ends_with("sender=<alice@example.mil>"), "{}", unsigned.text);
    let said = verify(&world, &unsigned.text);
    assert!(said.code == 2 && said.text.contains("not signed"), "{}", said.text);

    world.configure(&CONFIGURATION.replace("identity = true\nidentity_key = \"identity.pem\"\n", ""));
    reload("the new configuration is in use");
    send(&world, &gateway, "alice", "silent").await;
    assert!(world.delivered("silent").await.fields("Postern-Identity").is_empty());
}
