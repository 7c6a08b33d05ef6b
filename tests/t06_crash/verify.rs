//! `postern spool verify`: beside the gateway, after it, and after somebody has written to its disk.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use demo::{Client, Security};

use super::CONFIGURATION;
use crate::harness::World;
use crate::harness::gateway::binary;
use crate::harness::world::NEXT_HOP;

/// Exit code, standard output, standard error.
fn verify(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let verified = Command::new(binary()).args(["spool", "verify"]).args(arguments).current_dir(world.dir()).output();
    let verified = verified.unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (verified.status.code(), text(&verified.stdout), text(&verified.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_is_verified() {
    let world = World::new().await;
    // Nobody listens at port 1.
    let configuration = CONFIGURATION.replace(NEXT_HOP, "127.0.0.1:1");
    let gateway = world.start(&configuration);
    let mut client = Client::connect(gateway.address("submission"), Security::Plain).await.unwrap();
    client.ehlo().await.unwrap();
    for text in ["first", "second"] {
        client.mail("alice@example.mil").await.unwrap();
        client.rcpt("somebody@example.net").await.unwrap();
        let message = format!("From: <alice@example.mil>\r\n\r\nThe {text} message.\r\n");
        assert_eq!(client.data(message.as_bytes()).await.unwrap().code(), 250);
    }
    let by_config = ["--config", "postern.toml"];
    let (code, out, err) = verify(&world, &by_config);
    assert_eq!(code, Some(0), "beside the gateway: {out}{err}");
    assert!(out.starts_with("2 messages waiting, ") && out.ends_with("all is as it was written\n"), "{out}");
    assert!(gateway.stop().success());

    let by_folder = ["--state-dir", "state"];
    assert_eq!(verify(&world, &by_folder).0, Some(0));
    let log = world.path("state/spool/log/0000000001.log");
    let octets = std::fs::read(&log).unwrap();
    let at = octets.windows(5).position(|window| window == b"first").unwrap();
    OpenOptions::new().write(true).open(&log).unwrap().write_all_at(b"F", at.try_into().unwrap()).unwrap();
    let (code, out, err) = verify(&world, &by_folder);
    assert_eq!(code, Some(2), "{out}{err}");
    let damaged: Vec<&str> = out.lines().filter(|line| line.starts_with("damaged: ")).collect();
    assert_eq!(damaged.len(), 2, "{out}");
    assert!(damaged[0].starts_with("damaged: segment 1, octet 64: message "), "{out}");
    assert!(damaged[0].ends_with(": its Body record has a wrong checksum"), "{out}");
    assert!(damaged[1].ends_with("a piece of its text is missing or damaged; it cannot be delivered"), "{out}");
    assert!(out.contains("1 message waiting, ") && out.ends_with("2 things damaged\n"), "{out}");

    let (code, out, err) = verify(&world, &["--state-dir", "elsewhere"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("error: the spool cannot be verified: elsewhere/spool/log: "), "{err}");
    let (code, _, err) = verify(&world, &["--state-dir", "state", "--config", "postern.toml"]);
    assert!(code == Some(2) && err.contains("cannot be used with"), "{err}");
}
